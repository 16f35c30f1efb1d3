//! Makes what is missing of the derivatives of images in the store. Nothing is paid for, and what is there stays.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt as _, stream};
use pictor_common::{
    AssetKey,
    batch::BatchId,
    derivative::{Derivative, folder, of_line},
    queue::{BatchState, Queue, QueueError},
    store::{Body, NewObject, Store, StoreError},
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Made, Pool};

/// Lines that are looked at together.
const PAGE: u64 = 200;
/// An image of more bytes is not read into memory.
const MOST_BYTES: usize = 64 << 20;
/// More than an asset has derivatives.
const NAMES: usize = 1_000;
/// Failures that are told one by one.
const MOST_TOLD: usize = 20;

/// An image, and what is wanted of it.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The asset.
    pub key: AssetKey,
    /// Where its image is.
    pub object: String,
    /// What is to be derived.
    pub derivatives: Vec<Derivative>,
}

/// How it went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Images looked at.
    pub images: u64,
    /// Images that are not made, or were lost, so that nothing can be derived.
    pub without_image: u64,
    /// Derivatives that were there.
    pub there: u64,
    /// Derivatives made; in a dry run those that would be.
    pub made: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Derivatives that cannot be made.
    pub failed: u64,
    /// Why not, of the first.
    pub problems: Vec<Problem>,
    /// It was stopped before the end.
    pub stopped: bool,
}

/// An image that cannot be derived from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The asset.
    pub key: AssetKey,
    /// Why.
    pub why: String,
}

/// Why a pass broke off; what it made stays, and the next goes on.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// Redis.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes what is missing.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// Where images and derivatives are.
    pub store: &'a Arc<dyn Store>,
    /// What derives.
    pub pool: &'a Pool,
    /// Ends it early.
    pub stop: &'a CancellationToken,
    /// Makes what is there again.
    pub again: bool,
    /// Only counts.
    pub dry_run: bool,
}

enum One {
    Done { there: u64, made: u64, bytes: u64 },
    Failed { key: AssetKey, there: u64, made: u64, bytes: u64, failed: u64, why: String },
    Stopped,
}

impl Pass<'_> {
    /// Makes what is missing of a batch's derivatives; `told` hears how far it is.
    pub async fn batch(
        &self,
        queue: &Queue,
        batch: &BatchState,
        tally: &mut Tally,
        mut told: impl FnMut(&Tally),
    ) -> Result<(), PassError> {
        let Ok(id) = batch.id.parse::<BatchId>() else { return Ok(()) };
        let mut first = 0;
        loop {
            let lines = queue.lines(&id, first, PAGE).await?;
            let Some(last) = lines.last().map(|line| line.row) else { return Ok(()) };
            first = last + 1;
            let mut by_asset: BTreeMap<AssetKey, Vec<Derivative>> = BTreeMap::new();
            for line in &lines {
                let words = of_line(batch.derive.as_deref().unwrap_or_default(), &batch.columns, &line.cells);
                let made = queue.stand_ins(&id, &line.keys).await?;
                for (asked, instead) in line.keys.iter().zip(made) {
                    let all = by_asset.entry(instead.unwrap_or_else(|| asked.clone())).or_default();
                    all.extend(words.iter().filter(|word| !all.contains(word)).copied().collect::<Vec<_>>());
                }
            }
            by_asset.retain(|_, words| !words.is_empty());
            let keys: Vec<AssetKey> = by_asset.keys().cloned().collect();
            let states = queue.assets(&keys).await?;
            let mut wanted = Vec::with_capacity(keys.len());
            for ((key, derivatives), state) in by_asset.into_iter().zip(states) {
                match state.and_then(|state| state.made) {
                    Some(made) => wanted.push(Wanted { key, object: made.object, derivatives }),
                    None => tally.without_image += 1,
                }
            }
            self.images(wanted, tally, &mut told).await?;
            if tally.stopped {
                return Ok(());
            }
        }
    }

    /// Makes what is missing of some images.
    pub async fn images(
        &self,
        wanted: Vec<Wanted>,
        tally: &mut Tally,
        mut told: impl FnMut(&Tally),
    ) -> Result<(), PassError> {
        let mut ended = stream::iter(wanted.into_iter().map(|wanted| self.one(wanted)))
            .buffer_unordered(self.pool.size() + 1);
        while let Some(one) = ended.next().await {
            tally.add(one?);
            told(tally);
        }
        Ok(())
    }

    async fn one(&self, wanted: Wanted) -> Result<One, StoreError> {
        if self.stop.is_cancelled() {
            return Ok(One::Stopped);
        }
        let Wanted { key, object, derivatives } = wanted;
        let names = if self.again { Vec::new() } else { self.store.list(&folder(&key), None, NAMES).await? };
        let all = derivatives.len() as u64;
        let missing: Vec<Derivative> =
            derivatives.into_iter().filter(|derivative| !names.contains(&derivative.name(&key))).collect();
        let there = all - missing.len() as u64;
        if missing.is_empty() || self.dry_run {
            return Ok(One::Done { there, made: missing.len() as u64, bytes: 0 });
        }
        let failed = missing.len() as u64;
        let cannot =
            |why: String| Ok(One::Failed { key: key.clone(), there, made: 0, bytes: 0, failed, why });
        let Some(image) = self.store.get(&object).await? else {
            return cannot(format!("the image is gone from the store: {object}"));
        };
        if image.len() > MOST_BYTES {
            return cannot(format!("the image has {} bytes, at most {MOST_BYTES} are read", image.len()));
        }
        let names: Vec<String> = missing.iter().map(|derivative| derivative.name(&key)).collect();
        let mut making = match self.pool.derive(image, missing).await {
            Ok(making) => making,
            Err(why) => return cannot(why.to_string()),
        };
        let (mut made, mut bytes) = (0, 0);
        while let Some(one) = making.next().await {
            match one {
                Ok(one) => {
                    kept(self.store, &key, &one, self.again).await?;
                    (made, bytes) = (made + 1, bytes + one.bytes.len() as u64);
                }
                Err(why) => {
                    let (failed, why) = (failed - made, why.to_string());
                    return Ok(One::Failed { key, there, made, bytes, failed, why });
                }
            }
        }
        if self.store.head(&object).await?.is_none() {
            // Somebody removed the image meanwhile: what was made of it goes, too.
            for name in &names {
                if let Err(error) = self.store.delete(name).await {
                    warn!(%error, name, "a derivative of an image that was removed stays: pictor asset remove takes it away");
                }
            }
            return Ok(One::Done { there: 0, made: 0, bytes: 0 });
        }
        Ok(One::Done { there, made, bytes })
    }
}

/// Puts a derivative into the store; whoever was first stays, unless it is to be replaced.
pub(crate) async fn kept(
    store: &Arc<dyn Store>,
    key: &AssetKey,
    made: &Made,
    replace: bool,
) -> Result<(), StoreError> {
    let derivative = made.derivative;
    let object = NewObject {
        name: derivative.name(key),
        body: Body::Bytes(made.bytes.clone()),
        content_type: derivative.encoding.content_type().to_owned(),
        metadata: BTreeMap::from([
            ("key".to_owned(), key.to_string()),
            ("derivative".to_owned(), derivative.to_string()),
        ]),
    };
    if replace { store.put(object).await } else { store.put_if_absent(object).await.map(drop) }
}

impl Tally {
    fn add(&mut self, one: One) {
        match one {
            One::Done { there, made, bytes } => {
                self.images += 1;
                self.there += there;
                self.made += made;
                self.bytes += bytes;
            }
            One::Failed { key, there, made, bytes, failed, why } => {
                self.images += 1;
                self.there += there;
                self.made += made;
                self.bytes += bytes;
                self.failed += failed;
                if self.problems.len() < MOST_TOLD {
                    self.problems.push(Problem { key, why });
                }
            }
            One::Stopped => self.stopped = true,
        }
    }
}
