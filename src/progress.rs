//! Shows how a batch goes until it has ended.

use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pictor_common::{
    MicroUsd,
    batch::BatchId,
    queue::{BatchState, LaneState, Queue, QueueError, Which, Why, why},
};
use tokio_util::sync::CancellationToken;

use crate::{output::Output, waits};

const POLL: Duration = Duration::from_millis(300);
const LINE_EVERY: Duration = Duration::from_secs(10);
const LANES_EVERY: Duration = Duration::from_secs(5);

/// How watching ended.
#[derive(Debug)]
pub(crate) struct Watched {
    /// The batch as it was last seen.
    pub(crate) batch: BatchState,
    /// Why nothing can go on by itself, if that is why it ended.
    pub(crate) stuck: Option<String>,
}

/// What is watched, and until when.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    pub(crate) queue: &'a Queue,
    pub(crate) batch: &'a BatchId,
    pub(crate) output: &'a Output,
    pub(crate) stop: &'a CancellationToken,
    /// Lanes that work on it alone: when a person's word is wanted on all, watching ends.
    pub(crate) lanes: Option<&'a [String]>,
}

impl Watch<'_> {
    /// Watches until the batch has ended, is stuck, or a stop is asked for.
    pub(crate) async fn until_ended(&self) -> anyhow::Result<Watched> {
        let bar = self.output.terminal.then(bar).transpose()?;
        let begun = Instant::now();
        let mut pace = Pace::default();
        let mut said = Instant::now();
        let mut asked = None::<Instant>;
        let mut waits = None;
        let mut last = None;
        let watched = loop {
            match self.queue.batch(self.batch).await {
                Ok(Some(batch)) => last = Some(batch),
                Ok(None) => anyhow::bail!("batch {} is unknown", self.batch),
                // Redis may be away for a while; workers wait for it too.
                Err(QueueError::Redis(error)) if last.is_some() => tracing::debug!(%error, "cannot look"),
                Err(error) => return Err(error.into()),
            }
            let batch = last.clone().context("the batch was never seen")?;
            if asked.is_none_or(|at| at.elapsed() > LANES_EVERY) {
                asked = Some(Instant::now());
                waits = self.waits().await.unwrap_or(waits);
                if waits.is_none() && pace.stands(&batch) {
                    waits = self.kept().await.unwrap_or_default();
                    if waits.is_none() {
                        waits = self.stumbles(&batch).await.unwrap_or_default();
                    }
                }
            }
            pace.note(&batch, begun.elapsed());
            let message = pace.told(&batch, waits.as_ref().map(|wait| wait.reason.as_str()));
            if let Some(bar) = &bar {
                bar.set_length(batch.assets);
                bar.set_position(batch.assets - batch.open_assets());
                bar.set_message(message.clone());
            } else if said.elapsed() > LINE_EVERY {
                said = Instant::now();
                self.output.note(&format!(
                    "{} of {}  {message}",
                    batch.assets - batch.open_assets(),
                    batch.assets
                ));
            }
            let open = !batch.ended() || still_finishing(&batch);
            if batch.deadline.is_some_and(|deadline| now() >= deadline) && !batch.ended() {
                // Workers do this too, but none may be alive.
                let _later = self.queue.expire().await;
            }
            let stuck = waits.as_ref().filter(|wait| wait.for_good).map(|wait| wait.reason.clone());
            if !open || stuck.is_some() || self.stop.is_cancelled() {
                break Watched { stuck: stuck.filter(|_| !batch.ended()), batch };
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = self.stop.cancelled() => {}
            }
        };
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        Ok(watched)
    }

    /// Why lanes do not send; for good when all of ours wait for a person and nothing is out.
    async fn waits(&self) -> Result<Option<Wait>, QueueError> {
        let lanes = self.queue.lanes().await?;
        let ours: Vec<&LaneState> =
            lanes.iter().filter(|lane| self.lanes.is_none_or(|names| names.contains(&lane.name))).collect();
        let reasons: Vec<String> = ours
            .iter()
            .filter_map(|lane| Some(format!("{} waits: {}", lane.name, lane.paused.as_ref()?)))
            .collect();
        let for_good = self.lanes.is_some()
            && reasons.len() == ours.len()
            && ours.iter().all(|lane| lane.in_flight == 0);
        Ok((!reasons.is_empty()).then(|| Wait { reason: reasons.join("; "), for_good }))
    }

    /// What keeps all of it, such as that no worker is alive.
    async fn kept(&self) -> Result<Option<Wait>, QueueError> {
        let overview = self.queue.overview(Which::These(std::slice::from_ref(self.batch))).await?;
        let reasons = overview.batches.first().map(|view| why(view, &overview)).unwrap_or_default();
        // With a Redis of ours nobody else raises a cap, and running it again with a higher one goes on.
        let capped = |why: &Why| matches!(why, Why::BatchCap { .. } | Why::Budget { until: None, .. });
        let nothing_out = overview.batches.first().is_some_and(|view| view.state.reserved == MicroUsd::ZERO);
        let for_good = self.lanes.is_some() && nothing_out && reasons.iter().any(capped);
        let kept = reasons.into_iter().find(|why| {
            // That it is paused is said of the batch itself.
            !matches!(why, Why::Paused { .. }) && (why.wants_a_person() || why.blocks_until().is_some())
        });
        let told = kept.map(|why| waits::told(vec![why], &overview));
        Ok(told.map(|told| Wait { reason: format!("waits: {}", waits::first(&told)), for_good }))
    }

    /// What an open asset last stumbled over, where nothing moves.
    async fn stumbles(&self, batch: &BatchState) -> Result<Option<Wait>, QueueError> {
        let ended = batch.assets - batch.open_assets();
        let first = usize::try_from(ended.saturating_sub(ASKED)).unwrap_or(0);
        let keys = self.queue.members(self.batch, first, 2 * ASKED as usize).await?;
        let states = self.queue.assets(&keys).await?.into_iter().flatten();
        let open = states.filter(|state| matches!(state.phase.as_str(), "ready" | "claimed"));
        let last = open.filter_map(|state| state.failure).max_by_key(|failure| failure.at_ms);
        Ok(last.map(|failure| Wait {
            reason: format!("{}: {}", failure.class, failure.message),
            for_good: false,
        }))
    }
}

/// How long what was sent before a deadline is waited for.
const FINISHING: u64 = 600_000_000;

/// Whether something of a batch that is past its deadline is still on its way.
fn still_finishing(batch: &BatchState) -> bool {
    let lately = |expired: u64| now() < expired.saturating_add(FINISHING);
    batch.expired.is_some_and(lately) && batch.reserved > MicroUsd::ZERO
}

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0)
}

/// Assets around the first open one that are asked why they are not made.
const ASKED: u64 = 100;

#[derive(Debug)]
struct Wait {
    reason: String,
    for_good: bool,
}

fn bar() -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}")?;
    Ok(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style))
}

/// How fast a batch goes, over the last half minute.
#[derive(Debug, Default)]
struct Pace {
    seen: std::collections::VecDeque<(Duration, u64)>,
}

impl Pace {
    fn note(&mut self, batch: &BatchState, at: Duration) {
        self.seen.push_back((at, batch.assets - batch.open_assets()));
        while self.seen.front().is_some_and(|(then, _)| at.saturating_sub(*then) > Duration::from_secs(30)) {
            self.seen.pop_front();
        }
    }

    /// Whether nothing has ended for as long as is remembered, and some seconds at least.
    fn stands(&self, batch: &BatchState) -> bool {
        let ended = batch.assets - batch.open_assets();
        let since =
            self.seen.front().zip(self.seen.back()).map(|((from, _), (to, _))| to.saturating_sub(*from));
        since.is_some_and(|since| since >= LANES_EVERY / 2)
            && self.seen.iter().all(|(_, then)| *then == ended)
    }

    fn per_minute(&self) -> Option<f64> {
        let ((from, before), (to, now)) = (self.seen.front()?, self.seen.back()?);
        let seconds = to.saturating_sub(*from).as_secs_f64();
        (seconds > 0.0 && now > before).then(|| (now - before) as f64 * 60.0 / seconds)
    }

    fn told(&self, batch: &BatchState, waits: Option<&str>) -> String {
        let mut parts = Vec::new();
        if let Some(rate) = self.per_minute() {
            parts.push(format!("{rate:.0}/min"));
            let left = batch.open_assets() as f64 / rate * 60.0;
            if left >= 1.0 {
                parts.push(format!("{} left", waits::span(left.round() as u64)));
            }
        }
        parts.push(money(batch));
        let failed = batch.counts.failed + batch.counts.parked;
        if failed > 0 {
            parts.push(format!("{failed} failed"));
        }
        parts.extend(batch.held.as_ref().map(|_| crate::commands::batch::state_of(batch)));
        parts.extend(waits.map(str::to_owned));
        parts.join("  ")
    }
}

fn money(batch: &BatchState) -> String {
    if batch.reserved > MicroUsd::ZERO {
        format!("{} spent, {} set aside", batch.spent, batch.reserved)
    } else {
        format!("{} spent", batch.spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_is_that_of_the_last_half_minute() {
        let mut pace = Pace::default();
        let batch = |done| BatchState {
            assets: 1_000,
            counts: pictor_common::queue::Counts { done, ..Default::default() },
            spent: MicroUsd(40_000),
            ..Default::default()
        };
        for second in 0..=60 {
            // Nothing in the first half minute, then two a second.
            let done = if second < 30 { 0 } else { 2 * (second - 30) };
            pace.note(&batch(done), Duration::from_secs(second));
        }
        assert_eq!(pace.told(&batch(60), None), "120/min  7 min 50 s left  $0.04 spent");
    }
}
