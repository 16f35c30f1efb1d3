//! Done assets: what Redis knows of them goes when they are old, no batch that is kept asks for them, and their images stand in
//! the store, which knows all of it.
//!
//! A round reads what the lines of all batches ask for, looks through the namespace, marks what may go, and reads the lines
//! once more: whoever asks for a marked asset takes its mark away, so that what has one still is asked for by nobody.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use super::{RetentionError, Retiring, heard, micros, record};
use crate::{
    AssetKey,
    batch::Made,
    queue::{Attempt, CHUNK, Epoch, RoundBegun, Wanted},
    stamp::Stamp,
};

/// Between two rounds of whoever looks by itself.
const EVERY: Duration = Duration::from_secs(6 * 3_600);
/// By then no answer can come any more for an asset, and no worker's disk holds its image still, unless it was away.
pub(super) const SETTLED: Duration = Duration::from_secs(86_400);
/// Parts of the namespace that are looked through in one step.
const PARTS: usize = 100;
/// Chunks of assets that are marked in one step.
const MARKED: usize = 8;
/// Most that one round lets go of, the oldest: the next has the others.
const MOST: usize = 200_000;
/// Images that are looked for at once.
const HEADS: usize = 32;

/// How far somebody is in letting go of done assets.
#[derive(Debug)]
pub struct Round {
    stage: Stage,
    every: Duration,
    once: bool,
    /// Where more was found than one round lets go of: the last that was dealt with.
    after: Option<Old>,
}

#[derive(Debug)]
enum Stage {
    Idle,
    Looking(Box<Looking>),
    Marking(Chosen),
    Going(Chosen, Wanted),
    Over,
}

/// When an image was stored, ms since 1970, and the asset: a million of them take 40 MB.
type Old = (u64, [u8; 32]);

/// What was found so far.
#[derive(Debug)]
struct Looking {
    name: u64,
    epoch: Epoch,
    /// Of more than these, the oldest.
    most: usize,
    /// Nothing older than this, and not this.
    after: Option<Old>,
    wanted: Wanted,
    from: Option<String>,
    /// Done assets that are not old, and those that are, where it matters how many there are: some come by twice.
    others: u64,
    seen: Wanted,
    old: Vec<Old>,
    stand_ins: Wanted,
}

/// What is to go, the oldest first.
#[derive(Clone, Debug)]
struct Chosen {
    name: u64,
    old: Vec<Old>,
    at: usize,
    /// Whether there is more.
    more: bool,
}

/// An asset as it is archived.
#[derive(Serialize)]
struct Kept {
    key: AssetKey,
    model: String,
    made: Made,
    attempt: Attempt,
}

impl Default for Round {
    fn default() -> Self {
        Self { stage: Stage::Idle, every: EVERY, once: false, after: None }
    }
}

impl Round {
    /// One round now, and then none.
    #[must_use]
    pub const fn now() -> Self {
        Self { stage: Stage::Idle, every: Duration::ZERO, once: true, after: None }
    }

    /// Whether there is more to do before the turn is given back.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::Looking(_) | Stage::Marking(_) | Stage::Going(..))
    }

    const fn ended(&self) -> Stage {
        if self.once { Stage::Over } else { Stage::Idle }
    }
}

impl Looking {
    async fn begin(of: &Retiring<'_>, name: u64, most: usize) -> Result<Self, RetentionError> {
        // Asked first: in another epoch places in the namespace mean something else.
        let epoch = of.queue.epoch().await?;
        let (wanted, seen, stand_ins) = (of.queue.wanted().await?, Wanted::default(), Wanted::default());
        Ok(Self {
            name,
            epoch,
            most,
            after: None,
            wanted,
            from: None,
            others: 0,
            seen,
            old: Vec::new(),
            stand_ins,
        })
    }

    /// Looks through one part more; false at the end.
    async fn part(&mut self, of: &Retiring<'_>, upto_ms: u64) -> Result<bool, RetentionError> {
        let part = of.queue.scan_made(self.from.as_deref(), upto_ms).await?;
        self.others += part.done.saturating_sub(part.old.len() as u64);
        if of.keep.max_assets.is_some() {
            part.old.iter().for_each(|old| self.seen.add(&old.key));
        }
        let free = part.old.iter().filter(|old| !self.wanted.has(&old.key));
        let free = free.map(|old| (old.at_ms, old.key.bytes()));
        self.old.extend(free.filter(|old| self.after.is_none_or(|after| *old > after)));
        part.stand_ins.iter().for_each(|key| self.stand_ins.add(key));
        if self.old.len() / 2 >= self.most {
            self.old.sort_unstable();
            self.old.dedup();
            self.old.truncate(self.most + 1);
        }
        self.from = part.next;
        Ok(self.from.is_some())
    }

    /// What is to go of what was found.
    fn choose(self, of: &Retiring<'_>, now: u64) -> Chosen {
        let Self { name, mut old, stand_ins, others, seen, most, .. } = self;
        let (stand_ins, done) = (stand_ins.sorted(), others + seen.sorted().count());
        old.retain(|(_, key)| !stand_ins.has(&AssetKey::of_bytes(*key)));
        old.sort_unstable();
        old.dedup();
        let keep = of.keep;
        let aged = keep.assets.map_or(0, |age| {
            let upto = now.saturating_sub(micros(age)) / 1_000;
            old.partition_point(|(at_ms, _)| *at_ms <= upto)
        });
        let over = keep.max_assets.map_or(0, |most| done.saturating_sub(most));
        let count = aged.max(usize::try_from(over).unwrap_or(usize::MAX)).min(old.len());
        old.truncate(count.min(most));
        Chosen { name, old, at: 0, more: count > most }
    }
}

impl Chosen {
    /// The next to be dealt with.
    fn page(&self) -> &[Old] {
        &self.old[self.at..self.old.len().min(self.at + CHUNK)]
    }

    fn is_over(&self) -> bool {
        self.at >= self.old.len()
    }
}

fn keys(page: &[Old]) -> Vec<AssetKey> {
    page.iter().map(|(_, key)| AssetKey::of_bytes(*key)).collect()
}

impl Retiring<'_> {
    /// When an image must have been stored at the latest for its asset to be looked at, ms since 1970.
    fn looked_upto(&self, now: u64) -> u64 {
        let of_age = self.keep.assets.unwrap_or(SETTLED);
        let youngest = if self.keep.max_assets.is_some() { of_age.min(SETTLED) } else { of_age };
        now.saturating_sub(micros(youngest)) / 1_000
    }

    /// How many done assets would go now, if their images are in the store.
    pub(super) async fn due_assets(&self) -> Result<u64, RetentionError> {
        if self.keep.assets.is_none() && self.keep.max_assets.is_none() {
            return Ok(0);
        }
        let (_, _, now) = self.queue.retirable().await?;
        let mut looking = Looking::begin(self, 0, usize::MAX / 2).await?;
        while looking.part(self, self.looked_upto(now)).await? {}
        let chosen = looking.choose(self, now);
        Ok(chosen.old.len() as u64)
    }

    /// Goes on with a round, or begins one where it is time; tells how many assets went.
    pub(super) async fn assets(&self, round: &mut Round) -> Result<u64, RetentionError> {
        match &mut round.stage {
            Stage::Idle => self.begin(round, round.every).await?,
            Stage::Looking(looking) => {
                let (_, _, now) = self.queue.retirable().await?;
                let mut parts = 0;
                while looking.part(self, self.looked_upto(now)).await? {
                    parts += 1;
                    if parts == PARTS {
                        return Ok(0);
                    }
                }
                self.choose(round, now).await?;
            }
            Stage::Marking(chosen) => {
                for _ in 0..MARKED {
                    let page = keys(chosen.page());
                    if page.is_empty() {
                        break;
                    }
                    heard(self.queue.mark_made(self.owner, chosen.name, &page).await?)?;
                    chosen.at += page.len();
                }
                if chosen.is_over() {
                    let (chosen, wanted) = (Chosen { at: 0, ..chosen.clone() }, self.queue.wanted().await?);
                    round.stage = Stage::Going(chosen, wanted);
                }
            }
            Stage::Going(chosen, wanted) => {
                let gone = self.let_go(chosen, wanted).await?;
                chosen.at += chosen.page().len();
                if chosen.is_over() {
                    // What stays is not looked at over and over.
                    round.after = chosen.old.last().filter(|_| chosen.more).copied();
                    round.stage = round.ended();
                    if round.after.is_some() {
                        self.begin(round, Duration::ZERO).await?;
                    }
                }
                return Ok(gone);
            }
            Stage::Over => {}
        }
        Ok(0)
    }

    async fn begin(&self, round: &mut Round, every: Duration) -> Result<(), RetentionError> {
        match self.queue.begin_round(self.owner, every).await? {
            RoundBegun::Now(name) => {
                let looking = Looking { after: round.after, ..Looking::begin(self, name, MOST).await? };
                round.stage = Stage::Looking(Box::new(looking));
                Ok(())
            }
            RoundBegun::Lately => Ok(()),
            RoundBegun::Older => Err(RetentionError::Older),
            RoundBegun::Other => Err(RetentionError::Other),
        }
    }

    /// Ends the look with what may go; in another epoch, a part of the namespace may have been missed.
    async fn choose(&self, round: &mut Round, now: u64) -> Result<(), RetentionError> {
        let epoch = self.queue.epoch().await?;
        let ended = round.ended();
        round.after = None;
        if let Stage::Looking(looking) = std::mem::replace(&mut round.stage, ended)
            && looking.epoch == epoch
        {
            let chosen = looking.choose(self, now);
            if !chosen.old.is_empty() {
                round.stage = Stage::Marking(chosen);
            }
        }
        Ok(())
    }

    /// Archives and forgets a page of what was chosen, but for what is asked for by now, or is not in the store.
    async fn let_go(&self, chosen: &Chosen, wanted: &Wanted) -> Result<u64, RetentionError> {
        let page = chosen.page();
        let free: Vec<AssetKey> = keys(page).into_iter().filter(|key| !wanted.has(key)).collect();
        let kept = self.in_store(&free).await?;
        let going: Vec<AssetKey> = kept.iter().map(|kept| kept.key.clone()).collect();
        let stay: Vec<AssetKey> = keys(page).into_iter().filter(|key| !going.contains(key)).collect();
        let (Some((first, _)), Some((last, _))) = (page.first(), page.last()) else { return Ok(0) };
        if !kept.is_empty() {
            let range = format!("{first}-{last}-{}", digest(&going));
            record::some(self, "assets", &range, &kept).await?;
        }
        heard(self.queue.forget_made(self.owner, chosen.name, *last, &going, &stay).await?)
    }

    /// Those of some assets whose images stand in the store under their own names, and say what made them: who submits them
    /// again finds them there.
    async fn in_store(&self, keys: &[AssetKey]) -> Result<Vec<Kept>, RetentionError> {
        let mut found = Vec::with_capacity(keys.len());
        let states = self.queue.assets(keys).await?;
        let known: Vec<_> = keys.iter().zip(states).collect();
        for some in known.chunks(HEADS) {
            let mut heads = JoinSet::new();
            for (key, state) in some {
                let Some(made) = state.as_ref().and_then(|state| state.made.clone()) else { continue };
                let (store, key) = (Arc::clone(self.store), (*key).clone());
                let model = state.as_ref().map(|state| state.model.clone()).unwrap_or_default();
                heads.spawn(async move {
                    let object = store.head(&made.object).await;
                    (key, model, made, object)
                });
            }
            while let Some(head) = heads.join_next().await {
                let (key, model, made, object) = head.map_err(std::io::Error::other)?;
                let stamp = object?.as_ref().and_then(Stamp::of);
                let own = format!("assets/{}/{key}.", &key.as_str()[..2]);
                let Some(stamp) = stamp.filter(|stamp| stamp.attempt.key == key) else { continue };
                if made.object.starts_with(&own) {
                    let made = Made { digest: stamp.made.digest, request_id: stamp.made.request_id, ..made };
                    found.push(Kept { key, model, made, attempt: stamp.attempt });
                }
            }
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }
}

fn digest(keys: &[AssetKey]) -> String {
    let mut digest = Sha256::new();
    keys.iter().for_each(|key| digest.update(key.bytes()));
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_set_of_assets_has_another_name() {
        let key = |n: u8| AssetKey::of_bytes([n; 32]);
        assert_eq!(digest(&[key(1), key(2)]), digest(&[key(1), key(2)]));
        assert_ne!(digest(&[key(1), key(2)]), digest(&[key(1), key(3)]));
    }
}
