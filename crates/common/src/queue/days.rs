//! When the days begin that caps go by.

use std::ops::RangeInclusive;

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use super::Queue;

/// When a day begins, µs since 1970, and its name.
pub(super) type Day = (u64, String);

impl Queue {
    /// Sets the time zone whose days the caps of a day go by; UTC without it.
    #[must_use]
    pub fn in_zone(mut self, zone: TimeZone) -> Self {
        self.zone = zone;
        self
    }

    /// The time zone whose days the caps of a day go by.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The days whose caps may be in force: today's, by clocks that differ by up to an hour.
    #[must_use]
    pub fn current_days(&self) -> RangeInclusive<Date> {
        let day = |at: Timestamp| at.to_zoned(self.zone.clone()).date();
        let now = Timestamp::now();
        day(now - 1.hour())..=day(now + 1.hour())
    }

    /// Yesterday, today and tomorrow. Redis' clock decides which of them it is.
    pub(super) fn days(&self) -> Vec<Day> {
        around(&self.zone, Timestamp::now())
    }
}

/// The day before, the day, and the day after.
pub(super) fn around(zone: &TimeZone, now: Timestamp) -> Vec<Day> {
    let today = now.to_zoned(zone.clone()).date();
    let days = [today.checked_sub(1.day()).ok(), Some(today), today.checked_add(1.day()).ok()];
    let begins = days.into_iter().flatten().filter_map(|day| {
        let start = day.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond();
        Some((u64::try_from(start).ok()?, day.to_string()))
    });
    begins.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(zone: &str, now: &str) -> Vec<String> {
        let days = around(&TimeZone::get(zone).unwrap(), now.parse().unwrap());
        let text = |(start, name): Day| {
            let start = Timestamp::from_microsecond(i64::try_from(start).unwrap()).unwrap();
            format!("{name} {start}")
        };
        days.into_iter().map(text).collect()
    }

    #[test]
    fn a_day_begins_at_midnight_of_its_zone() {
        assert_eq!(
            told("Europe/Berlin", "2026-11-21T23:30:00Z"),
            [
                "2026-11-21 2026-11-20T23:00:00Z",
                "2026-11-22 2026-11-21T23:00:00Z",
                "2026-11-23 2026-11-22T23:00:00Z"
            ]
        );
        assert_eq!(told("UTC", "2026-11-21T23:30:00Z")[1], "2026-11-21 2026-11-21T00:00:00Z");
    }

    #[test]
    fn days_of_23_and_25_hours_and_days_without_midnight_begin_too() {
        assert_eq!(
            told("Europe/Berlin", "2026-10-25T12:00:00Z"),
            [
                "2026-10-24 2026-10-23T22:00:00Z",
                "2026-10-25 2026-10-24T22:00:00Z",
                "2026-10-26 2026-10-25T23:00:00Z"
            ]
        );
        // Clocks go from 23:59 to 1:00 there.
        assert_eq!(told("Africa/Cairo", "2026-04-24T12:00:00Z")[1], "2026-04-24 2026-04-23T22:00:00Z");
    }
}
