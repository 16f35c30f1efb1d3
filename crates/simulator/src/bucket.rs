//! One limit: a bucket that drains continuously and is as deep as its window.

use std::time::Duration;

use crate::duration::seconds;

/// A limit in force.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) limit: u64,
    pub(crate) window: f64,
    /// The part of the limit that may be taken at once.
    pub(crate) depth: f64,
    /// Taken by others per window.
    pub(crate) foreign: f64,
}

/// How full a bucket was, at a time since the simulator began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    level: f64,
    at: Duration,
}

/// Why a bucket refuses, in the words of the API.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Full {
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) requested: u64,
    pub(crate) wait: Duration,
}

/// What headers say of a bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Until the bucket is empty again.
    pub(crate) reset: Duration,
}

/// Real waits are cut to whole milliseconds, so who obeys them may be that early.
const TOLERANCE_SECONDS: f64 = 0.001;

/// How long to wait, by the formula that fits the real messages.
pub(crate) fn wait(limit: u64, used: u64, requested: u64, window: f64) -> Duration {
    if limit == 0 {
        return Duration::ZERO;
    }
    seconds((used + requested).saturating_sub(limit) as f64 / limit as f64 * window)
}

impl Rule {
    fn per_second(&self) -> f64 {
        self.limit as f64 / self.window
    }
}

impl Bucket {
    /// Lets time pass.
    pub(crate) fn drain(&mut self, rule: &Rule, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        let rate = rule.per_second() - rule.foreign / rule.window;
        self.level = (self.level - passed * rate).clamp(0.0, rule.depth);
        self.at = self.at.max(now);
    }

    /// Says whether a request fits, without taking anything.
    pub(crate) fn check(&self, rule: &Rule, requested: u64) -> Result<(), Full> {
        let depth = rule.depth.max(requested as f64);
        let fits = self.level + requested as f64 <= depth + rule.per_second() * TOLERANCE_SECONDS;
        if requested <= rule.limit && fits {
            return Ok(());
        }
        let used =
            (rule.limit as f64 - depth.min(rule.limit as f64) + self.level - 1e-6).ceil().max(0.0) as u64;
        let wait = wait(rule.limit, used, requested, rule.window);
        Err(Full { limit: rule.limit, used, requested, wait })
    }

    pub(crate) fn take(&mut self, rule: &Rule, requested: u64) {
        self.level = (self.level + requested as f64).min(rule.depth.max(requested as f64));
    }

    pub(crate) fn read(&self, rule: &Rule) -> Reading {
        let free = (rule.depth - self.level + 1e-6).max(0.0) as u64;
        let reset = if rule.limit == 0 { Duration::ZERO } else { seconds(self.level / rule.per_second()) };
        Reading { limit: rule.limit, remaining: free.min(rule.limit), reset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::go_style;

    const MINUTE: f64 = 60.0;
    const DAY: f64 = 86_400.0;

    #[test]
    fn waits_fit_the_published_messages() {
        for (limit, used, requested, window, printed) in [
            (10_000, 6_701, 4_497, MINUTE, "7.188s"),
            (10_000, 8_554, 3_082, MINUTE, "9.816s"),
            (30_000, 29_937, 385, MINUTE, "644ms"),
            (30_000, 29_446, 821, MINUTE, "534ms"),
            (200_000, 150_974, 53_621, MINUTE, "1.378s"),
            (200_000, 200_000, 9_180, MINUTE, "2.754s"),
            (500_000, 500_000, 83_734, MINUTE, "10.048s"),
            (500, 500, 1, MINUTE, "120ms"),
            (3, 3, 1, MINUTE, "20s"),
            (10_000, 10_000, 1, DAY, "8.64s"),
            (200, 200, 1, DAY, "7m12s"),
            (50, 50, 1, DAY, "28m48s"),
            (5, 5, 1, MINUTE, "12s"),
            (250, 250, 1, MINUTE, "240ms"),
            (4_000, 4_000, 1, MINUTE, "15ms"),
        ] {
            assert_eq!(go_style(wait(limit, used, requested, window)), printed);
        }
    }

    fn rule(limit: u64) -> Rule {
        Rule { limit, window: MINUTE, depth: limit as f64, foreign: 0.0 }
    }

    #[test]
    fn drains_continuously_and_admits_after_the_wait_it_states() {
        let (rule, mut bucket) = (rule(5), Bucket::default());
        for _ in 0..5 {
            assert_eq!(bucket.check(&rule, 1), Ok(()));
            bucket.take(&rule, 1);
        }
        let full = bucket.check(&rule, 1).unwrap_err();
        assert_eq!((full.limit, full.used, full.requested, full.wait), (5, 5, 1, Duration::from_secs(12)));
        bucket.drain(&rule, Duration::from_secs(11));
        assert_eq!(bucket.check(&rule, 1).unwrap_err().used, 5);
        bucket.drain(&rule, Duration::from_secs(12));
        assert_eq!(bucket.check(&rule, 1), Ok(()));
        assert_eq!(bucket.read(&rule).reset, Duration::from_secs(48));
    }

    #[test]
    fn headers_agree_with_the_captured_ones() {
        let (rule, mut bucket) = (rule(500), Bucket::default());
        bucket.take(&rule, 1);
        let reading = bucket.read(&rule);
        assert_eq!((reading.remaining, go_style(reading.reset)), (499, "120ms".to_owned()));
    }

    #[test]
    fn a_quantum_is_shallow_and_others_fill_the_bucket() {
        let quantised = Rule { depth: 1.0, ..rule(60) };
        let mut bucket = Bucket::default();
        bucket.take(&quantised, 1);
        let full = bucket.check(&quantised, 1).unwrap_err();
        assert_eq!((full.used, full.wait), (60, Duration::from_secs(1)));

        let crowded = Rule { foreign: 90.0, ..rule(60) };
        let mut bucket = Bucket::default();
        bucket.drain(&crowded, Duration::from_secs(120));
        assert_eq!(bucket.check(&crowded, 1).unwrap_err().used, 60);
    }

    #[test]
    fn what_can_never_fit_is_refused() {
        assert_eq!(Bucket::default().check(&rule(5), 6).unwrap_err().requested, 6);
        assert_eq!(Bucket::default().check(&rule(0), 1).unwrap_err().limit, 0);
    }
}
