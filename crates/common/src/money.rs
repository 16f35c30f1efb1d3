//! Money as whole millionths of a US dollar.

use std::{fmt, ops, str::FromStr};

use serde::{Deserialize, Serialize};

/// An amount in micro-USD: 1 USD = 1,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroUsd(pub u64);

impl MicroUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Adds, stopping at the largest amount instead of wrapping.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Subtracts, stopping at zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Multiplies by a count, stopping at the largest amount.
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl ops::Add for MicroUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.saturating_add(other)
    }
}

impl std::iter::Sum for MicroUsd {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Self::saturating_add)
    }
}

impl fmt::Display for MicroUsd {
    /// Writes dollars with at least two decimals and no more than needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:06}", self.0 % 1_000_000);
        let fraction = fraction.trim_end_matches('0');
        f.pad(&format!("${}.{fraction:0<2}", self.0 / 1_000_000))
    }
}

/// Why a text is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an amount in US dollars with at most six decimals, such as 20 or 12.50")]
pub struct NotMoney(String);

impl FromStr for MicroUsd {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, NotMoney> {
        let err = || NotMoney(text.to_owned());
        let plain = text.trim().trim_start_matches('$');
        let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 6 {
            return Err(err());
        }
        let whole: u64 = whole.parse().map_err(|_ignored| err())?;
        let fraction: u64 = format!("{fraction:0<6}").parse().map_err(|_ignored| err())?;
        whole.checked_mul(1_000_000).and_then(|w| w.checked_add(fraction)).map(Self).ok_or_else(err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses_dollars() {
        for (micro, text) in [(0, "$0.00"), (40_000, "$0.04"), (1_234_567, "$1.234567"), (5_300_000, "$5.30")]
        {
            assert_eq!(MicroUsd(micro).to_string(), text);
            assert_eq!(text.parse(), Ok(MicroUsd(micro)));
        }
        for bad in ["", "-1", "1e3", "1.0000001", "1,5", "99999999999999999999"] {
            assert!(bad.parse::<MicroUsd>().is_err(), "{bad}");
        }
    }
}
