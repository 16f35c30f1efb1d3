//! How much memory a derivation takes at the worst, judged by what the image claims before a pixel is decoded.

use image::{ColorType, ImageDecoder};
use pictor_common::derivative::Derivative;

use super::{NotDerived, picture};

/// What all that is derived at once may take. A worker killed for want of memory would send again what it has paid for.
pub(super) const MOST_MIB: u32 = 256;
/// Derivatives of one image that wait for the store.
pub(super) const WAITING_KIB: u32 = 8 << 10;
/// Those, a colour profile, and small things.
const BESIDE: u64 = 12 << 20;
/// Whatever an image of 8 bits a channel becomes on its way to upright pixels, a pixel: a JPEG's coefficients are most.
const DECODED: u64 = 9;

/// The mebibytes it takes to derive from an image; more than there are is refused.
pub(super) fn needed(image: &[u8], wanted: &[Derivative]) -> Result<u32, NotDerived> {
    let decoder = picture::open(image)?;
    let (width, height) = decoder.dimensions();
    let taken = taken((width, height), decoder.color_type(), wanted) + image.len() as u64;
    match u32::try_from(taken.div_ceil(1 << 20)) {
        Ok(mib) if mib <= MOST_MIB => Ok(mib.max(1)),
        _ => Err(NotDerived(format!(
            "{width}x{height} pixels would take {} MiB of memory: at most {MOST_MIB} MiB are used to derive",
            taken.div_ceil(1 << 20)
        ))),
    }
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
            (inner * channels + resized * (between + weighted)).max(whole * channels * 5 / 2)
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
        assert!(mib((7000, 7000), ColorType::Rgba16, "64w") > most);
        assert!(mib((7000, 7000), ColorType::Rgb8, "64w") > most);
    }
}
