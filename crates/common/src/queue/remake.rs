//! Sets right what is not as the store has it: images that are gone are made again, and images that are there are not.

use serde::Serialize;

use super::{CHUNK, Queue, QueueError, days::Day, packed, script, submit::short_spec};
use crate::{
    AssetKey,
    batch::{BatchId, NewAsset},
    stamp::Stamp,
};

/// An asset that is done, and whose image is gone from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The asset.
    pub key: AssetKey,
    /// The batch's row that asks for it.
    pub row: u64,
    /// When the image that is gone was stored, ms since 1970, by what Redis has of it: one that was stored since stands.
    pub at_ms: u64,
    /// The model that made it.
    pub model: String,
    /// What is to be made; without it, the asset is only forgotten.
    pub asset: Option<NewAsset>,
}

/// What became of a lost asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Remade {
    /// It waits in the queue of the batch.
    Queued,
    /// Redis knows nothing of it but what was paid: submitted again, it is new.
    Forgotten,
    /// It was made again meanwhile, or is not done any more; it was left alone.
    Changed,
    /// More than a hundred batches ask for it: it was left alone.
    Crowd,
}

/// What became of an asset whose image was found in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is done by that image, and nothing was charged.
    Done,
    /// It was done already.
    Again,
    /// A request for it is out: its worker will end it.
    Busy,
    /// Redis does not know it.
    Missing,
}

#[derive(Serialize)]
struct Item<'a> {
    key: &'a AssetKey,
    row: String,
    at: String,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ceiling: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<String>,
}

#[derive(Serialize)]
struct RemakeRequest<'a> {
    batch: &'a BatchId,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct FoundRequest<'a> {
    key: &'a AssetKey,
    token: &'a str,
    cost: u64,
    made: String,
    days: Vec<Day>,
}

impl<'a> Item<'a> {
    fn of(lost: &'a Lost) -> Result<Self, QueueError> {
        let asset = lost.asset.as_ref();
        Ok(Self {
            key: &lost.key,
            row: lost.row.to_string(),
            at: lost.at_ms.to_string(),
            model: &lost.model,
            spec: asset.map(|asset| short_spec(&asset.spec)).transpose()?,
            route: asset.map(|asset| asset.route.as_str()),
            ceiling: asset.map(|asset| asset.ceiling.0.to_string()),
            tokens: asset.map(|asset| asset.tokens.to_string()),
        })
    }
}

impl Queue {
    /// Puts assets whose images are gone back into the queue of a batch; none when it is unknown or was cancelled.
    ///
    /// What was paid for them stays charged. They are claimed, paid and counted as if they were new, by this batch.
    pub async fn remake(&self, batch: &BatchId, lost: &[Lost]) -> Result<Option<Vec<Remade>>, QueueError> {
        let mut became = Vec::with_capacity(lost.len());
        for chunk in lost.chunks(CHUNK) {
            let items = chunk.iter().map(Item::of).collect::<Result<_, _>>()?;
            let request = RemakeRequest { batch, items };
            let answer: Vec<String> =
                script::REMAKE.run(&self.connection, self.keys.prefix(), &request).await?;
            if answer.len() != chunk.len() || matches!(answer[0].as_str(), "missing" | "cancelled") {
                return Ok(None);
            }
            became.extend(answer.iter().map(|word| match word.as_str() {
                "queued" => Remade::Queued,
                "forgotten" => Remade::Forgotten,
                "crowd" => Remade::Crowd,
                _ => Remade::Changed,
            }));
        }
        Ok(Some(became))
    }

    /// Makes an asset done by an image that stands in the store, of a request that is charged already.
    ///
    /// One that is not charged yet is [settled](Self::settle) instead.
    pub async fn found(&self, stamp: &Stamp) -> Result<Found, QueueError> {
        let Stamp { attempt, made } = stamp;
        let request = FoundRequest {
            key: &attempt.key,
            token: &attempt.token,
            cost: made.cost.0,
            made: kept(stamp)?,
            days: self.days(),
        };
        let answer: String = script::FOUND.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(match answer.as_str() {
            "done" => Found::Done,
            "again" => Found::Again,
            "busy" => Found::Busy,
            _ => Found::Missing,
        })
    }
}

fn kept(Stamp { attempt, made }: &Stamp) -> Result<String, QueueError> {
    packed::made(&attempt.key, &attempt.model, made)
        .map_err(|source| QueueError::Answer { script: "found", source })
}
