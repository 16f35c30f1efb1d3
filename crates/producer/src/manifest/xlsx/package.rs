//! The zip file that a spreadsheet is: finds its parts and unpacks them, within limits.
//!
//! Only what spreadsheets use is read: stored and deflated parts of one file, with or without
//! 64-bit sizes. Nothing the file says of itself is believed: every offset is checked, a part is
//! unpacked no further than it may be, and its checksum is compared.

use std::{
    collections::HashMap,
    io::{self, BufRead as _, BufReader, Cursor, Read, Take},
    sync::Arc,
};

use super::super::error::one_line;
use flate2::{Crc, bufread::DeflateDecoder};

/// Largest file that is read; its texts are held in memory.
pub(super) const LARGEST: u64 = 50_000_000;
/// Parts a workbook has at most; each sheet, image and drawing is one.
const MOST_PARTS: usize = 20_000;
const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;
const LOCATOR: &[u8] = b"PK\x06\x07";
const END64: &[u8] = b"PK\x06\x06";
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_LENGTH: usize = 46;
const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_LENGTH: u64 = 30;
const ENCRYPTED: u16 = 1;
const DEFLATED: u16 = 8;
const DAMAGED: &str = "the spreadsheet is damaged: its zip directory cannot be read; save it again";

/// A file's parts by their names in lower case.
#[derive(Debug)]
pub(super) struct Package {
    bytes: Arc<[u8]>,
    parts: HashMap<String, Part>,
}

#[derive(Clone, Debug)]
struct Part {
    header: u64,
    packed: u64,
    size: u64,
    crc: u32,
    method: u16,
    encrypted: bool,
}

impl Package {
    pub(super) fn open(bytes: Arc<[u8]>) -> Result<Self, String> {
        let parts = directory(&bytes).ok_or(DAMAGED)?;
        if parts.len() > MOST_PARTS {
            return Err(format!(
                "the spreadsheet has more than {MOST_PARTS} parts; save it as \"CSV UTF-8\""
            ));
        }
        Ok(Self { bytes, parts })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.parts.keys().map(String::as_str)
    }

    /// Size of the file, packed.
    pub(super) fn packed(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Unpacks a part; none when there is none of this name.
    pub(super) fn part(&self, name: &str, most: u64) -> Result<Option<Unpacked>, String> {
        let Some(part) = self.parts.get(&name.trim_start_matches('/').to_ascii_lowercase()) else {
            return Ok(None);
        };
        if part.encrypted {
            return Err("the spreadsheet has a password; save it without one, or as \"CSV UTF-8\"".to_owned());
        }
        if part.size > most {
            return Err(too_large(name, most));
        }
        let start = self.data(part).ok_or(DAMAGED)?;
        let mut bytes = Cursor::new(Arc::clone(&self.bytes));
        bytes.set_position(start);
        let bytes = bytes.take(part.packed);
        let inner = match part.method {
            0 => Inner::Stored(bytes),
            DEFLATED => Inner::Deflated(Box::new(DeflateDecoder::new(bytes))),
            other => {
                return Err(format!(
                    "the spreadsheet is packed in a way that is not known ({other}); save it again"
                ));
            }
        };
        Ok(Some(Unpacked { inner, name: name.to_owned(), crc: Crc::new(), most, part: part.clone() }))
    }

    /// Where a part's data begins.
    fn data(&self, part: &Part) -> Option<u64> {
        let at = usize::try_from(part.header).ok()?;
        let local = self.bytes.get(at..)?.get(..usize::try_from(LOCAL_LENGTH).ok()?)?;
        if !local.starts_with(LOCAL) {
            return None;
        }
        let start =
            part.header + LOCAL_LENGTH + u64::from(u16_at(local, 26)?) + u64::from(u16_at(local, 28)?);
        let end = start.checked_add(part.packed)?;
        (end <= self.packed()).then_some(start)
    }
}

/// Reads the central directory; none where it makes no sense.
fn directory(bytes: &[u8]) -> Option<HashMap<String, Part>> {
    let earliest = bytes.len().saturating_sub(END_LENGTH + usize::from(u16::MAX));
    let last = bytes.len().checked_sub(END_LENGTH)?;
    let end = (earliest..=last).rev().find(|at| bytes[*at..].starts_with(END))?;
    let record = &bytes[end..];
    let (mut count, mut start) = (u64::from(u16_at(record, 10)?), u64::from(u32_at(record, 16)?));
    if let Some(locator) = end.checked_sub(20).map(|at| &bytes[at..end]).filter(|at| at.starts_with(LOCATOR))
    {
        let record = bytes.get(usize::try_from(u64_at(locator, 8)?).ok()?..)?;
        if !record.starts_with(END64) {
            return None;
        }
        (count, start) = (u64_at(record, 32)?, u64_at(record, 48)?);
    }
    let mut rest = bytes.get(usize::try_from(start).ok()?..end)?;
    let mut parts = HashMap::new();
    for _ in 0..count {
        let (name, part, length) = entry(rest)?;
        rest = rest.get(length..)?;
        // The first of a name is the one that counts; a second is a trick or a mistake.
        if parts.insert(name, part).is_some() {
            return None;
        }
        if parts.len() > MOST_PARTS {
            break;
        }
    }
    Some(parts)
}

fn entry(bytes: &[u8]) -> Option<(String, Part, usize)> {
    let fixed = bytes.get(..ENTRY_LENGTH)?;
    if !fixed.starts_with(ENTRY) {
        return None;
    }
    let [name, extra, comment] = [28, 30, 32].map(|at| u16_at(fixed, at).map(usize::from));
    let (name, extra, comment) = (name?, extra?, comment?);
    let length = ENTRY_LENGTH + name + extra + comment;
    let name_bytes = bytes.get(ENTRY_LENGTH..ENTRY_LENGTH + name)?;
    let extra = bytes.get(ENTRY_LENGTH + name..ENTRY_LENGTH + name + extra)?;
    let mut part = Part {
        header: u64::from(u32_at(fixed, 42)?),
        packed: u64::from(u32_at(fixed, 20)?),
        size: u64::from(u32_at(fixed, 24)?),
        crc: u32_at(fixed, 16)?,
        method: u16_at(fixed, 10)?,
        encrypted: u16_at(fixed, 8)? & ENCRYPTED != 0,
    };
    part.widen(extra)?;
    // Some Windows programs write backslashes.
    let name = String::from_utf8_lossy(name_bytes).replace('\\', "/").to_ascii_lowercase();
    Some((name, part, length))
}

impl Part {
    /// Takes the 64-bit numbers for those that did not fit into 32 bits.
    fn widen(&mut self, mut extra: &[u8]) -> Option<()> {
        while let (Some(kind), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
            let mut data = extra.get(4..4 + usize::from(length))?;
            if kind == 1 {
                for number in [&mut self.size, &mut self.packed, &mut self.header] {
                    if *number == u64::from(u32::MAX) {
                        *number = u64_at(data, 0)?;
                        data = &data[8..];
                    }
                }
            }
            extra = &extra[4 + usize::from(length)..];
        }
        Some(())
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn too_large(name: &str, most: u64) -> String {
    format!(
        "the spreadsheet's part {name} unpacks to more than {} MB; save the sheet as \"CSV UTF-8\"",
        most / 1_000_000
    )
}

/// A part, unpacked while it is read.
#[derive(Debug)]
pub(super) struct Unpacked {
    inner: Inner,
    name: String,
    crc: Crc,
    most: u64,
    part: Part,
}

/// A part's bytes in the file.
type Packed = Take<Cursor<Arc<[u8]>>>;

#[derive(Debug)]
enum Inner {
    Stored(Packed),
    Deflated(Box<DeflateDecoder<Packed>>),
}

impl Read for Unpacked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.inner {
            Inner::Stored(bytes) => bytes.read(buf),
            Inner::Deflated(bytes) => bytes.read(buf),
        };
        let damaged = || {
            io::Error::other(format!(
                "the spreadsheet's part {} is damaged; save it again",
                one_line(&self.name)
            ))
        };
        let length = read.map_err(|_error| damaged())?;
        self.crc.update(&buf[..length]);
        let all = u64::from(self.crc.amount());
        if all > self.most {
            return Err(io::Error::other(too_large(&self.name, self.most)));
        }
        if length == 0 && self.crc.sum() != self.part.crc {
            return Err(damaged());
        }
        Ok(length)
    }
}

/// Reads what is left, so that the checksum is compared.
pub(super) fn drain(reader: &mut BufReader<impl Read>) -> io::Result<()> {
    loop {
        let length = reader.fill_buf()?.len();
        if length == 0 {
            return Ok(());
        }
        reader.consume(length);
    }
}
