//! Opens what commands work with: the queue, the store, a worker's parts.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use pictor_common::{
    keys::Keys,
    queue::{Queue, Setter, WasSet},
    store::Store,
};
use pictor_worker::{AlertSettings, Lane, Parts, Settings as WorkerSettings, Webhook};

use crate::{
    completion,
    config::{Settings, who},
    private_redis::{PrivateRedis, Use},
    signals::Signals,
    topology,
};

/// Where images go when nothing says otherwise.
pub(crate) const DEFAULT_STORE: &str = "pictor-out";

/// The queue, and the private server it lives on, if it does.
#[derive(Debug)]
pub(crate) struct OpenQueue {
    pub(crate) queue: Queue,
    private: Option<PrivateRedis>,
}

impl OpenQueue {
    /// Whether the server is private, and this process started it: then nobody else works here.
    pub(crate) fn is_ours(&self) -> bool {
        self.private.as_ref().is_some_and(PrivateRedis::is_ours)
    }

    /// Whether the server belongs to another `pictor` and ends with it.
    pub(crate) fn is_borrowed(&self) -> bool {
        self.private.as_ref().is_some_and(|private| !private.is_ours())
    }

    /// Ends the private server in good order.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        match self.private {
            Some(private) => {
                if let Some(data_dir) = private.owned_dir() {
                    completion::remember(&self.queue, data_dir).await;
                }
                private.stop().await
            }
            None => Ok(()),
        }
    }
}

/// Connects to the Redis of the settings, or else to a private one.
pub(crate) async fn open_queue(
    settings: &Settings,
    signals: &Signals,
    how: Use<'_>,
) -> anyhow::Result<OpenQueue> {
    let keys = Keys::new(&settings.redis.namespace)?;
    let Some(redis) = topology::of(&settings.redis)? else {
        let private = PrivateRedis::open(&settings.data_dir, how, signals).await?;
        let queue = Queue::connect(private.client()?, keys).await?;
        // One process owns the server: nobody else has leases to re-assert.
        let queue = queue.with_grace(Duration::ZERO).of_profile(settings.profile.as_deref());
        let queue = queue.in_zone(settings.budget.time_zone.clone());
        queue.belong_to(settings.profile.as_deref()).await?;
        return Ok(OpenQueue { queue, private: Some(private) });
    };
    let queue = Queue::connect(redis.clone(), keys).await.with_context(|| {
        format!("cannot use Redis ({redis}): is it running, and is redis.url (PICTOR_REDIS__URL) right?")
    })?;
    let queue = queue.of_profile(settings.profile.as_deref()).in_zone(settings.budget.time_zone.clone());
    queue.belong_to(settings.profile.as_deref()).await?;
    Ok(OpenQueue { queue, private: None })
}

/// The URL of the store: a flag's, the settings', or a directory here.
pub(crate) fn store_url<'s>(settings: &'s Settings, out: Option<&'s str>) -> &'s str {
    out.or(settings.store.url.as_deref()).unwrap_or(DEFAULT_STORE)
}

/// Opens the store.
pub(crate) async fn open_store(settings: &Settings, url: &str) -> anyhow::Result<Arc<dyn Store>> {
    pictor_store::open(url, &settings.store.s3).await.with_context(|| format!("cannot use the store {url}"))
}

/// Opens the store and makes sure that it answers.
pub(crate) async fn open_answering_store(settings: &Settings, url: &str) -> anyhow::Result<Arc<dyn Store>> {
    let store = open_store(settings, url).await?;
    store.list("", None, 1).await.with_context(|| format!("cannot use the store {url}"))?;
    Ok(store)
}

/// Declares the lanes and puts a worker together.
pub(crate) async fn worker(
    settings: &Settings,
    queue: &Queue,
    store: &Arc<dyn Store>,
    lanes: Vec<Lane>,
    concurrency: usize,
) -> anyhow::Result<Parts> {
    for lane in &lanes {
        if !queue.declare_lane(&lane.name, &lane.limits).await? {
            tracing::warn!(
                lane = lane.name,
                "another worker knows this lane's limits; they stand, and the guesses of this one do not count"
            );
        }
    }
    let webhooks = webhooks(settings);
    // Before anything is submitted here: what ends without an endpoint is told to nobody.
    if !webhooks.is_empty() {
        queue.declare_webhooks(&pictor_worker::declared(&webhooks)).await?;
    }
    let spool = settings.worker.spool.clone().unwrap_or_else(|| settings.data_dir.join("spool"));
    Ok(Parts {
        queue: queue.clone(),
        store: Arc::clone(store),
        catalogue: Arc::new(settings.catalogue.clone()),
        lanes,
        settings: WorkerSettings {
            concurrency,
            spool,
            spool_keep_free: settings.worker.spool_keep_free(),
            max_attempts: settings.worker.max_attempts,
            max_unknown: settings.worker.risked(),
            drain: settings.worker.drain(),
            caps: settings.budget.caps(),
            who: who(),
            alerts: alerts(settings),
            webhooks,
            keep_ledger: settings.ledger.keep(),
            retention: settings.retention.clone(),
            derive_threads: settings.worker.derive_threads(),
        },
    })
}

/// Endpoints that can be told; the others are warned of.
fn webhooks(settings: &Settings) -> Vec<Webhook> {
    let mut webhooks = Vec::new();
    for (name, endpoint) in &settings.webhooks {
        if let Some(lacks) = &endpoint.lacks {
            tracing::warn!(webhook = name, "nothing is told to this webhook: {lacks}");
        } else {
            webhooks.push(endpoint.webhook.clone());
        }
    }
    webhooks
}

fn alerts(settings: &Settings) -> AlertSettings {
    let secret = settings.accounts.values().flat_map(|account| account.account.without_variables.clone());
    AlertSettings {
        command: settings.budget.alert_command.clone(),
        without_variables: secret.collect(),
        url: settings.budget.alert_url.clone(),
    }
}

/// Sets the caps that the settings name. What a person has set stands, and so does a cap they say nothing of.
pub(crate) async fn apply_budget(settings: &Settings, queue: &Queue) -> anyhow::Result<()> {
    let caps = settings.budget.caps();
    let became = queue.set_caps(Setter::Settings, &who(), "settings", &caps).await?;
    for ((of, _), _) in caps.iter().zip(became).filter(|(_, became)| *became == WasSet::Kept) {
        tracing::info!("{of} was set by a person, and stands; pictor budget audit tells by whom");
    }
    Ok(())
}

/// The day in UTC, as `YYYY-MM-DD`.
pub(crate) fn today() -> String {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// The absolute form of a store's URL, to recognise it by.
pub(crate) fn absolute(url: &str) -> String {
    if url.contains("://") {
        return url.to_owned();
    }
    std::path::absolute(Path::new(url))
        .map_or_else(|_error| url.to_owned(), |path| path.display().to_string())
}
