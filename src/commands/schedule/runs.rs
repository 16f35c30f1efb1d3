//! What became of a schedule's times, and what goes on of them.

use pictor_common::queue::{BatchState, Queue, QueueError, ScheduleState};

use super::definition::Run;

/// Runs looked through for the newest batch.
const LOOKED_AT: usize = 20;

/// The newest run that submitted something, and its batch as it is now.
pub(super) async fn newest(
    seen: &ScheduleState,
    queue: &Queue,
) -> Result<Option<(Run, Option<BatchState>)>, QueueError> {
    let runs = queue.schedule_runs(&seen.name, LOOKED_AT).await?;
    let Some(run) = runs.iter().filter_map(|text| Run::read(text)).find(|run| run.batch.is_some()) else {
        return Ok(None);
    };
    let batch = match run.batch.as_deref().and_then(|id| id.parse().ok()) {
        Some(id) => queue.batch(&id).await?,
        None => None,
    };
    Ok(Some((run, batch)))
}

/// The batch of the run before, while it goes on. One that is paused goes on; one of which a part never came does not.
pub(super) async fn running(seen: &ScheduleState, queue: &Queue) -> Result<Option<BatchState>, QueueError> {
    let newest = newest(seen, queue).await?.and_then(|(_, batch)| batch);
    Ok(newest.filter(|batch| !batch.ended() && batch.sealed.is_some()))
}
