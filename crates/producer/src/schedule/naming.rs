//! Names that carry a time: `nightly-{date}`.

use jiff::Zoned;

/// A text with its placeholders filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled(pub String);

/// A placeholder nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{{{0}}} is no placeholder; {{date}}, {{week}}, {{month}} and {{hour}} are")]
pub struct UnknownPlaceholder(String);

/// Fills `{date}`, `{week}`, `{month}` and `{hour}` by what a clock on the wall shows.
pub fn filled(text: &str, shown: &Zoned) -> Result<Filled, UnknownPlaceholder> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').ok_or_else(|| UnknownPlaceholder(after.to_owned()))?;
        out += before;
        out += &match name {
            "date" => shown.strftime("%Y-%m-%d").to_string(),
            "week" => shown.strftime("%G-W%V").to_string(),
            "month" => shown.strftime("%Y-%m").to_string(),
            "hour" => shown.strftime("%Y-%m-%dT%H").to_string(),
            other => return Err(UnknownPlaceholder(other.to_owned())),
        };
        rest = behind;
    }
    Ok(Filled(out + rest))
}

/// The batch of a schedule's due time: the same whoever fires it. A cron line has no seconds; a run by hand may, and two of
/// one minute are two.
#[must_use]
pub fn due_name(schedule: &str, due: &Zoned) -> String {
    let format = if due.second() == 0 { "%Y-%m-%dT%H%M" } else { "%Y-%m-%dT%H%M%S" };
    format!("{schedule}-{}", due.strftime(format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_by_the_clock_on_the_wall() {
        let night: Zoned = "2026-12-31T23:30:00Z[UTC]".parse().unwrap();
        let berlin = night.with_time_zone(jiff::tz::TimeZone::get("Europe/Berlin").unwrap());
        let of = |text: &str, at: &Zoned| filled(text, at).unwrap().0;
        assert_eq!(of("nightly-{date}", &night), "nightly-2026-12-31");
        assert_eq!(of("nightly-{date}", &berlin), "nightly-2027-01-01");
        assert_eq!(of("{week}.{month}.{hour}", &berlin), "2026-W53.2027-01.2027-01-01T00");
        assert_eq!(of("plain", &night), "plain");
    }

    #[test]
    fn a_due_time_has_one_name_and_two_runs_by_hand_have_two() {
        let name = |at: &str| due_name("nightly", &at.parse().unwrap());
        assert_eq!(name("2026-11-22T03:00:00[UTC]"), "nightly-2026-11-22T0300");
        assert_eq!(name("2026-11-22T03:00:07[UTC]"), "nightly-2026-11-22T030007");
    }

    #[test]
    fn an_unknown_placeholder_is_named() {
        let now: Zoned = "2026-12-31T23:30:00Z[UTC]".parse().unwrap();
        let told = filled("x-{dat}", &now).unwrap_err().to_string();
        assert_eq!(told, "{dat} is no placeholder; {date}, {week}, {month} and {hour} are");
        assert!(filled("x-{date", &now).is_err());
    }
}
