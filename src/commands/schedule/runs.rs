//! What goes on of a schedule's times.

use pictor_common::queue::{BatchState, Queue, QueueError, ScheduleState};

/// The batch that was submitted last, as it is now.
pub(super) async fn newest(
    seen: &ScheduleState,
    queue: &Queue,
) -> Result<Option<(String, Option<BatchState>)>, QueueError> {
    let Some(name) = seen.batch.clone() else { return Ok(None) };
    let batch = match name.parse() {
        Ok(id) => queue.batch(&id).await?,
        Err(_odd) => None,
    };
    Ok(Some((name, batch)))
}

/// The batch of the run before, while it goes on. One that is paused goes on; one of which a part never came does not.
pub(super) async fn running(seen: &ScheduleState, queue: &Queue) -> Result<Option<BatchState>, QueueError> {
    let newest = newest(seen, queue).await?.and_then(|(_, batch)| batch);
    Ok(newest.filter(|batch| !batch.ended() && batch.sealed.is_some()))
}
