//! Says, while a due time is submitted, that whoever took it lives, so that nobody else submits it beside.

use std::time::Duration;

use pictor_common::queue::{Firing, Held, Queue, QueueError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// So long others leave a time to whoever took it; it says every third of that that it lives.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// Says so until it is dropped.
#[derive(Debug)]
pub(super) struct Alive {
    lost: CancellationToken,
    task: JoinHandle<()>,
}

impl Alive {
    pub(super) fn of(name: &str, firing: &Firing, queue: &Queue) -> Self {
        let lost = CancellationToken::new();
        let task = tokio::spawn(renewed(queue.own(), name.to_owned(), firing.clone(), lost.clone()));
        Self { lost, task }
    }

    /// Waits until another has the time, or the schedule is gone.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn renewed(queue: Queue, name: String, firing: Firing, lost: CancellationToken) {
    loop {
        tokio::time::sleep(firing.lease / 3).await;
        match queue.hold_schedule(&name, &firing, false, None).await {
            Ok(Held::Ours { .. }) => {}
            Ok(_) => return lost.cancel(),
            // Whoever takes over meanwhile submits the same batch.
            Err(QueueError::Redis(error)) => tracing::debug!(%error, "cannot say that it lives"),
            Err(_) => return lost.cancel(),
        }
    }
}
