//! Reads what the rows of a batch ask for, without changing it.

use std::collections::HashMap;

use redis::AsyncCommands;

use super::{
    CHUNK, Queue, QueueError,
    packed::{asset_keys, unpack},
};
use crate::{
    AssetKey,
    batch::{BatchId, Line},
};

/// Last row, keys and packed lines.
type PackedChunk = (u64, Vec<u8>, Vec<u8>);

const KEY_BYTES: usize = 32;

impl Queue {
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
}
