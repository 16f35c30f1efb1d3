//! Turns the bytes of a text manifest into UTF-8, whatever it was written in.
//!
//! UTF-8 passes through untouched and unchecked: whoever knows row and column says what is
//! wrong with it. UTF-16 is recognised; any other encoding has to be told.

use std::io::{self, Read};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_16BE, UTF_16LE};

use super::magic;

const SNIFFED: u64 = 4 * 1024;
const CHUNK: usize = 32 * 1024;
const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Stands for bytes that are no character of the encoding.
pub(super) const REPLACEMENT: &str = "\u{FFFD}";

/// What to say of a byte that is not UTF-8, in a cell or a line.
pub(super) fn not_utf8(what: &str, bytes: &[u8], at: usize) -> String {
    format!(
        "byte {} of the {what} (0x{:02X}) is not UTF-8; give --encoding windows-1252 if the file is from Excel on Windows, \
         or save it as UTF-8",
        at + 1,
        bytes.get(at).copied().unwrap_or_default()
    )
}

/// What to say of a file whose first line is neither UTF-8 nor any other text.
pub(super) const NO_TEXT: &str = "the file is no text; give a CSV, JSONL or XLSX file";

/// Whether bytes that are no UTF-8 are no text in another encoding either.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())
        && std::str::from_utf8(bytes).is_err()
}

/// What to say of bytes that are no character of the encoding.
pub(super) fn undecodable(encoding: &str) -> String {
    format!(
        "holds bytes that are no {encoding}, or U+FFFD, which stands for such; mend the cell, or give another --encoding"
    )
}

/// A manifest's text in UTF-8, without a byte order mark.
#[derive(Debug)]
pub(super) struct Text<R> {
    inner: R,
    told: Option<&'static Encoding>,
    started: bool,
    /// Bytes that were read to see what they are.
    head: Vec<u8>,
    decoding: Option<Decoding>,
    /// What ended the reading before the end.
    pub(super) stop: Option<String>,
}

struct Decoding {
    encoding: &'static Encoding,
    decoder: Decoder,
    raw: Vec<u8>,
    text: Vec<u8>,
    at: usize,
    ended: bool,
    /// Whether the bytes may be UTF-8 all the same.
    doubt: Option<Utf8Watch>,
}

impl<R: Read> Text<R> {
    pub(super) const fn new(inner: R, told: Option<&'static Encoding>) -> Self {
        Self { inner, told, started: false, head: Vec::new(), decoding: None, stop: None }
    }

    /// The encoding that is decoded, where it is not UTF-8.
    pub(super) fn decoded(&self) -> Option<&'static str> {
        self.decoding.as_ref().map(|decoding| decoding.encoding.name())
    }

    fn start(&mut self) -> io::Result<()> {
        self.started = true;
        self.inner.by_ref().take(SNIFFED).read_to_end(&mut self.head)?;
        if let Some(what) = magic::no_text(&self.head) {
            self.stop = Some(what.to_owned());
            return Ok(());
        }
        let marked = [(UTF8_MARK, "UTF-8"), (b"\xFF\xFE", "UTF-16LE"), (b"\xFE\xFF", "UTF-16BE")]
            .into_iter()
            .find(|(mark, _)| self.head.starts_with(mark));
        if let Some((mark, name)) = marked {
            self.head.drain(..mark.len());
            if let Some(told) = self.told.filter(|told| told.name() != name) {
                self.stop = Some(contradicted(name, told));
                return Ok(());
            }
        }
        let seen = match marked {
            Some((_, "UTF-8")) => None,
            Some((_, "UTF-16LE")) => Some(UTF_16LE),
            Some(_) => Some(UTF_16BE),
            None => self.told.or_else(|| utf16_without_mark(&self.head)),
        };
        self.decoding = seen.map(|encoding| Decoding::new(encoding, std::mem::take(&mut self.head)));
        Ok(())
    }
}

fn contradicted(name: &str, told: &'static Encoding) -> String {
    format!("the file is {name}, not {}; leave --encoding out", told.name().to_ascii_lowercase())
}

/// UTF-16 that begins with two characters below U+0100, as column names and JSON do.
fn utf16_without_mark(head: &[u8]) -> Option<&'static Encoding> {
    match head {
        [a, 0, b, 0, ..] if *a != 0 && *b != 0 => Some(UTF_16LE),
        [0, a, 0, b, ..] if *a != 0 && *b != 0 => Some(UTF_16BE),
        _ => None,
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.started {
            self.start()?;
        }
        if self.stop.is_none()
            && let Some(decoding) = &mut self.decoding
        {
            if let Some(length) = decoding.read(&mut self.inner, buf)? {
                return Ok(length);
            }
            self.stop = Some(contradicted("UTF-8", decoding.encoding));
        }
        if self.stop.is_some() {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        if self.head.is_empty() {
            return self.inner.read(buf);
        }
        let length = self.head.as_slice().read(buf)?;
        self.head.drain(..length);
        Ok(length)
    }
}

impl Decoding {
    fn new(encoding: &'static Encoding, head: Vec<u8>) -> Self {
        let utf16 = encoding == UTF_16LE || encoding == UTF_16BE;
        Self {
            encoding,
            decoder: encoding.new_decoder_without_bom_handling(),
            raw: head,
            text: Vec::new(),
            at: 0,
            ended: false,
            doubt: (!utf16).then(Utf8Watch::default),
        }
    }

    /// Text, as `Read` has it; none at the end of a file that is UTF-8.
    fn read(&mut self, inner: &mut impl Read, buf: &mut [u8]) -> io::Result<Option<usize>> {
        while self.at == self.text.len() {
            if self.ended {
                let doubted = self.doubt.as_ref().is_some_and(Utf8Watch::is_utf8);
                return Ok(if doubted { None } else { Some(0) });
            }
            self.fill(inner)?;
        }
        let length = (&self.text[self.at..]).read(buf)?;
        self.at += length;
        Ok(Some(length))
    }

    fn fill(&mut self, inner: &mut impl Read) -> io::Result<()> {
        if self.raw.is_empty() {
            inner.by_ref().take(CHUNK as u64).read_to_end(&mut self.raw)?;
            self.ended = self.raw.is_empty();
        }
        if let Some(doubt) = &mut self.doubt {
            doubt.see(&self.raw);
        }
        // Room for the worst case, so that one call takes all bytes.
        let most = self.decoder.max_utf8_buffer_length(self.raw.len()).unwrap_or(usize::MAX);
        self.text.resize(most.min(8 * CHUNK), 0);
        let (result, read, written, _had_errors) =
            self.decoder.decode_to_utf8(&self.raw, &mut self.text, self.ended);
        debug_assert!(result == CoderResult::InputEmpty && read == self.raw.len());
        self.raw.clear();
        self.text.truncate(written);
        self.at = 0;
        Ok(())
    }
}

impl std::fmt::Debug for Decoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoding").field("encoding", &self.encoding.name()).finish_non_exhaustive()
    }
}

/// Sees whether bytes that were said to be something else are UTF-8.
///
/// Text in another encoding practically never is, if it has one character beyond ASCII; UTF-8
/// taken for Windows-1252 would be paid for as `cafÃ©`.
#[derive(Debug, Default)]
struct Utf8Watch {
    beyond_ascii: bool,
    wrong: bool,
    cut: Vec<u8>,
}

impl Utf8Watch {
    fn see(&mut self, bytes: &[u8]) {
        if self.wrong || (self.cut.is_empty() && bytes.is_ascii()) {
            return;
        }
        self.cut.extend_from_slice(bytes);
        self.beyond_ascii = true;
        match std::str::from_utf8(&self.cut) {
            Ok(_) => self.cut.clear(),
            Err(error) if error.error_len().is_none() => {
                self.cut.drain(..error.valid_up_to());
            }
            Err(_) => {
                self.wrong = true;
                self.cut = Vec::new();
            }
        }
    }

    const fn is_utf8(&self) -> bool {
        self.beyond_ascii && !self.wrong && self.cut.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8], told: Option<&str>) -> Result<String, String> {
        let told = told.and_then(|label| Encoding::for_label(label.as_bytes()));
        let mut text = Text::new(bytes, told);
        let mut out = Vec::new();
        match text.read_to_end(&mut out) {
            Ok(_) => Ok(String::from_utf8(out).unwrap()),
            Err(_) => Err(text.stop.unwrap()),
        }
    }

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn utf16_is_seen_with_and_without_its_mark() {
        for text in ["id,prompt\n1,café 🦀", "\u{feff}id,prompt\n1,café 🦀"] {
            for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
                assert_eq!(read(&utf16(text, to_bytes), None).unwrap(), "id,prompt\n1,café 🦀");
            }
        }
        assert_eq!(read(&[b'i', 0, b'd', 0, 0], None).unwrap(), "id\u{fffd}", "an odd byte");
    }

    #[test]
    fn what_was_told_is_compared_with_what_is_there() {
        assert_eq!(read(b"caf\xE9 \x80", Some("windows-1252")).unwrap(), "café €");
        assert_eq!(read(b"cafe", Some("windows-1252")).unwrap(), "cafe");
        let wrong = "the file is UTF-8, not windows-1252; leave --encoding out";
        assert_eq!(read("\u{feff}cafe".as_bytes(), Some("cp1252")).unwrap_err(), wrong);
        assert!(read("café".as_bytes(), Some("cp1252")).unwrap_err().starts_with("the file is UTF-8"));
        let long = format!("{}é{}", "a".repeat(CHUNK + 4_095), "b".repeat(CHUNK));
        assert!(read(long.as_bytes(), Some("cp1252")).is_err(), "cut within a character");
        assert!(read(b"\xFF\xFEi\0", Some("cp1252")).unwrap_err().starts_with("the file is UTF-16LE"));
        assert_eq!(read(b"\xFF\xFEi\0", Some("utf-16le")).unwrap(), "i");
    }

    proptest! {
        #[test]
        fn pieces_of_any_length_give_the_same_text(text in "[a-zé€🦀\n]{0,200}", piece in 1_usize..9) {
            let bytes = utf16(&format!("id{text}"), u16::to_le_bytes);
            let mut reader = Text::new(&bytes[..], None);
            let mut out = Vec::new();
            let mut buf = vec![0; piece];
            loop {
                match reader.read(&mut buf).unwrap() {
                    0 => break,
                    length => out.extend_from_slice(&buf[..length]),
                }
            }
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("id{text}"));
        }
    }
}
