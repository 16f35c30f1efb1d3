//! Brings the ledger to the store, so that it outlives Redis. One worker at a time has the turn.

use std::{sync::Arc, time::Duration};

use rand::Rng as _;
use tracing::{info, warn};

use crate::engine::Engine;

/// Most segments of one turn.
const MOST: u32 = 50;
/// How long to wait after a failure.
const AGAIN: Duration = Duration::from_secs(10);
/// How long a worker that stops tries to archive what is left.
const LAST: Duration = Duration::from_secs(10);

/// Takes turns until the worker drains.
pub(crate) async fn run(engine: Arc<Engine>) {
    let mut troubled = false;
    loop {
        let wait = match turn(&engine, false).await {
            Ok(wait) => {
                if troubled {
                    info!("the ledger is archived again");
                }
                troubled = false;
                wait.unwrap_or_default()
            }
            Err(error) => {
                if !troubled {
                    warn!(
                        error = format!("{error:#}"),
                        "cannot archive the ledger; it stays in Redis until that is mended"
                    );
                }
                troubled = true;
                AGAIN
            }
        };
        // Not everybody asks at once.
        let jitter = Duration::from_millis(rand::rng().random_range(20..500));
        tokio::select! {
            () = engine.draining.cancelled() => return,
            () = tokio::time::sleep(wait + jitter) => {}
        }
    }
}

/// Archives what is left, before the worker ends; what it cannot is for the next worker.
pub(crate) async fn last(engine: &Engine) {
    let archived = async {
        while turn(engine, true).await?.is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    match tokio::time::timeout(LAST, archived).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            warn!(error = format!("{error:#}"), "cannot archive the end of the ledger; the next worker does");
        }
        Err(_elapsed) => warn!("no time to archive the end of the ledger; the next worker does"),
    }
}

/// Archives what is new; where it is not this worker's turn, says how long to wait.
async fn turn(engine: &Engine, hurry: bool) -> anyhow::Result<Option<Duration>> {
    let (queue, owner, place) = (&engine.queue, &engine.incarnation, engine.archive.place());
    let mut turn = match queue.archive_turn(owner, &place, hurry).await? {
        Ok(turn) => turn,
        Err(wait) => return Ok(Some(wait)),
    };
    for left in (0..MOST).rev() {
        let entries = queue.unarchived(&turn).await?;
        engine.archive.write(&turn.epoch, &entries).await?;
        let over = left == 0 || entries.is_empty();
        let upto = entries.last().map_or(turn.after, |(id, _)| *id);
        match queue.archived(owner, &place, &turn, upto, engine.settings.keep_ledger, over).await? {
            Some(next) => turn = next,
            None => break,
        }
    }
    Ok(None)
}
