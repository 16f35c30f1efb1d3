//! Makes a small JPEG of an image, to be shown among many.
//!
//! What is transparent is laid on a chequered ground. GIF and SVG have no decoder here and get no thumbnail. It is work
//! for the CPU and belongs on the blocking pool.

use std::{
    io::Cursor,
    sync::{Mutex, PoisonError},
};

use image::{
    DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, RgbImage, RgbaImage,
    codecs::jpeg::JpegEncoder, imageops,
};

/// Twice what any model makes.
const MAX_SIDE: u32 = 8192;
const MAX_ALLOC: u64 = 512 * 1024 * 1024;
/// More than any model makes; a picture of more is decoded alone.
const HEAVY_PIXELS: u64 = 16 * 1024 * 1024;
static HEAVY: Mutex<()> = Mutex::new(());

/// Tried from the best on, until the picture is small enough.
const QUALITIES: [u8; 5] = [78, 66, 54, 40, 25];
/// Bytes for a picture of 320 by 320 pixels: three thousand of them, as base64, take 60 MB at most.
const BYTES_PER_PIXEL: f64 = 14_500.0 / (320.0 * 320.0);
/// Two greys, and how large a field of each is.
const CHEQUERED: [u8; 2] = [0xf4, 0xdd];
const FIELD: u32 = 8;

/// A small picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// The JPEG.
    pub bytes: Vec<u8>,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NoThumbnail {
    /// There is no decoder for it.
    #[error("no small picture is made of {0}")]
    Unsupported(&'static str),
    /// The bytes are not an image, or too large a one.
    #[error("it does not decode: {0}")]
    Undecodable(String),
}

/// Makes a picture whose longer side has at most so many pixels.
pub fn thumbnail(bytes: &[u8], side: u32) -> Result<Thumbnail, NoThumbnail> {
    let small = shrunk(bytes, side)?;
    let mut flat = flattened(&small);
    let most = (f64::from(side * side) * BYTES_PER_PIXEL) as usize;
    let mut step = 0;
    let bytes = loop {
        let mut encoded = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut encoded, QUALITIES[step]);
        flat.write_with_encoder(encoder).map_err(undecodable)?;
        let over = encoded.len().saturating_sub(most);
        if over == 0 || flat.width().min(flat.height()) < 2 {
            break encoded;
        }
        // Each step makes it about a fifth smaller: what is far too large skips some. Noise is made smaller at last.
        if step + 1 == QUALITIES.len() {
            flat = imageops::thumbnail(&flat, flat.width() / 2, flat.height() / 2);
        }
        step = (step + 1 + over * 3 / most).min(QUALITIES.len() - 1);
    };
    let (width, height) = flat.dimensions();
    Ok(Thumbnail { bytes, width, height })
}

/// The picture at its size; only that is kept of what was decoded.
fn shrunk(bytes: &[u8], side: u32) -> Result<RgbaImage, NoThumbnail> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format(bytes)?);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    let is_heavy = u64::from(width) * u64::from(height) > HEAVY_PIXELS;
    let _alone = is_heavy.then(|| HEAVY.lock().unwrap_or_else(PoisonError::into_inner));
    let orientation = decoder.orientation().map_err(undecodable)?;
    let whole = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    let mut small =
        if width.max(height) > side { whole.thumbnail(side, side).into_rgba8() } else { whole.into_rgba8() };
    let mut turned = DynamicImage::ImageRgba8(std::mem::take(&mut small));
    turned.apply_orientation(orientation);
    Ok(turned.into_rgba8())
}

fn format(bytes: &[u8]) -> Result<ImageFormat, NoThumbnail> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Ok(ImageFormat::Png),
        [0xff, 0xd8, 0xff, ..] => Ok(ImageFormat::Jpeg),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(ImageFormat::WebP),
        [b'G', b'I', b'F', b'8', ..] => Err(NoThumbnail::Unsupported("a GIF")),
        [b'<', ..] => Err(NoThumbnail::Unsupported("an SVG")),
        [] => Err(NoThumbnail::Undecodable("the file is empty".to_owned())),
        _ => Err(NoThumbnail::Undecodable("the bytes are of no known image format".to_owned())),
    }
}

fn flattened(small: &RgbaImage) -> RgbImage {
    let (width, height) = small.dimensions();
    if small.pixels().all(|pixel| pixel.0[3] == u8::MAX) {
        return DynamicImage::ImageRgba8(small.clone()).into_rgb8();
    }
    let mut ground = RgbaImage::from_fn(width, height, |x, y| {
        let grey = CHEQUERED[((x / FIELD + y / FIELD) % 2) as usize];
        image::Rgba([grey, grey, grey, u8::MAX])
    });
    imageops::overlay(&mut ground, small, 0, 0);
    DynamicImage::ImageRgba8(ground).into_rgb8()
}

fn undecodable(error: image::ImageError) -> NoThumbnail {
    NoThumbnail::Undecodable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// As hard to encode as a picture can be.
    fn noise(width: u32, height: u32) -> RgbImage {
        let mut state = 1_u32;
        RgbImage::from_fn(width, height, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            image::Rgb([(state >> 8) as u8, (state >> 16) as u8, (state >> 24) as u8])
        })
    }

    #[test]
    fn it_keeps_its_shape_and_is_never_enlarged() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let wide = thumbnail(&encoded(noise(640, 320), format), 160).unwrap();
            assert_eq!((wide.width, wide.height), (160, 80), "{format:?}");
            let small = thumbnail(&encoded(noise(40, 20), format), 160).unwrap();
            assert_eq!((small.width, small.height), (40, 20), "{format:?}");
            let read = image::load_from_memory(&wide.bytes).unwrap();
            assert_eq!((read.width(), read.height()), (160, 80));
        }
    }

    #[test]
    fn three_thousand_of_the_hardest_pictures_stay_below_60_mb() {
        let hardest = thumbnail(&encoded(noise(320, 320), ImageFormat::Png), 320).unwrap();
        assert!(hardest.bytes.len() * 4 / 3 * 3_000 < 60_000_000, "{} bytes", hardest.bytes.len());
    }

    #[test]
    fn what_is_transparent_shows_the_ground_and_not_black() {
        let clear = RgbaImage::from_pixel(64, 64, image::Rgba([0, 0, 0, 0]));
        let small = thumbnail(&encoded(clear, ImageFormat::Png), 64).unwrap();
        let read = image::load_from_memory(&small.bytes).unwrap().into_rgb8();
        assert!(read.pixels().all(|pixel| pixel.0.iter().all(|value| *value > 0xb0)));
    }

    #[test]
    fn what_does_not_decode_is_told() {
        let whole = encoded(noise(64, 64), ImageFormat::Png);
        let mut bomb = whole.clone();
        bomb[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        for bytes in [&whole[..whole.len() / 2], &bomb, b"", b"hello"] {
            assert!(matches!(thumbnail(bytes, 64), Err(NoThumbnail::Undecodable(_))));
        }
        for bytes in [&b"GIF89a"[..], b"<svg/>"] {
            assert!(matches!(thumbnail(bytes, 64), Err(NoThumbnail::Unsupported(_))));
        }
    }
}
