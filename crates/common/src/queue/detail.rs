//! One asset with everything that Redis knows of it, and who asked for it.

use std::collections::HashMap;

use serde::Serialize;

use super::{AssetState, BatchState, Queue, QueueError, read::number, replies::Replies};
use crate::{
    AssetKey, MicroUsd,
    batch::{BatchId, Line},
};

/// Batches that are named.
const ASKERS: isize = 100;

/// An asset and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AssetDetail {
    /// When this was read, µs since 1970 by Redis' clock.
    pub now: u64,
    /// The asset.
    pub state: AssetState,
    /// The most one request for it can cost.
    pub ceiling: MicroUsd,
    /// What proves the right to work on it, while somebody has it.
    pub token: Option<String>,
    /// The batch that pays for the attempt under way.
    pub payer: Option<String>,
    /// When its request may go out, while it is claimed, µs since 1970.
    pub slot: Option<u64>,
    /// When no answer can come any more, once it was sent, µs since 1970.
    pub deadline: Option<u64>,
    /// When the lease ends unless it is renewed, µs since 1970.
    pub lease_until: Option<u64>,
    /// When it is tried again, µs since 1970.
    pub retry_at: Option<u64>,
    /// When its doubt is judged next, µs since 1970.
    pub judged_at: Option<u64>,
    /// When it failed or was parked, µs since 1970.
    pub ended_at: Option<u64>,
    /// Tokens of attempts that were or may have been paid.
    pub paid_tokens: Vec<String>,
    /// Batches that ask for it, the first one first.
    pub batches: Vec<String>,
}

/// A batch that asks for an asset, with the first of its lines that does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// The batch.
    pub batch: String,
    /// Its state.
    pub state: String,
    /// Who asks.
    pub tenant: String,
    /// When it was opened, µs since 1970.
    pub created: u64,
    /// The first line that asks.
    pub line: Option<Line>,
}

impl Queue {
    /// Looks one asset up with everything that is known of it.
    pub async fn asset_detail(&self, key: &AssetKey) -> Result<Option<AssetDetail>, QueueError> {
        let Some(state) = self.assets(std::slice::from_ref(key)).await?.pop().flatten() else {
            return Ok(None);
        };
        let mut pipe = redis::pipe();
        pipe.cmd("TIME").hgetall(self.keys.asset(key)).zscore(self.keys.later(), key.as_str());
        pipe.zscore(self.keys.failures(), key.as_str()).zrange(self.keys.askers(key), 0, ASKERS - 1);
        let mut replies = Replies::of(&pipe, self).await?;
        let (seconds, micros): (u64, u64) = replies.take()?;
        let fields: HashMap<String, String> = replies.take()?;
        let moment = |at: Option<f64>| at.map(|at| at as u64);
        let retry_at = moment(replies.take()?);
        let ended_at = moment(replies.take()?);
        let mut detail = AssetDetail { retry_at, ended_at, ..of_fields(&fields) };
        detail.batches.extend(replies.take::<Vec<String>>()?);
        detail.now = seconds * 1_000_000 + micros;
        detail.state = state;
        if let Some(token) = &detail.token {
            let member = format!("{token} {key}");
            let mut pipe = redis::pipe();
            pipe.zscore(self.keys.leases(), &member).zscore(self.keys.doubt(), &member);
            let mut replies = Replies::of(&pipe, self).await?;
            detail.lease_until = moment(replies.take()?);
            detail.judged_at = moment(replies.take()?);
        }
        Ok(Some(detail))
    }

    /// The batches that ask for assets, the first hundred of each, in the order given.
    pub async fn asking(&self, keys: &[AssetKey]) -> Result<Vec<Vec<String>>, QueueError> {
        let mut pipe = redis::pipe();
        for key in keys {
            pipe.hget(self.keys.asset(key), "batch").zrange(self.keys.askers(key), 0, ASKERS - 1);
        }
        let mut replies = Replies::of(&pipe, self).await?;
        let mut asking = Vec::with_capacity(keys.len());
        for _ in keys {
            let first: Option<String> = replies.take()?;
            let more: Vec<String> = replies.take()?;
            asking.push(first.into_iter().filter(|id| !id.is_empty()).chain(more).collect());
        }
        Ok(asking)
    }

    /// Who asks for an asset: the batches named, with their first line for it.
    pub async fn asked(&self, key: &AssetKey, batches: &[String]) -> Result<Vec<Asked>, QueueError> {
        let ids: Vec<BatchId> = batches.iter().filter_map(|id| id.parse().ok()).collect();
        let mut asked = Vec::with_capacity(ids.len());
        for state in self.batch_states(&ids).await? {
            let BatchState { id, state, tenant, created, .. } = state;
            let Ok(batch) = id.parse() else { continue };
            let line = match self.row_of(&batch, key).await? {
                Some(row) => self.lines(&batch, row, 1).await?.pop(),
                None => self.line_with(&batch, key).await?,
            };
            asked.push(Asked { batch: id, state, tenant, created, line });
        }
        Ok(asked)
    }
}

fn of_fields(fields: &HashMap<String, String>) -> AssetDetail {
    let text = |name: &str| fields.get(name).filter(|text| !text.is_empty()).cloned();
    let paid = |name: &String| {
        let token = name.strip_prefix("paid:").or_else(|| name.strip_prefix("unknown:"));
        token.map(str::to_owned)
    };
    AssetDetail {
        ceiling: MicroUsd(number(fields, "ceiling").unwrap_or(0)),
        token: text("token"),
        payer: text("payer"),
        slot: number(fields, "slot"),
        deadline: number(fields, "deadline"),
        paid_tokens: fields.keys().filter_map(paid).collect(),
        batches: text("batch").into_iter().collect(),
        ..AssetDetail::default()
    }
}
