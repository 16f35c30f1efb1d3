//! Forgets what is archived: see [`crate::retention`], which writes it to the store first.

use std::{collections::HashMap, time::Duration};

use redis::AsyncCommands as _;

use super::{BatchState, Failure, Queue, QueueError, connection::micros, replies::Replies, script};
use crate::{AssetKey, batch::BatchId};

/// How long a turn lasts without a call.
const TURN: Duration = Duration::from_secs(600);

/// Whether something was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retired {
    /// So many changed.
    Ok(u64),
    /// Somebody else has the turn.
    Other,
    /// It is not as it was archived.
    Changed,
    /// An older version may be at work.
    Older,
}

/// A failure that may be forgotten.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct OldFailure {
    /// The asset.
    pub key: AssetKey,
    /// When it failed, µs since 1970.
    pub at: u64,
    /// Why.
    pub failure: Option<Failure>,
}

/// An entry of the stream of events: its id, and its fields.
pub type Event = (String, HashMap<String, String>);

impl Queue {
    pub(super) async fn retire(
        &self,
        mut request: serde_json::Value,
        owner: &str,
    ) -> Result<Retired, QueueError> {
        request["owner"] = owner.into();
        request["lasts"] = micros(TURN).into();
        let (word, count): (String, u64) =
            script::RETIRE.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(match word.as_str() {
            "ok" => Retired::Ok(count),
            "other" => Retired::Other,
            "older" => Retired::Older,
            _ => Retired::Changed,
        })
    }

    /// Takes the turn to forget; false while somebody else has it.
    pub async fn take_retiring_turn(&self, owner: &str) -> Result<bool, QueueError> {
        Ok(self.retire(serde_json::json!({ "turn": true }), owner).await? != Retired::Other)
    }

    /// Gives the turn back.
    pub async fn end_retiring_turn(&self, owner: &str) -> Result<(), QueueError> {
        let _was_mine = self.retire(serde_json::json!({ "over": true }), owner).await?;
        Ok(())
    }

    /// Forgets a batch as it was archived. Its failed assets stay failed, and are asked for by others alone.
    pub async fn retire_batch(
        &self,
        owner: &str,
        batch: &BatchState,
        failed: &[AssetKey],
    ) -> Result<Retired, QueueError> {
        let mut request = archived_as(batch);
        request["leave"] = serde_json::json!(failed);
        self.retire(request, owner).await
    }

    /// Whether a batch may go, as it was read: nothing is to be derived from it, and nobody is to be told that it ended.
    pub async fn may_retire(&self, batch: &BatchState) -> Result<bool, QueueError> {
        let mut request = archived_as(batch);
        request["look"] = true.into();
        Ok(self.retire(request, "").await? != Retired::Changed)
    }

    /// Takes failures off the list that failed at a moment or before. The assets stay failed.
    pub async fn retire_failures(
        &self,
        owner: &str,
        keys: &[AssetKey],
        upto: u64,
    ) -> Result<Retired, QueueError> {
        let request = serde_json::json!({ "failures": keys, "upto": upto.to_string() });
        self.retire(request, owner).await
    }

    /// Forgets events before an id.
    pub async fn retire_events(&self, owner: &str, before: &str) -> Result<Retired, QueueError> {
        self.retire(serde_json::json!({ "events": before }), owner).await
    }

    /// Batches by creation, the oldest first, from a place on.
    pub async fn oldest_batches(&self, from: usize, limit: usize) -> Result<Vec<BatchState>, QueueError> {
        let (first, last) = (from as isize, from.saturating_add(limit) as isize - 1);
        let ids: Vec<String> = self.connection.clone().zrange(self.keys.batches(), first, last).await?;
        let ids: Vec<BatchId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        self.batch_states(&ids).await
    }

    /// How many batches there are, how many failures are listed, and Redis' time in µs since 1970.
    pub async fn retirable(&self) -> Result<(u64, u64, u64), QueueError> {
        let mut pipe = redis::pipe();
        pipe.zcard(self.keys.batches()).zcard(self.keys.failures()).cmd("TIME");
        let mut replies = Replies::of(&pipe, self).await?;
        let (batches, failures) = (replies.take()?, replies.take()?);
        let (seconds, micros): (u64, u64) = replies.take()?;
        Ok((batches, failures, seconds * 1_000_000 + micros))
    }

    /// Failed assets that failed at a moment or before, the oldest first; parked ones are left out. The second is how many
    /// were looked at.
    pub async fn old_failures(
        &self,
        upto: u64,
        from: usize,
        limit: usize,
    ) -> Result<(Vec<OldFailure>, usize), QueueError> {
        let found: Vec<(String, f64)> = self
            .connection
            .clone()
            .zrangebyscore_limit_withscores(self.keys.failures(), "-inf", upto, from as isize, limit as isize)
            .await?;
        let looked = found.len();
        let found: Vec<(AssetKey, u64)> =
            found.into_iter().filter_map(|(key, at)| Some((key.try_into().ok()?, at as u64))).collect();
        let keys: Vec<AssetKey> = found.iter().map(|(key, _)| key.clone()).collect();
        let states = self.assets(&keys).await?;
        let old = found.into_iter().zip(states).filter_map(|((key, at), state)| {
            let state = state.filter(|state| state.phase == "failed")?;
            Some(OldFailure { key, at, failure: state.failure })
        });
        Ok((old.collect(), looked))
    }

    /// Events up to a moment in ms since 1970, the oldest first.
    pub async fn old_events(&self, upto_ms: u64, limit: usize) -> Result<Vec<Event>, QueueError> {
        let (name, upto) = (self.keys.events(), upto_ms.to_string());
        Ok(self.connection.clone().xrange_count(name, "-", upto, limit).await?)
    }
}

/// A batch as it was read.
fn archived_as(batch: &BatchState) -> serde_json::Value {
    serde_json::json!({
        "batch": batch.id, "completed": batch.completed.unwrap_or(0).to_string(), "done": batch.counts.done,
        "failed": batch.counts.failed,
    })
}
