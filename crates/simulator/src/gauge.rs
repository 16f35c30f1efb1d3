//! Counts things that are going on, for exactly as long as they do.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How many [`Held`] exist.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<AtomicU64>);

/// Counts as one until it is dropped.
#[derive(Debug)]
pub(crate) struct Held(Arc<AtomicU64>);

impl Gauge {
    pub(crate) fn hold(&self) -> Held {
        self.0.fetch_add(1, Ordering::AcqRel);
        Held(Arc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One request in flight, counted once however many parts of it hold this.
pub(crate) type Flight = Arc<[Held; 2]>;
