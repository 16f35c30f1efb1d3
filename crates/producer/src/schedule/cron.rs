//! Times of a cron line in a time zone.
//!
//! The line speaks of what a clock on the wall shows. Where the clock leaps over a time, it is due at the first instant
//! after the leap; where the clock shows a time twice, at the first.

use croner::parser::{CronParser, Seconds, Year};
use jiff::{
    Timestamp,
    tz::{AmbiguousOffset, TimeZone},
};

/// A night with more than this many repeated times would be none.
const MOST_REPEATED: usize = 3_000;

/// Five fields of a cron line.
#[derive(Clone, Debug)]
pub struct Cron {
    line: croner::Cron,
}

/// What is wrong with a cron line, or a time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadCron(String);

/// Finds a time zone; none is that of this machine, with its name.
pub fn zone(name: Option<&str>) -> Result<TimeZone, BadCron> {
    let Some(name) = name else { return Ok(TimeZone::system()) };
    TimeZone::get(name).map_err(|_unknown| {
        BadCron(format!("{name:?} is no time zone: name it as Europe/Berlin, America/New_York or UTC"))
    })
}

impl Cron {
    /// Reads a line: minute, hour, day of the month, month, day of the week.
    pub fn parse(text: &str) -> Result<Self, BadCron> {
        let fields = text.split_whitespace().count();
        if fields != 5 {
            let hint = if fields == 6 { "; seconds and years are not" } else { "" };
            return Err(BadCron(format!(
                "{text:?} has {fields} fields: five are understood, minute hour day month weekday, as in \"0 3 * * *\"{hint}"
            )));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let line = parser.parse(text).map_err(|error| BadCron(format!("{text:?}: {error}")))?;
        Ok(Self { line })
    }

    /// The line in words.
    #[must_use]
    pub fn words(&self) -> String {
        let words = self.line.describe();
        words.trim_end_matches('.').to_owned()
    }

    /// The first due time after an instant; none when it never comes.
    #[must_use]
    pub fn after(&self, instant: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut shown = instant.to_zoned(zone.clone()).datetime();
        for _repeated in 0..MOST_REPEATED {
            shown = self.line.find_next_occurrence(&shown, false).ok()?;
            let due = instant_of(shown, zone)?;
            if due > instant {
                return Some(due);
            }
        }
        None
    }

    /// Due times after one instant, up to and with another, the newest `most` of them; and how many older ones there are.
    #[must_use]
    pub fn between(
        &self,
        from: Timestamp,
        upto: Timestamp,
        zone: &TimeZone,
        most: usize,
    ) -> (Vec<Timestamp>, u64) {
        // A clock that leapt by years would keep one busy with it.
        let oldest = upto.checked_sub(jiff::SignedDuration::from_hours(24 * 400)).unwrap_or(from);
        let (mut times, mut older, mut at) = (std::collections::VecDeque::new(), 0, from.max(oldest));
        while let Some(due) = self.after(at, zone).filter(|due| *due <= upto) {
            times.push_back(due);
            if times.len() > most {
                times.pop_front();
                older += 1;
            }
            at = due;
        }
        (times.into(), older)
    }
}

/// When a clock on the wall shows a time.
fn instant_of(shown: jiff::civil::DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(shown);
    let is_gap = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
    let earlier = ambiguous.earlier().ok()?;
    if !is_gap {
        return Some(earlier);
    }
    zone.following(earlier).next().map(|leap| leap.timestamp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn times(line: &str, zone_name: &str, from: &str, count: usize) -> Vec<String> {
        let (cron, zone) = (Cron::parse(line).unwrap(), zone(Some(zone_name)).unwrap());
        let mut at: Timestamp = from.parse().unwrap();
        let next = || {
            at = cron.after(at, &zone)?;
            Some(at.to_zoned(zone.clone()).strftime("%m-%d %H:%M %:z").to_string())
        };
        std::iter::from_fn(next).take(count).collect()
    }

    #[test]
    fn a_time_that_is_leapt_over_is_due_right_after_the_leap() {
        let berlin = times("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3);
        assert_eq!(berlin, ["03-28 02:30 +01:00", "03-29 03:00 +02:00", "03-30 02:30 +02:00"]);
        let york = times("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", 2);
        assert_eq!(york, ["03-08 03:00 -04:00", "03-09 02:30 -04:00"]);
        let quarters = times("*/15 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 3);
        assert_eq!(quarters, ["03-29 03:00 +02:00", "03-29 03:15 +02:00", "03-29 03:30 +02:00"]);
    }

    #[test]
    fn a_time_that_is_shown_twice_is_due_once_and_at_the_first() {
        let berlin = times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(berlin, ["10-25 02:30 +02:00", "10-26 02:30 +01:00"]);
        let york = times("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2);
        assert_eq!(york, ["11-01 01:30 -04:00", "11-02 01:30 -05:00"]);
        // Also for who looks in the hour that comes again.
        let again = times("*/20 * * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 2);
        assert_eq!(again, ["10-25 03:00 +01:00", "10-25 03:20 +01:00"]);
    }

    #[test]
    fn only_five_fields_are_understood() {
        for line in [
            "0 0 3 * * *",
            "0 3 * *",
            "@daily",
            "",
            "0 3 * * * 2026",
            "61 3 * * *",
            "0 25 * * *",
            "x 3 * * *",
        ] {
            assert!(Cron::parse(line).is_err(), "{line:?}");
        }
        let six = Cron::parse("0 0 3 * * *").unwrap_err().to_string();
        assert!(six.contains("6 fields") && six.contains("seconds"), "{six}");
        assert!(zone(Some("Europe/Berlim")).unwrap_err().to_string().contains("Europe/Berlin"));
    }

    #[test]
    fn what_never_comes_has_no_next_time() {
        let never = Cron::parse("0 3 30 2 *");
        let next = never.ok().and_then(|cron| cron.after(Timestamp::UNIX_EPOCH, &TimeZone::UTC));
        assert_eq!(next, None);
    }

    #[test]
    fn a_line_is_told_in_words() {
        let words = Cron::parse("0 3 * * 1-5").unwrap().words();
        assert!(words.contains("03:00") || words.contains("3:00") || words.contains('3'), "{words}");
    }

    #[test]
    fn many_missed_times_are_bounded_and_the_newest_kept() {
        let cron = Cron::parse("* * * * *").unwrap();
        let from: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let upto: Timestamp = "2026-01-01T05:00:00Z".parse().unwrap();
        let (kept, older) = cron.between(from, upto, &TimeZone::UTC, 100);
        assert_eq!((kept.len(), older, kept.last()), (100, 200, Some(&upto)));
    }

    proptest! {
        /// Times grow, none is left out between two looks, and each shows what the line asks for, but for leaps.
        #[test]
        fn times_grow_and_do_not_depend_on_when_one_looks(
            start in 1_700_000_000_i64..1_900_000_000,
            ahead in 0_i64..200_000,
            minute in 0_u8..60,
            hour in 0_u8..24,
            berlin in any::<bool>(),
        ) {
            let zone = zone(Some(if berlin { "Europe/Berlin" } else { "America/New_York" })).unwrap();
            let cron = Cron::parse(&format!("{minute} {hour} * * *")).unwrap();
            let from = Timestamp::from_second(start).unwrap();
            let due = cron.after(from, &zone).unwrap();
            prop_assert!(due > from);
            let between = Timestamp::from_second(start + ahead).unwrap();
            if between < due {
                prop_assert_eq!(cron.after(between, &zone), Some(due));
            }
            let shown = due.to_zoned(zone.clone());
            let leapt = zone.preceding(due.checked_add(jiff::Span::new().seconds(1)).unwrap()).next();
            let right_after = leapt.is_some_and(|leap| leap.timestamp() == due);
            prop_assert!(right_after || (shown.hour(), shown.minute()) == (hour as i8, minute as i8));
            let next = cron.after(due, &zone).unwrap();
            prop_assert_ne!(next.to_zoned(zone.clone()).date(), shown.date());
        }
    }
}
