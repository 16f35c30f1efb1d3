//! Makes what is missing of the derivatives of images in the store. Nothing is paid for, and what is there stays.

use std::{collections::BTreeMap, io, sync::Arc};

use futures::{StreamExt as _, stream};
use pictor_common::{
    AssetKey,
    batch::{BatchId, Made as Image},
    derivative::{Derivative, folder, of_line},
    queue::{BatchState, Derived, Queue, QueueError},
    store::{Body, NewObject, Store, StoreError},
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{DeriveError, Made, Making, Pool, can_make, memory};

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
    /// Its image.
    pub made: Image,
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
    /// Derivatives that are missing and of a format that this build does not make.
    pub beyond: u64,
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
    /// The system.
    #[error("there is no thread to derive on: {0}")]
    NoThread(#[source] io::Error),
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
    Ended(Ended),
    Stopped,
}

/// What became of one image.
#[derive(Default)]
struct Ended {
    there: u64,
    made: u64,
    bytes: u64,
    failed: u64,
    beyond: u64,
    problem: Option<Problem>,
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
                let state = state.unwrap_or_default();
                if state.removed.is_some() && !self.dry_run {
                    // Whoever was deriving from it then may have been killed since.
                    self.clear(queue, &key).await?;
                }
                match state.made {
                    Some(made) => wanted.push(Wanted { key, made, derivatives }),
                    None => tally.without_image += 1,
                }
            }
            self.images(queue, wanted, tally, &mut told).await?;
            if tally.stopped {
                return Ok(());
            }
        }
    }

    /// Deletes what was derived from an image that a person has removed.
    async fn clear(&self, queue: &Queue, key: &AssetKey) -> Result<(), PassError> {
        let names = self.store.list(&folder(key), None, NAMES).await?;
        if names.is_empty() {
            return Ok(());
        }
        let state = queue.assets(std::slice::from_ref(key)).await?.pop().flatten();
        if state.is_some_and(|state| state.removed.is_some()) {
            cleared(self.store, names).await;
        }
        Ok(())
    }

    /// Makes what is missing of some images. What was made of one that was removed meanwhile goes, too.
    pub async fn images(
        &self,
        queue: &Queue,
        wanted: Vec<Wanted>,
        tally: &mut Tally,
        mut told: impl FnMut(&Tally),
    ) -> Result<(), PassError> {
        let mut ended = stream::iter(wanted.into_iter().map(|wanted| self.one(queue, wanted)))
            .buffer_unordered(self.pool.size() + 1);
        while let Some(one) = ended.next().await {
            tally.add(one?);
            told(tally);
        }
        Ok(())
    }

    async fn one(&self, queue: &Queue, wanted: Wanted) -> Result<One, PassError> {
        if self.stop.is_cancelled() {
            return Ok(One::Stopped);
        }
        let Wanted { key, made: image, derivatives } = wanted;
        let all = derivatives.len() as u64;
        let (own, others): (Vec<_>, Vec<_>) = derivatives.into_iter().partition(|one| can_make(one).is_ok());
        let names = match self.again && others.is_empty() {
            true => Vec::new(),
            false => self.store.list(&folder(&key), None, NAMES).await?,
        };
        let is_missing = |one: &Derivative| !names.contains(&one.name(&key));
        let beyond = others.iter().filter(|one| is_missing(one)).count() as u64;
        let missing: Vec<Derivative> = own.into_iter().filter(|one| self.again || is_missing(one)).collect();
        let making = missing.len() as u64;
        let there = all - making - beyond;
        let mut ended = match making == 0 || self.dry_run {
            true => Ended { made: making, ..Ended::default() },
            false => {
                let names: Vec<String> = missing.iter().map(|one| one.name(&key)).collect();
                let ended = self.made(&key, &image, missing).await;
                if take_back(queue, self.store, &key, image.at_ms, names).await? {
                    let why = "the image was removed meanwhile".to_owned();
                    Ended { problem: Some(Problem { key, why }), ..ended? }
                } else {
                    ended?
                }
            }
        };
        (ended.there, ended.beyond) = (there, beyond);
        ended.failed = making - ended.made;
        Ok(One::Ended(ended))
    }

    /// Derives from one image; what is not made of it has a reason.
    async fn made(
        &self,
        key: &AssetKey,
        image: &Image,
        missing: Vec<Derivative>,
    ) -> Result<Ended, PassError> {
        let mut ended = Ended::default();
        let problem = |why: String| Some(Problem { key: key.clone(), why });
        let mut making = match self.begun(image, missing).await? {
            Ok(making) => making,
            Err(why) => return Ok(Ended { problem: problem(why), ..ended }),
        };
        while let Some(one) = making.next().await {
            match one {
                Ok(one) => {
                    kept(self.store, key, &one, self.again).await?;
                    ended.made += 1;
                    ended.bytes += one.bytes.len() as u64;
                }
                Err(why) => ended.problem = problem(why.to_string()),
            }
        }
        Ok(ended)
    }

    /// What is being derived from an image, or why nothing ever will be. Its memory is asked for before it is read.
    async fn begun(
        &self,
        image: &Image,
        missing: Vec<Derivative>,
    ) -> Result<Result<Making, String>, PassError> {
        let mut mib = memory::expected(image, &missing);
        loop {
            let share = self.pool.share(mib).await;
            let Some(bytes) = self.store.get(&image.object).await? else {
                return Ok(Err(format!("the image is gone from the store: {}", image.object)));
            };
            if bytes.len() > MOST_BYTES {
                return Ok(Err(format!(
                    "the image has {} bytes, at most {MOST_BYTES} are read",
                    bytes.len()
                )));
            }
            match self.pool.derive_within(share, bytes, missing.clone()).await {
                Ok(making) => return Ok(Ok(making)),
                // It is read again once there is room for it.
                Err(DeriveError::Larger(more)) => mib = more,
                Err(DeriveError::NoThread(error)) => return Err(PassError::NoThread(error)),
                Err(DeriveError::Never(why)) => return Ok(Err(why.to_string())),
            }
        }
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

/// Takes derivatives away again whose image, stored at a time, a person has removed since it was read, also where another one
/// was made by now; tells whether one has.
pub(crate) async fn take_back(
    queue: &Queue,
    store: &Arc<dyn Store>,
    key: &AssetKey,
    at_ms: u64,
    names: Vec<String>,
) -> Result<bool, QueueError> {
    if queue.removed_at(key).await?.is_none_or(|gone| at_ms.saturating_mul(1_000) > gone) {
        return Ok(false);
    }
    let state = queue.assets(std::slice::from_ref(key)).await?.pop().flatten();
    // By a clock that is behind, it may stand all the same.
    if state.and_then(|state| state.made).is_some_and(|made| made.at_ms == at_ms) {
        return Ok(false);
    }
    cleared(store, names).await;
    Ok(true)
}

/// Deletes derivatives of an image that is gone.
async fn cleared(store: &Arc<dyn Store>, names: Vec<String>) {
    for name in names {
        if let Err(error) = store.delete(&name).await {
            warn!(%error, name, "a derivative of an image that was removed stays: pictor asset remove takes it away");
        }
    }
}

impl Tally {
    /// How it leaves the derivatives of a batch that has ended.
    #[must_use]
    pub const fn derived(&self) -> Derived {
        match self.beyond {
            0 => Derived::Ended(self.failed),
            _ => Derived::Aside(self.failed),
        }
    }

    fn add(&mut self, one: One) {
        let One::Ended(ended) = one else {
            self.stopped = true;
            return;
        };
        let Ended { there, made, bytes, failed, beyond, problem } = ended;
        self.images += 1;
        self.there += there;
        self.made += made;
        self.bytes += bytes;
        self.failed += failed;
        self.beyond += beyond;
        self.problems.extend(problem.filter(|_| self.problems.len() < MOST_TOLD));
    }
}
