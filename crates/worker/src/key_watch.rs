//! Lets a lane go on that a refused key has paused, once this worker has another key; and offers a lane again for
//! which its own was refused.

use std::{sync::Arc, time::Duration};

use pictor_common::queue::QueueError;
use tracing::{debug, info};

use crate::engine::Engine;

const EVERY: Duration = Duration::from_secs(2);

/// Looks until the worker ends.
pub(crate) async fn run(engine: Arc<Engine>) {
    loop {
        if let Err(error) = round(&engine).await {
            debug!(%error, "cannot look for lanes that wait for a key");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn round(engine: &Engine) -> Result<(), QueueError> {
    if engine.other_profile().is_some() {
        return Ok(());
    }
    let lanes: Vec<_> = engine.lanes.values().collect();
    let names: Vec<&str> = lanes.iter().map(|lane| lane.name.as_str()).collect();
    let refused = engine.queue.refused_keys(&names).await?;
    let resumed = engine.queue.resumed_lanes(&names).await?;
    for ((lane, refused), resumed) in lanes.into_iter().zip(refused).zip(resumed) {
        let asked = refused.is_some() || engine.refused.has(&lane.name);
        let key = if asked { lane.provider.key().await } else { None };
        if engine.refused.look(&lane.name, key.as_deref(), resumed) {
            info!(lane = lane.name, "there is another API key, or the lane was resumed: it is tried again");
        }
        let (Some(refused), Some(key)) = (refused, key) else { continue };
        if key != refused && engine.queue.lift_key_pause(&lane.name, &refused).await? {
            info!(lane = lane.name, "there is another API key: the lane goes on");
        }
    }
    Ok(())
}
