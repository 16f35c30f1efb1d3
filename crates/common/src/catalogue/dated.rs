//! Prices that change on a day.

use std::fmt;

use jiff::civil::Date;
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};

use super::Dollars;
use crate::MicroUsd;

/// What something costs, by day.
///
/// In a catalogue it is an amount as text where it never changed, else a list of steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// In order of their days; only the first may have none.
    steps: Vec<Step>,
}

/// An amount, and the first day on which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The first day; none where the catalogue does not say, and it holds since ever.
    pub from: Option<Date>,
    /// The amount.
    pub usd: Dollars,
}

impl Price {
    /// What is in force on a day; none where the first price comes later.
    #[must_use]
    pub fn on(&self, day: Date) -> Option<Step> {
        self.steps.iter().rev().find(|step| step.from.is_none_or(|from| from <= day)).copied()
    }

    /// The most that is asked on a day or, by the changes known today, at any time after it.
    #[must_use]
    pub fn most_since(&self, day: Date) -> Option<MicroUsd> {
        let now = self.on(day)?.usd.0;
        let later = self.steps.iter().filter(|step| step.from.is_some_and(|from| from > day));
        Some(later.map(|step| step.usd.0).fold(now, MicroUsd::max))
    }

    /// The first day after this one on which it changes.
    #[must_use]
    pub fn changes_after(&self, day: Date) -> Option<Date> {
        self.steps.iter().filter_map(|step| step.from).find(|from| *from > day)
    }

    /// Dates the first step, where it has no day of its own.
    pub(super) fn begin(&mut self, day: Date) -> Result<(), String> {
        let second = self.steps.get(1).and_then(|step| step.from);
        let Some(first) = self.steps.first_mut().filter(|step| step.from.is_none()) else { return Ok(()) };
        if let Some(second) = second.filter(|second| *second <= day) {
            return Err(format!("a price changes on {second}, before prices begin on {day}"));
        }
        first.from = Some(day);
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AmountOrSteps)
    }
}

struct AmountOrSteps;

impl<'de> Visitor<'de> for AmountOrSteps {
    type Value = Price;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dollars as text, or a list of { from = \"2026-11-21\", usd = \"0.04\" }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Price, E> {
        let usd = Dollars::try_from(text.to_owned()).map_err(E::custom)?;
        Ok(Price { steps: vec![Step { from: None, usd }] })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Price, A::Error> {
        let mut steps: Vec<Step> = Vec::new();
        while let Some(step) = list.next_element::<Step>()? {
            if steps.last().is_some_and(|before| before.from >= step.from) {
                return Err(de::Error::custom(
                    "the days of a price must be in order, each once; only the first may have none",
                ));
            }
            steps.push(step);
        }
        if steps.is_empty() {
            return Err(de::Error::custom("a price has at least one amount"));
        }
        Ok(Price { steps })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn price(toml: &str) -> Result<Price, String> {
        let table: toml::Table = format!("price = {toml}").parse().unwrap();
        table["price"].clone().try_into().map_err(|error: toml::de::Error| error.to_string())
    }

    const STEPS: &str =
        r#"[{ usd = "2" }, { from = "2026-03-01", usd = "5" }, { from = "2026-06-01", usd = "3" }]"#;

    #[test]
    fn the_price_of_a_day_is_the_last_that_began() {
        let price = price(STEPS).unwrap();
        for (day, micro, from, most, change) in [
            (date(1999, 1, 1), 2, None, 5, Some(date(2026, 3, 1))),
            (date(2026, 2, 28), 2, None, 5, Some(date(2026, 3, 1))),
            (date(2026, 3, 1), 5, Some(date(2026, 3, 1)), 5, Some(date(2026, 6, 1))),
            (date(2026, 5, 31), 5, Some(date(2026, 3, 1)), 5, Some(date(2026, 6, 1))),
            (date(2026, 6, 1), 3, Some(date(2026, 6, 1)), 3, None),
            (date(2099, 1, 1), 3, Some(date(2026, 6, 1)), 3, None),
        ] {
            let step = price.on(day).unwrap();
            assert_eq!((step.usd.0, step.from), (MicroUsd(micro * 1_000_000), from), "{day}");
            assert_eq!(price.most_since(day), Some(MicroUsd(most * 1_000_000)), "{day}");
            assert_eq!(price.changes_after(day), change, "{day}");
        }
    }

    #[test]
    fn there_is_no_price_before_prices_begin() {
        let mut dated = price(STEPS).unwrap();
        dated.begin(date(2026, 1, 1)).unwrap();
        assert_eq!((dated.on(date(2025, 12, 31)), dated.most_since(date(2025, 12, 31))), (None, None));
        assert_eq!(dated.on(date(2026, 1, 1)).unwrap().from, Some(date(2026, 1, 1)));
        let late = price(STEPS).unwrap().begin(date(2026, 3, 1)).unwrap_err();
        assert_eq!(late, "a price changes on 2026-03-01, before prices begin on 2026-03-01");

        let mut own = price(r#"[{ from = "2026-03-01", usd = "5" }]"#).unwrap();
        own.begin(date(2020, 1, 1)).unwrap();
        assert_eq!(own.on(date(2026, 2, 28)), None);
    }

    #[test]
    fn a_bad_price_says_what_is_wrong() {
        for (toml, why) in [
            ("0.04", "floating point"),
            ("[]", "at least one amount"),
            (r#""free""#, "\"free\" is not an amount"),
            (r#"[{ from = "2026-03-01" }]"#, "missing field `usd`"),
            (r#"[{ from = "soon", usd = "1" }]"#, "in `from`"),
            (r#"[{ usd = "1" }, { usd = "2" }]"#, "in order, each once"),
            (r#"[{ from = "2026-03-01", usd = "1" }, { from = "2026-03-01", usd = "2" }]"#, "in order"),
            (r#"[{ from = "2026-03-01", usd = "1" }, { usd = "2" }]"#, "only the first may have none"),
        ] {
            let error = price(toml).unwrap_err();
            assert!(error.contains(why), "{toml}\n→ {error}");
        }
    }
}
