//! What Redis knows is good for one epoch: a server that was wiped, replaced or restarted begins another.

use std::time::Duration;

use super::{Queue, QueueError, connection::micros, script};

/// From one beginning of a namespace, or start of its server, to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch(pub(super) String);

impl Epoch {
    /// When the namespace began, as segments of its ledger name it.
    #[must_use]
    pub fn begun(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }
}

impl Queue {
    /// The epoch now; to be asked before what is relied on later is looked up.
    pub async fn epoch(&self) -> Result<Epoch, QueueError> {
        let request = serde_json::json!({});
        Ok(Epoch(script::EPOCH.run(&self.connection, self.keys.prefix(), &request).await?))
    }

    /// Lets nothing be claimed or reaped for a time from now, as in a grace and no longer than one, while a server that
    /// went back in time is told what it has forgotten.
    pub async fn still_telling(&self, hold: Duration) -> Result<(), QueueError> {
        let request = serde_json::json!({ "grace": self.grace_micros(), "hold": micros(hold) });
        script::TELLING.run::<String>(&self.connection, self.keys.prefix(), &request).await?;
        Ok(())
    }

    /// The same queue, which submits in this epoch only: in another one it fails with [`QueueError::Forgot`].
    #[must_use]
    pub fn within(&self, epoch: &Epoch) -> Self {
        let mut within = self.clone();
        within.epoch = Some(epoch.clone());
        within
    }
}
