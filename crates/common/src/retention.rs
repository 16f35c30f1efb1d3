//! What Redis keeps of the past, by age and by number. What goes is in the store before it goes.
//!
//! A batch goes whole, and only when it is complete and nothing of it may have been paid without an image. Its assets
//! stay known: those that are made are never paid again, those that failed stay failed until somebody retries them. What is made
//! may go later, when no batch asks for it any more: the store knows it then.

mod assets;
mod record;

use std::{path::Path, sync::Arc, time::Duration};

use serde::Serialize;

pub use assets::Round;
pub use record::{Archived, archived};

use crate::{
    AssetKey,
    queue::{BatchState, CHUNK, OldFailure, Queue, QueueError, Retired},
    store::{Store, StoreError},
};

/// A batch that has just ended is still looked at, by whoever waits for it.
const FRESH: Duration = Duration::from_secs(3_600);
/// Batches and failures that are looked at in one call.
const PAGE: usize = 200;
/// A batch with more failures stays until they are mended: it is forgotten in one script.
const MOST_FAILED: u64 = 5_000;
/// Batches that are tried in one step, where some cannot be archived.
const TRIED: usize = 20;
/// Events of one object.
const EVENTS: usize = 5_000;

/// How much is kept. What is not said is kept for good, or as long as it always was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// So long a batch is kept once it is complete.
    pub batches: Option<Duration>,
    /// So many batches are kept; the oldest complete ones go first.
    pub max_batches: Option<u64>,
    /// So long a failure stays listed.
    pub failures: Option<Duration>,
    /// So long events are kept, of the newest ten thousand.
    pub events: Option<Duration>,
    /// So long a done asset is kept after its image was stored, and as long as a batch that is kept asks for it.
    pub assets: Option<Duration>,
    /// So many done assets are kept; the oldest of those that no batch asks for go first.
    pub max_assets: Option<u64>,
}

/// Why something could not be archived.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// Redis failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file to be stored could not be written.
    #[error("cannot write what is to be archived: {0}")]
    Write(#[from] std::io::Error),
    /// Lines of a batch are missing.
    #[error("batch {0} lacks lines that it was sealed with; it stays in Redis")]
    Short(String),
    /// Another worker, or another command, archives.
    #[error("somebody else is archiving just now; it goes on by itself")]
    Other,
    /// An older version may be at work.
    #[error("done assets stay in Redis until the last worker of an older version has left")]
    Older,
}

/// What would go, or went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gone {
    /// Ids of batches.
    pub batches: Vec<String>,
    /// How many failures.
    pub failures: u64,
    /// How many events.
    pub events: u64,
    /// How many done assets.
    pub assets: u64,
}

impl Gone {
    /// Whether nothing did.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.failures == 0 && self.events == 0 && self.assets == 0
    }
}

/// Goes by the settings, a bounded step at a time.
#[derive(Debug)]
pub struct Retiring<'a> {
    /// The queue.
    pub queue: &'a Queue,
    /// Where it is archived.
    pub store: &'a Arc<dyn Store>,
    /// How much is kept.
    pub keep: &'a Retention,
    /// Who does it.
    pub owner: &'a str,
    /// Where a file may be made meanwhile.
    pub folder: &'a Path,
}

fn micros(age: Duration) -> u64 {
    u64::try_from(age.as_micros()).unwrap_or(u64::MAX)
}

impl Retention {
    /// Whether everything is kept.
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a batch may go, which stands so far from the newest end.
    fn lets_go(&self, batch: &BatchState, newer: u64, now: u64) -> bool {
        let ended = batch.completed.filter(|_| batch.state == "complete" && batch.sealed.is_some());
        let Some(age) = ended.map(|at| now.saturating_sub(at)) else { return false };
        let settled = batch.counts.failed <= MOST_FAILED
            && batch.counts.parked == 0
            && batch.reserved.0 == 0
            && batch.open_assets() == 0;
        let old = self.batches.is_some_and(|most| age > micros(most));
        let many = self.max_batches.is_some_and(|most| newer >= most) && age > micros(FRESH);
        settled && (old || many)
    }
}

impl Retiring<'_> {
    /// Archives and forgets one batch, or some failures and events, or goes on with a round of done assets; nothing when all that
    /// is left is kept. As long as a round is under way, the turn is kept.
    pub async fn step(&self, round: &mut Round) -> Result<Gone, RetentionError> {
        if !self.queue.take_retiring_turn(self.owner).await? {
            return Err(RetentionError::Other);
        }
        let gone = if round.is_under_way() {
            Ok(Gone { assets: self.assets(round).await?, ..Gone::default() })
        } else {
            self.one(round).await
        };
        if gone.is_err() {
            // What else is old must not wait for what may never be mended; a look begins anew hours later.
            *round = Round::default();
        }
        if !round.is_under_way() {
            self.end().await?;
        }
        gone
    }

    /// Gives the turn back; one that cannot be given back ends by itself.
    pub async fn end(&self) -> Result<(), RetentionError> {
        Ok(self.queue.end_retiring_turn(self.owner).await?)
    }

    async fn one(&self, round: &mut Round) -> Result<Gone, RetentionError> {
        let mut gone = Gone::default();
        let mut short = None;
        for batch in self.find(TRIED).await? {
            let failed = match record::batch(self, &batch).await {
                Err(error @ RetentionError::Short(_)) => {
                    short = Some(error);
                    continue;
                }
                failed => failed?,
            };
            let retired = self.queue.retire_batch(self.owner, &batch, &failed).await?;
            heard(retired)?;
            if retired != Retired::Changed {
                gone.batches.push(batch.id);
                return Ok(gone);
            }
        }
        let (_, _, now) = self.queue.retirable().await?;
        gone.failures = self.retire_failures(now).await?;
        gone.events = self.retire_events(now).await?;
        if gone.is_empty() && (self.keep.assets.is_some() || self.keep.max_assets.is_some()) {
            gone.assets = self.assets(round).await?;
        }
        match short {
            Some(error) if gone.is_empty() && !round.is_under_way() => Err(error),
            _ => Ok(gone),
        }
    }

    /// What would go now; batches at most so many.
    pub async fn plan(&self, most: usize) -> Result<Gone, RetentionError> {
        let batches = self.find(most).await?.into_iter().map(|batch| batch.id).collect();
        let (_, _, now) = self.queue.retirable().await?;
        let mut gone = Gone { batches, ..Gone::default() };
        if let Some(age) = self.keep.failures {
            let mut from = 0;
            loop {
                let upto = now.saturating_sub(micros(age));
                let (old, looked) = self.queue.old_failures(upto, from, CHUNK).await?;
                gone.failures += old.len() as u64;
                from += looked;
                if looked < CHUNK {
                    break;
                }
            }
        }
        if let Some(age) = self.keep.events {
            let upto = now.saturating_sub(micros(age)) / 1_000;
            gone.events = self.queue.old_events(upto, usize::MAX >> 1).await?.len() as u64;
        }
        gone.assets = self.due_assets().await?;
        Ok(gone)
    }

    /// Batches that may go, the oldest first.
    async fn find(&self, most: usize) -> Result<Vec<BatchState>, RetentionError> {
        let (all, _, now) = self.queue.retirable().await?;
        let mut found = Vec::new();
        let keep = self.keep;
        if keep.batches.is_none() && keep.max_batches.is_none_or(|kept| all <= kept) {
            return Ok(found);
        }
        let mut seen = 0_u64;
        loop {
            let page = self.queue.oldest_batches(usize::try_from(seen).unwrap_or(usize::MAX), PAGE).await?;
            for batch in &page {
                seen += 1;
                if keep.lets_go(batch, all.saturating_sub(seen), now) && self.queue.may_retire(batch).await? {
                    found.push(batch.clone());
                    if found.len() >= most {
                        return Ok(found);
                    }
                }
            }
            let young = |batch: &BatchState| {
                keep.batches.is_none_or(|age| now.saturating_sub(batch.created) < micros(age))
            };
            // Whatever was created later is younger still, and not too many.
            let few = keep.max_batches.is_none_or(|kept| all.saturating_sub(seen) < kept);
            if page.len() < PAGE || few && page.last().is_some_and(young) {
                return Ok(found);
            }
        }
    }

    async fn retire_failures(&self, now: u64) -> Result<u64, RetentionError> {
        let Some(age) = self.keep.failures else { return Ok(0) };
        let upto = now.saturating_sub(micros(age));
        let mut from = 0;
        loop {
            let (old, looked) = self.queue.old_failures(upto, from, CHUNK).await?;
            if let (Some(first), Some(last)) = (old.first(), old.last()) {
                record::some(self, "failures", &format!("{}-{}", first.at, last.at), &old).await?;
                let keys: Vec<AssetKey> = old.iter().map(|OldFailure { key, .. }| key.clone()).collect();
                return heard(self.queue.retire_failures(self.owner, &keys, upto).await?);
            }
            // Only such that a person is to decide on.
            if looked < CHUNK {
                return Ok(0);
            }
            from += looked;
        }
    }

    async fn retire_events(&self, now: u64) -> Result<u64, RetentionError> {
        let Some(age) = self.keep.events else { return Ok(0) };
        let upto = now.saturating_sub(micros(age)) / 1_000;
        let old = self.queue.old_events(upto, EVENTS).await?;
        let (Some((first, _)), Some((last, _))) = (old.first(), old.last()) else { return Ok(0) };
        record::some(self, "events", &format!("{first}-{last}"), &old).await?;
        let (ms, number) = last.split_once('-').unwrap_or((last, "0"));
        let next = format!("{ms}-{}", number.parse::<u64>().unwrap_or(0) + 1);
        heard(self.queue.retire_events(self.owner, &next).await?)
    }
}

fn heard(retired: Retired) -> Result<u64, RetentionError> {
    match retired {
        Retired::Ok(count) => Ok(count),
        Retired::Other => Err(RetentionError::Other),
        Retired::Older => Err(RetentionError::Older),
        // It is looked at again.
        Retired::Changed => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Counts;

    const DAY: u64 = 86_400_000_000;

    #[test]
    fn only_what_is_complete_settled_and_old_or_one_too_many_goes() {
        let keep = Retention { batches: Some(Duration::from_secs(86_400)), ..Retention::default() };
        let counts = Counts { done: 2, failed: 1, parked: 0 };
        let old = BatchState {
            state: "complete".into(),
            sealed: Some(3),
            assets: 3,
            counts,
            completed: Some(DAY),
            ..BatchState::default()
        };
        assert!(keep.lets_go(&old, 0, 3 * DAY));
        assert!(!keep.lets_go(&old, 9, 2 * DAY));
        for kept in [
            BatchState { state: "open".into(), ..old.clone() },
            BatchState { state: "cancelled".into(), ..old.clone() },
            BatchState { sealed: None, ..old.clone() },
            BatchState { counts: Counts { parked: 1, failed: 0, ..counts }, ..old.clone() },
            BatchState { reserved: crate::MicroUsd(1), ..old.clone() },
        ] {
            assert!(!keep.lets_go(&kept, 0, 9 * DAY), "{kept:?}");
        }
        let keep = Retention { max_batches: Some(5), ..Retention::default() };
        assert!(keep.lets_go(&old, 5, 2 * DAY) && !keep.lets_go(&old, 4, 2 * DAY));
        assert!(!keep.lets_go(&old, 5, DAY + 1), "somebody may wait for it still");
    }
}
