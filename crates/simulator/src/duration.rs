//! Durations as the API writes them: Go's form, in whole milliseconds.

use std::time::Duration;

/// Writes `15ms`, `7.188s`, `7m12s`, `1h2m3s`.
pub(crate) fn go_style(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let seconds = format!("{}.{:03}", millis / 1000 % 60, millis % 1000);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Seconds as a duration; what is negative or not a number is none.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_durations_as_go_does() {
        for (millis, text) in [
            (0, "0ms"),
            (15, "15ms"),
            (644, "644ms"),
            (1378, "1.378s"),
            (8640, "8.64s"),
            (12_000, "12s"),
            (20_000, "20s"),
            (58_891, "58.891s"),
            (360_000, "6m0s"),
            (432_000, "7m12s"),
            (1_728_000, "28m48s"),
            (3_723_000, "1h2m3s"),
        ] {
            assert_eq!(go_style(Duration::from_millis(millis)), text);
        }
    }
}
