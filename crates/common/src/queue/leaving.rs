//! Done assets that Redis may forget: which are old, which of them some batch asks for, and their going.

use std::{collections::HashMap, time::Duration};

use redis::AsyncCommands as _;

use super::{Queue, QueueError, Retired, connection::micros, script};
use crate::{AssetKey, batch::BatchId};

/// Keys of the namespace that are looked at in one call: other calls wait for it.
const LOOKED_AT: usize = 100;
/// Chunks of a batch that are read at once.
const CHUNKS: u64 = 16;

/// A done asset, and when its image was stored, ms since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldMade {
    /// The asset.
    pub key: AssetKey,
    /// When.
    pub at_ms: u64,
}

/// A part of the namespace that was looked through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Where the next part begins; none at the end.
    pub next: Option<String>,
    /// Done assets that came by; some may come by twice.
    pub done: u64,
    /// Those that are old.
    pub old: Vec<OldMade>,
    /// What stands in for something that failed, and is looked up there by whoever asks for that next.
    pub stand_ins: Vec<AssetKey>,
}

/// What some batches ask for, 16 bytes an asset: two of 2^64 assets would be taken for one another, and stay.
#[derive(Clone, Debug, Default)]
pub struct Wanted(Vec<u128>);

impl Wanted {
    fn digits(key: &[u8; 32]) -> u128 {
        key.first_chunk().map_or(0, |first| u128::from_be_bytes(*first))
    }

    /// Adds an asset; [`Self::sorted`] before anything is looked up.
    pub fn add(&mut self, key: &AssetKey) {
        self.0.push(Self::digits(&key.bytes()));
    }

    /// Makes what was added findable.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.0.sort_unstable();
        self.0.dedup();
        self
    }

    /// How many they are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Whether an asset is among them.
    #[must_use]
    pub fn has(&self, key: &AssetKey) -> bool {
        self.0.binary_search(&Self::digits(&key.bytes())).is_ok()
    }
}

impl Queue {
    /// Looks through a part of the namespace, from a cursor on, for assets whose images were stored at a moment or before.
    pub async fn scan_made(&self, from: Option<&str>, upto_ms: u64) -> Result<Scanned, QueueError> {
        let request = serde_json::json!({
            "cursor": from.unwrap_or("0"), "count": LOOKED_AT, "upto": upto_ms.to_string(),
        });
        type Answer = (String, u64, Vec<(String, String)>, Vec<String>);
        let (next, done, old, others): Answer =
            script::SCAN.run(&self.connection, self.keys.prefix(), &request).await?;
        let made = |(key, at): (String, String)| {
            Some(OldMade { key: key.try_into().ok()?, at_ms: at.parse().ok()? })
        };
        Ok(Scanned {
            next: Some(next).filter(|next| next != "0"),
            done,
            old: old.into_iter().filter_map(made).collect(),
            stand_ins: others.into_iter().filter_map(|key| key.try_into().ok()).collect(),
        })
    }

    /// All that the lines of the batches ask for that Redis has, and what stands in for it there.
    pub async fn wanted(&self) -> Result<Wanted, QueueError> {
        // All at once: by places, one that goes meanwhile would hide another.
        let batches: Vec<String> = self.connection.clone().zrange(self.keys.batches(), 0, -1).await?;
        let mut wanted = Wanted::default();
        for batch in batches.iter().filter_map(|batch| batch.parse().ok()) {
            self.add_wanted(&batch, &mut wanted).await?;
        }
        Ok(wanted.sorted())
    }

    async fn add_wanted(&self, batch: &BatchId, wanted: &mut Wanted) -> Result<(), QueueError> {
        let mut from = 0;
        loop {
            let chunks = self.chunks_from(batch, from, CHUNKS).await?;
            let Some((last, ..)) = chunks.last() else { break };
            from = last + 1;
            for (_, keys, _) in &chunks {
                wanted.0.extend(keys.as_chunks::<32>().0.iter().map(Wanted::digits));
            }
        }
        for name in [self.keys.swaps(batch), self.keys.redos(batch)] {
            let others: HashMap<String, String> = self.connection.clone().hgetall(name).await?;
            let words = others.values().flat_map(|others| others.split(' '));
            words.filter_map(|word| word.parse().ok()).for_each(|key| wanted.add(&key));
        }
        Ok(())
    }

    /// Begins to look for done assets that may go, unless that was done so short a time ago: tells by what name.
    pub async fn begin_round(&self, owner: &str, every: Duration) -> Result<RoundBegun, QueueError> {
        let request = serde_json::json!({ "every": micros(every) });
        Ok(match self.retire(request, owner).await? {
            Retired::Ok(at) => RoundBegun::Now(at),
            Retired::Changed => RoundBegun::Lately,
            Retired::Older => RoundBegun::Older,
            Retired::Other => RoundBegun::Other,
        })
    }

    /// Marks done assets, at most [`super::CHUNK`], as such that are to go. Whoever asks for one takes its mark away.
    pub async fn mark_made(&self, owner: &str, round: u64, keys: &[AssetKey]) -> Result<Retired, QueueError> {
        let request = serde_json::json!({ "round": round.to_string(), "mark": keys });
        self.retire(request, owner).await
    }

    /// Forgets done assets, at most [`super::CHUNK`], that still have the mark of a round and were stored at a moment or before;
    /// takes the mark from those that stay.
    pub async fn forget_made(
        &self,
        owner: &str,
        round: u64,
        upto_ms: u64,
        keys: &[AssetKey],
        stay: &[AssetKey],
    ) -> Result<Retired, QueueError> {
        let request = serde_json::json!({
            "round": round.to_string(), "upto": upto_ms.to_string(), "forget": keys, "stay": stay,
        });
        self.retire(request, owner).await
    }
}

/// Whether a round began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundBegun {
    /// By this name.
    Now(u64),
    /// There was one lately.
    Lately,
    /// A worker of an older version may be at work, which would not say that it relies on an asset.
    Older,
    /// Somebody else has the turn.
    Other,
}
