//! Looks assets up before they are queued: in Redis and, where Redis does not know them, in the store.

use std::collections::HashSet;

use futures::{StreamExt as _, TryStreamExt as _, poll, stream, stream::FuturesOrdered};
use pictor_common::{
    AssetKey,
    queue::{CHUNK, Known, Queue},
    stamp::Stamp,
    store::{Store, StoreError, image_name},
};
use tokio::sync::OnceCell;

use crate::{
    plan::{Plan, PlannedAsset, Standing},
    submit::SubmitError,
};

/// Objects looked up in the store at once.
const HEADS: usize = 64;
/// Chunks looked up at once, while the next is read.
const CHUNKS: usize = 4;
/// Most names of a store that are held to save a look at each.
const MOST_NAMES: u64 = 50_000;

/// Keys of assets the store holds and Redis does not know.
pub(crate) type Stored = HashSet<[u8; 32]>;

/// What a plan found, beside the sums.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What only the store has.
    pub(crate) stored: Stored,
    /// Of each asset in order, whether Redis knows it, so that the store was not asked.
    pub(crate) relied: Vec<bool>,
}

/// Looks up the assets of a plan, a chunk at a time.
pub(crate) struct Lookup<'a> {
    places: Places<'a>,
    assets: u64,
}

struct Places<'a> {
    queue: &'a Queue,
    store: &'a dyn Store,
    /// Every image of the store, where there are few.
    images: OnceCell<Option<Stored>>,
}

impl<'a> Lookup<'a> {
    /// Looks up about so many assets.
    pub(crate) fn new(queue: &'a Queue, store: &'a dyn Store, assets: u64) -> Self {
        Self { places: Places { queue, store, images: OnceCell::new() }, assets }
    }

    /// Adds assets to a plan, with how they stand.
    pub(crate) async fn add_to(
        &self,
        plan: &mut Plan,
        mut assets: impl Iterator<Item = PlannedAsset>,
    ) -> Result<Found, SubmitError> {
        let mut all = Found::default();
        let mut in_flight = FuturesOrdered::new();
        let mut more = true;
        while more || !in_flight.is_empty() {
            let chunk: Vec<PlannedAsset> = assets.by_ref().take(CHUNK).collect();
            more = chunk.len() == CHUNK;
            if !chunk.is_empty() {
                in_flight.push_back(self.places.standings(chunk, self.assets));
            }
            let full = !more || in_flight.len() >= CHUNKS;
            let ready = if full { in_flight.next().await } else { now(poll!(in_flight.next())) };
            if let Some(found) = ready {
                let found: Vec<(PlannedAsset, Standing, By)> = found?;
                let only_stored = found.iter().filter(|(.., by)| *by == By::Store);
                all.stored.extend(only_stored.map(|(planned, ..)| planned.asset.key.bytes()));
                all.relied.extend(found.iter().map(|(.., by)| *by == By::Redis));
                plan.add(found.iter().map(|(planned, standing, _)| (planned, *standing)));
            }
        }
        Ok(all)
    }
}

/// Who knows an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Nobody,
    Redis,
    Store,
}

/// What is ready now, if something is; also starts what was pushed.
pub(crate) fn now<T>(poll: std::task::Poll<Option<T>>) -> Option<T> {
    match poll {
        std::task::Poll::Ready(found) => found,
        std::task::Poll::Pending => None,
    }
}

impl Places<'_> {
    /// How each asset stands, and who knows it.
    async fn standings(
        &self,
        assets: Vec<PlannedAsset>,
        of_all: u64,
    ) -> Result<Vec<(PlannedAsset, Standing, By)>, SubmitError> {
        let keys: Vec<&AssetKey> = assets.iter().map(|planned| &planned.asset.key).collect();
        let known = self.queue.known(&keys).await?;
        // What Redis is about to forget is looked up as if it had.
        let asks = |known: &Option<Known>| known.as_ref().is_none_or(|known| known.leaving);
        let unknown = assets.iter().zip(&known).filter(|(_, known)| asks(known));
        let unknown: Vec<&PlannedAsset> = unknown.map(|(planned, _)| planned).collect();
        let stored = self.stored(&unknown, of_all).await?;
        let by = |planned: &PlannedAsset, known: &Option<Known>| {
            if asks(known) && stored.contains(&planned.asset.key.bytes()) {
                By::Store
            } else if known.as_ref().is_some_and(|known| !known.unasked) {
                // What nobody asks for may be forgotten at once, and is new all the same.
                By::Redis
            } else {
                By::Nobody
            }
        };
        let knows: Vec<By> = assets.iter().zip(&known).map(|(planned, known)| by(planned, known)).collect();
        let known = self.followed(&assets, known).await?;
        let standing = |planned: PlannedAsset, known: Option<Known>, by: By| {
            let phase = known.as_ref().map(|known| (known.phase.as_str(), known.unasked));
            let standing = match phase {
                None if by == By::Store => Standing::Made,
                Some(("done", _)) => Standing::Made,
                Some(("failed" | "parked" | "substituted", _)) => Standing::Failed,
                // What a cancelled batch left behind is paid for by whoever asks next.
                None | Some((_, true)) => Standing::New,
                Some((_, false)) => Standing::Queued,
            };
            (planned, standing, by)
        };
        let all = assets.into_iter().zip(known).zip(knows);
        Ok(all.map(|((planned, known), by)| standing(planned, known, by)).collect())
    }

    /// How those stand that take the place of what failed, where they may.
    async fn followed(
        &self,
        assets: &[PlannedAsset],
        mut known: Vec<Option<Known>>,
    ) -> Result<Vec<Option<Known>>, SubmitError> {
        let failed = |(n, known): (usize, &Option<Known>)| {
            let phase = known.as_ref()?.phase.as_str();
            let other = assets[n].fallback.as_ref().filter(|_| matches!(phase, "failed" | "substituted"))?;
            Some((n, other.model.as_str()))
        };
        let failed: Vec<(usize, &str)> = known.iter().enumerate().filter_map(failed).collect();
        let Some(&(_, model)) = failed.first() else { return Ok(known) };
        let keys: Vec<&AssetKey> = failed.iter().map(|(n, _)| &assets[*n].asset.key).collect();
        let phases = self.queue.stand_in_phases(&keys, model).await?;
        for ((n, _), phase) in failed.into_iter().zip(phases) {
            if let Some(phase) = phase {
                known[n] = Some(Known { phase, unasked: false, leaving: false });
            }
        }
        Ok(known)
    }

    /// Those of some assets that the store holds an image of, written by Pictor.
    async fn stored(&self, assets: &[&PlannedAsset], of_all: u64) -> Result<Stored, StoreError> {
        if assets.is_empty() {
            return Ok(Stored::new());
        }
        let images = self.images.get_or_init(|| self.list(of_all)).await;
        if images.as_ref().is_some_and(HashSet::is_empty) {
            return Ok(Stored::new());
        }
        let perhaps = assets.iter().filter(|planned| {
            images.as_ref().is_none_or(|images| images.contains(&planned.asset.key.bytes()))
        });
        stream::iter(perhaps.map(|planned| self.holds(planned)))
            .buffer_unordered(HEADS)
            .try_filter_map(|found| std::future::ready(Ok(found)))
            .try_collect()
            .await
    }

    async fn holds(&self, planned: &PlannedAsset) -> Result<Option<[u8; 32]>, StoreError> {
        let object = self.store.head(&image_name(&planned.asset.key, &planned.asset.spec)).await?;
        Ok(object.as_ref().and_then(Stamp::of).map(|_stamp| planned.asset.key.bytes()))
    }

    /// All images of a store that has fewer than are looked for: one list says what a thousand looks would.
    /// A store that cannot be listed is looked at image by image.
    async fn list(&self, looked_for: u64) -> Option<Stored> {
        let most = usize::try_from(looked_for.min(MOST_NAMES)).unwrap_or(usize::MAX);
        if most <= HEADS {
            return None;
        }
        let names = self.store.list("assets/", None, most).await.ok()?;
        let key = |name: &String| {
            let file = name.rsplit('/').next()?;
            Some(file.split('.').next()?.parse::<AssetKey>().ok()?.bytes())
        };
        (names.len() < most).then(|| names.iter().filter_map(key).collect())
    }
}
