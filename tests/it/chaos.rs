//! Faults at random times while work is under way: nothing is lost, and nothing is paid twice that need not be.
//!
//! Judged by the simulator's invoice, the store's objects and the ledger. Each scenario runs in small with every test
//! and at full size by `make prove-chaos-NAME`.

mod dice;
mod judge;
pub(crate) mod kill;
mod stage;

use std::time::Duration;

use dice::Dice;
use judge::{Judgement, judge};

/// What a scenario came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Played {
    pub(crate) seed: u64,
    pub(crate) faults: usize,
    pub(crate) judgement: Judgement,
    /// Fewest requests in flight and bodies part-received when a fault came.
    pub(crate) in_flight: u64,
    pub(crate) bodies: u64,
    pub(crate) recoveries: Vec<Duration>,
}

impl Played {
    fn saw(&mut self, (in_flight, bodies): (u64, u64)) {
        let fewer = |least: u64, now| if least == 0 { now } else { least.min(now) };
        self.in_flight = fewer(self.in_flight, in_flight);
        self.bodies = fewer(self.bodies, bodies);
    }

    fn slowest(&self) -> Duration {
        self.recoveries.iter().max().copied().unwrap_or_default()
    }

    fn median(&self) -> Duration {
        let mut times = self.recoveries.clone();
        times.sort();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}
