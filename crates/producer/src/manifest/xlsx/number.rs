//! The text of a number or a date, as a person would write it.

use jiff::{ToSpan as _, civil};

/// Digits that spreadsheets keep.
const DIGITS: usize = 15;
const TOO_MANY_DIGITS: f64 = 1e15;

/// A number in plain digits, rounded as spreadsheets show it: 0.3 where 0.30000000000000004 is kept.
pub(super) fn text(number: f64) -> String {
    let rounded = format!("{number:.*e}", DIGITS - 1).parse().unwrap_or(number);
    // Minus zero is zero.
    format!("{}", rounded + 0.0)
}

/// Whether a number has more digits than are kept, so that its last ones are wrong.
pub(super) fn is_inexact(number: f64) -> bool {
    number.abs() >= TOO_MANY_DIGITS
}

/// Whether a number in General format is shown as `1.2E+12`, and may have been typed so.
///
/// From 12 digits on it is shown so. A number like 4006381333931 was certainly typed in full; one
/// that ends in zeros may have been the text `1.2E12`.
pub(super) fn is_ambiguous(number: f64) -> bool {
    const SAYING: usize = 10;
    number.abs() >= 1e11 && text(number).trim_end_matches('0').len() < SAYING
}

/// A day or a time from its count of days; none where there is no such day.
pub(super) fn date(number: f64, since_1904: bool) -> Option<String> {
    let first = if since_1904 { civil::date(1904, 1, 1) } else { civil::date(1899, 12, 30) };
    // Spreadsheets believe in a 29th of February 1900; before it all days are one off.
    let days = if !since_1904 && (1.0..60.0).contains(&number) { number + 1.0 } else { number };
    if !(0.0..2_958_466.0).contains(&days) {
        return None;
    }
    let seconds = (days.fract() * 86_400.0).round();
    let moment =
        first.at(0, 0, 0, 0).checked_add((days.trunc() as i64).days().seconds(seconds as i64)).ok()?;
    let whole_day = seconds == 0.0;
    Some(match (days >= 1.0, whole_day) {
        (true, true) => moment.date().to_string(),
        (true, false) => moment.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        (false, _) => moment.strftime("%H:%M:%S").to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_out() {
        for (number, expected) in [
            (42.0, "42"),
            (-0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (1.1 * 1.1, "1.21"),
            (4_006_381_333_931.0, "4006381333931"),
            (1.2e12, "1200000000000"),
            (1e21, "1000000000000000000000"),
            (-1.5e-7, "-0.00000015"),
        ] {
            assert_eq!(text(number), expected);
        }
        assert!(is_inexact(1e15) && !is_inexact(999_999_999_999_999.0));
    }

    #[test]
    fn days_are_counted_as_spreadsheets_do() {
        for (number, since_1904, expected) in [
            (46_347.0, false, Some("2026-11-21")),
            (44_885.0, true, Some("2026-11-21")),
            (1.0, false, Some("1900-01-01")),
            (61.0, false, Some("1900-03-01")),
            (46_347.5, false, Some("2026-11-21 12:00:00")),
            (0.25, false, Some("06:00:00")),
            (-1.0, false, None),
            (1e300, false, None),
        ] {
            assert_eq!(date(number, since_1904).as_deref(), expected, "{number}");
        }
    }
}
