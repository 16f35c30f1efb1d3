//! Assets of another model that stand in for those a batch asked for.
//!
//! A batch may name a fallback. When an asset fails for good, nothing was or may have been paid for it and its content
//! was not refused, the asset of that model takes its place in those batches that allow it. Others keep the failure.

use std::collections::HashMap;

use redis::AsyncCommands;
use serde::Serialize;

use super::{
    CHUNK, Queue, QueueError,
    finish::{Attempt, Ended, Unmade, ended},
    packed,
    replies::Replies,
    submit::short_spec,
};
use crate::{
    AssetKey,
    batch::{BatchId, NewAsset},
};

/// What the script answers when it needs more offers.
pub(super) const WANTS: &str = "wants";

/// So many may stand in one for another, and one that an older version did not count: as in `lua/swap.lua`.
const MAX_HOPS: usize = 9;

/// Before the model, in the hash of an asset that something stands in for.
const FIELD: &str = "sub:";

/// What a model would make in place of an asset.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The model.
    pub model: String,
    /// Its asset; none where it cannot make it.
    pub asset: Option<NewAsset>,
}

/// What became of a failed asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parted {
    /// It ended.
    Ended(Ended),
    /// Nothing was recorded yet: batches that ask for it name these models, for which there is no offer.
    Wants(Vec<String>),
}

/// An asset that stands in for another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StandIn {
    /// Its model.
    pub model: String,
    /// Its key.
    pub key: AssetKey,
}

/// An offer as the script reads it.
#[derive(Debug, Default, Serialize)]
pub(super) struct OfferArgs {
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<AssetKey>,
    spec: String,
    route: String,
    ceiling: String,
    tokens: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<String>,
}

impl OfferArgs {
    pub(super) fn of(offer: &Offer) -> Result<Self, QueueError> {
        let model = offer.model.clone();
        let Some(asset) = &offer.asset else { return Ok(Self { model, ..Self::default() }) };
        let made = asset.made.as_ref().map(|made| packed::made(&asset.key, &model, made)).transpose();
        Ok(Self {
            made: made.map_err(|source| QueueError::Answer { script: "fail", source })?,
            model,
            key: Some(asset.key.clone()),
            spec: short_spec(&asset.spec)?,
            route: asset.route.to_string(),
            ceiling: asset.ceiling.0.to_string(),
            tokens: asset.tokens.to_string(),
        })
    }
}

impl Queue {
    /// Records an attempt that made no image, of an asset that other models may make instead.
    ///
    /// What is offered takes the place of an asset that ends as failed in every batch whose fallback is that model.
    pub async fn part(
        &self,
        attempt: &Attempt,
        unmade: &Unmade<'_>,
        offers: &[Offer],
    ) -> Result<Parted, QueueError> {
        let offers = offers.iter().map(OfferArgs::of).collect::<Result<Vec<_>, _>>()?;
        let mut answer = self.end_attempt(attempt, unmade, Some(&offers)).await?;
        Ok(match answer.first().map_or("", String::as_str) {
            WANTS => Parted::Wants(answer.split_off(answer.len().min(2))),
            word => Parted::Ended(ended(word)),
        })
    }

    /// Whether anything stands, or stood, in for what a batch asked for.
    pub async fn has_stand_ins(&self, batch: &BatchId) -> Result<bool, QueueError> {
        Ok(self.connection.clone().exists(self.keys.swaps(batch)).await?)
    }

    /// What stands in for some assets that a batch asked for, in the order given; what stands in may have been replaced
    /// in turn, and then it is the last that is told.
    pub async fn stand_ins(
        &self,
        batch: &BatchId,
        keys: &[AssetKey],
    ) -> Result<Vec<Option<AssetKey>>, QueueError> {
        let mut connection = self.connection.clone();
        let name = self.keys.swaps(batch);
        let mut found = vec![None; keys.len()];
        if keys.is_empty() || !self.has_stand_ins(batch).await? {
            return Ok(found);
        }
        for (found, keys) in found.chunks_mut(CHUNK).zip(keys.chunks(CHUNK)) {
            let mut wanted: Vec<(usize, AssetKey)> = keys.iter().cloned().enumerate().collect();
            for _hop in 0..MAX_HOPS {
                let names: Vec<&str> = wanted.iter().map(|(_, key)| key.as_str()).collect();
                let others: Vec<Option<String>> = connection.hmget(&name, &names).await?;
                let followed = wanted
                    .iter()
                    .zip(others)
                    .filter_map(|((place, _), other)| Some((*place, AssetKey::try_from(other?).ok()?)));
                wanted = followed.collect();
                for (place, other) in &wanted {
                    found[*place] = Some(other.clone());
                }
                if wanted.is_empty() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Puts what stands in for assets into their place.
    pub(super) async fn follow(&self, batch: &BatchId, keys: &mut [AssetKey]) -> Result<(), QueueError> {
        let others = self.stand_ins(batch, keys).await?;
        for (key, other) in keys.iter_mut().zip(others) {
            if let Some(other) = other {
                *key = other;
            }
        }
        Ok(())
    }

    /// Phases of the assets of a model that stand in for others where a batch allows it; in the order given.
    pub async fn stand_in_phases(
        &self,
        keys: &[&AssetKey],
        model: &str,
    ) -> Result<Vec<Option<String>>, QueueError> {
        let mut phases = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(CHUNK) {
            let mut pipe = redis::pipe();
            for key in chunk {
                pipe.hgetall(self.keys.asset(key));
            }
            let all: Vec<HashMap<String, String>> = pipe.query_async(&mut self.connection.clone()).await?;
            let other = |fields: HashMap<String, String>| {
                let other = fields.get(&format!("{FIELD}{model}")).filter(|_| !spoken_for(&fields))?;
                AssetKey::try_from(other.clone()).ok()
            };
            let others: Vec<Option<AssetKey>> = all.into_iter().map(other).collect();
            let mut pipe = redis::pipe();
            for other in others.iter().flatten() {
                pipe.hget(self.keys.asset(other), "phase");
            }
            let mut replies = Replies::of(&pipe, self).await?;
            for other in others {
                phases.push(match other {
                    Some(_) => replies.take()?,
                    None => None,
                });
            }
        }
        Ok(phases)
    }
}

/// Whether a field of an asset's hash says that a request for it was or may have been paid for.
pub(super) fn is_of_money(name: &str) -> bool {
    name.starts_with("unknown:") || name.starts_with("paid:")
}

/// Whether an asset was or may have been paid for, or was refused for its content: then nothing stands in any more.
fn spoken_for(fields: &HashMap<String, String>) -> bool {
    fields.keys().any(|name| is_of_money(name))
        || fields.get("refused").is_some_and(|refused| refused == "content")
}

/// What stands in for an asset, by its hash.
pub(super) fn stand_ins(fields: &HashMap<String, String>) -> Vec<StandIn> {
    let told = |(name, key): (&String, &String)| {
        let model = name.strip_prefix(FIELD)?.to_owned();
        Some(StandIn { model, key: AssetKey::try_from(key.clone()).ok()? })
    };
    let mut all: Vec<StandIn> = fields.iter().filter_map(told).collect();
    all.sort_by(|a, b| a.model.cmp(&b.model));
    all
}
