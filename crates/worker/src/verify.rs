//! Looks at received bytes: what they are, and whether they are what was asked for.
//!
//! PNG, JPEG and WebP are decoded whole, because a file can be cut anywhere. GIF and SVG are known
//! by their first bytes only: the decoder has neither. All of it is work for the CPU and belongs on
//! the blocking pool.
//!
//! A file of a few kilobytes may unpack to gigabytes. A PNG is therefore decoded row by row, and of
//! the others, which take their pixels in memory, one that is unusually large waits for its like.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read as _, Seek},
    path::Path,
    sync::{Mutex, PoisonError},
};

use image::{
    DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, Limits, error::LimitErrorKind,
};
use memchr::memmem;
use pictor_common::Spec;

/// Twice what any model makes.
const MAX_SIDE: u32 = 8192;

const MAX_ALLOC: u64 = 512 * 1024 * 1024;

/// What a PNG may take besides a row: chunks that are not pixels.
const MAX_CHUNKS: usize = 64 * 1024 * 1024;

/// More than any model makes; a picture of more is decoded alone.
const HEAVY_PIXELS: u64 = 16 * 1024 * 1024;

static HEAVY: Mutex<()> = Mutex::new(());

/// An SVG may start with a declaration, a comment or a document type.
const SNIFFED: u64 = 1024;

/// An image as it really is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// `png`, `jpeg`, `webp`, `gif` or `svg`.
    pub format: &'static str,
    /// Pixels across; 0 for an SVG.
    pub width: u32,
    /// Pixels down; 0 for an SVG.
    pub height: u32,
    /// MIME type.
    pub content_type: &'static str,
    /// What differs from the spec, when something does.
    pub mismatch: Option<String>,
}

/// Why a file was not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The bytes are not an image.
    #[error("{0}")]
    Undecodable(String),
    /// The file could not be read; nothing is said of the image.
    #[error("the image could not be read back")]
    Read(#[from] io::Error),
}

/// Verifies the image in a file.
pub fn verify(file: &Path, spec: &Spec) -> Result<Checked, VerifyError> {
    let mut file = File::open(file)?;
    let mut start = Vec::new();
    file.by_ref().take(SNIFFED).read_to_end(&mut start)?;
    file.rewind()?;
    let (format, content_type) = sniff(&start)?;
    let (width, height) = match format {
        "gif" => {
            gif_size(&start).ok_or_else(|| VerifyError::Undecodable("a GIF of a few bytes".to_owned()))?
        }
        "svg" => (0, 0),
        "jpeg" => jpeg(file)?,
        "png" => png(BufReader::with_capacity(64 * 1024, file))?,
        _ => decode(BufReader::with_capacity(64 * 1024, file), ImageFormat::WebP)?,
    };
    let mismatch = mismatch(format, width, height, spec);
    Ok(Checked { format, width, height, content_type, mismatch })
}

fn sniff(start: &[u8]) -> Result<(&'static str, &'static str), VerifyError> {
    Ok(match start {
        [0x89, b'P', b'N', b'G', ..] => ("png", "image/png"),
        [0xff, 0xd8, 0xff, ..] => ("jpeg", "image/jpeg"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => ("webp", "image/webp"),
        [b'G', b'I', b'F', b'8', ..] => ("gif", "image/gif"),
        [] => return Err(VerifyError::Undecodable("the file is empty".to_owned())),
        _ if looks_like_svg(start) => ("svg", "image/svg+xml"),
        _ => return Err(VerifyError::Undecodable("the bytes are of no known image format".to_owned())),
    })
}

fn looks_like_svg(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with("<svg")
        || ((text.starts_with("<?xml") || text.starts_with("<!")) && text.contains("<svg"))
}

fn gif_size(start: &[u8]) -> Option<(u32, u32)> {
    let side = |at: usize| Some(u32::from(u16::from_le_bytes([*start.get(at)?, *start.get(at + 1)?])));
    Some((side(6)?, side(8)?))
}

/// The decoder fills up a cut JPEG with grey, so its end is looked for: inside image data neither
/// marker can stand, and a thumbnail's end stands before the start of the image data.
fn jpeg(mut file: File) -> Result<(u32, u32), VerifyError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let start_of_scan = memmem::rfind(&bytes, &[0xff, 0xda]);
    if start_of_scan >= memmem::rfind(&bytes, &[0xff, 0xd9]) {
        return Err(VerifyError::Undecodable("the image breaks off".to_owned()));
    }
    decode(Cursor::new(bytes), ImageFormat::Jpeg)
}

/// Neither texts nor colour profiles are unpacked, and of the pixels never more than a row is kept.
fn png(file: impl BufRead + Seek) -> Result<(u32, u32), VerifyError> {
    let mut decoder = png::Decoder::new_with_limits(file, png::Limits { bytes: MAX_CHUNKS });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let (width, height) = decoder.read_header_info().map_err(png_error)?.size();
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(too_many_pixels());
    }
    let mut rows = decoder.read_info().map_err(png_error)?;
    while rows.next_row().map_err(png_error)?.is_some() {}
    Ok((width, height))
}

fn png_error(error: png::DecodingError) -> VerifyError {
    match error {
        png::DecodingError::IoError(error) if error.kind() != io::ErrorKind::UnexpectedEof => error.into(),
        error => undecodable(&error),
    }
}

fn decode(file: impl BufRead + Seek, format: ImageFormat) -> Result<(u32, u32), VerifyError> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOC);
    let mut reader = ImageReader::with_format(file, format);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(image_error)?;
    let (width, height) = decoder.dimensions();
    let is_heavy = u64::from(width) * u64::from(height) > HEAVY_PIXELS;
    let _alone = is_heavy.then(|| HEAVY.lock().unwrap_or_else(PoisonError::into_inner));
    DynamicImage::from_decoder(decoder).map_err(image_error)?;
    Ok((width, height))
}

fn image_error(error: ImageError) -> VerifyError {
    match error {
        ImageError::IoError(error) if error.kind() != io::ErrorKind::UnexpectedEof => error.into(),
        ImageError::Limits(limit) if matches!(limit.kind(), LimitErrorKind::DimensionError) => {
            too_many_pixels()
        }
        error => undecodable(&error),
    }
}

fn undecodable(error: &dyn std::error::Error) -> VerifyError {
    VerifyError::Undecodable(format!("the image does not decode: {error}"))
}

fn too_many_pixels() -> VerifyError {
    VerifyError::Undecodable(format!("the image is larger than {MAX_SIDE}x{MAX_SIDE} pixels"))
}

fn mismatch(format: &str, width: u32, height: u32, spec: &Spec) -> Option<String> {
    let asked = spec.format.as_deref().unwrap_or("png");
    let mut differences = Vec::new();
    if asked != format {
        differences.push(format!("asked for {asked}, got {format}"));
    }
    if let Some((across, down)) = spec.dimensions().filter(|&asked| width > 0 && asked != (width, height)) {
        differences.push(format!("asked for {across}x{down}, got {width}x{height}"));
    }
    (!differences.is_empty()).then(|| differences.join("; "))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use image::RgbImage;

    use super::*;

    fn picture(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let noise = RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(x * 7) as u8, (y * 13) as u8, (x ^ y) as u8])
        });
        DynamicImage::ImageRgb8(noise).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn check(bytes: &[u8], spec: &Spec) -> Result<Checked, VerifyError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        verify(file.path(), spec)
    }

    fn asking(format: Option<&str>, size: Option<&str>) -> Spec {
        Spec { format: format.map(str::to_owned), size: size.map(str::to_owned), ..Spec::default() }
    }

    fn undecodable(bytes: &[u8]) -> bool {
        matches!(check(bytes, &Spec::default()), Err(VerifyError::Undecodable(_)))
    }

    #[test]
    fn what_was_asked_for_matches() {
        for (format, name, mime) in [
            (ImageFormat::Png, "png", "image/png"),
            (ImageFormat::Jpeg, "jpeg", "image/jpeg"),
            (ImageFormat::WebP, "webp", "image/webp"),
        ] {
            let checked = check(&picture(format, 32, 16), &asking(Some(name), Some("32x16"))).unwrap();
            let expected =
                Checked { format: name, width: 32, height: 16, content_type: mime, mismatch: None };
            assert_eq!(checked, expected);
        }
        assert_eq!(
            check(&picture(ImageFormat::Png, 8, 8), &asking(None, Some("auto"))).unwrap().mismatch,
            None
        );
    }

    #[test]
    fn what_was_not_asked_for_is_flagged() {
        let checked = check(&picture(ImageFormat::Jpeg, 32, 16), &asking(None, Some("16x32"))).unwrap();
        assert_eq!(checked.mismatch.as_deref(), Some("asked for png, got jpeg; asked for 16x32, got 32x16"));
    }

    #[test]
    fn cut_and_foreign_bytes_are_undecodable() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let whole = picture(format, 64, 64);
            assert!(undecodable(&whole[..whole.len() / 2]), "{format:?}");
            assert!(undecodable(&whole[..12]), "{format:?}");
        }
        for bytes in [&b""[..], b"<html>", b"GIF89a", b"hello"] {
            assert!(undecodable(bytes), "{bytes:?}");
        }
        assert!(matches!(verify(Path::new("/nonexistent"), &Spec::default()), Err(VerifyError::Read(_))));
    }

    fn chunk(name: &[u8], data: &[u8]) -> Vec<u8> {
        let mut crc = !0_u32;
        for byte in name.iter().chain(data) {
            crc ^= u32::from(*byte);
            (0..8).for_each(|_| crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 });
        }
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&length, name, data, &(!crc).to_be_bytes()].concat()
    }

    #[test]
    fn a_checksum_that_is_wrong_is_seen() {
        let whole = picture(ImageFormat::Png, 64, 64);
        let body = memmem::find(&whole, b"IDAT").unwrap() + 4;
        let length = u32::from_be_bytes(whole[body - 8..body - 4].try_into().unwrap());
        let mut wrong = whole;
        wrong[body + length as usize] ^= 1;
        assert!(undecodable(&wrong));
    }

    #[test]
    fn texts_and_profiles_are_not_unpacked() {
        let whole = picture(ImageFormat::Png, 8, 8);
        // Neither would inflate at all: it would be an error to try.
        let text = chunk(b"zTXt", b"Comment\0\0 not deflated");
        let profile = chunk(b"iCCP", b"profile\0\0 not deflated");
        let with = [&whole[..33], &text, &profile, &whole[33..]].concat();
        assert_eq!(check(&with, &Spec::default()).unwrap().width, 8);
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let mut bomb = picture(ImageFormat::Png, 8, 8);
        bomb[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        assert!(undecodable(&bomb));
        let header = chunk(b"IHDR", &[&bomb[16..20], &[0, 0, 0, 8, 8, 2, 0, 0, 0]].concat());
        let sound = [&bomb[..8], &header, &bomb[33..]].concat();
        let said = check(&sound, &Spec::default()).unwrap_err().to_string();
        assert!(said.contains("larger than 8192x8192"), "{said}");
    }

    #[test]
    fn gif_and_svg_are_known_by_their_start() {
        let gif = check(b"GIF89a\x20\x00\x10\x00more", &asking(Some("gif"), Some("32x16"))).unwrap();
        assert_eq!((gif.format, gif.width, gif.height, gif.mismatch), ("gif", 32, 16, None));
        for text in ["<svg xmlns='x'/>", "\u{feff} <?xml version='1.0'?>\n<svg/>", "<!-- by w --><svg/>"] {
            let svg = check(text.as_bytes(), &asking(Some("svg"), Some("1024x1024"))).unwrap();
            assert_eq!(
                (svg.format, svg.content_type, svg.mismatch),
                ("svg", "image/svg+xml", None),
                "{text}"
            );
        }
    }
}
