//! Fires what was taken, and decides what becomes of a try in vain.

use std::time::Duration;

use pictor_common::queue::{Firing, Queue, ScheduleState};
use tokio_util::sync::CancellationToken;

use super::{
    alive::Alive,
    definition::{Outcome, Plan, Run, micros, moment},
    fire::{Fired, fire},
};
use crate::commands::Context;

/// How long what is being submitted when a stop is asked for may take.
pub(super) const FINISH: Duration = Duration::from_secs(30);
/// When to try again where something around Pictor is wrong: first, and at most; each time twice as long.
const AGAIN: Duration = Duration::from_secs(15);
const AGAIN_MOST: Duration = Duration::from_secs(600);
/// So often at least, also where the next time comes before.
const TRIES: u64 = 5;
const DAY: u64 = 86_400_000_000;

/// A due time that was taken.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) seen: &'a ScheduleState,
    pub(super) plan: &'a Plan,
    pub(super) due: u64,
    /// Tries in vain.
    pub(super) tries: u64,
    pub(super) firing: &'a Firing,
    /// The file may not be read here, and nobody else took it.
    pub(super) alone: bool,
}

impl Turn<'_> {
    /// Until when trying again makes sense.
    fn until(&self) -> u64 {
        let deadline = self.plan.deadline.as_ref();
        let deadline = deadline.map(|deadline| micros(deadline.moment(moment(self.due), &self.plan.zone)));
        self.plan.next(self.due).min(self.due + DAY).min(deadline.unwrap_or(u64::MAX))
    }
}

/// How long to wait for another try, if there is to be one.
fn pause(tries: u64, now: u64, until: u64) -> Option<Duration> {
    let doubled = AGAIN * (1 << tries.min(10));
    let pause = doubled.min(AGAIN_MOST);
    if now < until {
        let left = Duration::from_micros(until - now);
        return Some(pause.min(left.max(Duration::from_secs(1))));
    }
    (tries + 1 < TRIES).then_some(pause)
}

/// Fires what was taken, and says every few seconds that it is alive.
pub(super) async fn take(turn: &Turn<'_>, context: &Context, queue: &Queue) -> anyhow::Result<()> {
    let (name, token) = (turn.seen.name.as_str(), turn.firing.token.as_str());
    let alive = Alive::of(name, turn.firing, queue);
    let now = queue.clock().await?;
    let ended = tokio::select! {
        fired = Box::pin(fire(name, turn.plan, turn.due, now, context, queue)) => Some(fired),
        () = alive.lost() => None,
        () = late(&context.signals.stop) => {
            drop(alive);
            queue.return_schedule(name, token, None, None).await?;
            tracing::info!(schedule = name, "given back: another server goes on");
            return Ok(());
        }
    };
    drop(alive);
    let due = turn.plan.shown(turn.due);
    match ended {
        None => tracing::warn!(schedule = name, %due, "another server has it, or it was removed"),
        Some(Fired::Ended(run)) => end(turn, run, queue).await?,
        Some(Fired::Again(why)) => match pause(turn.tries, queue.clock().await?, turn.until()) {
            Some(pause) => {
                let seconds = pause.as_secs();
                tracing::warn!(schedule = name, %due, why, seconds, "cannot submit; trying again");
                queue.return_schedule(name, token, Some((pause, &why)), None).await?;
            }
            None => {
                let why = format!("{why} ({} tries)", turn.tries + 1);
                end(turn, Run::failed(turn.due, why), queue).await?;
            }
        },
    }
    Ok(())
}

async fn end(turn: &Turn<'_>, mut run: Run, queue: &Queue) -> anyhow::Result<()> {
    let (name, due) = (turn.seen.name.as_str(), turn.plan.shown(turn.due));
    if run.outcome == Outcome::Failed {
        if turn.alone {
            run.note += "; for minutes no other server took it";
        }
        tracing::error!(schedule = name, %due, why = run.note, "failed");
    } else {
        tracing::info!(schedule = name, %due, batch = run.batch, note = run.note, "done");
    }
    queue.end_schedule(name, &turn.firing.token, &run.json()?, run.batch.as_deref(), None).await?;
    Ok(())
}

async fn late(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(FINISH).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn trouble_of_hours_loses_no_night() {
        let (mut now, mut tries, mut pauses) = (0, 0, Vec::new());
        while let Some(pause) = pause(tries, now, DAY) {
            now += u64::try_from(pause.as_micros()).unwrap();
            tries += 1;
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses[..8], [15, 30, 60, 120, 240, 480, 600, 600]);
        assert!(now == DAY && tries > 140, "the last try is at the end: {now} {tries}");
    }

    #[test]
    fn a_time_that_is_made_up_for_late_is_tried_more_than_once() {
        let tries = (0..10).take_while(|tries| pause(*tries, DAY, DAY - SECOND).is_some()).count();
        assert_eq!(tries, 4);
        assert_eq!(pause(3, DAY - 5 * SECOND, DAY), Some(Duration::from_secs(5)));
    }
}
