//! Sizes: a list of them, or a rule that any size within it follows.

use serde::Deserialize;

/// What a size in pixels must keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizeRule {
    /// Both edges are multiples of this.
    pub multiple: u32,
    /// The long edge is at most this many times the short one.
    pub max_ratio: u32,
    /// The longest an edge may be.
    pub max_edge: u32,
    /// The fewest pixels in all.
    pub min_pixels: u64,
    /// The most pixels in all.
    pub max_pixels: u64,
}

/// Reads `WIDTHxHEIGHT` in the one way it is written: a second spelling would be a second key.
pub(crate) fn parse(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    let (w, h): (u32, u32) = (width.parse().ok()?, height.parse().ok()?);
    (w > 0 && h > 0 && format!("{w}x{h}") == text).then_some((w, h))
}

impl SizeRule {
    /// Says what a size breaks, as "`needs …, not 512x512`".
    pub(super) fn broken_by(&self, width: u32, height: u32) -> Option<String> {
        let (long, short) = (width.max(height), width.min(height));
        let pixels = u64::from(width) * u64::from(height);
        let need = if !width.is_multiple_of(self.multiple) || !height.is_multiple_of(self.multiple) {
            format!("edges that are multiples of {}", self.multiple)
        } else if long > self.max_edge {
            format!("edges of at most {} pixels", self.max_edge)
        } else if u64::from(long) > u64::from(short) * u64::from(self.max_ratio) {
            format!("a long edge of at most {} times the short one", self.max_ratio)
        } else if pixels < self.min_pixels {
            format!("at least {} pixels in all, such as 1024x1024", self.min_pixels)
        } else if pixels > self.max_pixels {
            format!("at most {} pixels in all, such as 3840x2160", self.max_pixels)
        } else {
            return None;
        };
        Some(format!("needs {need}, not {width}x{height}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_one_spelling() {
        assert_eq!(parse("1024x1536"), Some((1024, 1536)));
        for other in
            ["1024X1536", "01024x1536", "+1024x1536", " 1024x1536", "1024×1536", "1024x", "auto", "0x0", ""]
        {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_rule_holds_at_its_edges() {
        let rule = SizeRule {
            multiple: 16,
            max_ratio: 3,
            max_edge: 3840,
            min_pixels: 655_360,
            max_pixels: 8_294_400,
        };
        for (w, h) in
            [(1024, 640), (640, 1024), (3840, 2160), (2880, 2880), (1440, 480), (3840, 1280), (1792, 1024)]
        {
            assert_eq!(rule.broken_by(w, h), None, "{w}x{h}");
        }
        for (w, h, why) in [
            (1000, 1000, "multiples of 16"),
            (3856, 2160, "at most 3840 pixels"),
            (3840, 1264, "3 times the short one"),
            (800, 800, "at least 655360 pixels"),
            (3840, 2176, "at most 8294400 pixels"),
        ] {
            let broken = rule.broken_by(w, h).unwrap_or_default();
            assert!(broken.contains(why), "{w}x{h}: {broken}");
        }
    }
}
