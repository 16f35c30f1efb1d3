//! Durations as servers write them: `1s`, `6m0s`, `120ms`, `51.84 seconds`, or bare seconds.

use std::time::Duration;

/// No wait a server asks for is believed beyond this.
const LONGEST: f64 = 24.0 * 3600.0;

/// Reads a text that is a duration and nothing else.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (duration, rest) = leading(text.trim())?;
    rest.is_empty().then_some(duration)
}

/// Reads the duration a text starts with, and gives the rest of it.
pub(crate) fn leading(text: &str) -> Option<(Duration, &str)> {
    let mut rest = text.trim_start();
    let mut seconds = None;
    while let Some((amount, tail)) = number(rest) {
        let tail_words = tail.trim_start();
        let letters = tail_words.find(|c: char| !c.is_alphabetic()).unwrap_or(tail_words.len());
        match unit_seconds(&tail_words[..letters]) {
            Some(unit) => {
                seconds = Some(seconds.unwrap_or(0.0) + amount * unit);
                rest = tail_words[letters..].trim_start();
            }
            // A number without a unit counts as seconds, but only by itself.
            None if seconds.is_none() => return Some((from_seconds(amount)?, tail)),
            None => break,
        }
    }
    Some((from_seconds(seconds?)?, rest))
}

/// A duration of so many seconds, capped; nothing for numbers that are none.
pub(crate) fn from_seconds(seconds: f64) -> Option<Duration> {
    (seconds.is_finite() && seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST)))
}

/// A number at the start of a text; a full stop after it does not belong to it.
fn number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let digits = text[..end].trim_end_matches('.');
    Some((digits.parse().ok()?, &text[digits.len()..]))
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "us" | "µs" => 1e-6,
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        for (text, millis) in [
            ("1s", 1000),
            ("6m0s", 360_000),
            ("120ms", 120),
            ("58.891s", 58_891),
            ("7m12s", 432_000),
            ("28m48s", 1_728_000),
            ("1h2m3.5s", 3_723_500),
            ("1h 2m 3s", 3_723_000),
            ("51.84 seconds", 51_840),
            (" 2 ", 2000),
            ("999999999s", 86_400_000),
        ] {
            assert_eq!(parse(text).map(|wait| wait.as_millis()), Some(millis), "{text}");
        }
        for text in ["", "soon", "-1", "5x", "s", "NaN", "1s later", "1..2s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn at_the_start_of_a_sentence() {
        assert_eq!(leading("12s. Visit us"), Some((Duration::from_secs(12), ". Visit us")));
        assert_eq!(leading("51.84 seconds.").map(|(wait, _)| wait), Some(Duration::from_millis(51_840)));
        assert_eq!(leading("20. Visit").map(|(wait, _)| wait), Some(Duration::from_secs(20)));
        assert_eq!(leading("a moment"), None);
    }
}
