//! What becomes of due times: fired, skipped, or waiting for the run before.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Most times that are made up for.
pub const MOST: usize = 100;
/// A time this late, in seconds, was missed: a server that restarts misses nothing.
const ON_TIME: i64 = 300;

/// What becomes of times at which nobody served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Misfire {
    /// They are skipped.
    Skip,
    /// The newest is fired, the others are skipped.
    #[default]
    Once,
    /// Each is fired, the oldest first.
    All,
}

/// What becomes of a time at which the run before goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// It is fired when that has ended.
    Queue,
    /// It is fired.
    Allow,
}

/// Both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// For missed times.
    pub misfire: Misfire,
    /// For times during a run.
    pub overlap: Overlap,
}

/// What is known when it is decided.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Due times that nobody decided on, in order.
    pub due: &'a [Timestamp],
    /// Now.
    pub now: Timestamp,
    /// The run before, while it goes on.
    pub running: Option<&'a str>,
    /// Times up to here waited for a run, and were not missed.
    pub waited: Timestamp,
}

/// A time that is not fired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The time.
    pub due: Timestamp,
    /// Why.
    pub why: String,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Fired now.
    pub fire: Option<Timestamp>,
    /// Not fired; earlier than what is fired or waits.
    pub passed: Vec<Passed>,
    /// Waits for the run before; looked at again later.
    pub waits: Option<Timestamp>,
}

impl Decision {
    /// Up to which time all is decided.
    #[must_use]
    pub fn upto(&self) -> Option<Timestamp> {
        self.fire.or_else(|| self.passed.last().map(|passed| passed.due))
    }
}

/// Decides on the oldest times that nobody decided on; what comes after is decided next time.
#[must_use]
pub fn decide(policy: Policy, situation: Situation<'_>) -> Decision {
    let mut decision = Decision::default();
    let late = |due: Timestamp| situation.now.as_second() - due.as_second() > ON_TIME;
    let missed = |due| due > situation.waited && late(due);
    for (at, due) in situation.due.iter().copied().enumerate() {
        let newer = situation.due.get(at + 1);
        let mut pass = |why: String| decision.passed.push(Passed { due, why });
        if missed(due) && policy.misfire == Misfire::Skip {
            pass("missed: nobody served".to_owned());
        } else if let Some(newer) = newer.filter(|_| missed(due) && policy.misfire == Misfire::Once) {
            pass(format!("missed: made up for by that of {newer}"));
        } else if let Some(running) = situation.running.filter(|_| policy.overlap != Overlap::Allow) {
            // Those that are made up for come one after the other.
            if policy.overlap == Overlap::Queue || policy.misfire == Misfire::All && late(due) {
                decision.waits = Some(due);
                return decision;
            }
            pass(format!("skipped: {running} goes on"));
        } else {
            decision.fire = Some(due);
            return decision;
        }
    }
    decision
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn decided(misfire: Misfire, overlap: Overlap, due: &[i64], now: i64, running: bool) -> Decision {
        let due: Vec<Timestamp> = due.iter().copied().map(at).collect();
        let running = running.then_some("nightly-1");
        let situation = Situation { due: &due, now: at(now), running, waited: Timestamp::UNIX_EPOCH };
        decide(Policy { misfire, overlap }, situation)
    }

    #[test]
    fn a_time_that_comes_is_fired_whatever_the_policy() {
        for misfire in [Misfire::Skip, Misfire::Once, Misfire::All] {
            for overlap in [Overlap::Skip, Overlap::Queue, Overlap::Allow] {
                let decision = decided(misfire, overlap, &[DAY], DAY + 1, false);
                assert_eq!(decision, Decision { fire: Some(at(DAY)), ..Decision::default() });
            }
        }
    }

    #[test]
    fn missed_times_go_by_the_policy() {
        let three = [DAY, 2 * DAY, 3 * DAY];
        let passed = |misfire| {
            let decision = decided(misfire, Overlap::Skip, &three, 3 * DAY + 3_600, false);
            (decision.fire, decision.passed.len())
        };
        assert_eq!(passed(Misfire::Skip), (None, 3));
        assert_eq!(passed(Misfire::Once), (Some(at(3 * DAY)), 2));
        assert_eq!(passed(Misfire::All), (Some(at(DAY)), 0));
        // The one that is on time is fired, and makes up for those before.
        let mixed = decided(Misfire::Skip, Overlap::Skip, &three, 3 * DAY + 60, false);
        assert_eq!((mixed.fire, mixed.passed.len()), (Some(at(3 * DAY)), 2));
    }

    #[test]
    fn a_run_that_goes_on_is_overlapped_by_policy_and_named() {
        let skip = decided(Misfire::Once, Overlap::Skip, &[DAY], DAY + 1, true);
        assert_eq!((skip.fire, skip.passed[0].why.as_str()), (None, "skipped: nightly-1 goes on"));
        let queue = decided(Misfire::Once, Overlap::Queue, &[DAY], DAY + 1, true);
        assert_eq!((queue.fire, queue.waits, queue.upto()), (None, Some(at(DAY)), None));
        assert_eq!(decided(Misfire::Once, Overlap::Allow, &[DAY], DAY + 1, true).fire, Some(at(DAY)));
    }

    #[test]
    fn nights_that_are_all_made_up_for_wait_for_one_another() {
        let two = [DAY, 2 * DAY];
        let decision = decided(Misfire::All, Overlap::Skip, &two, 2 * DAY + 3_600, true);
        assert_eq!((decision.waits, decision.passed.len()), (Some(at(DAY)), 0));
    }

    #[test]
    fn what_waited_was_not_missed() {
        let due = [at(DAY), at(2 * DAY)];
        let situation = Situation { due: &due, now: at(2 * DAY + 9_000), running: None, waited: at(2 * DAY) };
        let policy = Policy { misfire: Misfire::Skip, overlap: Overlap::Queue };
        assert_eq!(decide(policy, situation).fire, Some(at(DAY)));
    }

    proptest! {
        /// Going on until nothing is left decides each time once, in order; `all` fires each.
        #[test]
        fn each_time_is_decided_once(
            gaps in prop::collection::vec(1_i64..100_000, 1..20),
            late in 0_i64..100_000,
            misfire in prop::sample::select(vec![Misfire::Skip, Misfire::Once, Misfire::All]),
            overlap in prop::sample::select(vec![Overlap::Skip, Overlap::Queue, Overlap::Allow]),
        ) {
            let due: Vec<Timestamp> = gaps.iter().scan(0, |sum, gap| { *sum += gap; Some(at(*sum)) }).collect();
            let now = at(due.last().unwrap().as_second() + late);
            let (mut left, mut seen, mut fired) = (&due[..], Vec::new(), 0);
            while !left.is_empty() {
                let situation = Situation { due: left, now, running: None, waited: Timestamp::UNIX_EPOCH };
                let decision = decide(Policy { misfire, overlap }, situation);
                seen.extend(decision.passed.iter().map(|passed| passed.due));
                seen.extend(decision.fire);
                fired += usize::from(decision.fire.is_some());
                let upto = decision.upto().unwrap();
                left = &left[left.iter().filter(|due| **due <= upto).count()..];
            }
            prop_assert_eq!(&seen, &due);
            if misfire == Misfire::All {
                prop_assert_eq!(fired, due.len());
            }
            if misfire == Misfire::Once {
                prop_assert!(fired >= 1);
            }
        }
    }
}
