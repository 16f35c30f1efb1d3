//! One part of a month's images: how many, of what.

use std::num::NonZeroU64;

/// How many images, as one says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    PerDay(NonZeroU64),
    PerMonth(NonZeroU64),
}

/// What `--plus` says; what it leaves out is as in the flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) count: Count,
    pub(super) model: Option<String>,
    pub(super) size: Option<String>,
    pub(super) quality: Option<String>,
}

impl Part {
    /// Reads `per-day=10,model=dall-e-3,size=1024x1792,quality=hd`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut count, mut model, mut size, mut quality) = (None, None, None, None);
        for pair in text.split(',') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (name.trim(), value.trim());
            if value.is_empty() {
                return Err(format!("{name:?} has no value; write per-day=10,size=1024x1024"));
            }
            let again = match name {
                "per-day" => count.replace(Count::PerDay(number(value)?)).is_some(),
                "per-month" => count.replace(Count::PerMonth(number(value)?)).is_some(),
                "model" => model.replace(value.to_owned()).is_some(),
                "size" => size.replace(value.to_owned()).is_some(),
                "quality" => quality.replace(value.to_owned()).is_some(),
                _ => {
                    return Err(format!("{name:?} is none of per-day, per-month, model, size and quality"));
                }
            };
            if again {
                return Err(format!("{name} says again what was said"));
            }
        }
        let count = count.ok_or("how many? write per-day=10 or per-month=300")?;
        Ok(Self { count, model, size, quality })
    }
}

/// Reads a count of images; more than a thousand million are a slip.
pub(super) fn number(text: &str) -> Result<NonZeroU64, String> {
    let found: Option<NonZeroU64> = text.parse().ok();
    found
        .filter(|number| number.get() <= 1_000_000_000)
        .ok_or_else(|| format!("{text:?} is not a whole number from 1 to 1000000000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_how_many_and_what_differs() {
        let ten = number("10").unwrap();
        let part = Part::parse("per-day=10, size=1024x1792,quality=hd").unwrap();
        assert_eq!((part.count, part.model), (Count::PerDay(ten), None));
        assert_eq!((part.size.as_deref(), part.quality.as_deref()), (Some("1024x1792"), Some("hd")));
        let part = Part::parse("model=dall-e-3,per-month=10").unwrap();
        assert_eq!((part.count, part.model.as_deref()), (Count::PerMonth(ten), Some("dall-e-3")));
    }

    #[test]
    fn a_bad_part_says_what_would_be_right() {
        for (text, why) in [
            ("", "has no value"),
            ("10", "\"10\" has no value; write per-day=10"),
            ("size=1024x1024", "how many?"),
            ("per-day=0", "whole number from 1"),
            ("per-day=1000000001", "whole number from 1"),
            ("per-day=-1", "whole number from 1"),
            ("per-day=1,per-month=3", "per-month says again"),
            ("per-day=1,sise=1", "\"sise\" is none of per-day"),
        ] {
            let error = Part::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
