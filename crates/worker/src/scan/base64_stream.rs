//! Decodes base64 that arrives in pieces.
//!
//! Whole groups of four go through SIMD; what that refuses (white space, padding, errors) is
//! looked at byte by byte. White space, missing padding and a `data:…,` prefix are forgiven.

use base64_simd::STANDARD_NO_PAD;

const PREFIX: &[u8] = b"data:";

/// No media type is longer.
const MAX_PREFIX: usize = 256;

/// Why a text is not an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NotBase64,
    TooLarge,
}

#[derive(Debug)]
enum Head {
    Undecided { matched: usize },
    Skipping { skipped: usize },
    Passed,
}

/// One image string being decoded.
#[derive(Debug)]
pub(super) struct Base64Stream {
    head: Head,
    group: [u8; 4],
    grouped: usize,
    padding: usize,
    untouched: bool,
    written: u64,
    limit: u64,
    fault: Option<Fault>,
}

impl Base64Stream {
    pub(super) const fn new(limit: u64) -> Self {
        Self {
            head: Head::Undecided { matched: 0 },
            group: [0; 4],
            grouped: 0,
            padding: 0,
            untouched: true,
            written: 0,
            limit,
            fault: None,
        }
    }

    /// Whether nothing has been pushed yet.
    pub(super) const fn is_untouched(&self) -> bool {
        self.untouched
    }

    pub(super) const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Takes the next piece; after a fault the rest is ignored.
    pub(super) fn push(&mut self, text: &[u8], image: &mut Vec<u8>) {
        self.untouched &= text.is_empty();
        let before = image.len();
        let body = self.after_head(text, image);
        self.decode(body, image);
        self.written += (image.len() - before) as u64;
        if self.written > self.limit && self.fault.is_none() {
            self.fault = Some(Fault::TooLarge);
        }
    }

    /// Ends the string.
    pub(super) fn finish(&mut self, image: &mut Vec<u8>) -> Result<(), Fault> {
        let before = image.len();
        if let Head::Undecided { matched } = self.head {
            self.decode(&PREFIX[..matched], image);
        }
        if matches!(self.head, Head::Skipping { .. }) || self.grouped == 1 {
            self.fault.get_or_insert(Fault::NotBase64);
        }
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let [a, b, c, _] = self.group;
        let last = [a << 2 | b >> 4, b << 4 | c >> 2];
        let last = &last[..self.grouped.saturating_sub(1)];
        image.extend_from_slice(last);
        self.written += (image.len() - before) as u64;
        if self.written > self.limit { Err(Fault::TooLarge) } else { Ok(()) }
    }

    fn after_head<'t>(&mut self, text: &'t [u8], image: &mut Vec<u8>) -> &'t [u8] {
        let mut rest = text;
        if let Head::Undecided { matched } = self.head {
            let same = PREFIX[matched..].iter().zip(rest).take_while(|(a, b)| a == b).count();
            let matched = matched + same;
            rest = &rest[same..];
            self.head = match (matched == PREFIX.len(), rest.is_empty()) {
                (true, _) => Head::Skipping { skipped: 0 },
                (false, true) => Head::Undecided { matched },
                (false, false) => {
                    self.decode(&PREFIX[..matched], image);
                    Head::Passed
                }
            };
        }
        if let Head::Skipping { skipped } = self.head {
            let comma = memchr::memchr(b',', rest);
            let skipped = skipped + comma.unwrap_or(rest.len());
            rest = comma.map_or(&[], |at| &rest[at + 1..]);
            self.head = if comma.is_some() { Head::Passed } else { Head::Skipping { skipped } };
            if skipped > MAX_PREFIX {
                self.fault.get_or_insert(Fault::NotBase64);
            }
        }
        rest
    }

    fn decode(&mut self, text: &[u8], image: &mut Vec<u8>) {
        let mut rest = text;
        while self.fault.is_none() && !rest.is_empty() {
            let whole = if self.grouped == 0 && self.padding == 0 { rest.len() & !3 } else { 0 };
            if whole > 0 && STANDARD_NO_PAD.decode_append(&rest[..whole], image).is_ok() {
                rest = &rest[whole..];
                continue;
            }
            let slow = if whole > 0 { whole } else { (4 - self.grouped).min(rest.len()) };
            for &byte in &rest[..slow] {
                self.decode_byte(byte, image);
                if self.fault.is_some() {
                    return;
                }
            }
            rest = &rest[slow..];
        }
    }

    fn decode_byte(&mut self, byte: u8, image: &mut Vec<u8>) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' => return,
            b'=' if self.grouped >= 2 && self.grouped + self.padding < 4 => {
                self.padding += 1;
                return;
            }
            _ => {
                self.fault.get_or_insert(Fault::NotBase64);
                return;
            }
        };
        if self.padding > 0 {
            self.fault.get_or_insert(Fault::NotBase64);
            return;
        }
        self.group[self.grouped] = value;
        self.grouped += 1;
        if let ([a, b, c, d], 4) = (self.group, self.grouped) {
            image.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
            self.grouped = 0;
        }
    }
}
