//! Resizes and encodes.

use std::io::Cursor;

use fast_image_resize::{PixelType, ResizeOptions, Resizer, images::Image, images::ImageRef};
use image::{
    ExtendedColorType, ImageEncoder,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
    },
};
use pictor_common::derivative::{Derivative, Encoding, Plan};

use super::{NotDerived, avif, picture::Picture, riff};

/// What lies behind what is transparent where a format has no transparency and the words name no colour.
const WHITE: [u8; 3] = [255; 3];

/// Makes one derivative of a picture.
pub(super) fn encode(
    picture: &Picture,
    derivative: &Derivative,
    resizer: &mut Resizer,
) -> Result<Vec<u8>, NotDerived> {
    let plan = derivative.plan(picture.width, picture.height);
    let mut shown = resized(picture, &plan, resizer)?;
    let background = match (derivative.background, derivative.encoding) {
        (None, Encoding::Jpeg(_)) if shown.alpha => Some(WHITE),
        (background, _) => background,
    };
    if let Some(colour) = background {
        shown = shown.onto(colour, plan.whole);
    }
    let exif = picture.exif.as_deref().filter(|_| derivative.keep);
    match derivative.encoding {
        Encoding::Webp(quality) => webp(&shown, quality, exif),
        Encoding::Jpeg(quality) => jpeg(&shown, quality, exif),
        Encoding::Png => png(&shown, exif),
        Encoding::Avif(quality) => avif::encode(shown, quality, exif),
    }
}

/// Pixels on their way into a file.
pub(super) struct Shown {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) alpha: bool,
    pub(super) pixels: Vec<u8>,
}

fn resized(picture: &Picture, plan: &Plan, resizer: &mut Resizer) -> Result<Shown, NotDerived> {
    let (width, height) = plan.inner;
    let kind = if picture.alpha { PixelType::U8x4 } else { PixelType::U8x3 };
    let from = ImageRef::new(picture.width, picture.height, &picture.pixels, kind).map_err(unmade)?;
    let mut to = Image::new(width, height, kind);
    let crop = plan.crop;
    // Colours are weighted by their opacity, so that what is transparent leaves no fringe.
    let options =
        ResizeOptions::new().crop(crop.left, crop.top, crop.width, crop.height).use_alpha(picture.alpha);
    resizer.resize(&from, &mut to, &options).map_err(unmade)?;
    Ok(Shown { width, height, alpha: picture.alpha, pixels: to.into_vec() })
}

impl Shown {
    /// The same in the middle of a box of one colour, and nothing transparent any more.
    fn onto(&self, colour: [u8; 3], (width, height): (u32, u32)) -> Self {
        let mut pixels: Vec<u8> = colour.repeat(width as usize * height as usize);
        let (left, top) = ((width - self.width) / 2, (height - self.height) / 2);
        let channels = if self.alpha { 4 } else { 3 };
        let rows = self.pixels.chunks_exact(self.width as usize * channels);
        for (row, down) in rows.zip(top as usize..) {
            let at = (down * width as usize + left as usize) * 3;
            let place = pixels[at..at + self.width as usize * 3].chunks_exact_mut(3);
            for (pixel, place) in row.chunks_exact(channels).zip(place) {
                let opacity = pixel.get(3).copied().unwrap_or(u8::MAX);
                for (channel, place) in pixel.iter().zip(place) {
                    *place = blended(*channel, *place, opacity);
                }
            }
        }
        Self { width, height, alpha: false, pixels }
    }
}

fn blended(over: u8, under: u8, opacity: u8) -> u8 {
    let (over, under, opacity) = (u16::from(over), u16::from(under), u16::from(opacity));
    let sum = u32::from(over) * u32::from(opacity) + u32::from(under) * u32::from(255 - opacity);
    u8::try_from((sum + 127) / 255).unwrap_or(u8::MAX)
}

fn webp(shown: &Shown, quality: u8, exif: Option<&[u8]>) -> Result<Vec<u8>, NotDerived> {
    let Shown { width, height, alpha, ref pixels } = *shown;
    let encoder = if alpha {
        webp::Encoder::from_rgba(pixels, width, height)
    } else {
        webp::Encoder::from_rgb(pixels, width, height)
    };
    let encoded = encoder
        .encode_simple(false, f32::from(quality))
        .map_err(|error| NotDerived(format!("it cannot be encoded: {error:?}")))?;
    Ok(match exif {
        Some(exif) => riff::with_exif(&encoded, exif, (width, height), alpha),
        None => encoded.to_vec(),
    })
}

fn jpeg(shown: &Shown, quality: u8, exif: Option<&[u8]>) -> Result<Vec<u8>, NotDerived> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    if let Some(exif) = exif {
        // One that is too long for a JPEG is left out.
        let _kept = encoder.set_exif_metadata(exif.to_vec());
    }
    encoder.write_image(&shown.pixels, shown.width, shown.height, ExtendedColorType::Rgb8).map_err(unmade)?;
    Ok(bytes)
}

fn png(shown: &Shown, exif: Option<&[u8]>) -> Result<Vec<u8>, NotDerived> {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder =
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive);
    if let Some(exif) = exif {
        let _kept = encoder.set_exif_metadata(exif.to_vec());
    }
    let kind = if shown.alpha { ExtendedColorType::Rgba8 } else { ExtendedColorType::Rgb8 };
    encoder.write_image(&shown.pixels, shown.width, shown.height, kind).map_err(unmade)?;
    Ok(bytes.into_inner())
}

fn unmade(error: impl std::fmt::Display) -> NotDerived {
    NotDerived(format!("it cannot be made: {error}"))
}
