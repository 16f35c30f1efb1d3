//! Decodes an image into upright pixels in sRGB, within limits.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, metadata::Orientation};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use super::NotDerived;

/// Pixels of the largest image that is derived from; more than any model makes.
pub(super) const MOST_PIXELS: u64 = 50_000_000;
/// What a decoder may take: the pixels at 16 bits a channel, and some.
const MOST_ALLOC: u64 = 512 << 20;
/// A colour profile that is larger is left alone.
const MOST_PROFILE: usize = 4 << 20;

/// Pixels of 8 bits a channel, row by row: RGB, or RGBA where something may be transparent.
pub(super) struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) alpha: bool,
    pub(super) pixels: Vec<u8>,
    /// EXIF data, which says nothing of an orientation any more.
    pub(super) exif: Option<Vec<u8>>,
}

impl Picture {
    /// Decodes a PNG, JPEG or WebP. What the image claims is judged before a pixel is decoded.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, NotDerived> {
        let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(broken)?;
        if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP)) {
            return Err(NotDerived("only PNG, JPEG and WebP can be derived from".to_owned()));
        }
        let mut limits = Limits::default();
        limits.max_alloc = Some(MOST_ALLOC);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(broken)?;
        let (width, height) = decoder.dimensions();
        if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MOST_PIXELS {
            return Err(NotDerived(format!(
                "{width}x{height} pixels: at most {MOST_PIXELS} can be derived from"
            )));
        }
        let profile = decoder.icc_profile().ok().flatten();
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut exif = decoder.exif_metadata().ok().flatten();
        if let Some(exif) = &mut exif {
            let _applied = Orientation::remove_from_exif_chunk(exif);
        }
        let decoded = DynamicImage::from_decoder(decoder).map_err(broken)?;
        let coloured = decoded.color().has_color();
        let mut picture = Self::of(decoded, orientation, exif);
        if let Some(profile) = profile.filter(|profile| coloured && profile.len() <= MOST_PROFILE) {
            picture.bring_to_srgb(&profile);
        }
        Ok(picture)
    }

    fn of(mut decoded: DynamicImage, orientation: Orientation, exif: Option<Vec<u8>>) -> Self {
        decoded.apply_orientation(orientation);
        let (width, height) = (decoded.width(), decoded.height());
        if decoded.color().has_alpha() {
            let pixels = decoded.into_rgba8().into_raw();
            if pixels.chunks_exact(4).any(|pixel| pixel[3] != u8::MAX) {
                return Self { width, height, alpha: true, pixels, exif };
            }
            let opaque = pixels.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]);
            return Self { width, height, alpha: false, pixels: opaque.collect(), exif };
        }
        Self { width, height, alpha: false, pixels: decoded.into_rgb8().into_raw(), exif }
    }

    /// Applies a profile of RGB; any other, or one that cannot be read, leaves the pixels as they are.
    fn bring_to_srgb(&mut self, profile: &[u8]) {
        let Ok(from) = ColorProfile::new_from_slice(profile) else { return };
        if from.color_space != DataColorSpace::Rgb {
            return;
        }
        let layout = if self.alpha { Layout::Rgba } else { Layout::Rgb };
        let to = ColorProfile::new_srgb();
        let Ok(transform) = from.create_transform_8bit(layout, &to, layout, TransformOptions::default())
        else {
            return;
        };
        let mut pixels = vec![0; self.pixels.len()];
        if transform.transform(&self.pixels, &mut pixels).is_ok() {
            self.pixels = pixels;
        }
    }
}

fn broken(error: impl std::fmt::Display) -> NotDerived {
    NotDerived(format!("the image cannot be decoded: {error}"))
}
