//! How much memory a derivation takes at the worst, judged by what the image claims before a pixel is decoded.

use image::{ColorType, ImageDecoder};
use pictor_common::{
    batch::Made,
    derivative::{Derivative, Encoding},
};

use super::{NotDerived, picture};

/// What all that is derived at once may take. A worker killed for want of memory would send again what it has paid for.
pub(super) const MOST_MIB: u32 = 256;
/// Derivatives of one image that wait for the store.
pub(super) const WAITING_KIB: u32 = 8 << 10;
/// Those, a colour profile, and small things.
const BESIDE: u64 = 12 << 20;
/// Whatever an image of 8 bits a channel becomes on its way to upright pixels, a pixel: a JPEG's coefficients are most.
const DECODED: u64 = 9;

/// A pixel while it is encoded as AVIF: frames of 10 bits a channel before and after, and what is known of each block. By
/// measurement it is 40 to 53; and 83 where next to nothing is lost, more the more grain there is.
const AVIF: u64 = 96;
const AVIF_FINE: u64 = 160;

/// What it takes to derive from an image.
#[derive(Debug)]
pub(super) struct Needed {
    /// Mebibytes.
    pub(super) mib: u32,
    /// Of what was wanted, what can be made with them.
    pub(super) fitting: Vec<Derivative>,
    /// Why the others cannot.
    pub(super) over: Option<NotDerived>,
}

/// What it takes to derive from an image; what takes more than there is, is told apart, or refused where that is all.
pub(super) fn needed(image: &[u8], wanted: &[Derivative]) -> Result<Needed, NotDerived> {
    let decoder = picture::open(image)?;
    let (size, colours) = (decoder.dimensions(), decoder.color_type());
    let mut needed = Needed { mib: 1, fitting: Vec::with_capacity(wanted.len()), over: None };
    for derivative in wanted {
        let mib = mebibytes(taken(size, colours, &[*derivative]) + image.len() as u64);
        if mib <= MOST_MIB {
            needed.mib = needed.mib.max(mib);
            needed.fitting.push(*derivative);
        } else {
            needed.over.get_or_insert_with(|| too_much(size, derivative, mib));
        }
    }
    match needed.over {
        Some(over) if needed.fitting.is_empty() => Err(over),
        _ => Ok(needed),
    }
}

/// The mebibytes an image will take, by what is known of it before it is read.
pub(super) fn expected(made: &Made, wanted: &[Derivative]) -> u32 {
    mebibytes(taken((made.width, made.height), ColorType::Rgba8, wanted) + made.bytes).min(MOST_MIB)
}

fn mebibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX)
}

fn too_much((width, height): (u32, u32), derivative: &Derivative, mib: u32) -> NotDerived {
    NotDerived(format!(
        "{derivative} of {width}x{height} pixels would take {mib} MiB of memory: at most {MOST_MIB} MiB are used to derive"
    ))
}

fn taken((width, height): (u32, u32), colours: ColorType, wanted: &[Derivative]) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    let decoding = pixels * DECODED.max(2 * u64::from(colours.bytes_per_pixel()));
    let channels = if colours.has_alpha() { 4 } else { 3 };
    let one = |derivative: &Derivative| {
        // It may stand on its side; which of the two it is, EXIF data says later.
        let made = |(width, height): (u32, u32)| {
            let plan = derivative.plan(width, height);
            let (inner, whole) = (area(plan.inner), area(plan.whole));
            // The resizer's rows between its two passes, and colours weighted by opacity; none where nothing is resized.
            let resized = u64::from(plan.inner != (width, height));
            let between = u64::from(plan.inner.0) * u64::from(height) * channels;
            let weighted = if colours.has_alpha() { pixels * channels } else { 0 };
            // The pixels, the encoder's own, and the file.
            let encoding = match derivative.encoding {
                Encoding::Avif(..=90) => whole * AVIF,
                Encoding::Avif(_) => whole * AVIF_FINE,
                Encoding::Webp(_) | Encoding::Jpeg(_) | Encoding::Png => whole * channels * 5 / 2,
            };
            (inner * channels + resized * (between + weighted)).max(encoding)
        };
        made((width, height)).max(made((height, width)))
    };
    let making = wanted.iter().map(one).max().unwrap_or(0);
    BESIDE + decoding.max(pixels * channels + making)
}

fn area((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mib(size: (u32, u32), colours: ColorType, words: &str) -> u64 {
        taken(size, colours, &[words.parse().unwrap()]) >> 20
    }

    #[test]
    fn what_models_make_fits_and_what_is_hostile_does_not() {
        let most = u64::from(MOST_MIB);
        assert!(mib((1024, 1024), ColorType::Rgb8, "256x256 cover webp") < 32);
        assert!(mib((4096, 4096), ColorType::Rgb8, "4096w png") < most);
        assert!(mib((4096, 4096), ColorType::Rgba8, "4096w webp") < most);
        assert!(mib((1024, 1024), ColorType::Rgba8, "4096x4096 contain #ffffff png upscale") < most);
        // One of these leaves no room for another.
        assert!(mib((1024, 1024), ColorType::Rgb8, "4096x4096 contain #ffffff png upscale") > most / 2);
        assert!(mib((1792, 1024), ColorType::Rgba8, "1792w avif") < most);
        assert!(mib((1024, 1024), ColorType::Rgba8, "1024w avif q100") < most);
        assert!(mib((7000, 7000), ColorType::Rgba16, "64w") > most);
        assert!(mib((7000, 7000), ColorType::Rgb8, "64w") > most);
    }
}
