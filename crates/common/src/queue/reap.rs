//! Looks after what nobody holds.

use std::time::Duration;

use serde::Deserialize;

use super::{Epoch, Queue, QueueError, connection::micros, finish::Attempt, script};
use crate::{AssetKey, MicroUsd, Spec};

/// How long another reaper leaves an orphan alone after one has taken it to look.
const AGAIN: Duration = Duration::from_secs(10);

/// An asset that was sent by an owner who is silent.
#[derive(Clone, Debug)]
pub struct Orphan {
    /// The silent attempt.
    pub attempt: Attempt,
    /// What was asked for; absent when Redis forgot it.
    pub spec: Option<Spec>,
    /// What one request can cost at most.
    pub ceiling: MicroUsd,
    /// The send deadline has passed: if the store has nothing now, the outcome is unknown.
    pub last: bool,
}

/// What a reaper's round did and found.
#[derive(Clone, Debug, Default)]
pub struct Reaped {
    /// Unsent assets given back.
    pub requeued: u64,
    /// Sent assets that became orphans.
    pub orphaned: u64,
    /// Due retries made ready.
    pub promoted: u64,
    /// Work-list items worked on.
    pub worked: u64,
    /// Flows that caps had held and that go on.
    pub resumed: u64,
    /// When the namespace began; none where it belongs to another profile.
    pub begun: Option<String>,
    /// In which epoch that is.
    pub epoch: Option<Epoch>,
    /// Orphans to look for in the store.
    pub orphans: Vec<Orphan>,
}

#[derive(Deserialize)]
struct Answer {
    requeued: u64,
    orphaned: u64,
    worked: u64,
    resumed: u64,
    promoted: u64,
    begun: Option<String>,
    epoch: Option<String>,
    #[serde(default)]
    look: Vec<Look>,
}

#[derive(Deserialize)]
struct Look {
    key: AssetKey,
    token: String,
    spec: String,
    payer: String,
    #[serde(default)]
    tenant: String,
    lane: String,
    attempt: u32,
    ceiling: String,
    last: bool,
}

impl Queue {
    /// Does one bounded round: expired leases, doubt, due retries, work-lists.
    pub async fn reap(&self, limit: u32) -> Result<Reaped, QueueError> {
        let request = serde_json::json!({
            "limit": limit, "grace": self.grace_micros(), "again": micros(AGAIN), "profile": self.profile,
            "days": self.days(),
        });
        let answer: Answer = script::REAP.ask(&self.connection, self.keys.prefix(), &request).await?;
        Ok(Reaped {
            requeued: answer.requeued,
            orphaned: answer.orphaned,
            promoted: answer.promoted,
            worked: answer.worked,
            resumed: answer.resumed,
            begun: answer.begun,
            epoch: answer.epoch.map(|name| Epoch { name, looked: 0 }),
            orphans: answer.look.into_iter().map(orphan).collect(),
        })
    }
}

fn orphan(look: Look) -> Orphan {
    let spec: Option<Spec> = serde_json::from_str(&look.spec).ok();
    Orphan {
        attempt: Attempt {
            key: look.key,
            token: look.token,
            attempt: look.attempt,
            payer: look.payer,
            tenant: look.tenant,
            lane: look.lane,
            model: spec.as_ref().map(|s| s.model.clone()).unwrap_or_default(),
            request_id: None,
        },
        spec,
        ceiling: MicroUsd(look.ceiling.parse().unwrap_or(0)),
        last: look.last,
    }
}
