//! Until when something may be sent: a time of day, a moment, or a length of time.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Span, Timestamp, ToSpan as _, Zoned, civil::Time, tz::TimeZone};

/// Until when, as it was said.
#[derive(Clone, Debug, PartialEq)]
pub enum Deadline {
    /// The next such time of day.
    Daily(Time),
    /// A moment.
    At(Timestamp),
    /// So long after the start.
    After(SignedDuration),
}

/// Why a text is no deadline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no deadline: write a time of day (06:00), a moment (2026-11-23T06:00:00+01:00) or a length of time (6h)"
)]
pub struct BadDeadline(String);

impl FromStr for Deadline {
    type Err = BadDeadline;

    fn from_str(text: &str) -> Result<Self, BadDeadline> {
        let bad = || BadDeadline(text.to_owned());
        let text = text.trim();
        let is_time =
            text.len() <= 8 && text.contains(':') && text.chars().all(|c| c.is_ascii_digit() || c == ':');
        if is_time {
            let whole = if text.find(':') == Some(1) { format!("0{text}") } else { text.to_owned() };
            return whole.parse().map(Self::Daily).map_err(|_odd| bad());
        }
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(Self::At(moment));
        }
        let span: Span = text.parse().map_err(|_odd| bad())?;
        let days = SignedDuration::from_hours(24 * i64::from(span.get_days()));
        let rest = span.days(0).total(jiff::Unit::Second).map_err(|_odd| bad())?;
        let whole = days.checked_add(SignedDuration::from_secs(rest as i64)).ok_or_else(bad)?;
        let year = SignedDuration::from_hours(24 * 366);
        if whole <= SignedDuration::ZERO || whole > year { Err(bad()) } else { Ok(Self::After(whole)) }
    }
}

impl Deadline {
    /// The moment, for what starts at another. A time of day that the clock leaps over is the end of the leap; one that
    /// it shows twice is the first.
    #[must_use]
    pub fn moment(&self, start: Timestamp, zone: &TimeZone) -> Timestamp {
        match self {
            Self::At(moment) => *moment,
            Self::After(length) => start.checked_add(*length).unwrap_or(Timestamp::MAX),
            Self::Daily(time) => next_such(*time, start, zone).unwrap_or(Timestamp::MAX),
        }
    }
}

fn next_such(time: Time, start: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let mut date = start.to_zoned(zone.clone()).date();
    for _day in 0..4 {
        let moment: Zoned = zone.to_ambiguous_zoned(date.to_datetime(time)).compatible().ok()?;
        if moment.timestamp() > start {
            return Some(moment.timestamp());
        }
        date = date.checked_add(1.day()).ok()?;
    }
    None
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daily(time) => write!(f, "{}", time.strftime("%H:%M")),
            Self::At(moment) => write!(f, "{moment}"),
            Self::After(length) => write!(f, "{length:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str, start: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        text.parse::<Deadline>().unwrap().moment(start.parse().unwrap(), &zone).to_string()
    }

    #[test]
    fn a_time_of_day_is_the_next_one_in_the_zone() {
        assert_eq!(moment("06:00", "2026-11-22T02:00:00Z", "Europe/Berlin"), "2026-11-22T05:00:00Z");
        assert_eq!(moment("06:00", "2026-11-22T05:00:00Z", "Europe/Berlin"), "2026-11-23T05:00:00Z");
        assert_eq!(moment("6:00", "2026-11-22T06:30:00Z", "UTC"), "2026-11-23T06:00:00Z");
        // The night with one hour less.
        assert_eq!(moment("06:00", "2026-03-29T00:30:00Z", "Europe/Berlin"), "2026-03-29T04:00:00Z");
    }

    #[test]
    fn a_moment_and_a_length_are_what_they_say() {
        assert_eq!(
            moment("2026-11-23T06:00:00+01:00", "2026-11-22T02:00:00Z", "UTC"),
            "2026-11-23T05:00:00Z"
        );
        assert_eq!(moment("6h", "2026-11-22T02:00:00Z", "UTC"), "2026-11-22T08:00:00Z");
        assert_eq!(moment("1h30m", "2026-11-22T02:00:00Z", "UTC"), "2026-11-22T03:30:00Z");
        assert_eq!(moment("1d", "2026-11-22T02:00:00Z", "UTC"), "2026-11-23T02:00:00Z");
    }

    #[test]
    fn anything_else_is_refused_with_what_would_be_right() {
        for text in ["", "25:00", "6", "tomorrow", "-6h", "0h", "06:00:00:00", "9000000h", "1 month"] {
            let told = text.parse::<Deadline>().map(|it| it.to_string());
            assert!(told.is_err(), "{text:?}: {told:?}");
        }
    }
}
