//! When a request is paid, and by which door it goes.

use std::str::FromStr;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// What decides which price is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The day, in UTC.
    pub day: Date,
    /// Whether it goes through the provider's batch API.
    pub batch_api: bool,
}

/// A text that is no day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a day such as 2026-11-21")]
pub struct NotADay(String);

impl Terms {
    /// Those of a plain request on a day.
    #[must_use]
    pub const fn on(day: Date) -> Self {
        Self { day, batch_api: false }
    }

    /// Those of a plain request at a moment in ms since 1970.
    #[must_use]
    pub fn at_ms(ms: u64) -> Self {
        let moment = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Self::on(moment.unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC).date())
    }

    /// The same through the provider's batch API.
    #[must_use]
    pub const fn through_batch_api(self) -> Self {
        Self { batch_api: true, ..self }
    }
}

impl FromStr for Terms {
    type Err = NotADay;

    /// Reads a day as `YYYY-MM-DD`.
    fn from_str(text: &str) -> Result<Self, NotADay> {
        let day: Option<Date> = text.parse().ok();
        day.filter(|day| day.to_string() == text).map(Self::on).ok_or_else(|| NotADay(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn days_are_those_of_utc() {
        assert_eq!(Terms::at_ms(0), Terms::on(date(1970, 1, 1)));
        assert_eq!(Terms::at_ms(1_795_219_199_999).day, date(2026, 11, 20));
        assert_eq!(Terms::at_ms(1_795_219_200_000).day, date(2026, 11, 21));
        assert_eq!(Terms::at_ms(u64::MAX).day, date(9999, 12, 30));
    }

    #[test]
    fn days_are_read_as_they_are_written() {
        assert_eq!("2026-11-21".parse(), Ok(Terms::on(date(2026, 11, 21))));
        for text in ["", "21.11.2026", "2026-02-30", "2026-11-21T10:00", "20261121"] {
            let told = text.parse::<Terms>().unwrap_err().to_string();
            assert_eq!(told, format!("{text:?} is not a day such as 2026-11-21"));
        }
    }
}
