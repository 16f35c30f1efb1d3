//! What Redis knows is good for one epoch: a server that was wiped, replaced or restarted begins another.

use std::time::Duration;

use serde::Serialize;

use super::{Queue, QueueError, connection::micros, script};

/// From one beginning of a namespace, or start of its server, to the next.
#[derive(Clone, Debug)]
pub struct Epoch {
    pub(super) name: String,
    /// When it was asked for, µs since 1970 by Redis' clock; 0 where that does not matter.
    pub(super) looked: u64,
}

/// Whenever it was asked for.
impl PartialEq for Epoch {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Epoch {}

impl Epoch {
    /// When the namespace began, as segments of its ledger name it.
    #[must_use]
    pub fn begun(&self) -> &str {
        self.name.split(' ').next().unwrap_or_default()
    }
}

/// What a script asks for that must not rely on what Redis has forgotten: see `lua/prelude.lua`.
#[derive(Debug, Serialize)]
pub(super) struct Looked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    looked: Option<String>,
}

impl Queue {
    /// The epoch now; to be asked before what is relied on later is looked up.
    pub async fn epoch(&self) -> Result<Epoch, QueueError> {
        let request = serde_json::json!({});
        let (name, looked): (String, String) =
            script::EPOCH.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(Epoch { name, looked: looked.parse().unwrap_or_default() })
    }

    /// Lets nothing be claimed or reaped for a time from now, as in a grace and no longer than one, while a server that
    /// went back in time is told what it has forgotten.
    pub async fn still_telling(&self, hold: Duration) -> Result<(), QueueError> {
        let request = serde_json::json!({ "grace": self.grace_micros(), "hold": micros(hold) });
        script::TELLING.run::<String>(&self.connection, self.keys.prefix(), &request).await?;
        Ok(())
    }

    /// The epoch that this queue submits in, and when it was asked for.
    pub(super) fn looked(&self) -> Looked<'_> {
        let epoch = self.epoch.as_ref();
        Looked {
            epoch: epoch.map(|epoch| epoch.name.as_str()),
            looked: epoch.map(|epoch| epoch.looked.to_string()),
        }
    }

    /// The same queue, which submits in this epoch only, and for half a day: then it fails with [`QueueError::Forgot`].
    #[must_use]
    pub fn within(&self, epoch: &Epoch) -> Self {
        let mut within = self.clone();
        within.epoch = Some(epoch.clone());
        within
    }
}
