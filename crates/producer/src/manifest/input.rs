//! Reads the text of a manifest, and never more than one row's worth at a time.

use std::io::{self, Read};

use encoding_rs::Encoding;

use super::{encoding::Text, quotes::QuoteWatch};

/// Longest row; a prompt has 32,000 characters at most.
pub(super) const LONGEST_ROW: usize = 1024 * 1024;
/// A header that is longer decides its delimiter by its beginning.
const LONGEST_LOOK: usize = 64 * 1024;
const LOOK: usize = 1024;

/// What ended the reading before the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A row longer than [`LONGEST_ROW`].
    RowTooLong,
    /// The file is something else; says what.
    File(String),
}

/// A manifest's bytes, and after them a tail of our own.
#[derive(Debug)]
pub(super) struct Input<R> {
    text: Text<R>,
    /// What was read ahead to see the first line.
    head: Vec<u8>,
    tail: &'static [u8],
    allowed: usize,
    too_long: bool,
    /// Lines end in a carriage return alone, as on old Macs.
    returns: bool,
    /// Set for CSV.
    pub(super) quotes: Option<QuoteWatch>,
}

impl<R: Read> Input<R> {
    pub(super) const fn new(inner: R, told: Option<&'static Encoding>, tail: &'static [u8]) -> Self {
        Self {
            text: Text::new(inner, told),
            head: Vec::new(),
            tail,
            allowed: usize::MAX,
            too_long: false,
            returns: false,
            quotes: None,
        }
    }

    /// Says that a row begins: only so many bytes may be read until it is said again.
    pub(super) const fn row_begins(&mut self, buffered: usize) {
        self.allowed = LONGEST_ROW + buffered;
    }

    pub(super) fn stop(&self) -> Option<Stop> {
        if self.too_long { Some(Stop::RowTooLong) } else { self.text.stop.clone().map(Stop::File) }
    }

    /// The encoding that is decoded, where it is not UTF-8.
    pub(super) fn decoded(&self) -> Option<&'static str> {
        self.text.decoded()
    }

    /// Looks at the first line, with its line end; learns how lines end.
    pub(super) fn first_line(&mut self, quoted_lines: bool) -> io::Result<&[u8]> {
        let (mut seen, mut quoted) = (0, false);
        loop {
            while let Some(byte) = self.head.get(seen) {
                quoted ^= *byte == b'"' && quoted_lines;
                seen += 1;
                match (byte, self.head.get(seen)) {
                    (b'\n', _) if !quoted => return Ok(&self.head[..seen]),
                    (b'\r', Some(b'\n')) => {}
                    (b'\r', Some(_)) if !quoted => {
                        self.returns = true;
                        plain(&mut self.head);
                        return Ok(&self.head[..seen]);
                    }
                    _ => {}
                }
            }
            let before = self.head.len();
            if before < LONGEST_LOOK {
                self.text.by_ref().take(LOOK as u64).read_to_end(&mut self.head)?;
            }
            if self.head.len() == before {
                self.returns = before < LONGEST_LOOK && self.head.last() == Some(&b'\r') && !quoted;
                if self.returns {
                    plain(&mut self.head);
                }
                return Ok(&self.head);
            }
            // A carriage return at the end of a piece is looked at again with what follows.
            if self.head.get(before.wrapping_sub(1)) == Some(&b'\r') {
                seen -= 1;
            }
        }
    }

    /// Leaves out the beginning of the first line.
    pub(super) fn skip(&mut self, length: usize) {
        self.head.drain(..length.min(self.head.len()));
    }
}

/// Line feeds for carriage returns.
fn plain(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| **byte == b'\r') {
        *byte = b'\n';
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.too_long |= self.allowed == 0;
        if self.too_long {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let room = buf.len().min(self.allowed);
        let buf = &mut buf[..room];
        let mut length = 0;
        if !self.head.is_empty() {
            length = self.head.as_slice().read(buf)?;
            self.head.drain(..length);
        }
        if length == 0 {
            length = self.text.read(buf)?;
        }
        if self.returns {
            plain(&mut buf[..length]);
        }
        if let Some(quotes) = &mut self.quotes {
            quotes.see(&buf[..length]);
        }
        if length == 0 {
            length = self.tail.read(buf)?;
        }
        self.allowed -= length;
        Ok(length)
    }
}

impl Stop {
    /// What to tell of the whole file; a row that is too long is told by whoever knows the row.
    pub(super) fn message(&self) -> &str {
        match self {
            Self::RowTooLong => "a row is longer than 1 MiB",
            Self::File(what) => what,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn first(bytes: &[u8], quoted_lines: bool) -> (String, String) {
        let mut input = Input::new(bytes, None, b"");
        let line = String::from_utf8(input.first_line(quoted_lines).unwrap().to_vec()).unwrap();
        let mut all = String::new();
        input.read_to_string(&mut all).unwrap();
        (line, all)
    }

    #[test]
    fn old_macs_end_lines_in_returns() {
        assert_eq!(first(b"a,b\r1,2\r", true), ("a,b\n".to_owned(), "a,b\n1,2\n".to_owned()));
        assert_eq!(first(b"a,b\r\n1,2\r", true).1, "a,b\r\n1,2\r");
        assert_eq!(first(b"\"a\rb\",c\r\n1", true).0, "\"a\rb\",c\r\n");
        assert_eq!(first(b"{\"a\":\"\\\"\"}\r{}", false).0, "{\"a\":\"\\\"\"}\n");
        assert_eq!(first(b"a\r", true).1, "a\n");
        assert_eq!(first(b"", true), (String::new(), String::new()));
    }

    proptest! {
        #[test]
        fn looking_changes_nothing(text in "[a\",\n]{0,3000}", end in prop::sample::select(vec!["\n", "\r\n", "\r"])) {
            let file = text.replace('\n', end);
            let (line, all) = first(file.as_bytes(), true);
            if end != "\r" {
                prop_assert_eq!(&all, &file);
            }
            prop_assert_eq!(all.replace('\r', "\n"), file.replace('\r', "\n"));
            prop_assert!(all.starts_with(&line));
        }
    }
}
