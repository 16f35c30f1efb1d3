//! Lets a lane go on that a refused key has paused, once this worker has another key.

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
    for (lane, refused) in lanes.into_iter().zip(refused) {
        let Some(refused) = refused else { continue };
        let Some(key) = lane.provider.key().await else { continue };
        if key != refused && engine.queue.lift_key_pause(&lane.name, &refused).await? {
            info!(lane = lane.name, "there is another API key: the lane goes on");
        }
    }
    Ok(())
}
