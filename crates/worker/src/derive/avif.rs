//! AVIF, in builds that have its encoder.

use pictor_common::derivative::{Derivative, Encoding};

use super::NotDerived;

/// Whether this build makes AVIF; the words and names of derivatives are the same in every build.
pub const MAKES_AVIF: bool = cfg!(feature = "avif");

/// Whether this build makes a derivative, or why not.
pub fn can_make(derivative: &Derivative) -> Result<(), NotDerived> {
    match derivative.encoding {
        Encoding::Avif(_) if !MAKES_AVIF => Err(beyond()),
        Encoding::Avif(_) | Encoding::Webp(_) | Encoding::Jpeg(_) | Encoding::Png => Ok(()),
    }
}

fn beyond() -> NotDerived {
    NotDerived("this build makes no AVIF; build with --features avif, or use webp".to_owned())
}

#[cfg(not(feature = "avif"))]
pub(super) fn encode(_: super::encode::Shown, _: u8, _: Option<&[u8]>) -> Result<Vec<u8>, NotDerived> {
    Err(beyond())
}

#[cfg(feature = "avif")]
pub(super) use encoder::encode;

#[cfg(feature = "avif")]
mod encoder {
    use ravif::{Encoder, Img, RGB8, RGBA8};

    use super::super::{NotDerived, encode::Shown};

    /// From 1, the slowest, to 10. 7 and 8 take as long and make a little more of a file (2.7 s for 1024x1024); 10 takes a
    /// third of that for a fifth more bytes, in large blocks that show.
    const SPEED: u8 = 6;

    /// One thread, since the pool is what bounds the work; so the bytes are the same on every machine, too.
    const THREADS: Option<usize> = Some(1);

    pub(in super::super) fn encode(
        shown: Shown,
        quality: u8,
        exif: Option<&[u8]>,
    ) -> Result<Vec<u8>, NotDerived> {
        let Shown { width, height, alpha, pixels } = shown;
        let (width, height) = (width as usize, height as usize);
        let quality = f32::from(quality);
        let mut encoder = Encoder::new()
            .with_quality(quality)
            .with_alpha_quality(quality)
            .with_speed(SPEED)
            .with_num_threads(THREADS);
        if let Some(exif) = exif {
            encoder = encoder.with_exif(exif);
        }
        let encoded = if alpha {
            let pixels: Vec<RGBA8> =
                pixels.chunks_exact(4).map(|p| RGBA8::new(p[0], p[1], p[2], p[3])).collect();
            encoder.encode_rgba(Img::new(&pixels, width, height))
        } else {
            let pixels: Vec<RGB8> = pixels.chunks_exact(3).map(|p| RGB8::new(p[0], p[1], p[2])).collect();
            encoder.encode_rgb(Img::new(&pixels, width, height))
        };
        match encoded {
            Ok(encoded) => Ok(encoded.avif_file),
            Err(error) => Err(NotDerived(format!("it cannot be encoded: {error}"))),
        }
    }
}
