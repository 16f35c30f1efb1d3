//! What the scanner owes to any bytes at all, judged by `serde_json` and other base64 decoders; shared by the tests and
//! the fuzz target.

use std::fmt;

use pictor_worker::scan::{ImageText, Scanned, Scanner};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

const ROOM: u64 = 1 << 20;
/// A longer media type is none.
const LONGEST_PREFIX: usize = 256;

/// Scans bytes as a body; the first two say how it is cut, and how large an image may be.
pub(crate) fn body(data: &[u8]) {
    let Some(([seed, limit], body)) = data.split_first_chunk() else { return };
    let (image, scanned) = scan(&[body], ROOM);
    for chunks in [cut(body, *seed), body.chunks(1).collect()] {
        assert_eq!(scan(&chunks, ROOM), (image.clone(), scanned.clone()), "however it arrives");
    }
    judge(body, &image, &scanned);
    broken_off(body, usize::from(*seed) * 2, &image, &scanned);
    if scanned.image == ImageText::Complete {
        let limit = u64::from(*limit);
        let fits = if image.len() as u64 <= limit { ImageText::Complete } else { ImageText::TooLarge };
        assert_eq!(scan(&[body], limit).1.image, fits, "{} of {limit} bytes", image.len());
    }
}

fn scan(chunks: &[&[u8]], room: u64) -> (Vec<u8>, Scanned) {
    let mut scanner = Scanner::new(room);
    let mut image = Vec::new();
    chunks.iter().for_each(|chunk| scanner.push(chunk, &mut image));
    assert!(scanner.saw_image() || image.is_empty());
    let text = scanner.image_text();
    let scanned = scanner.finish();
    assert_eq!(scanned.image, text);
    (image, scanned)
}

/// Pieces of changing lengths.
fn cut(mut body: &[u8], seed: u8) -> Vec<&[u8]> {
    let (mut pieces, mut state) = (Vec::new(), u32::from(seed) + 1);
    while !body.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (state >> 24) as usize % 23;
        let (piece, rest) = body.split_at(length.min(body.len()));
        pieces.push(piece);
        body = rest;
    }
    pieces
}

fn judge(body: &[u8], image: &[u8], scanned: &Scanned) {
    let skeleton = serde_json::from_slice::<Value>(&scanned.skeleton);
    if serde_json::from_slice::<Value>(body).is_err() {
        // What is wrong may have been inside an image, which is forgiven there.
        assert!(skeleton.is_err() || scanned.images > 0, "no JSON, and its skeleton is");
        return;
    }
    let mut read = Read::default();
    let left = read.value(std::str::from_utf8(body).expect("JSON is text").trim(), None);
    assert!(!scanned.skeleton_cut);
    assert_eq!(skeleton.expect("JSON stays JSON"), left);
    assert_eq!(scanned.images, read.images);
    let Some(first) = read.first else {
        assert_eq!((scanned.image, image.len()), (ImageText::Absent, 0));
        return;
    };
    match decoded(&first) {
        Some(bytes) => assert_eq!((scanned.image, image), (ImageText::Complete, &*bytes)),
        None => assert_eq!(scanned.image, ImageText::NotBase64),
    }
    if let Ok(bytes) = base64_simd::forgiving_decode_to_vec(&first) {
        assert_eq!((scanned.image, image), (ImageText::Complete, &*bytes), "what browsers decode");
    }
}

/// A body that ends early gives the beginning of the image, and is whole only where the image was.
fn broken_off(body: &[u8], at: usize, image: &[u8], scanned: &Scanned) {
    let (part, early) = scan(&[&body[..at.min(body.len())]], ROOM);
    assert!(image.starts_with(&part), "other bytes than those of the whole body");
    match early.image {
        ImageText::Absent | ImageText::Cut => {}
        other => assert_eq!(other, scanned.image),
    }
    if early.image == ImageText::Complete {
        assert_eq!(part, image);
    }
}

/// What a body holds, read as a tree.
#[derive(Default)]
struct Read {
    /// The first image string, its escapes undone.
    first: Option<Vec<u8>>,
    images: u32,
}

impl Read {
    /// A value with every image string emptied.
    fn value(&mut self, raw: &str, key: Option<&str>) -> Value {
        match (raw.as_bytes()[0], key) {
            (b'{', _) => {
                let Members(members) = serde_json::from_str(raw).expect("an object");
                let values = members.into_iter().map(|(key, raw)| {
                    let value = self.value(raw.get(), Some(&key));
                    (key, value)
                });
                Value::Object(values.collect::<Map<_, _>>())
            }
            (b'[', _) => {
                let items: Vec<&RawValue> = serde_json::from_str(raw).expect("an array");
                Value::Array(items.into_iter().map(|raw| self.value(raw.get(), None)).collect())
            }
            (b'"', Some("b64_json")) if raw != r#""""# => self.image(raw),
            (b'"', Some("url")) if self.images == 0 && raw.starts_with("\"data:") => self.image(raw),
            _ => serde_json::from_str(raw).expect("a scalar"),
        }
    }

    fn image(&mut self, raw: &str) -> Value {
        self.images += 1;
        self.first.get_or_insert_with(|| unescaped(raw));
        Value::String(String::new())
    }
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(InOrder)
    }
}

/// The bytes of a JSON string; 0 for an escaped character that base64 cannot hold.
fn unescaped(raw: &str) -> Vec<u8> {
    let mut bytes = raw[1..raw.len() - 1].bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match (byte, if byte == b'\\' { bytes.next() } else { None }) {
            (_, None) => byte,
            (_, Some(b'n')) => b'\n',
            (_, Some(b'r')) => b'\r',
            (_, Some(b't')) => b'\t',
            (_, Some(b'f')) => b'\x0c',
            (_, Some(b'/')) => b'/',
            (_, Some(b'u')) => {
                let digits: Vec<u8> = bytes.by_ref().take(4).collect();
                let code = u32::from_str_radix(std::str::from_utf8(&digits).expect("digits"), 16);
                u8::try_from(code.expect("four of them")).unwrap_or(0)
            }
            (_, Some(_)) => 0,
        });
    }
    out
}

/// Base64 bit by bit, as forgiving as the scanner says it is.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let text = match text.strip_prefix(b"data:") {
        None => text,
        Some(rest) => {
            let comma = rest.iter().position(|byte| *byte == b',').filter(|at| *at <= LONGEST_PREFIX)?;
            &rest[comma + 1..]
        }
    };
    let text: Vec<u8> = text.iter().copied().filter(|byte| !b" \t\n\r\x0c".contains(byte)).collect();
    let digits = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let (over, padding) = (digits % 4, text.len() - digits);
    if over == 1 || padding > 0 && (over == 0 || padding > 4 - over) {
        return None;
    }
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in &text[..digits] {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (bits, held) = (bits << 6 | u32::from(value), held + 6);
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(out)
}
