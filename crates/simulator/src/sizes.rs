//! Picture sizes: how they are written, and the rules of models that take any.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Size {
    pub(crate) const SQUARE: Self = Self { width: 1024, height: 1024 };

    pub(crate) fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Judges a size by the rules of GPT Image 2 and later.
    pub(crate) fn check_free(self) -> Result<(), String> {
        let (long, short) = (self.width.max(self.height), self.width.min(self.height));
        let refuse = |why: &str| Err(format!("Invalid size '{self}'. {why}"));
        if !self.width.is_multiple_of(16) || !self.height.is_multiple_of(16) {
            return refuse("Width and height must both be divisible by 16.");
        }
        if long > 3840 {
            return refuse("The longest edge must be less than or equal to 3840.");
        }
        if u64::from(long) > 3 * u64::from(short) {
            return refuse("The aspect ratio must be between 1:3 and 3:1.");
        }
        if self.pixels() < 655_360 {
            return refuse("The requested resolution is below the current minimum pixel budget.");
        }
        if self.pixels() > 8_294_400 {
            return refuse("The requested resolution exceeds the current maximum pixel budget.");
        }
        Ok(())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is not `WIDTHxHEIGHT`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotASize;

impl FromStr for Size {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let edge = |digits: &str| {
            let plain = (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| plain)
        };
        let (width, height) = text.split_once('x').ok_or(NotASize)?;
        match (edge(width), edge(height)) {
            (Some(width), Some(height)) => Ok(Self { width, height }),
            _ => Err(NotASize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_sizes_keep_within_the_rules() {
        let judged = |text: &str| text.parse::<Size>().unwrap().check_free().err();
        for fine in ["1024x1024", "640x1024", "3840x2160", "2160x3840", "1792x1024"] {
            assert_eq!(judged(fine), None, "{fine}");
        }
        for (size, why) in [
            ("1000x1000", "divisible by 16"),
            ("4096x1024", "longest edge"),
            ("3200x1024", "aspect ratio"),
            ("512x512", "minimum pixel budget"),
            ("1536x416", "aspect ratio"),
            ("3840x3840", "maximum pixel budget"),
        ] {
            assert!(judged(size).is_some_and(|message| message.contains(why)), "{size}");
        }
        for text in ["", "x", "1024", "1024x", "+1x2", "1024X1024", "100000x1", "-1x1"] {
            assert_eq!(text.parse::<Size>(), Err(NotASize), "{text}");
        }
    }
}
