//! One look at a batch: counts, pace, time left, money, and why it waits.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use pictor_common::{
    MicroUsd,
    queue::{
        BatchView, LaneState, Overview, Queue, QueueError, Recent, Totals, Which, WorkerState,
        pace::{Eta, Projected, eta, projected},
        why,
    },
};
use serde::Serialize;

use crate::waits::{Told, told};

/// How often the ends of the streams are read.
const RECENT_EVERY: Duration = Duration::from_secs(5);
/// Pace is taken over so long, µs.
const MINUTE: u64 = 60_000_000;
/// After so long, what was seen here tells the pace better than the streams do, µs.
const ENOUGH: u64 = 15_000_000;

/// The queue at one moment, as far as it concerns what is watched.
#[derive(Debug, Serialize)]
pub(crate) struct Moment {
    /// µs since 1970 by Redis' clock.
    pub(crate) at: u64,
    pub(crate) batches: Vec<Frame>,
    pub(crate) lanes: Vec<LaneState>,
    pub(crate) workers: Vec<WorkerState>,
    pub(crate) money: Totals,
}

/// A batch at one moment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Frame {
    pub(crate) batch: String,
    pub(crate) tenant: String,
    pub(crate) band: String,
    pub(crate) state: String,
    pub(crate) assets: u64,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) parked: u64,
    /// Left to the batch's fallback; counted among the others as it ends.
    pub(crate) substituted: u64,
    pub(crate) replaced: u64,
    pub(crate) open: u64,
    pub(crate) waiting: u64,
    pub(crate) per_minute: Option<f64>,
    pub(crate) eta: Eta,
    pub(crate) spent: MicroUsd,
    pub(crate) reserved: MicroUsd,
    pub(crate) cap: Option<MicroUsd>,
    pub(crate) projected: Option<Projected>,
    pub(crate) why: Vec<Told>,
    pub(crate) created: u64,
    pub(crate) completed: Option<u64>,
}

impl Moment {
    /// What is seen of an overview.
    pub(crate) fn of(overview: Overview, recent: &HashMap<String, Recent>) -> Self {
        let batches = overview
            .batches
            .iter()
            .map(|view| Frame::of(view, &overview, recent.get(&view.state.id)))
            .collect();
        let Overview { now, lanes, workers, money, .. } = overview;
        Self { at: now, batches, lanes, workers, money }
    }

    /// Whether nothing more will happen by itself.
    pub(crate) fn all_ended(&self) -> bool {
        self.batches.iter().all(|frame| frame.state != "open")
    }

    /// Workers alive, their places, and how many are taken.
    pub(crate) fn places(&self) -> (usize, usize, usize) {
        let sum = |pick: fn(&WorkerState) -> usize| self.workers.iter().map(pick).sum();
        (self.workers.len(), sum(|worker| worker.beat.concurrency), sum(|worker| worker.beat.held))
    }
}

impl Frame {
    fn of(view: &BatchView, overview: &Overview, recent: Option<&Recent>) -> Self {
        let reasons = why(view, overview);
        let state = &view.state;
        // A batch younger than a minute had less than a minute to move.
        let age = overview.now.saturating_sub(state.created) as f64 / 1e6;
        let recent = recent.map(|recent| Recent { seconds: recent.seconds.min(age.max(1.0)), ..*recent });
        let recent = recent.as_ref();
        Self {
            batch: state.id.clone(),
            tenant: state.tenant.clone(),
            band: state.band.clone(),
            state: state.state.clone(),
            assets: state.assets,
            done: state.counts.done,
            failed: state.counts.failed,
            parked: state.counts.parked,
            substituted: state.substituted,
            replaced: state.replaced,
            open: if state.ended() { 0 } else { state.open_assets() },
            waiting: view.waiting(),
            per_minute: recent.and_then(Recent::per_minute),
            eta: eta(view, overview, &reasons, recent),
            spent: state.spent,
            reserved: state.reserved,
            cap: state.cap,
            projected: projected(view, recent),
            why: told(reasons, overview),
            created: state.created,
            completed: state.completed,
        }
    }
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Memory {
    seen: HashMap<String, VecDeque<(u64, u64)>>,
    recent: HashMap<String, Recent>,
    asked: Option<Instant>,
}

impl Memory {
    /// Looks again.
    pub(super) async fn look(&mut self, queue: &Queue, which: Which<'_>) -> Result<Moment, QueueError> {
        let overview = queue.overview(which).await?;
        self.told(queue, overview).await
    }

    /// What an overview tells, with what was seen before.
    pub(super) async fn told(&mut self, queue: &Queue, overview: Overview) -> Result<Moment, QueueError> {
        if self.asked.is_none_or(|at| at.elapsed() >= RECENT_EVERY) {
            self.asked = Some(Instant::now());
            self.recent = queue.recent(overview.now).await?;
        }
        let mut recent = self.recent.clone();
        for view in &overview.batches {
            let counts = view.state.counts;
            let ended = counts.done + counts.failed + counts.parked;
            if let Some((ended, seconds)) = self.note(&view.state.id, overview.now, ended) {
                let own = recent.entry(view.state.id.clone()).or_default();
                (own.ended, own.seconds) = (ended, seconds);
            }
        }
        Ok(Moment::of(overview, &recent))
    }

    /// Remembers how many had ended; how many ended since, and in how many seconds, once that says enough.
    fn note(&mut self, batch: &str, now: u64, ended: u64) -> Option<(u64, f64)> {
        let seen = self.seen.entry(batch.to_owned()).or_default();
        seen.push_back((now, ended));
        while seen.front().is_some_and(|(at, _)| now.saturating_sub(*at) > MINUTE) {
            seen.pop_front();
        }
        let (from, before) = *seen.front()?;
        let long = now.saturating_sub(from);
        (long >= ENOUGH).then(|| (ended.saturating_sub(before), long as f64 / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_is_that_of_the_last_minute() {
        let mut memory = Memory::default();
        let mut told = None;
        for second in 0..=120_u64 {
            // Nothing in the first minute, then two a second.
            told = memory.note("b", second * 1_000_000, 2 * second.saturating_sub(60));
            assert_eq!(told.is_some(), second >= 15);
        }
        assert_eq!(told, Some((120, 60.0)));
    }
}
