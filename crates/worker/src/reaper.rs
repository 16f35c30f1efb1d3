//! Looks after what nobody holds any more, and after the spools of dead workers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use pictor_common::{
    MicroUsd,
    queue::{Attempt, Billed, Ended, Failure, Orphan, Outcome, QueueError, Unmade},
    stamp::Stamp,
    store::image_name,
};
use rand::Rng as _;
use tracing::{Instrument as _, info, warn};

use crate::{
    engine::{Engine, LEASE, wall_ms},
    health::Loop,
    trace,
};

const LIMIT: u32 = 100;
/// How long a look at the store may take for a verdict to follow from it.
const LOOK: Duration = Duration::from_secs(60);

/// Runs rounds, staggered, for as long as the worker lives: also in a drain Redis may go back in time, and be told.
pub(crate) async fn run(engine: Arc<Engine>) {
    let mut away = false;
    loop {
        let pause = rand::rng().random_range(1_000..2_000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let ended = round(&engine).await;
        engine.health.waits(Loop::Reaper);
        match ended {
            Ok(()) => away = false,
            Err(error) if !away => {
                warn!(%error, "cannot look after orphans: waiting for Redis");
                away = true;
            }
            Err(_still_away) => {}
        }
    }
}

async fn round(engine: &Arc<Engine>) -> Result<(), QueueError> {
    engine.health.beat(Loop::Reaper);
    // Our own first: after a sleep of the whole machine we must not take ourselves for dead.
    engine.queue.extend(&engine.held.all(), LEASE).await?;
    let reaped = engine.queue.reap(LIMIT).await?;
    // What follows may wait for the store.
    engine.health.waits(Loop::Reaper);
    let is_told = reaped.epoch.is_none_or(|epoch| engine.heed_beside(epoch));
    if reaped.requeued + reaped.orphaned > 0 {
        info!(given_back = reaped.requeued, orphaned = reaped.orphaned, "leases ended without their owner");
    }
    // What looks like an orphan may have ended, and Redis be about to hear of it.
    for orphan in reaped.orphans.into_iter().filter(|_| is_told) {
        let engine = Arc::clone(engine);
        // Looking may take long; the next round must not wait for it.
        let span = trace::attempt(&orphan.attempt);
        span.in_scope(|| trace::begun(orphan.attempt.attempt));
        let judging = async move {
            if let Err(error) = judge(&engine, &orphan).await {
                warn!(%error, key = %orphan.attempt.key, "cannot judge an orphan yet");
            }
        };
        tokio::spawn(judging.instrument(span));
    }
    Ok(())
}

/// An orphan is done if the store has its image; past its deadline, and nothing found, it is unknown.
async fn judge(engine: &Engine, orphan: &Orphan) -> Result<(), QueueError> {
    let Some(spec) = &orphan.spec else { return Ok(()) };
    let name = image_name(&orphan.attempt.key, spec);
    let began = Instant::now();
    let found = match engine.store.head(&name).await {
        Ok(found) => found.as_ref().and_then(Stamp::of),
        Err(error) => {
            // Without a look at the store nothing may be decided.
            warn!(%error, name, "cannot look for an orphan's image");
            return Ok(());
        }
    };
    let mine = found.as_ref().is_some_and(|stamp| stamp.attempt.token == orphan.attempt.token);
    if let Some(stamp) = &found {
        info!(key = %orphan.attempt.key, "an orphan's image is in the store");
        engine.settle_found(stamp).await?;
    }
    // Who was back meanwhile and has ended is remembered for two minutes only; another look comes.
    if began.elapsed() > LOOK {
        return Ok(());
    }
    if !mine && (orphan.last || found.is_some()) {
        declare_unknown(
            engine,
            &orphan.attempt,
            orphan.ceiling,
            "no answer came before the send deadline",
            true,
        )
        .await?;
    }
    Ok(())
}

/// Records that nobody knows whether an attempt was billed; `doubt` when said by who never held it.
pub(crate) async fn declare_unknown(
    engine: &Engine,
    attempt: &Attempt,
    ceiling: MicroUsd,
    why: &str,
    doubt: bool,
) -> Result<(), QueueError> {
    warn!(key = %attempt.key, token = attempt.token, why, "outcome unknown: it may have been billed");
    let failure = Failure {
        class: "unknown_outcome".to_owned(),
        message: why.to_owned(),
        model: attempt.model.clone(),
        attempt: attempt.attempt,
        at_ms: wall_ms(),
        ..Failure::default()
    };
    let unmade = Unmade {
        billed: Billed::Unknown,
        cost: ceiling,
        outcome: Outcome::Retry(Duration::ZERO),
        max_unknown: engine.settings.max_unknown,
        failure: &failure,
        pause: None,
        refusal: None,
        fault: None,
        doubt,
    };
    let ended = engine.queue.fail(attempt, &unmade).await?;
    // Whoever is back, or was faster, counts it.
    if ended != Ended::Lost {
        engine.metrics.ended(attempt, &unmade, ended);
    }
    engine.books.note_unmade(attempt, &unmade, ended);
    Ok(())
}
