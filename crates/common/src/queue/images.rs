//! What was made last.

use std::collections::HashMap;

use serde::Serialize;

use super::{AssetState, LedgerEntry, Queue, QueueError, read::parse, replies::Replies};
use crate::{AssetKey, batch::Made};

/// An image that was paid for lately.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatestImage {
    /// The asset.
    pub key: AssetKey,
    /// The batch that paid.
    pub batch: String,
    /// The model.
    pub model: String,
    /// What was made.
    pub made: Made,
}

impl Queue {
    /// The images among the newest `look` entries of the ledger, newest first.
    pub async fn latest_images(&self, look: usize) -> Result<Vec<LatestImage>, QueueError> {
        let mut pipe = redis::pipe();
        pipe.xrevrange_count(self.keys.ledger(), "+", "-", look);
        let newest: Vec<(String, HashMap<String, String>)> = Replies::of(&pipe, self).await?.take()?;
        let mut paid: Vec<(AssetKey, LedgerEntry)> = Vec::new();
        for (_, fields) in newest {
            let Some(entry) = parse::<LedgerEntry>(fields.get("entry")) else { continue };
            let Ok(key) = AssetKey::try_from(entry.key.clone()) else { continue };
            if entry.kind == "settled" && !paid.iter().any(|(known, _)| *known == key) {
                paid.push((key, entry));
            }
        }
        let keys: Vec<AssetKey> = paid.iter().map(|(key, _)| key.clone()).collect();
        let states = self.assets(&keys).await?;
        let image = |((key, entry), state): ((AssetKey, LedgerEntry), Option<AssetState>)| {
            let AssetState { made, model, .. } = state?;
            Some(LatestImage { key, batch: entry.batch, model, made: made? })
        };
        Ok(paid.into_iter().zip(states).filter_map(image).collect())
    }
}
