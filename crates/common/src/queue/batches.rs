//! Reads the state of batches, without changing it.

use std::collections::HashMap;

use redis::{AsyncCommands, Pipeline};
use serde::Serialize;

use super::{
    Queue, QueueError,
    read::{number, parse},
    replies::Replies,
};
use crate::{MicroUsd, batch::BatchId, derivative::Derivative};

/// A batch as Redis knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BatchState {
    /// Its id.
    pub id: String,
    /// Who asks.
    pub tenant: String,
    /// How urgent it is.
    pub band: String,
    /// `open`, `complete` or `cancelled`.
    pub state: String,
    /// Why it is held, if it is.
    pub held: Option<String>,
    /// Where its lines came from.
    pub source: String,
    /// Column names of the manifest.
    pub columns: Vec<String>,
    /// Lines it was sealed with; `None` while it is still being submitted.
    pub sealed: Option<u64>,
    /// Distinct assets.
    pub assets: u64,
    /// Assets by how they ended.
    pub counts: Counts,
    /// Money.
    pub spent: MicroUsd,
    /// Money set aside.
    pub reserved: MicroUsd,
    /// The part of `spent` whose outcome is unknown.
    pub unknown: MicroUsd,
    /// What it may cost in all.
    pub cap: Option<MicroUsd>,
    /// The model that makes what the one that was asked cannot.
    pub fallback: Option<String>,
    /// What an unknown outcome leads to, where that was said of the batch: `retry` or `park`.
    pub on_unknown: Option<String>,
    /// What is derived from every image; rows may ask for more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derive: Option<Vec<Derivative>>,
    /// Assets that were left to that model.
    pub substituted: u64,
    /// Failures in whose place a person had something else made.
    pub replaced: u64,
    /// When it was opened, µs since 1970.
    pub created: u64,
    /// When it was complete or cancelled, µs since 1970.
    pub completed: Option<u64>,
    /// Where its assets wait.
    pub routes: Vec<String>,
    /// Why it was cancelled, if it was.
    pub reason: Option<String>,
    /// After when nothing more of it is sent, µs since 1970.
    pub deadline: Option<u64>,
    /// When it was given up for its deadline, µs since 1970.
    pub expired: Option<u64>,
    /// Why it was moved to its band, if it was.
    pub band_reason: Option<String>,
}

/// How the assets of a batch ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Made.
    pub done: u64,
    /// Failed for good.
    pub failed: u64,
    /// Given up with an unknown outcome.
    pub parked: u64,
}

impl BatchState {
    /// Assets still to be made.
    #[must_use]
    pub const fn open_assets(&self) -> u64 {
        self.assets.saturating_sub(self.counts.done + self.counts.failed + self.counts.parked)
    }

    /// Assets that were given up for the deadline.
    #[must_use]
    pub const fn past_deadline(&self) -> Option<u64> {
        match self.expired {
            Some(_) => Some(self.open_assets()),
            None => None,
        }
    }

    /// Whether nothing more will happen by itself.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.state != "open"
    }
}

impl Queue {
    /// One batch.
    pub async fn batch(&self, id: &BatchId) -> Result<Option<BatchState>, QueueError> {
        Ok(self.batch_states(std::slice::from_ref(id)).await?.pop())
    }

    /// Newest batches first.
    pub async fn batches(&self, limit: usize) -> Result<Vec<BatchState>, QueueError> {
        let last = isize::try_from(limit).unwrap_or(isize::MAX).saturating_sub(1);
        let ids: Vec<String> = self.connection.clone().zrevrange(self.keys.batches(), 0, last).await?;
        let ids: Vec<BatchId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        self.batch_states(&ids).await
    }

    /// Several batches in one round trip; those that are unknown are left out.
    pub async fn batch_states(&self, ids: &[BatchId]) -> Result<Vec<BatchState>, QueueError> {
        let mut pipe = redis::pipe();
        for id in ids {
            self.ask_batch(&mut pipe, id);
        }
        let mut replies = Replies::of(&pipe, self).await?;
        let mut batches = Vec::with_capacity(ids.len());
        for id in ids {
            batches.extend(take_batch(&mut replies, id)?);
        }
        Ok(batches)
    }

    /// Asks for a batch in a pipeline; [`take_batch`] takes the answer.
    pub(super) fn ask_batch(&self, pipe: &mut Pipeline, id: &BatchId) {
        pipe.hgetall(self.keys.batch(id));
    }
}

/// Takes a batch from the replies of a pipeline; none when it is unknown.
pub(super) fn take_batch(replies: &mut Replies, id: &BatchId) -> Result<Option<BatchState>, QueueError> {
    let fields: HashMap<String, String> = replies.take()?;
    Ok(batch_state(id, &fields))
}

fn batch_state(id: &BatchId, fields: &HashMap<String, String>) -> Option<BatchState> {
    if fields.is_empty() {
        return None;
    }
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let replaced = number(fields, "replaced").unwrap_or(0);
    Some(BatchState {
        id: id.to_string(),
        tenant: text("tenant"),
        band: text("band"),
        state: text("state"),
        held: fields.get("held").cloned(),
        source: text("source"),
        columns: parse(fields.get("columns")).unwrap_or_default(),
        sealed: number(fields, "sealed"),
        assets: number(fields, "assets").unwrap_or(0).saturating_sub(number(fields, "doubled").unwrap_or(0)),
        counts: Counts {
            done: number(fields, "done").unwrap_or(0),
            failed: number(fields, "failed").unwrap_or(0),
            parked: number(fields, "parked").unwrap_or(0),
        },
        spent: MicroUsd(number(fields, "spent").unwrap_or(0)),
        reserved: MicroUsd(number(fields, "reserved").unwrap_or(0)),
        unknown: MicroUsd(number(fields, "unknown").unwrap_or(0)),
        cap: number(fields, "cap").map(MicroUsd),
        fallback: fields.get("fallback").cloned(),
        on_unknown: fields.get("on_unknown").cloned(),
        derive: parse(fields.get("derive")),
        substituted: number(fields, "substituted").unwrap_or(0).saturating_sub(replaced),
        replaced,
        created: number(fields, "created").unwrap_or(0),
        completed: number(fields, "completed"),
        routes: text("routes").split_whitespace().map(str::to_owned).collect(),
        reason: fields.get("reason").cloned(),
        deadline: number(fields, "deadline"),
        expired: number(fields, "expired"),
        band_reason: fields.get("band_reason").cloned(),
    })
}
