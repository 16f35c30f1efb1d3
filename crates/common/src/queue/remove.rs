//! Forgets images that a person removes from the store. What was paid for them stays in the ledger.

use std::collections::HashMap;

use redis::AsyncCommands as _;
use serde::Serialize;

use super::{Queue, QueueError, packed, read::number, script, submit::short_spec};
use crate::{
    AssetKey, Spec,
    batch::{BatchId, Made},
};

/// An image that a person has removed. Its asset is made again when it is submitted, and not before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Removed {
    /// When, µs since 1970.
    pub at: u64,
    /// What was made, and paid.
    pub made: Made,
    /// The model that made it.
    #[serde(skip)]
    pub model: String,
}

/// An image that is to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Removal<'a> {
    /// The asset.
    pub key: &'a AssetKey,
    /// What was made, as the caller saw it in Redis, or else in the store.
    pub made: &'a Made,
    /// What it was made of, where that is known: Redis keeps it, so that its lines can have another take.
    pub spec: Option<&'a Spec>,
    /// The model that made it.
    pub model: &'a str,
    /// The batch that paid for it, where that is known.
    pub payer: Option<&'a BatchId>,
    /// Whose batch that is.
    pub tenant: Option<&'a str>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// Redis has forgotten it; the store may now.
    Now,
    /// It had been removed before.
    Before,
    /// Another image stands since it was looked up.
    Changed,
    /// It is in this phase, or not all who asked for it have counted it yet.
    Busy(String),
    /// An older version may be at work, which does not know of it.
    Older,
}

#[derive(Serialize)]
struct RemoveRequest<'a> {
    key: &'a AssetKey,
    at: String,
    kept: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<String>,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payer: Option<&'a BatchId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
}

impl Queue {
    /// Forgets the image of an asset that is done, before it is taken out of the store: from then on nobody relies on it.
    ///
    /// Batches go on counting it, and the money stays spent; submitted again, it is made and paid as if it were new.
    pub async fn remove(&self, removal: &Removal<'_>) -> Result<Forgotten, QueueError> {
        let Removal { key, made, spec, model, payer, tenant } = *removal;
        // What the model said of it goes with it.
        let bare = Made { revised_prompt: None, mismatch: None, ..made.clone() };
        let kept = packed::made(key, model, &bare);
        let kept = kept.map_err(|source| QueueError::Answer { script: "remove", source })?;
        let spec = spec.map(short_spec).transpose()?;
        let request = RemoveRequest { key, at: made.at_ms.to_string(), kept, spec, model, payer, tenant };
        let answer: Vec<String> = script::REMOVE.run(&self.connection, self.keys.prefix(), &request).await?;
        let mut words = answer.into_iter();
        Ok(match words.next().as_deref() {
            Some("removed") => Forgotten::Now,
            Some("again") => Forgotten::Before,
            Some("changed") => Forgotten::Changed,
            Some("older") => Forgotten::Older,
            _ => Forgotten::Busy(words.next().unwrap_or_default()),
        })
    }

    /// When a person last removed an image of an asset, µs since 1970: also where Redis knows nothing else of it.
    pub async fn removed_at(&self, key: &AssetKey) -> Result<Option<u64>, QueueError> {
        Ok(self.connection.clone().hget(self.keys.asset(key), "gone").await?)
    }

    /// Says that the store has nothing any more of an image that was removed: until then, what is found of it is not believed.
    pub async fn end_removal(&self, key: &AssetKey) -> Result<(), QueueError> {
        let request = serde_json::json!({ "key": key, "over": true });
        let _answer: Vec<String> = script::REMOVE.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(())
    }
}

/// What was removed, by the hash of its asset: one that has a phase is being made again, or is.
pub(super) fn removed_of(key: &AssetKey, fields: &HashMap<String, String>) -> Option<Removed> {
    if fields.contains_key("phase") {
        return None;
    }
    let (made, model) = packed::made_of(key, fields.get("removed")?)?;
    Some(Removed { at: number(fields, "gone").unwrap_or(0), made, model })
}
