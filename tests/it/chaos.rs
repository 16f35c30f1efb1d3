//! Faults at random times while work is under way: nothing is lost, and nothing is paid twice that need not be.
//!
//! Judged by the simulator's invoice, the store's objects and the ledger. Each scenario runs in small with every test
//! and at full size by `make prove-chaos-NAME`.

#[cfg(target_os = "linux")]
pub(crate) mod clocks;
pub(crate) mod cut_off;
pub(crate) mod dice;
pub(crate) mod failover;
pub(crate) mod judge;
pub(crate) mod kill;
pub(crate) mod links;
pub(crate) mod redis_dies;
mod stage;
pub(crate) mod stopped;
pub(crate) mod store_away;
pub(crate) mod wiped;

use std::time::Duration;

use dice::Dice;
use judge::{Judgement, judge};
use stage::{Size, Stage};

/// What a scenario came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Played {
    scenario: &'static str,
    seed: u64,
    faults: usize,
    judgement: Judgement,
    /// Fewest requests in flight and bodies part-received when a fault came.
    in_flight: u64,
    bodies: u64,
    recoveries: Vec<Duration>,
    /// What the slowest recovery may take.
    bound: Duration,
}

impl Played {
    fn new(dice: &Dice, size: &Size) -> Self {
        Self {
            scenario: dice.scenario,
            seed: dice.seed,
            faults: size.faults,
            bound: size.recovers,
            ..Self::default()
        }
    }

    /// Waits until all is made, and judges it.
    #[expect(clippy::print_stdout, reason = "whoever plays a scenario by hand wants to see what came of it")]
    async fn end(&mut self, stage: &mut Stage) {
        stage.made().await;
        stage.all_work();
        self.judgement = judge(&stage.world, stage.assets).await;
        println!("{}: {self:?}", self.scenario);
    }

    fn saw(&mut self, (in_flight, bodies): (u64, u64)) {
        let fewer = |least: u64, now| if least == 0 { now } else { least.min(now) };
        self.in_flight = fewer(self.in_flight, in_flight);
        self.bodies = fewer(self.bodies, bodies);
    }

    /// Asserts that every recovery was quick enough; apart from the rest, so that a slow one is on record.
    pub(crate) fn in_time(&self) {
        assert!(self.slowest() <= self.bound, "{}: {:?} of {:?}", self.scenario, self.recoveries, self.bound);
    }

    /// No worker died: nothing is paid twice, and nothing is in doubt.
    fn paid_once(&self) {
        let judged = &self.judgement;
        assert_eq!((judged.twice, judged.unknown), (0, 0), "{judged:?}");
    }

    fn slowest(&self) -> Duration {
        self.recoveries.iter().max().copied().unwrap_or_default()
    }

    fn median(&self) -> Duration {
        let mut times = self.recoveries.clone();
        times.sort();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    /// Its cells in the table of `docs/measured/chaos.md`, after that of the fault: what a scenario lost or paid twice
    /// without a reason in the ledger has failed it already.
    pub(crate) fn cells(&self) -> String {
        let Judgement { assets, billed, twice, unknown } = self.judgement;
        let recovered = match self.recoveries.len() {
            0 => "–".to_owned(),
            _ => format!("{:.1} s, {:.1} s", self.median().as_secs_f64(), self.slowest().as_secs_f64()),
        };
        format!(
            "{} | {assets} | {billed} | 0 | {twice} | {unknown} | {recovered} | {}, {} | {}",
            self.faults, self.in_flight, self.bodies, self.seed
        )
    }
}
