//! Finds out whether the store answers, when nothing is written to it.

use std::{sync::Arc, time::Duration};

use pictor_common::store::StoreErrorKind;
use tracing::debug;

use crate::engine::Engine;

const EVERY: Duration = Duration::from_secs(2);
/// How old the last word may be before it is asked again, ms.
const WELL: u64 = 30_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks until the worker drains.
pub(crate) async fn run(engine: Arc<Engine>) {
    loop {
        let seen = engine.health.store_seen(engine.health.now());
        if !matches!(seen, Some((true, age)) if age < WELL) {
            ask(&engine).await;
        }
        tokio::select! {
            () = engine.draining.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn ask(engine: &Engine) {
    // Unlike a look at one object it also tells that the bucket is missing.
    let listed = tokio::time::timeout(PATIENCE, engine.store.list("", None, 1)).await;
    let did = match listed {
        Ok(Ok(_names)) => Ok(()),
        Ok(Err(error)) => {
            debug!(%error, "the store cannot be listed");
            Err(error.kind)
        }
        Err(_elapsed) => Err(StoreErrorKind::Unavailable),
    };
    engine.health.store(did);
}
