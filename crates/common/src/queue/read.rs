//! Reads the state of assets, failures and money, without changing it.

use std::collections::HashMap;

use redis::AsyncCommands;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    CHUNK, Failure, Queue, QueueError,
    packed::made_of,
    remove::{Removed, removed_of},
    swap::{StandIn, is_of_money, stand_ins},
};
use crate::{AssetKey, MicroUsd, Spec, batch::Made};

/// An asset as Redis knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AssetState {
    /// Its phase; `removed` where a person has removed its image.
    pub phase: String,
    /// Where it waits.
    pub route: String,
    /// The lane that has it, if one does.
    pub lane: Option<String>,
    /// Requests sent.
    pub attempts: u32,
    /// Requests whose outcome is unknown.
    pub unknowns: u32,
    /// What decides it, until it is made; then the JSON beside the image says it.
    pub spec: Option<Spec>,
    /// The model asked; also once it is made.
    pub model: String,
    /// What was made.
    pub made: Option<Made>,
    /// What was made and removed by a person since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
    /// Why it failed, or last stumbled.
    pub failure: Option<Failure>,
    /// What stands in for it in batches that allow that.
    pub stand_ins: Vec<StandIn>,
    /// Whether a request for it was or may have been paid for, and there is no image.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub perhaps_paid: bool,
    /// Whether it was refused for its content, by whatever it failed later.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

/// One entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// `settled`, `unknown`, `resolved`: an unknown that turned out, `remade`: its image was gone, and is made again, or
    /// `removed`: a person has removed its image.
    pub kind: String,
    /// The asset.
    pub key: String,
    /// The token it was sent with.
    pub token: String,
    /// Number of the attempt.
    pub attempt: String,
    /// Micro-USD.
    pub cost: String,
    /// The batch that paid.
    pub batch: String,
    /// Who asked.
    pub tenant: String,
    /// The lane.
    pub lane: String,
    /// The model.
    pub model: String,
    /// The provider's request id.
    pub request_id: String,
    /// When, µs since 1970.
    pub at: String,
    /// The day whose caps it counts against: that on which the money was set aside.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub day: String,
}

/// Money in the namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Charged, or possibly charged.
    pub spent: MicroUsd,
    /// Set aside for what is on its way.
    pub reserved: MicroUsd,
    /// The part of `spent` whose outcome is unknown.
    pub unknown: MicroUsd,
    /// The most that may be spent.
    pub cap: Option<MicroUsd>,
}

/// The phase of an asset whose image a person has removed.
pub const REMOVED: &str = "removed";

pub(super) fn parse<T: DeserializeOwned>(text: Option<&String>) -> Option<T> {
    text.and_then(|text| serde_json::from_str(text).ok())
}

pub(super) fn number(fields: &HashMap<String, String>, name: &str) -> Option<u64> {
    fields.get(name).and_then(|text| text.parse().ok())
}

impl Queue {
    /// Looks assets up; `None` for those Redis does not know. In the order given.
    pub async fn assets(&self, keys: &[AssetKey]) -> Result<Vec<Option<AssetState>>, QueueError> {
        let mut states = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(CHUNK) {
            let mut pipe = redis::pipe();
            for key in chunk {
                pipe.hgetall(self.keys.asset(key));
                pipe.mget(&[self.keys.spec(key), self.keys.made(key), self.keys.failure(key)]);
            }
            type Row = (HashMap<String, String>, Vec<Option<String>>);
            let flat: Vec<redis::Value> = pipe.query_async(&mut self.connection.clone()).await?;
            for (at, pair) in flat.chunks_exact(2).enumerate() {
                let row: Row = redis::from_redis_value(redis::Value::Array(pair.to_vec()))
                    .map_err(redis::RedisError::from)?;
                let key = &chunk[at];
                states.push(asset_state(key, &row.0, &row.1));
            }
        }
        Ok(states)
    }

    /// Whether a token is the one an asset is held with now.
    pub async fn owns(&self, key: &AssetKey, token: &str) -> Result<bool, QueueError> {
        let owner: Option<String> = self.connection.clone().hget(self.keys.asset(key), "token").await?;
        Ok(owner.as_deref() == Some(token))
    }

    /// Failed and parked assets, newest first, from position `first`.
    pub async fn failures(
        &self,
        first: usize,
        limit: usize,
    ) -> Result<Vec<(AssetKey, AssetState)>, QueueError> {
        let end = isize::try_from(first + limit).unwrap_or(isize::MAX).saturating_sub(1);
        let first = isize::try_from(first).unwrap_or(isize::MAX);
        let keys: Vec<String> = self.connection.clone().zrevrange(self.keys.failures(), first, end).await?;
        let keys: Vec<AssetKey> = keys.into_iter().filter_map(|key| AssetKey::try_from(key).ok()).collect();
        let states = self.assets(&keys).await?;
        Ok(keys.into_iter().zip(states).filter_map(|(key, state)| Some((key, state?))).collect())
    }

    /// How many failed and parked assets are listed.
    pub async fn failure_count(&self) -> Result<u64, QueueError> {
        Ok(self.connection.clone().zcard(self.keys.failures()).await?)
    }

    /// Money in the namespace.
    pub async fn totals(&self) -> Result<Totals, QueueError> {
        let fields: HashMap<String, String> = self.connection.clone().hgetall(self.keys.budget()).await?;
        Ok(totals_of(&fields))
    }

    /// Ledger entries after an id (`-` is the start), with their ids, in order.
    pub async fn ledger(&self, after: &str, limit: usize) -> Result<Vec<(String, LedgerEntry)>, QueueError> {
        let start = if after == "-" { after.to_owned() } else { format!("({after}") };
        let entries: Vec<(String, HashMap<String, String>)> =
            self.connection.clone().xrange_count(self.keys.ledger(), start, "+", limit).await?;
        Ok(entries.into_iter().filter_map(|(id, fields)| Some((id, parse(fields.get("entry"))?))).collect())
    }
}

pub(super) fn totals_of(fields: &HashMap<String, String>) -> Totals {
    let amount = |name: &str| MicroUsd(number(fields, name).unwrap_or(0));
    Totals {
        spent: amount("spent"),
        reserved: amount("reserved"),
        unknown: amount("unknown"),
        cap: number(fields, "cap").map(MicroUsd),
    }
}

fn asset_state(
    key: &AssetKey,
    fields: &HashMap<String, String>,
    texts: &[Option<String>],
) -> Option<AssetState> {
    let text_at = |i: usize| texts.get(i).and_then(Option::as_ref);
    let spec: Option<Spec> = parse(text_at(0));
    let made = fields.get("made").or_else(|| text_at(1)).and_then(|text| made_of(key, text));
    let (made, model) = made.map_or((None, None), |(made, model)| (Some(made), Some(model)));
    let is_made = made.is_some();
    let removed = removed_of(key, fields);
    let model = model.or_else(|| Some(removed.as_ref()?.model.clone()));
    // One attempt that made the image is not counted beside it.
    let paid = u32::from(fields.keys().any(|field| field.starts_with("paid:")));
    Some(AssetState {
        phase: fields.get("phase").cloned().or_else(|| removed.is_some().then(|| REMOVED.to_owned()))?,
        route: fields.get("route").cloned().unwrap_or_default(),
        lane: fields.get("lane").cloned(),
        attempts: number(fields, "attempts").and_then(|n| n.try_into().ok()).unwrap_or(paid),
        unknowns: number(fields, "unknowns").and_then(|n| n.try_into().ok()).unwrap_or(0),
        model: model.or_else(|| Some(spec.as_ref()?.model.clone())).unwrap_or_default(),
        spec,
        made,
        perhaps_paid: !is_made && removed.is_none() && fields.keys().any(|name| is_of_money(name)),
        removed,
        failure: parse(text_at(2)),
        stand_ins: stand_ins(fields),
        refused: fields.get("refused").is_some_and(|refused| refused == "content"),
    })
}
