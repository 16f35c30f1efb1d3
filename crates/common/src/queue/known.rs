//! How assets stand that are to be asked for.

use std::{borrow::Borrow, collections::HashMap};

use super::{CHUNK, Queue, QueueError};
use crate::AssetKey;

/// Askers beyond the first that are looked at.
const ASKERS: isize = 100;

/// What Redis knows of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its phase.
    pub phase: String,
    /// Nothing was sent for it, and no batch that is open asks for it: whoever asks next pays.
    pub unasked: bool,
    /// It is made, and Redis is about to forget it: what the store has of it is to be relied on.
    pub leaving: bool,
}

/// Phase, first asker, whether there are more, and whether it is to be forgotten.
type Fields = (Option<String>, Option<String>, Option<u8>, Option<String>);

impl Queue {
    /// What is known of some assets, in the order given; `None` for those nobody asked for.
    pub async fn known<K: Borrow<AssetKey>>(&self, keys: &[K]) -> Result<Vec<Option<Known>>, QueueError> {
        let mut all = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(CHUNK) {
            let mut exists = redis::cmd("EXISTS");
            for key in chunk {
                exists.arg(self.keys.asset(key.borrow()));
            }
            // Most of what is planned is new: one call says so for all of it.
            let known: usize = exists.query_async(&mut self.connection.clone()).await?;
            if known == 0 {
                all.extend(chunk.iter().map(|_| None));
                continue;
            }
            let mut pipe = redis::pipe();
            for key in chunk {
                pipe.hmget(self.keys.asset(key.borrow()), &["phase", "batch", "shared", "going"]);
            }
            let found: Vec<Fields> = pipe.query_async(&mut self.connection.clone()).await?;
            all.extend(self.with_askers(chunk, found).await?);
        }
        Ok(all)
    }

    async fn with_askers<K: Borrow<AssetKey>>(
        &self,
        keys: &[K],
        found: Vec<Fields>,
    ) -> Result<Vec<Option<Known>>, QueueError> {
        let unsent = |phase: &Option<String>| matches!(phase.as_deref(), Some("ready" | "claimed"));
        let firsts =
            found.iter().filter(|(phase, ..)| unsent(phase)).filter_map(|(_, first, ..)| first.clone());
        let mut open = HashMap::new();
        self.add_open(firsts.collect(), &mut open).await?;
        let is_open = |open: &HashMap<String, bool>, batch: &String| open.get(batch) == Some(&true);
        let mut unasked: Vec<bool> = found
            .iter()
            .map(|(phase, first, ..)| {
                unsent(phase) && !first.as_ref().is_some_and(|first| is_open(&open, first))
            })
            .collect();
        let shared: Vec<usize> = (0..found.len()).filter(|n| unasked[*n] && found[*n].2.is_some()).collect();
        if !shared.is_empty() {
            let mut pipe = redis::pipe();
            for n in &shared {
                pipe.zrange(self.keys.askers(keys[*n].borrow()), 0, ASKERS);
            }
            let more: Vec<Vec<String>> = pipe.query_async(&mut self.connection.clone()).await?;
            self.add_open(more.iter().flatten().cloned().collect(), &mut open).await?;
            for (n, askers) in shared.into_iter().zip(more) {
                unasked[n] = !askers.iter().any(|batch| is_open(&open, batch));
            }
        }
        let known = found.into_iter().zip(unasked);
        Ok(known
            .map(|((phase, _, _, going), unasked)| {
                Some(Known { phase: phase?, unasked, leaving: going.is_some() })
            })
            .collect())
    }

    /// Finds out which of some batches are open, unless it is known already.
    async fn add_open(
        &self,
        mut batches: Vec<String>,
        open: &mut HashMap<String, bool>,
    ) -> Result<(), QueueError> {
        batches.sort_unstable();
        batches.dedup();
        batches.retain(|batch| !open.contains_key(batch));
        if batches.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for batch in &batches {
            pipe.hget(self.keys.batch_named(batch), "state");
        }
        let states: Vec<Option<String>> = pipe.query_async(&mut self.connection.clone()).await?;
        open.extend(batches.into_iter().zip(states.iter().map(|state| state.as_deref() == Some("open"))));
        Ok(())
    }
}
