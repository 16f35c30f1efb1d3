//! What happens when, decided by one number, so that it can happen again.

use std::{env, ops::Range, time::Duration};

/// Sets the number.
const VARIABLE: &str = "PICTOR_CHAOS_SEED";

/// A generator of the kind called splitmix64.
#[derive(Debug)]
pub(crate) struct Dice {
    pub(crate) scenario: &'static str,
    pub(crate) seed: u64,
    state: u64,
}

impl Dice {
    /// The number in the variable; else one that a scenario always has in small.
    #[expect(clippy::print_stdout, reason = "whoever sees a failure wants to see it again")]
    pub(crate) fn of(scenario: &'static str) -> Self {
        let seed = match env::var_os(VARIABLE) {
            Some(text) => {
                let number = text.to_str().and_then(|text| text.parse().ok());
                number.unwrap_or_else(|| panic!("{VARIABLE} must be a number, not {text:?}"))
            }
            None if env::var_os("PICTOR_PROVE").is_some() => ulid::Ulid::generate().timestamp_ms(),
            None => 1,
        };
        println!("{scenario}: seed {seed}; {VARIABLE}={seed} has the same faults at the same times");
        Self { scenario, seed, state: seed }
    }

    /// With a number that another one threw.
    pub(crate) fn seeded(scenario: &'static str, seed: u64) -> Self {
        Self { scenario, seed, state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of so many.
    pub(crate) fn one_of(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap();
        usize::try_from(self.next() % count).unwrap()
    }

    /// A time within a range.
    pub(crate) fn time(&mut self, range: &Range<Duration>) -> Duration {
        let span = range.end.saturating_sub(range.start);
        let share = f64::from(u32::try_from(self.next() >> 32).unwrap()) / f64::from(u32::MAX);
        range.start + span.mul_f64(share)
    }
}

#[test]
fn the_same_number_throws_the_same() {
    let throw = |seed| {
        let mut dice = Dice { scenario: "", seed, state: seed };
        let range = Duration::from_secs(5)..Duration::from_secs(15);
        (0..50).map(|_| (dice.one_of(4), dice.time(&range))).collect::<Vec<_>>()
    };
    assert_eq!(throw(7), throw(7));
    assert_ne!(throw(7), throw(8));
    assert!((0..4).all(|face| throw(7).iter().any(|(thrown, _)| *thrown == face)));
    assert!(throw(7).iter().all(|(_, time)| (5.0..=15.0).contains(&time.as_secs_f64())));
}
