//! Reads the state of assets, batches, failures and money, without changing it.

use std::collections::HashMap;

use redis::{AsyncCommands, Pipeline};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    CHUNK, Failure, Queue, QueueError,
    packed::{asset_keys, made_of, unpack},
    remove::{Removed, removed_of},
    replies::Replies,
    swap::{StandIn, is_of_money, stand_ins},
};
use crate::{
    AssetKey, MicroUsd, Spec,
    batch::{BatchId, Line, Made},
    derivative::Derivative,
};

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

/// Last row, keys and packed lines.
type PackedChunk = (u64, Vec<u8>, Vec<u8>);

const KEY_BYTES: usize = 32;
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

    /// The first row of a batch that asks for an asset.
    pub(super) async fn row_of(&self, batch: &BatchId, key: &AssetKey) -> Result<Option<u64>, QueueError> {
        Ok(self.rows_of(key, std::slice::from_ref(batch)).await?.pop().flatten())
    }

    /// Lines of a batch by row, from `first`, at most `limit` rows further, with what they asked for:
    /// [`Self::stand_ins`] knows what they have.
    pub async fn lines(&self, batch: &BatchId, first: u64, limit: u64) -> Result<Vec<Line>, QueueError> {
        let mut lines = Vec::new();
        let end = first.saturating_add(limit);
        let mut from = first;
        while from < end {
            let chunks = self.chunks_from(batch, from, (end - from).div_ceil(CHUNK as u64)).await?;
            let Some((last, ..)) = chunks.last() else { break };
            from = last + 1;
            for (_, keys, packed) in &chunks {
                let page = unpack(keys, packed)?.into_iter();
                lines.extend(page.filter(|line| (first..end).contains(&line.row)));
            }
        }
        Ok(lines)
    }

    /// A batch's first line that asks for an asset, among its first two hundred thousand. An asset that is made keeps no
    /// row of its own.
    pub(super) async fn line_with(
        &self,
        batch: &BatchId,
        key: &AssetKey,
    ) -> Result<Option<Line>, QueueError> {
        const CHUNKS: u64 = 32;
        let mut from = 0;
        for _page in 0..13 {
            let chunks = self.chunks_from(batch, from, CHUNKS).await?;
            let Some((last, ..)) = chunks.last() else { return Ok(None) };
            from = last + 1;
            for (_, keys, packed) in &chunks {
                let lines = unpack(keys, packed)?;
                let asked: Vec<AssetKey> = lines.iter().flat_map(|line| line.keys.clone()).collect();
                let others = self.stand_ins(batch, &asked).await?;
                let instead = others.iter().position(|other| other.as_ref() == Some(key));
                let wanted = instead.map_or(key, |place| &asked[place]);
                let found = lines.into_iter().find(|line| line.keys.contains(wanted));
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    /// Distinct assets of a batch in row order, from position `first`; those that stand in where others were asked for.
    pub async fn members(
        &self,
        batch: &BatchId,
        first: usize,
        limit: usize,
    ) -> Result<Vec<AssetKey>, QueueError> {
        let over = format!("({first}");
        let found: Vec<(u64, u64)> = self
            .connection
            .clone()
            .zrangebyscore_limit_withscores(self.keys.chunks(batch), over, "+inf", 0, 1)
            .await?;
        let Some(&(mut from, upto)) = found.first() else { return Ok(Vec::new()) };
        let mut members = Vec::new();
        let mut skip = None;
        while members.len() < limit {
            let chunks =
                self.chunks_from(batch, from, (limit - members.len()).div_ceil(CHUNK) as u64).await?;
            let Some((last, ..)) = chunks.last() else { break };
            from = last + 1;
            for (_, keys, _) in &chunks {
                let inside = || first.saturating_sub((upto as usize).saturating_sub(keys.len() / KEY_BYTES));
                let skipped = *skip.get_or_insert_with(inside);
                members.extend(asset_keys(keys).skip(skipped));
                skip = Some(0);
            }
        }
        members.truncate(limit);
        self.follow(batch, &mut members).await?;
        Ok(members)
    }

    /// Rows of some batches that ask for an asset first, where it is not made yet; in the order given.
    pub async fn rows_of(&self, key: &AssetKey, batches: &[BatchId]) -> Result<Vec<Option<u64>>, QueueError> {
        let mut connection = self.connection.clone();
        type Own = (Option<String>, Option<u64>, Option<String>);
        let ((first, row, route), more): (Own, HashMap<String, u64>) = redis::pipe()
            .hmget(self.keys.asset(key), &["batch", "row", "route"])
            .hgetall(self.keys.rows(key))
            .query_async(&mut connection)
            .await?;
        let mut rows = Vec::with_capacity(batches.len());
        for batch in batches {
            rows.push(match (&row, &route) {
                _ if first.as_deref() != Some(batch.as_str()) => more.get(batch.as_str()).copied(),
                (Some(row), _) => Some(*row),
                // Never claimed: its row is its place in the flow.
                (None, Some(route)) => {
                    let flow = self.keys.flow_named(route, batch);
                    connection.zscore::<_, _, Option<u64>>(flow, key.as_str()).await?
                }
                (None, None) => None,
            });
        }
        Ok(rows)
    }

    /// Chunks of a batch from the one that holds a row: last row, keys and packed lines.
    pub(super) async fn chunks_from(
        &self,
        batch: &BatchId,
        row: u64,
        count: u64,
    ) -> Result<Vec<PackedChunk>, QueueError> {
        type Entry = (String, HashMap<String, Vec<u8>>);
        let entries: Vec<Entry> = self
            .connection
            .clone()
            .xrange_count(self.keys.lines(batch), format!("{row}-0"), "+", count.max(1))
            .await?;
        let chunk = |(id, mut fields): Entry| {
            let last = id.split('-').next()?.parse().ok()?;
            Some((last, fields.remove("k")?, fields.remove("v")?))
        };
        Ok(entries.into_iter().filter_map(chunk).collect())
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
