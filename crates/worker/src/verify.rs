//! Looks at received bytes: what they are, and whether they are what was asked for.
//!
//! PNG, JPEG and WebP are decoded whole, because a file can be cut anywhere. GIF and SVG are known
//! by their first bytes only: the decoder has neither. All of it is work for the CPU and belongs on
//! the blocking pool.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read as _, Seek},
    path::Path,
};

use image::{ImageError, ImageFormat, ImageReader, Limits, error::LimitErrorKind};
use memchr::memmem;
use pictor_common::Spec;

/// Twice what any model makes.
const MAX_SIDE: u32 = 8192;

const MAX_ALLOC: u64 = 512 * 1024 * 1024;

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
        "png" => decode(BufReader::with_capacity(64 * 1024, file), ImageFormat::Png)?,
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

fn decode(file: impl BufRead + Seek, format: ImageFormat) -> Result<(u32, u32), VerifyError> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOC);
    let mut reader = ImageReader::with_format(file, format);
    reader.limits(limits);
    match reader.decode() {
        Ok(image) => Ok((image.width(), image.height())),
        Err(ImageError::IoError(error)) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error.into()),
        Err(ImageError::Limits(limit)) if matches!(limit.kind(), LimitErrorKind::DimensionError) => {
            Err(VerifyError::Undecodable(format!("the image is larger than {MAX_SIDE}x{MAX_SIDE} pixels")))
        }
        Err(error) => Err(VerifyError::Undecodable(format!("the image does not decode: {error}"))),
    }
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

    use image::{DynamicImage, RgbImage};

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

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let mut bomb = picture(ImageFormat::Png, 8, 8);
        bomb[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        assert!(undecodable(&bomb));
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
