//! An order to end that came through Redis: nothing new is claimed, and once nothing is held the worker stops. Until
//! then the order can be taken back.

use std::time::Duration;

use pictor_common::queue::Drain;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{engine::Engine, held::Held};

/// Between two looks at whether anything is still held.
const LOOK: Duration = Duration::from_millis(100);

/// Whether this worker was told to end.
#[derive(Debug)]
pub(crate) struct Ending(watch::Sender<bool>);

impl Default for Ending {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Ending {
    /// Whether the order stands.
    pub(crate) fn is_told(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits while it stands.
    pub(crate) async fn not_told(&self) {
        let mut told = self.0.subscribe();
        drop(told.wait_for(|told| !told).await);
    }

    /// Waits until it stands and nothing is held.
    pub(crate) async fn came(&self, held: &Held) {
        let mut told = self.0.subscribe();
        loop {
            drop(told.wait_for(|told| *told).await);
            while self.is_told() {
                if held.count() == 0 {
                    return;
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

impl Engine {
    /// Notes what the last word from Redis said; whether that is news.
    pub(crate) async fn heed_drain(&self, order: Option<Drain>) -> bool {
        if self.draining.is_cancelled() || self.ending.is_told() == order.is_some() {
            return false;
        }
        self.ending.0.send_replace(order.is_some());
        let Some(Drain { by, why }) = order else {
            info!("told to go on");
            return true;
        };
        let unsent = self.held.unsent();
        let held = self.held.count();
        info!(by, why, held, "told to end: nothing new is claimed, what was sent is waited for");
        if let Err(error) = self.queue.release(&unsent).await {
            warn!(%error, "cannot give back unsent assets; they are made first");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_order_that_is_taken_back_ends_nothing() {
        let (ending, held) = (Ending::default(), Held::default());
        ending.not_told().await;
        ending.0.send_replace(true);
        assert!(ending.is_told());
        ending.0.send_replace(false);
        assert!(tokio::time::timeout(LOOK * 3, ending.came(&held)).await.is_err());
        ending.0.send_replace(true);
        assert!(tokio::time::timeout(LOOK * 3, ending.not_told()).await.is_err());
        ending.came(&held).await;
    }
}
