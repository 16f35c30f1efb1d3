//! One picture: drawn from what was asked, the same each time, and padded without taking memory.

use bytes::Bytes;

use crate::{
    body::{Piece, pad_crc},
    canvas::Canvas,
    encode::encode,
    faults::Spoil,
    scene,
    seed::Seed,
    sizes::Size,
    triggers::without_markers,
    validate::{Format, ImageRequest},
};

/// Everything a picture depends on.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) request: ImageRequest,
    /// Which of the pictures of one request.
    pub(crate) index: usize,
    /// A PNG is padded up to this size.
    pub(crate) padded_to: Option<usize>,
    pub(crate) spoil: Option<Spoil>,
}

/// What the looks of a picture depend on where its prompt does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Look {
    size: Size,
    format: Format,
    compression: Option<u8>,
    transparent: bool,
    padded_to: Option<usize>,
    spoil: Option<Spoil>,
}

/// A file, perhaps with padding inside that is never in memory.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    head: Bytes,
    /// A multiple of three, as is the length of a head before padding.
    padding: usize,
    tail: Bytes,
    pub(crate) format: Format,
}

/// Signature and header chunk of every PNG.
const PNG_HEAD: usize = 33;
/// Length, type and checksum of a chunk, and the one byte that keeps base64 in step.
const CHUNK: usize = 13;

impl Recipe {
    /// Draws the picture. This takes milliseconds of a processor.
    pub(crate) fn draw(&self) -> anyhow::Result<Picture> {
        let mut request = self.request.clone();
        match self.spoil {
            Some(Spoil::WrongFormat) if request.format == Format::Png => request.format = Format::Jpeg,
            Some(Spoil::WrongFormat) => request.format = Format::Png,
            Some(Spoil::WrongSize) => {
                request.size = Size { width: request.size.width / 2, height: request.size.height / 2 };
            }
            _ => {}
        }
        let transparent = request.transparent && request.format != Format::Jpeg;
        let mut canvas = Canvas::transparent(request.size.width as usize, request.size.height as usize);
        let mut seed = self.seed();
        let caption = format!("{} {} {}", request.model.id, request.size, request.quality);
        scene::draw(&mut canvas, &mut seed, transparent, &without_markers(&request.prompt), &caption);
        let mut file = encode(&canvas, request.format, transparent, request.compression)?;
        match self.spoil {
            Some(Spoil::Undecodable) => {
                let half = file.len() / 3;
                file.iter_mut().skip(half).for_each(|byte| *byte = seed.next() as u8);
            }
            Some(Spoil::Shortened) => file.truncate(file.len() / 2),
            Some(Spoil::BadChecksum) => spoil_checksum(&mut file),
            Some(Spoil::Bomb) => file = bomb(),
            Some(Spoil::NotAnImage) => file = b"Internal error: renderer out of memory\n".to_vec(),
            _ => return Ok(Picture::padded(file, request.format, self.padded_to)),
        }
        Ok(Picture::padded(file, request.format, None))
    }

    pub(crate) fn look(&self) -> Look {
        let ImageRequest { size, format, compression, transparent, .. } = self.request;
        Look { size, format, compression, transparent, padded_to: self.padded_to, spoil: self.spoil }
    }

    fn seed(&self) -> Seed {
        let request = &self.request;
        let params = format!("{} {} {} {}", request.model.id, request.size, request.quality, self.index);
        Seed::of(&[request.prompt.as_bytes(), params.as_bytes()])
    }
}

/// Changes the checksum of the first data of a PNG, or a byte in the middle of anything else.
fn spoil_checksum(file: &mut [u8]) {
    let data = file.windows(4).position(|window| window == b"IDAT");
    let length = data.and_then(|at| file.get(at - 4..at)).and_then(|bytes| bytes.try_into().ok());
    let length = length.map_or(0, u32::from_be_bytes) as usize;
    let at = data.map_or(file.len() / 2, |at| at + 4 + length);
    if let Some(byte) = file.get_mut(at) {
        *byte ^= 1;
    }
}

/// The beginning of a PNG of 60,000 by 60,000 pixels.
fn bomb() -> Vec<u8> {
    let side = 60_000_u32.to_be_bytes();
    let header = [b"IHDR".as_slice(), &side, &side, &[8, 6, 0, 0, 0]].concat();
    let checksum = crc32fast::hash(&header).to_be_bytes();
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0d".as_slice(), &header, &checksum].concat()
}

impl Picture {
    fn padded(file: Vec<u8>, format: Format, padded_to: Option<usize>) -> Self {
        let file = Bytes::from(file);
        let wanted = padded_to.filter(|_| format == Format::Png).unwrap_or(0);
        let padding = wanted.saturating_sub(file.len() + CHUNK) / 3 * 3;
        if padding == 0 || file.len() <= PNG_HEAD {
            return Self { head: file, padding: 0, tail: Bytes::new(), format };
        }
        let length = u32::try_from(padding + 1).unwrap_or(u32::MAX);
        let mut head = file.slice(..PNG_HEAD).to_vec();
        head.extend_from_slice(&length.to_be_bytes());
        let chunk = *b"piCt\0";
        head.extend_from_slice(&chunk);
        let mut tail = pad_crc(&chunk, padding).to_be_bytes().to_vec();
        tail.extend_from_slice(&file.slice(PNG_HEAD..));
        Self { head: head.into(), padding, tail: tail.into(), format }
    }

    /// The file as it is.
    pub(crate) fn raw(&self) -> Vec<Piece> {
        self.pieces(false)
    }

    /// The file in base64.
    pub(crate) fn base64(&self) -> Vec<Piece> {
        self.pieces(true)
    }

    fn pieces(&self, base64: bool) -> Vec<Piece> {
        let bytes = |bytes: &Bytes| Piece::Bytes { bytes: bytes.clone(), base64 };
        let padding = Piece::Padding { left: self.padding, at: 0, base64 };
        vec![bytes(&self.head), padding, bytes(&self.tail)]
    }
}
