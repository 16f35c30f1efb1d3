//! How long an asset waits before it is tried again: exponential backoff with full jitter.
//!
//! The only file that uses the `backoff` crate, and only its arithmetic.

use std::time::{Duration, Instant};

use backoff::{SystemClock, backoff::Backoff as _, exponential::ExponentialBackoff};

const BASE: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_secs(60);

/// The delay before the try that follows try number `attempt` (from 1).
///
/// `jitter` is a random number in `0..1`. All of the delay is random, so that assets which failed
/// together do not come back together.
#[must_use]
pub fn retry_delay(attempt: u32, jitter: f64) -> Duration {
    ceiling(attempt).mul_f64(jitter.clamp(0.0, 1.0))
}

fn ceiling(attempt: u32) -> Duration {
    let mut growing = ExponentialBackoff {
        current_interval: BASE,
        initial_interval: BASE,
        // The crate's own jitter spreads around the interval; full jitter is applied outside.
        randomization_factor: 0.0,
        multiplier: 2.0,
        max_interval: CAP,
        max_elapsed_time: None,
        start_time: Instant::now(),
        clock: SystemClock::default(),
    };
    // Beyond this many doublings the cap holds anyway.
    let steps = attempt.clamp(1, 10);
    (0..steps).filter_map(|_| growing.next_backoff()).last().unwrap_or(CAP).min(CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_up_to_the_cap() {
        let seconds: Vec<u64> = (0..9).map(|attempt| ceiling(attempt).as_millis() as u64 / 1000).collect();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(ceiling(u32::MAX), CAP);
    }

    #[test]
    fn jitter_is_full_and_deterministic() {
        assert_eq!(retry_delay(3, 0.0), Duration::ZERO);
        assert!(retry_delay(3, 0.5).abs_diff(Duration::from_secs(2)) < Duration::from_millis(1));
        assert!(retry_delay(3, 0.999) < ceiling(3));
        assert_eq!(retry_delay(3, 0.25), retry_delay(3, 0.25));
        assert_eq!(retry_delay(40, 7.0), CAP);
    }
}
