//! Finds assets by the first digits of their key or by the id of a line, within bounds.
//!
//! There is no index of either: what is looked through is what people ask about, namely what failed,
//! what is under way, and the newest batches.

use std::collections::BTreeSet;

use redis::AsyncCommands;
use serde::Serialize;

use super::{BatchState, Queue, QueueError};
use crate::{
    AssetKey,
    batch::{BatchId, Line},
};

/// Keys and lines that a call brings.
const PAGE: usize = 2_000;
/// Pages without a line after which a batch that is not sealed has no more: rows that were left out leave gaps.
const GAP: u32 = 10;
/// Failures, leases and retries that are looked through, each.
const MOST_KEYS: usize = 20_000;

/// What was found, and whether all was looked through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bounded<T> {
    /// What was found.
    pub found: Vec<T>,
    /// Whether there is more than was looked through.
    pub bounded: bool,
}

/// A line by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedLine {
    /// Its batch.
    pub batch: String,
    /// The line.
    pub line: Line,
}

impl Queue {
    /// Assets whose key starts with some digits: among failures, what is under way or tried again, and the
    /// first assets of some batches, at most `most` of those.
    pub async fn keys_starting(
        &self,
        digits: &str,
        batches: &[BatchId],
        most: usize,
    ) -> Result<Bounded<AssetKey>, QueueError> {
        let mut found = BTreeSet::new();
        let mut bounded = false;
        for name in [self.keys.failures(), self.keys.leases(), self.keys.later(), self.keys.doubt()] {
            bounded |= self.keys_in(&name, digits, MOST_KEYS, &mut found).await?.is_none();
        }
        let mut seen = 0;
        'batches: for batch in batches {
            for first in (0..).step_by(PAGE) {
                if seen >= most {
                    bounded = true;
                    break 'batches;
                }
                let page = self.members(batch, first, PAGE).await?;
                seen += page.len();
                let last = page.len() < PAGE;
                found.extend(page.into_iter().filter(|key| key.as_str().starts_with(digits)));
                if last {
                    break;
                }
            }
        }
        Ok(Bounded { found: found.into_iter().collect(), bounded })
    }

    /// Looks through a sorted set of keys, or of `token key`; how many it has, or none when those were too many.
    async fn keys_in(
        &self,
        name: &str,
        digits: &str,
        most: usize,
        found: &mut BTreeSet<AssetKey>,
    ) -> Result<Option<usize>, QueueError> {
        let mut seen = 0;
        while seen < most {
            let (first, last) = (seen as isize, seen.saturating_add(PAGE) as isize - 1);
            let page: Vec<String> = self.connection.clone().zrange(name, first, last).await?;
            let keys = page.iter().map(|name| name.rsplit_once(' ').map_or(name.as_str(), |(_, key)| key));
            let mine = keys.filter(|key| key.starts_with(digits));
            found.extend(mine.filter_map(|key| AssetKey::try_from(key.to_owned()).ok()));
            seen += page.len();
            if page.len() < PAGE {
                return Ok(Some(seen.min(most)));
            }
        }
        Ok(None)
    }

    /// Lines with an id, among the first `most` lines of some batches, with the assets they have.
    pub async fn lines_named(
        &self,
        id: &str,
        batches: &[BatchId],
        most: usize,
    ) -> Result<Bounded<NamedLine>, QueueError> {
        let mut found = Vec::new();
        let mut left = most;
        for BatchState { id: batch, sealed, .. } in self.batch_states(batches).await? {
            let Ok(name) = batch.parse() else { continue };
            let total = sealed.unwrap_or(u64::MAX);
            let (mut row, mut seen, mut empty) = (0, 0, 0);
            while seen < total && empty < GAP {
                if left == 0 {
                    return Ok(Bounded { found, bounded: true });
                }
                let page = self.lines(&name, row, PAGE as u64).await?;
                row += PAGE as u64;
                seen += page.len() as u64;
                empty = if page.is_empty() { empty + 1 } else { 0 };
                left = left.saturating_sub(page.len());
                for mut line in page.into_iter().filter(|line| line.id == id) {
                    self.follow(&name, &mut line.keys).await?;
                    found.push(NamedLine { batch: batch.clone(), line });
                }
            }
        }
        Ok(Bounded { found, bounded: false })
    }
}
