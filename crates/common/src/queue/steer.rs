//! What people do to batches and failures.

use serde::Serialize;

use super::{CHUNK, Queue, QueueError, script};
use crate::{
    AssetKey,
    batch::{Band, BatchId},
};

/// What is done to failed assets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureAction {
    /// Make them ready again, with attempts and unknowns counted anew.
    Retry,
    /// Take them off the list of failures.
    Discard,
}

/// What became of a move to another band; with the band it was in before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It moved.
    From(String),
    /// It was there already.
    Same,
    /// The batch has ended.
    Ended,
    /// The batch is unknown.
    Missing,
}

impl Queue {
    /// Moves an open batch's flow to another band, with a reason that people are shown.
    pub async fn prioritise(&self, batch: &BatchId, band: Band, reason: &str) -> Result<Moved, QueueError> {
        let request = serde_json::json!({ "batch": batch, "band": band, "reason": reason });
        let answer: (String, String) =
            script::PRIORITY.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(match answer.0.as_str() {
            "ok" => Moved::From(answer.1),
            "same" => Moved::Same,
            "ended" => Moved::Ended,
            _ => Moved::Missing,
        })
    }

    /// Cancels an open batch; false when it is unknown or already complete.
    pub async fn cancel(&self, batch: &BatchId, reason: &str) -> Result<bool, QueueError> {
        let request = serde_json::json!({ "batch": batch, "reason": reason });
        let answer: String = script::CANCEL.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(answer == "ok")
    }

    /// Ends batches that are past their deadline, as workers do; returns how many.
    pub async fn expire(&self) -> Result<u64, QueueError> {
        let request = serde_json::json!({ "limit": 100 });
        script::EXPIRE.run(&self.connection, self.keys.prefix(), &request).await
    }

    /// Holds a batch with a reason, or with `None` lets it go on; false when it is unknown.
    pub async fn hold(&self, batch: &BatchId, reason: Option<&str>) -> Result<bool, QueueError> {
        let request = serde_json::json!({ "batch": batch, "reason": reason.unwrap_or("") });
        let answer: String = script::HOLD.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(answer == "ok")
    }

    /// How often people have let some lanes go on.
    pub async fn resumed_lanes(&self, lanes: &[&str]) -> Result<Vec<u64>, QueueError> {
        if lanes.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for lane in lanes {
            pipe.hget(self.keys.lane(lane), "resumed");
        }
        let often: Vec<Option<u64>> = pipe.query_async(&mut self.connection.clone()).await?;
        Ok(often.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// Retries or discards failed and parked assets; returns how many changed.
    pub async fn act_on_failures(&self, keys: &[AssetKey], action: FailureAction) -> Result<u64, QueueError> {
        let mut changed = 0;
        for chunk in keys.chunks(CHUNK) {
            let request = serde_json::json!({ "keys": chunk, "action": action });
            let keys: Vec<String> = script::RETRY.run(&self.connection, self.keys.prefix(), &request).await?;
            changed += keys.len() as u64;
        }
        Ok(changed)
    }

    /// The same for failures that a person has seen: what was tried again since, and failed again, is left alone.
    /// With `due`, in µs since 1970, they are tried again then. Returns the keys that changed.
    pub async fn act_on_seen(
        &self,
        seen: &[(AssetKey, u64)],
        action: FailureAction,
        due: Option<u64>,
    ) -> Result<Vec<AssetKey>, QueueError> {
        let mut changed = Vec::new();
        for chunk in seen.chunks(CHUNK) {
            let (keys, at): (Vec<_>, Vec<_>) = chunk.iter().map(|(key, at)| (key, at.to_string())).unzip();
            let request = serde_json::json!({
                "keys": keys, "seen": at, "action": action, "due": due.map(|due| due.to_string()),
            });
            let keys: Vec<String> = script::RETRY.run(&self.connection, self.keys.prefix(), &request).await?;
            changed.extend(keys.into_iter().filter_map(|key| AssetKey::try_from(key).ok()));
        }
        Ok(changed)
    }
}
