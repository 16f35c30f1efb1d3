//! The time that is asked about, in days of a time zone.

use clap::Args;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use pictor_common::queue::LedgerEntry;

use crate::exit::refused;

#[derive(Debug, Args)]
pub(crate) struct Period {
    /// From the beginning of this day on, such as 2026-11-01
    #[arg(long, value_name = "DATE")]
    since: Option<Date>,
    /// Up to the end of this day
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
    /// Where days begin, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    time_zone: TimeZone,
}

/// A period as moments, µs since 1970.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) from: Option<u64>,
    to: Option<u64>,
    zone: TimeZone,
}

fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name)
        .map_err(|_unknown| format!("{name:?} is no time zone; write UTC, or a name such as Europe/Berlin"))
}

impl Period {
    pub(super) fn span(&self) -> anyhow::Result<Span> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since > until
        {
            return Err(refused(format!("--since {since} is after --until {until}")));
        }
        let start = |day: Date| -> anyhow::Result<u64> {
            let moment = day.to_zoned(self.time_zone.clone())?.timestamp();
            Ok(u64::try_from(moment.as_microsecond()).unwrap_or(0))
        };
        let end = self.until.map(Date::tomorrow).transpose()?;
        Ok(Span {
            from: self.since.map(start).transpose()?,
            to: end.map(start).transpose()?,
            zone: self.time_zone.clone(),
        })
    }
}

impl Span {
    /// Whether an entry was written in it.
    pub(super) fn has(&self, entry: &LedgerEntry) -> bool {
        let at = entry.moment();
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to)
    }

    /// The day of an entry.
    pub(super) fn day(&self, entry: &LedgerEntry) -> String {
        let moment = moment(entry).map(|moment| moment.to_zoned(self.zone.clone()).date().to_string());
        moment.unwrap_or_default()
    }
}

/// When an entry was written.
pub(super) fn moment(entry: &LedgerEntry) -> Option<Timestamp> {
    Timestamp::from_microsecond(i64::try_from(entry.moment()).ok()?).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::matching::tests::entry;
    use super::*;

    pub(crate) fn always() -> Span {
        Span { from: None, to: None, zone: TimeZone::UTC }
    }

    #[test]
    fn days_begin_where_the_zone_says() {
        let period = |since: &str, until: &str, name: &str| Period {
            since: since.parse().ok(),
            until: until.parse().ok(),
            time_zone: zone(name).unwrap(),
        };
        let at = |text: &str| {
            let moment: Timestamp = text.parse().unwrap();
            LedgerEntry { at: moment.as_microsecond().to_string(), ..entry("settled", "t", "r", 1) }
        };
        let late = at("2026-11-20T23:30:00Z");
        let utc = period("2026-11-20", "2026-11-20", "UTC").span().unwrap();
        let berlin = period("2026-11-20", "2026-11-20", "Europe/Berlin").span().unwrap();
        assert_eq!((utc.has(&late), utc.day(&late).as_str()), (true, "2026-11-20"));
        assert_eq!((berlin.has(&late), berlin.day(&late).as_str()), (false, "2026-11-21"));
        assert!(period("", "", "UTC").span().unwrap().has(&late));
        assert!(!period("2026-11-21", "", "UTC").span().unwrap().has(&late));
        let backwards = period("2026-11-21", "2026-11-20", "UTC").span().unwrap_err();
        assert_eq!(backwards.to_string(), "--since 2026-11-21 is after --until 2026-11-20");
        assert!(zone("Middle/Earth").is_err());
    }
}
