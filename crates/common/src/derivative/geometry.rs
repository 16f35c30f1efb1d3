//! How large a derivative is, and which part of the image it shows.

use super::{Derivative, MOST_SIDE, Size};

/// The part of an image that is shown, in pixels of the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// From the left.
    pub left: f64,
    /// From the top.
    pub top: f64,
    /// Across.
    pub width: f64,
    /// Down.
    pub height: f64,
}

/// How an image becomes a derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// What is shown of it.
    pub crop: Crop,
    /// What that is resized to.
    pub inner: (u32, u32),
    /// The whole derivative; larger than `inner` where a colour fills the rest, which stands in the middle.
    pub whole: (u32, u32),
}

impl Derivative {
    /// What becomes of an image of so many pixels. Without `upscale` nothing is made larger: a box to be covered then
    /// shrinks in its shape.
    #[must_use]
    pub fn plan(&self, width: u32, height: u32) -> Plan {
        let (across, down) = (f64::from(width.max(1)), f64::from(height.max(1)));
        let crop = Crop { left: 0.0, top: 0.0, width: across, height: down };
        let scaled = |factor: f64| (side(across * factor), side(down * factor));
        let limited = |factor: f64| if self.upscale { factor } else { factor.min(1.0) };
        match self.size {
            Size::Width(w) => alike(crop, scaled(limited(f64::from(w) / across))),
            Size::Height(h) => alike(crop, scaled(limited(f64::from(h) / down))),
            Size::Contain(w, h) => {
                let inner = scaled(limited((f64::from(w) / across).min(f64::from(h) / down)));
                let inner = (inner.0.min(w), inner.1.min(h));
                let whole = if self.background.is_some() { (w, h) } else { inner };
                Plan { crop, inner, whole }
            }
            Size::Cover(w, h) => {
                let needed = (f64::from(w) / across).max(f64::from(h) / down);
                let shrunk = if self.upscale { 1.0 } else { (1.0 / needed).min(1.0) };
                let shown = (f64::from(w) / needed, f64::from(h) / needed);
                let shown = (shown.0.clamp(1.0, across), shown.1.clamp(1.0, down));
                let (left, top) = ((across - shown.0) / 2.0, (down - shown.1) / 2.0);
                let crop = Crop { left, top, width: shown.0, height: shown.1 };
                alike(crop, (side(f64::from(w) * shrunk), side(f64::from(h) * shrunk)))
            }
        }
    }
}

fn alike(crop: Crop, size: (u32, u32)) -> Plan {
    Plan { crop, inner: size, whole: size }
}

/// A side of at least one pixel, and at most the longest there is.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies within the bounds")]
fn side(pixels: f64) -> u32 {
    pixels.round().clamp(1.0, f64::from(MOST_SIDE)) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(words: &str, width: u32, height: u32) -> Plan {
        words.parse::<Derivative>().unwrap().plan(width, height)
    }

    #[test]
    fn sizes_are_those_that_were_asked_for() {
        for (words, image, inner, whole) in [
            ("256x256 cover", (1024, 1024), (256, 256), (256, 256)),
            ("256x128 cover", (1024, 1024), (256, 128), (256, 128)),
            ("256x256 contain", (1536, 1024), (256, 171), (256, 171)),
            ("256x256 contain #ffffff", (1536, 1024), (256, 171), (256, 256)),
            ("1200w", (1536, 1024), (1200, 800), (1200, 800)),
            ("512h", (1536, 1024), (768, 512), (768, 512)),
            // Never larger, unless that is said.
            ("2048 contain", (1024, 512), (1024, 512), (1024, 512)),
            ("2048 contain upscale", (1024, 512), (2048, 1024), (2048, 1024)),
            ("2048 contain #000000", (1024, 512), (1024, 512), (2048, 2048)),
            ("400x200 cover", (100, 100), (100, 50), (100, 50)),
            ("400x200 cover upscale", (100, 100), (400, 200), (400, 200)),
            ("2000w", (1024, 1024), (1024, 1024), (1024, 1024)),
            // A side is never nothing.
            ("64 contain", (8000, 1), (64, 1), (64, 1)),
            ("64w", (8000, 1), (64, 1), (64, 1)),
            ("64 cover", (1, 1), (1, 1), (1, 1)),
            ("64x64 cover", (8000, 1), (1, 1), (1, 1)),
            ("8192w upscale", (1, 8000), (8192, 8192), (8192, 8192)),
        ] {
            let Plan { inner: i, whole: w, .. } = plan(words, image.0, image.1);
            assert_eq!((i, w), (inner, whole), "{words} of {image:?}");
        }
        let crop = plan("256x128 cover", 1000, 1000).crop;
        assert_eq!(crop, Crop { left: 0.0, top: 250.0, width: 1000.0, height: 500.0 });
    }

    proptest! {
        #[test]
        fn every_plan_can_be_made(
            width in 1..20_000_u32, height in 1..20_000_u32, w in 1..=MOST_SIDE, h in 1..=MOST_SIDE,
            shape in 0..4_u8, upscale: bool, filled: bool,
        ) {
            let size = [Size::Width(w), Size::Height(h), Size::Contain(w, h), Size::Cover(w, h)][usize::from(shape)];
            let encoding = super::super::Encoding::Png;
            let background = filled.then_some([0; 3]);
            let derivative = Derivative { size, background, encoding, upscale, keep: false };
            let Plan { crop, inner, whole } = derivative.plan(width, height);
            prop_assert!(inner.0 >= 1 && inner.1 >= 1 && inner.0 <= whole.0 && inner.1 <= whole.1);
            prop_assert!(whole.0 <= MOST_SIDE && whole.1 <= MOST_SIDE);
            prop_assert!(crop.left >= 0.0 && crop.top >= 0.0 && crop.width > 0.0 && crop.height > 0.0);
            prop_assert!(crop.left + crop.width <= f64::from(width) + 1e-6);
            prop_assert!(crop.top + crop.height <= f64::from(height) + 1e-6);
            if !upscale {
                prop_assert!(inner.0 <= width && inner.1 <= height, "{inner:?} of {width}x{height}");
            }
            if matches!(size, Size::Contain(..)) || matches!(size, Size::Cover(..)) {
                prop_assert!(whole.0 <= w && whole.1 <= h);
            }
        }
    }
}
