//! Reads the bytes of a manifest: without a byte order mark, and never more than one row's worth
//! at a time.

use std::io::{self, Read};

use super::quotes::QuoteWatch;

/// Longest row; a prompt has 32,000 characters at most.
pub(super) const LONGEST_ROW: usize = 1024 * 1024;
const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What ended the reading before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A row longer than [`LONGEST_ROW`].
    RowTooLong,
    /// UTF-16 instead of UTF-8.
    Utf16,
    /// A spreadsheet or another zip file.
    Zip,
}

/// A manifest's bytes, and after them a tail of our own.
#[derive(Debug)]
pub(super) struct Input<R> {
    inner: R,
    head: Vec<u8>,
    started: bool,
    tail: &'static [u8],
    allowed: usize,
    pub(super) stop: Option<Stop>,
    /// Set for CSV.
    pub(super) quotes: Option<QuoteWatch>,
}

impl<R: Read> Input<R> {
    pub(super) const fn new(inner: R, tail: &'static [u8]) -> Self {
        Self { inner, head: Vec::new(), started: false, tail, allowed: usize::MAX, stop: None, quotes: None }
    }

    /// Says that a row begins: only so many bytes may be read until it is said again.
    pub(super) const fn row_begins(&mut self, buffered: usize) {
        self.allowed = LONGEST_ROW + buffered;
    }

    fn start(&mut self) -> io::Result<()> {
        self.started = true;
        self.inner.by_ref().take(4).read_to_end(&mut self.head)?;
        if self.head.starts_with(UTF8_MARK) {
            self.head.drain(..UTF8_MARK.len());
        } else if self.head.starts_with(b"\xFF\xFE") || self.head.starts_with(b"\xFE\xFF") {
            self.stop = Some(Stop::Utf16);
        } else if self.head.starts_with(b"PK\x03\x04") {
            self.stop = Some(Stop::Zip);
        }
        Ok(())
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.started {
            self.start()?;
        }
        if self.allowed == 0 {
            self.stop = Some(Stop::RowTooLong);
        }
        if self.stop.is_some() {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let room = buf.len().min(self.allowed);
        let mut length = 0;
        if !self.head.is_empty() {
            length = self.head.as_slice().read(&mut buf[..room])?;
            self.head.drain(..length);
        }
        if length == 0 {
            length = self.inner.read(&mut buf[..room])?;
        }
        if let Some(quotes) = &mut self.quotes {
            quotes.see(&buf[..length]);
        }
        if length == 0 {
            length = self.tail.read(&mut buf[..room])?;
        }
        self.allowed -= length;
        Ok(length)
    }
}

impl Stop {
    /// What to tell of the whole file; a row that is too long is told by whoever knows the row.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::RowTooLong => "a row is longer than 1 MiB",
            Self::Utf16 => "the file is UTF-16; save it as UTF-8 (in a spreadsheet: \"CSV UTF-8\")",
            Self::Zip => "the file is a spreadsheet or zip file, not text; save it as \"CSV UTF-8\"",
        }
    }
}
