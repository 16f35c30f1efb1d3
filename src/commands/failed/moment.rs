//! Times as people say them: some hours ago, at six, on a day.

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use crate::exit::refused;

/// This moment, µs since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(0)
}

/// A time that lies behind: `2h`, `06:00`, a day, or a day and a time.
pub(super) fn behind(text: &str, now: u64) -> anyhow::Result<u64> {
    if let Some(long) = long(text.trim_start_matches('-')) {
        return Ok(now.saturating_sub(long));
    }
    said(text, now, -1).ok_or_else(|| wrong(text, "2h, 06:00, 2026-11-22 or 2026-11-22T06:00"))
}

/// A time to come: `+2h`, `06:00`, a day, or a day and a time.
pub(super) fn ahead(text: &str, now: u64) -> anyhow::Result<u64> {
    let at = match long(text.trim_start_matches('+')) {
        Some(long) => Some(now.saturating_add(long)),
        None => said(text, now, 1),
    };
    let at = at.ok_or_else(|| wrong(text, "+2h, 06:00, 2026-11-23 or 2026-11-23T06:00"))?;
    if at <= now {
        return Err(refused(format!("{text} is over: name a time to come, or leave --at out")));
    }
    Ok(at)
}

fn wrong(text: &str, right: &str) -> anyhow::Error {
    refused(format!("{text:?} is no time; write {right}"))
}

/// A number and its unit, in µs.
fn long(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].parse().ok()?;
    number.checked_mul(seconds)?.checked_mul(1_000_000).filter(|long| *long < 1 << 60)
}

/// A day, a time of it, or both, by the clock of this machine. A time alone is the nearest in a direction.
fn said(text: &str, now: u64, direction: i64) -> Option<u64> {
    let zone = TimeZone::system();
    let now = Timestamp::from_microsecond(i64::try_from(now).ok()?).ok()?;
    let at = if let Ok(at) = text.parse::<Timestamp>() {
        at
    } else if let (Ok(time), false) = (text.parse::<Time>(), text.contains('-')) {
        let today = now.to_zoned(zone.clone()).date().to_datetime(time).to_zoned(zone).ok()?;
        let is_right = (today.timestamp() > now) == (direction > 0);
        if is_right { today.timestamp() } else { today.checked_add(direction.days()).ok()?.timestamp() }
    } else if let (Ok(date), false) = (text.parse::<Date>(), text.contains(':')) {
        date.to_zoned(zone).ok()?.timestamp()
    } else {
        text.parse::<DateTime>().ok()?.to_zoned(zone).ok()?.timestamp()
    };
    u64::try_from(at.as_microsecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_219_200_000_000;

    #[test]
    fn times_are_read_as_people_say_them() {
        let hour = 3_600_000_000;
        assert_eq!(behind("2h", NOW).unwrap(), NOW - 2 * hour);
        assert_eq!(ahead("+90m", NOW).unwrap(), NOW + hour * 3 / 2);
        assert_eq!(ahead("1d", NOW).unwrap(), NOW + 24 * hour);
        assert_eq!(behind("2026-11-01T00:00:00Z", NOW).unwrap(), 1_793_491_200_000_000);
        for text in ["06:00", "23:59:30"] {
            let (before, after) = (behind(text, NOW).unwrap(), ahead(text, NOW).unwrap());
            assert!(before <= NOW && NOW < after && after - before <= 26 * hour, "{text}: {before} {after}");
        }
        assert!(behind("2026-11-01", NOW).unwrap() < behind("2026-11-02T00:00", NOW).unwrap());
    }

    #[test]
    fn what_is_no_time_or_over_is_refused() {
        for text in ["", "soon", "2x", "h", "-", "25:00", "99999999999999999999h", "é"] {
            assert!(ahead(text, NOW).is_err() && behind(text, NOW).is_err(), "{text}");
        }
        assert!(ahead("2020-01-01", NOW).unwrap_err().to_string().contains("is over"));
    }
}
