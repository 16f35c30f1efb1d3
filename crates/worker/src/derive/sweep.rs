//! Makes what is missing of the derivatives of batches that have ended: whatever the handlers had no room for, images
//! that were there before, those that stand in for others, and those of workers that died or make no AVIF.

use std::{sync::Arc, time::Duration};

use pictor_common::{
    batch::BatchId,
    queue::{Derived, QueueError},
};
use rand::Rng as _;
use tracing::{debug, info, warn};

use super::{MAKES_AVIF, Pass, Tally};
use crate::engine::Engine;

/// For how long a batch is one worker's, unless it says so again.
const LEASE: Duration = Duration::from_secs(120);
const RENEW: Duration = Duration::from_secs(40);
/// When a batch is looked at again that met an outage.
const LATER: Duration = Duration::from_secs(60);
/// How long a stopping worker goes on with what it derives: it is waited for a little longer, to give back its turn.
const PATIENCE: Duration = Duration::from_secs(8);

/// Runs until the worker drains.
pub(crate) async fn run(engine: Arc<Engine>) {
    loop {
        let pause = Duration::from_millis(rand::rng().random_range(2_000..5_000));
        tokio::select! {
            () = engine.draining.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        // The images of another profile are in another store.
        if engine.other_profile().is_some() {
            continue;
        }
        match engine.queue.take_underived(LEASE, MAKES_AVIF).await {
            Ok(Some(batch)) => {
                if let Err(error) = sweep(&engine, &batch).await {
                    debug!(%error, %batch, "cannot say how its derivatives stand; they are looked at again");
                }
            }
            Ok(None) => {}
            Err(error) => debug!(%error, "cannot look for derivatives to be made"),
        }
    }
}

async fn sweep(engine: &Engine, id: &BatchId) -> Result<(), QueueError> {
    let Some(batch) = engine.queue.batch(id).await? else { return Ok(()) };
    let store = &engine.store;
    let pass =
        Pass { store, pool: &engine.deriver.pool, stop: &engine.draining, again: false, dry_run: false };
    let mut tally = Tally::default();
    let ended = tokio::select! {
        ended = pass.batch(&engine.queue, &batch, &mut tally, |_| ()) => ended,
        () = renewed(engine, id) => Ok(()),
        () = stopped(engine) => {
            tally.stopped = true;
            Ok(())
        }
    };
    engine.metrics.derived(tally.made);
    let derived = match ended {
        Ok(()) if tally.stopped => Derived::Later(Duration::ZERO),
        Ok(()) => {
            engine.metrics.not_derived(tally.failed);
            told(id, &tally);
            tally.derived()
        }
        Err(error) => {
            warn!(%error, batch = %id, "cannot make all derivatives now; they are looked at again in a minute");
            Derived::Later(LATER)
        }
    };
    engine.queue.tell_derived(id, derived, None).await.map(drop)
}

/// Says again and again that the batch is worked on; never ends.
async fn renewed(engine: &Engine, id: &BatchId) {
    loop {
        tokio::time::sleep(RENEW).await;
        if let Err(error) = engine.queue.tell_derived(id, Derived::GoesOn(LEASE), None).await {
            debug!(%error, "cannot renew");
        }
    }
}

/// Ends when a stopping worker has waited long enough.
async fn stopped(engine: &Engine) {
    engine.draining.cancelled().await;
    tokio::time::sleep(PATIENCE).await;
}

fn told(batch: &BatchId, tally: &Tally) {
    if tally.beyond > 0 {
        warn!(%batch, left = tally.beyond, "this worker makes no AVIF: it is left to those built with --features avif");
    }
    if let Some(first) = tally.problems.first() {
        warn!(%batch, failed = tally.failed, key = %first.key.short(), why = first.why, "derivatives cannot be made; pictor derive lists them and tries again");
    } else if tally.made > 0 {
        info!(%batch, made = tally.made, "derivatives made");
    }
}
