//! Whether this worker's loops move, and whether what it stands on answers: noted by who finds out, read by probes.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use pictor_common::store::StoreErrorKind;

use crate::engine::{Engine, wall_ms};

/// Without a renewal of leases for so long, Redis counts as away: twice the time between two, and some.
const REDIS_SILENT: u64 = 12_000;
/// The loop waits for something that may rightly take long.
const WAITS: u64 = u64::MAX;
/// The loop has ended.
const ENDED: u64 = u64::MAX - 1;

/// What runs as long as the worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    Leases,
    Claims,
    Reaper,
    Runtime,
    Spools,
    Keys,
    Ledger,
}

impl Loop {
    const ALL: [Self; 7] =
        [Self::Leases, Self::Claims, Self::Reaper, Self::Runtime, Self::Spools, Self::Keys, Self::Ledger];

    const fn name(self) -> &'static str {
        match self {
            Self::Leases => "the lease thread",
            Self::Claims => "the claim loop",
            Self::Reaper => "the reaper",
            Self::Runtime => "the runtime",
            Self::Spools => "the loop that looks after spools",
            Self::Keys => "the loop that looks after API keys",
            Self::Ledger => "the loop that archives the ledger",
        }
    }

    /// How long one step may take, ms. A Redis that does not answer takes half a minute of it, a call that is repeated twice that.
    const fn patience(self) -> u64 {
        match self {
            Self::Runtime => 30_000,
            Self::Leases => 60_000,
            Self::Claims | Self::Reaper | Self::Spools | Self::Keys | Self::Ledger => 180_000,
        }
    }
}

/// The last word of the store, ms of this worker's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StoreSeen {
    at: u64,
    trouble: Option<(StoreErrorKind, u64)>,
}

/// What is known of this worker's health.
#[derive(Debug)]
pub(crate) struct Health {
    started: Instant,
    started_ms: u64,
    pulses: [AtomicU64; Loop::ALL.len()],
    /// When leases were last renewed, plus one; 0 before the first time.
    renewed: AtomicU64,
    /// Why the last renewal failed, if it did.
    renewal: Mutex<Option<String>>,
    /// Why the last claim failed, if it did.
    claim: Mutex<Option<String>>,
    claimed: AtomicU64,
    store: Mutex<Option<StoreSeen>>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            started_ms: wall_ms(),
            pulses: Loop::ALL.map(|_| AtomicU64::new(WAITS)),
            renewed: AtomicU64::new(0),
            renewal: Mutex::default(),
            claim: Mutex::default(),
            claimed: AtomicU64::new(0),
            store: Mutex::new(None),
        }
    }
}

/// Notes the end of a loop, also one that panics.
struct Ends {
    engine: Arc<Engine>,
    which: Loop,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.engine.health.pulse(self.which).store(ENDED, Ordering::Relaxed);
    }
}

/// Runs a loop whose end is noted.
pub(crate) async fn watched(engine: Arc<Engine>, which: Loop, work: impl Future<Output = ()>) {
    let _ends = Ends { engine, which };
    work.await;
}

/// Shows that tasks of this runtime are still carried out.
pub(crate) async fn tick(engine: Arc<Engine>) {
    loop {
        engine.health.beat(Loop::Runtime);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

impl Health {
    const fn pulse(&self, which: Loop) -> &AtomicU64 {
        &self.pulses[which as usize]
    }

    /// Milliseconds of this worker's own clock.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(ENDED - 1)
    }

    /// When this worker began, in seconds since 1970.
    pub(crate) const fn started_seconds(&self) -> f64 {
        self.started_ms as f64 / 1e3
    }

    /// A loop begins a step that is short.
    pub(crate) fn beat(&self, which: Loop) {
        self.pulse(which).store(self.now(), Ordering::Relaxed);
    }

    /// A loop begins to wait.
    pub(crate) fn waits(&self, which: Loop) {
        self.pulse(which).store(WAITS, Ordering::Relaxed);
    }

    /// Leases were renewed, or why Redis did not do it.
    pub(crate) fn renewed(&self, done: Result<(), String>) {
        if done.is_ok() {
            self.renewed.store(self.now() + 1, Ordering::Relaxed);
        }
        note(&self.renewal, done.err());
    }

    /// So many assets were claimed, or why Redis gave none.
    pub(crate) fn claimed(&self, taken: Result<usize, String>) {
        if taken.as_ref().is_ok_and(|taken| *taken > 0) {
            self.claimed.store(self.now(), Ordering::Relaxed);
        }
        note(&self.claim, taken.err());
    }

    /// Why Redis gives no work.
    pub(crate) fn claim_trouble(&self) -> Option<String> {
        held(&self.claim).clone()
    }

    /// Milliseconds since assets were last claimed, or since the worker began.
    pub(crate) fn claim_age(&self, now: u64) -> u64 {
        now.saturating_sub(self.claimed.load(Ordering::Relaxed))
    }

    fn seen(&self) -> MutexGuard<'_, Option<StoreSeen>> {
        held(&self.store)
    }

    /// The store did what it was asked, or why it did not.
    pub(crate) fn store(&self, did: Result<(), StoreErrorKind>) {
        let at = self.now();
        let mut seen = self.seen();
        let trouble = match did {
            Ok(()) => None,
            Err(kind) => {
                let since = seen.and_then(|seen| seen.trouble).map_or(at, |(_, since)| since);
                Some((kind, since))
            }
        };
        *seen = Some(StoreSeen { at, trouble });
    }

    /// Whether the store is well, if it was asked yet; and how long ago that was, ms.
    pub(crate) fn store_seen(&self, now: u64) -> Option<(bool, u64)> {
        (*self.seen()).map(|seen| (seen.trouble.is_none(), now.saturating_sub(seen.at)))
    }

    /// The loops that stand, a line each; those that a stop ends may have ended then.
    pub(crate) fn standing(&self, now: u64, draining: bool) -> Vec<String> {
        let told = |which: Loop| {
            let name = which.name();
            match self.pulse(which).load(Ordering::Relaxed) {
                WAITS => None,
                ENDED => (!draining).then(|| format!("{name} has ended")),
                at => {
                    let age = now.saturating_sub(at);
                    (age > which.patience()).then(|| format!("{name} stands since {} s", age / 1_000))
                }
            }
        };
        Loop::ALL.into_iter().filter_map(told).collect()
    }

    /// What this worker stands on and is not there, a line each.
    pub(crate) fn missing(&self, now: u64) -> Vec<String> {
        let renewed = self.renewed.load(Ordering::Relaxed).checked_sub(1);
        let failed = held(&self.renewal).clone();
        let why = failed.as_ref().map_or(String::new(), |why| format!(": {why}"));
        let redis = match renewed.map(|at| now.saturating_sub(at)) {
            None => Some(format!("redis: no answer yet{why}")),
            Some(age) if failed.is_some() || age > REDIS_SILENT => {
                Some(format!("redis: no answer for {} s{why}", age / 1_000))
            }
            Some(_) => self.claim_trouble().map(|why| format!("claims: {why}")),
        };
        let store = match *self.seen() {
            None => Some("store: no answer yet".to_owned()),
            Some(StoreSeen { trouble: Some((kind, since)), .. }) => {
                Some(format!("store: {} for {} s", kind.as_str(), now.saturating_sub(since) / 1_000))
            }
            Some(StoreSeen { trouble: None, .. }) => None,
        };
        redis.into_iter().chain(store).collect()
    }
}

fn held<T>(noted: &Mutex<T>) -> MutexGuard<'_, T> {
    noted.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(place: &Mutex<Option<String>>, why: Option<String>) {
    *held(place) = why;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_stands_when_a_step_takes_too_long_and_not_when_it_waits() {
        let health = Health::default();
        assert!(health.standing(1_000_000, false).is_empty(), "nothing has begun");
        health.beat(Loop::Leases);
        health.beat(Loop::Claims);
        assert!(health.standing(59_000, false).is_empty());
        assert_eq!(health.standing(61_500, false), ["the lease thread stands since 61 s"]);
        assert_eq!(health.standing(200_000, true).len(), 2);
        health.waits(Loop::Claims);
        assert_eq!(health.standing(200_000, true).len(), 1);
        health.pulse(Loop::Reaper).store(ENDED, Ordering::Relaxed);
        assert_eq!(health.standing(0, false), ["the reaper has ended"]);
        assert!(health.standing(0, true).is_empty(), "a stop ends it");
    }

    #[test]
    fn what_is_missing_is_told_with_its_age() {
        let health = Health::default();
        assert_eq!(health.missing(0), ["redis: no answer yet", "store: no answer yet"]);
        health.renewed(Ok(()));
        health.store(Ok(()));
        assert!(health.missing(5_000).is_empty());
        health.claimed(Err("full".to_owned()));
        assert_eq!(health.missing(5_000), ["claims: full"]);
        health.claimed(Ok(0));
        assert_eq!(health.missing(13_500), ["redis: no answer for 13 s"]);
        health.renewed(Err("loading".to_owned()));
        health.store(Err(StoreErrorKind::Denied));
        health.store(Err(StoreErrorKind::Unavailable));
        assert_eq!(
            health.missing(3_500),
            ["redis: no answer for 3 s: loading", "store: unavailable for 3 s"]
        );
        health.renewed(Ok(()));
        health.store(Ok(()));
        assert!(health.missing(3_500).is_empty());
    }
}
