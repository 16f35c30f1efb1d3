//! What every part of a running worker shares.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pictor_common::{
    batch::Route,
    catalogue::Catalogue,
    ledger::Archive,
    metrics::Work,
    queue::{Attempt, Beat, Cap, LaneLimits, LaneOffer, Queue, SCHEMA},
    retention::Retention,
    store::Store,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    alerts::AlertSettings,
    books::Books,
    derive::Deriver,
    ending::Ending,
    health::Health,
    held::Held,
    learning::Learnt,
    provider::Provider,
    refused::Refused,
    spool::{Journal, Room, Spool},
    webhooks::Webhook,
};

/// How long a lease lasts unless it is renewed.
pub(crate) const LEASE: Duration = Duration::from_secs(15);
/// How often leases are renewed.
pub(crate) const EXTEND_EVERY: Duration = Duration::from_secs(5);
/// How far ahead slots are claimed.
pub(crate) const HORIZON: Duration = Duration::from_secs(1);
/// Uploads at once; more would only take memory.
pub(crate) const UPLOADS: usize = 16;
/// What the send deadline allows beyond the model's timeout.
pub const SEND_MARGIN: Duration = Duration::from_secs(30);

/// An account × a limit domain, with the provider that sends for it.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Its name, `account.family`.
    pub name: String,
    /// The routes it serves.
    pub routes: Vec<Route>,
    /// Its limits, to declare again when Redis has lost them.
    pub limits: LaneLimits,
    /// What sends.
    pub provider: Arc<dyn Provider>,
}

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Requests on their way at once in this process.
    pub concurrency: usize,
    /// The spool directory, on a local disk or a volume shared by workers.
    pub spool: PathBuf,
    /// Bytes of the spool's disk that are left to others: with less, nothing is claimed.
    pub spool_keep_free: u64,
    /// Requests sent for an asset before it fails.
    pub max_attempts: u32,
    /// Unknown outcomes of an asset that are retried; one more and it is parked.
    pub max_unknown: u32,
    /// How long a stopping worker waits for what was sent.
    pub drain: Duration,
    /// The configured caps, to set again when Redis has lost them; others are left alone.
    pub caps: Vec<Cap>,
    /// In whose name, as `USER@host`.
    pub who: String,
    /// Who is told when a cap is nearly reached.
    pub alerts: AlertSettings,
    /// Images that are derived from at once.
    pub derive_threads: usize,
    /// Who is told of batches and failures.
    pub webhooks: Vec<Webhook>,
    /// How long ledger entries stay in Redis once they are archived.
    pub keep_ledger: Duration,
    /// How much of what has ended stays in Redis.
    pub retention: Retention,
}

/// What a worker is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The queue.
    pub queue: Queue,
    /// Where images go.
    pub store: Arc<dyn Store>,
    /// Timeouts and prices.
    pub catalogue: Arc<Catalogue>,
    /// What may send.
    pub lanes: Vec<Lane>,
    /// How to work.
    pub settings: Settings,
}

/// A running worker's shared state.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) queue: Queue,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) archive: Archive,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) lanes: HashMap<String, Lane>,
    pub(crate) settings: Settings,
    pub(crate) incarnation: String,
    pub(crate) spool: Spool,
    pub(crate) room: Room,
    pub(crate) journal: Journal,
    pub(crate) held: Held,
    pub(crate) health: Health,
    pub(crate) metrics: Arc<Work>,
    pub(crate) learnt: Learnt,
    pub(crate) books: Books,
    /// Bounds how many images are decoded at once: each takes its pixels in memory.
    pub(crate) decoders: Semaphore,
    /// Makes derivatives of what was just made.
    pub(crate) deriver: Deriver,
    /// Bounds how many images are on their way to the store at once.
    pub(crate) uploads: Semaphore,
    /// Another profile that the namespace belongs to since it was wiped.
    pub(crate) other_profile: Mutex<Option<String>>,
    /// Lanes whose API key was refused.
    pub(crate) refused: Refused,
    /// Whether somebody told it to end once its hands are empty.
    pub(crate) ending: Ending,
    /// Cancelled when the worker takes nothing new and sends nothing more.
    pub(crate) draining: CancellationToken,
}

impl Engine {
    /// How long one request for a model may take.
    pub(crate) fn timeout(&self, model: &str) -> Duration {
        self.catalogue.model(model).map_or(Duration::from_secs(600), |m| m.timeout())
    }

    /// Notes which other profile the namespace belongs to, if it does; whether that is news.
    pub(crate) fn belongs_to(&self, other: Option<&str>) -> bool {
        let mut noted = self.other_profile.lock().unwrap_or_else(PoisonError::into_inner);
        let news = noted.as_deref() != other;
        *noted = other.map(str::to_owned);
        news
    }

    /// The other profile that the namespace belongs to, if it does.
    pub(crate) fn other_profile(&self) -> Option<String> {
        self.other_profile.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops offering a lane whose API key was refused.
    pub(crate) fn refuse(&self, lane: &str, key: Option<&str>) {
        if key.is_some_and(|key| self.refused.note(lane, key)) {
            warn!(
                lane,
                "this worker's API key was refused: it takes nothing for this lane until it has another"
            );
        }
    }

    /// What this worker says of itself.
    pub(crate) fn beat(&self) -> Beat {
        let offer = |lane: &Lane| LaneOffer {
            lane: lane.name.clone(),
            routes: lane.routes.iter().map(ToString::to_string).collect(),
        };
        let mut lanes: Vec<LaneOffer> = self.lanes.values().map(offer).collect();
        lanes.sort_by(|a, b| a.lane.cmp(&b.lane));
        Beat {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            pid: std::process::id(),
            concurrency: self.settings.concurrency,
            held: self.held.count(),
            sent: Some(self.held.count().saturating_sub(self.held.unsent().len())),
            draining: self.draining.is_cancelled() || self.ending.is_told(),
            lanes,
            other_profile: self.other_profile(),
            refused: self.refused.lanes(),
            disk_full: self.room.full(),
            layout: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            heeds_drain: true,
            cannot_claim: self.health.claim_trouble(),
        }
    }

    /// Waits before a step is tried again, longer each time, at most two seconds.
    pub(crate) async fn pause(tries: &mut u32) {
        let delay = Duration::from_millis(100 << (*tries).min(4)).min(Duration::from_secs(2));
        *tries += 1;
        tokio::time::sleep(delay).await;
    }
}

/// Names the id under which an attempt is sent and can be found in the provider's records.
pub(crate) fn client_request_id(attempt: &Attempt) -> String {
    format!("{}:{}", attempt.token, attempt.attempt)
}

/// Milliseconds since 1970 by this host's clock; for people and for the day of a price, never for decisions.
pub(crate) fn wall_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
