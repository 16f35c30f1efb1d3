//! Watches the quotes of a CSV file while it is read.
//!
//! The parser forgives text after a closing quote. We do not: most often a quote opened
//! rows before was left open, and what looks like one cell is several paid rows.

use std::collections::VecDeque;

/// Text that follows a closing quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stray {
    /// Bytes before it.
    pub(super) offset: u64,
    /// Its line, from 1.
    pub(super) line: u64,
}

/// Sees every byte once, ahead of the parser.
#[derive(Debug)]
pub(super) struct QuoteWatch {
    /// Whether a byte is the delimiter, a quote or part of a line end.
    telling: [bool; 256],
    place: Place,
    offset: u64,
    first: u64,
    lines: u64,
    carriage_return: bool,
    strays: VecDeque<Stray>,
    /// Whether lines end in two bytes; the parser counts such a line only when the next begins.
    pub(super) two_byte_ends: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    CellStart,
    Plain,
    Quoted,
    AfterQuote,
}

impl QuoteWatch {
    /// Watches a file from the given number of lines on.
    pub(super) const fn new(delimiter: u8, lines: u64) -> Self {
        let mut telling = [false; 256];
        telling[b'"' as usize] = true;
        telling[b'\n' as usize] = true;
        telling[b'\r' as usize] = true;
        telling[delimiter as usize] = true;
        Self {
            telling,
            place: Place::CellStart,
            offset: 0,
            first: lines,
            lines,
            carriage_return: false,
            strays: VecDeque::new(),
            two_byte_ends: false,
        }
    }

    pub(super) fn see(&mut self, bytes: &[u8]) {
        let mut place = self.place;
        let mut carriage_return = self.carriage_return;
        for (at, &byte) in bytes.iter().enumerate() {
            if !self.telling[usize::from(byte)] {
                place = match place {
                    Place::Quoted => Place::Quoted,
                    Place::Plain | Place::CellStart => Place::Plain,
                    Place::AfterQuote => self.stray(at),
                };
                carriage_return = false;
                continue;
            }
            place = match (place, byte) {
                (Place::Quoted, b'"') => Place::AfterQuote,
                (Place::Quoted, _) | (Place::AfterQuote | Place::CellStart, b'"') => Place::Quoted,
                (Place::Plain, b'"') => Place::Plain,
                (Place::Plain | Place::CellStart | Place::AfterQuote, _) => Place::CellStart,
            };
            if byte == b'\n' {
                self.two_byte_ends |= self.lines == self.first && carriage_return;
                self.lines += 1;
            }
            carriage_return = byte == b'\r';
        }
        self.place = place;
        self.carriage_return = carriage_return;
        self.offset += bytes.len() as u64;
    }

    /// Remembers text after a closing quote, so far behind the bytes seen before.
    fn stray(&mut self, at: usize) -> Place {
        self.strays.push_back(Stray { offset: self.offset + at as u64, line: self.lines + 1 });
        Place::Plain
    }

    /// The first stray text before an offset that was not told yet.
    pub(super) fn stray_before(&mut self, offset: u64) -> Option<Stray> {
        let first = *self.strays.front().filter(|stray| stray.offset < offset)?;
        while self.strays.front().is_some_and(|stray| stray.offset < offset) {
            self.strays.pop_front();
        }
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strays(text: &str) -> Vec<(u64, u64)> {
        let mut watch = QuoteWatch::new(b',', 0);
        for byte in text.bytes() {
            watch.see(&[byte]);
        }
        watch.strays.iter().map(|stray| (stray.offset, stray.line)).collect()
    }

    #[test]
    fn finds_text_after_a_closing_quote() {
        assert_eq!(strays("a,\"b\"\n\"c\"\"\",5\" d\n\"\",e\"\"\r\n"), []);
        assert_eq!(strays("a,\"b\nc,\"d\"\ne,\"f\" g\n"), [(8, 2), (16, 3)]);
    }

    proptest! {
        #[test]
        fn never_blames_a_writer(rows in prop::collection::vec(prop::collection::vec("[a\",\n\r]{0,8}", 3), 0..9)) {
            let mut writer = ::csv::Writer::from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            prop_assert_eq!(strays(&text), []);
        }
    }
}
