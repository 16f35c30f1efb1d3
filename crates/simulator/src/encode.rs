//! Turns pixels into files.

use anyhow::Context;
use image::{
    ExtendedColorType, ImageEncoder,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
        webp::WebPEncoder,
    },
};

use crate::{canvas::Canvas, validate::Format};

/// Encodes a canvas; `compression` is the quality of a JPEG. PNG is compressed for speed.
pub(crate) fn encode(
    canvas: &Canvas,
    format: Format,
    transparent: bool,
    compression: Option<u8>,
) -> anyhow::Result<Vec<u8>> {
    let mut file = Vec::new();
    let (width, height) = (u32::try_from(canvas.width)?, u32::try_from(canvas.height)?);
    let opaque;
    let (pixels, color) = if transparent && format != Format::Jpeg {
        (canvas.rgba(), ExtendedColorType::Rgba8)
    } else {
        opaque = canvas.rgb();
        (opaque.as_slice(), ExtendedColorType::Rgb8)
    };
    let written = match format {
        Format::Png => PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Up)
            .write_image(pixels, width, height, color),
        Format::Jpeg => JpegEncoder::new_with_quality(&mut file, compression.unwrap_or(100).max(1))
            .write_image(pixels, width, height, color),
        Format::Webp => WebPEncoder::new_lossless(&mut file).write_image(pixels, width, height, color),
    };
    written.context("cannot encode a picture")?;
    Ok(file)
}
