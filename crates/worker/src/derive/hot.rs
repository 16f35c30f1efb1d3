//! Derives from images that were just made, while their bytes are at hand and a thread is free.
//!
//! Nothing waits for it: what finds no room here is made by [the sweep](mod@super::sweep), from the store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use pictor_common::{AssetKey, derivative::Derivative};
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::{Pool, can_make, kept, take_back};
use crate::{deliver::Delivery, engine::Engine};

/// Mebibytes of images in memory that are worked on or wait for a thread.
const ROOM: usize = 64;
/// What the smallest counts.
const LEAST: u64 = 4;
/// An image of more bytes is left to the sweep.
const MOST_BYTES: u64 = 32 << 20;
/// How long a batch's words are believed.
const FRESH: Duration = Duration::from_secs(60);
/// Batches whose words are known at once.
const MOST_KNOWN: usize = 256;
/// How long a stopping worker waits for what it derives.
const PATIENCE: Duration = Duration::from_secs(10);

type Words = Arc<[Derivative]>;

/// Derives beside the worker's handlers.
#[derive(Debug)]
pub(crate) struct Deriver {
    pub(crate) pool: Pool,
    room: Arc<Semaphore>,
    known: Mutex<HashMap<String, (Instant, Words)>>,
    tasks: TaskTracker,
}

impl Deriver {
    pub(crate) fn new(threads: usize) -> Self {
        let pool = Pool::new(threads);
        let room = Arc::new(Semaphore::new(ROOM));
        Self { pool, room, known: Mutex::default(), tasks: TaskTracker::new() }
    }

    fn known(&self, batch: &str) -> Option<Words> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(batch).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, words)| Arc::clone(words))
    }

    fn note(&self, batch: &str, words: &Words) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(batch.to_owned(), (Instant::now(), Arc::clone(words)));
    }

    /// Starts what a stopping worker waits for a little.
    pub(crate) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.tasks.spawn(work)
    }

    /// Waits a little for what is being derived; the sweep of another worker makes the rest.
    pub(crate) async fn leave(&self) {
        self.tasks.close();
        if tokio::time::timeout(PATIENCE, self.tasks.wait()).await.is_err() {
            debug!("stopped while deriving; what is missing is made later");
        }
    }
}

impl Engine {
    /// Derives from an image that is settled, in the background and from memory, so that its file can go.
    pub(crate) async fn derive_soon(self: &Arc<Self>, delivery: &Delivery, at_ms: u64) {
        let batch = delivery.attempt.payer.clone();
        let known = self.deriver.known(&batch);
        let most = known.as_ref().map_or(0, |words| words.len() as u64);
        if known.is_some_and(|words| words.is_empty()) {
            return;
        }
        let mib = u32::try_from(delivery.image.bytes.div_ceil(1 << 20).max(LEAST)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.deriver.room).try_acquire_many_owned(mib);
        let (Ok(place), false) = (room, delivery.image.bytes > MOST_BYTES) else {
            self.metrics.derived_later(most);
            return;
        };
        let Ok(image) = tokio::fs::read(&delivery.file).await else { return };
        let key = delivery.attempt.key.clone();
        let engine = Arc::clone(self);
        self.deriver.begin(async move {
            engine.derive_now(&key, at_ms, &batch, image.into()).await;
            drop(place);
        });
    }

    async fn derive_now(&self, key: &AssetKey, at_ms: u64, batch: &str, image: Bytes) {
        let words = match self.deriver.known(batch) {
            Some(words) => words,
            None => match self.queue.derivatives_of(batch).await {
                Ok(words) => {
                    let words: Words = words.unwrap_or_default().into();
                    self.deriver.note(batch, &words);
                    words
                }
                Err(error) => {
                    debug!(%error, "what is to be derived is not known now");
                    return;
                }
            },
        };
        if words.is_empty() {
            return;
        }
        let all = words.len() as u64;
        if self.draining.is_cancelled() {
            self.metrics.derived_later(all);
            return;
        }
        let able: Vec<Derivative> = words.iter().filter(|one| can_make(one).is_ok()).copied().collect();
        if able.is_empty() {
            self.metrics.derived_later(all);
            return;
        }
        let (mut made, names) = (0, able.iter().map(|one| one.name(key)).collect());
        match self.deriver.pool.derive(image, able).await {
            Ok(mut making) => {
                while let Some(one) = making.next().await {
                    let Ok(one) = one else { break };
                    if let Err(error) = kept(&self.store, key, &one, false).await {
                        warn!(%error, key = %key.short(), "the store does not take a derivative; it is made later");
                        break;
                    }
                    made += 1;
                }
            }
            // The sweep tries once more, and tells.
            Err(error) => debug!(%error, key = %key.short(), "not derived"),
        }
        if let Err(error) = take_back(&self.queue, &self.store, key, at_ms, names).await {
            debug!(%error, key = %key.short(), "whether its image was removed meanwhile is not known now");
        }
        self.metrics.derived(made);
        self.metrics.derived_later(all - made);
    }
}
