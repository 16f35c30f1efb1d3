//! Keeps Redis small: what is old goes to the store and then from Redis, a step at a time, by one worker at a time.

use std::{sync::Arc, time::Duration};

use pictor_common::retention::{RetentionError, Retiring, Round};
use rand::Rng as _;
use tracing::{debug, info, warn};

use crate::engine::Engine;

/// Between two looks when nothing is to go, s.
const REST: std::ops::Range<u64> = 45..75;
/// Between two steps, so that what people ask comes in between.
const STEP: Duration = Duration::from_millis(500);

/// Goes on until the worker drains; ends at once where everything is kept.
pub(crate) async fn run(engine: Arc<Engine>) {
    if engine.settings.retention.is_off() {
        return;
    }
    let mut troubled = false;
    let mut round = Round::default();
    loop {
        let wait = match step(&engine, &mut round).await {
            Ok(true) => STEP,
            Ok(false) | Err(RetentionError::Other) => rest(),
            Err(error) => {
                if troubled {
                    debug!(%error, "still nothing can be archived");
                } else {
                    warn!(%error, "cannot archive what is old; it stays in Redis until that is mended");
                }
                troubled = true;
                rest()
            }
        };
        tokio::select! {
            () = engine.draining.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
    }
    if round.is_under_way()
        && let Err(error) = engine.queue.end_retiring_turn(&engine.incarnation).await
    {
        debug!(%error, "the turn to archive ends by itself");
    }
}

fn rest() -> Duration {
    Duration::from_secs(rand::rng().random_range(REST))
}

async fn step(engine: &Engine, round: &mut Round) -> Result<bool, RetentionError> {
    // The archive of another profile is in another store.
    if engine.other_profile().is_some() {
        *round = Round::default();
        return Ok(false);
    }
    let folder = engine.spool.dir();
    let retiring = Retiring {
        queue: &engine.queue,
        store: &engine.store,
        keep: &engine.settings.retention,
        owner: &engine.incarnation,
        folder: &folder,
    };
    let gone = retiring.step(round).await?;
    for batch in &gone.batches {
        info!(batch, "a batch is archived, and gone from Redis");
    }
    if gone.failures + gone.events > 0 {
        info!(failures = gone.failures, events = gone.events, "old failures and events are archived");
    }
    if gone.assets > 0 {
        info!(assets = gone.assets, "Redis has forgotten old images, which the store knows");
    }
    Ok(!gone.is_empty() || round.is_under_way())
}
