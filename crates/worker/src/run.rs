//! Starts a worker, and drains it.

use std::{
    collections::HashMap,
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context;
use apalis::prelude::{WorkerBuilder, WorkerBuilderExt};
use pictor_common::{
    ledger::Archive,
    metrics::Work as Counted,
    queue::{Attempt, HeldPhase},
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    alerts, archivist, certify,
    claimer::Claimer,
    derive,
    endpoint::Endpoint,
    engine::{Engine, Parts, UPLOADS},
    generate::generate,
    health::{Loop, tick, watched},
    key_watch,
    leases::{self, Renewals},
    reaper,
    reaper::declare_unknown,
    retention,
    source::{Source, Work},
    spool::{Journal, Record, Room, Spool, read_journal},
    store_watch, webhooks,
};

/// How long a worker that has ended tries to say so.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long it waits until webhooks are told what is left to tell, and what is on its way has been answered.
const LAST_NEWS: Duration = Duration::from_secs(20);
/// How long it waits for the last alerts to be told.
const LAST_ALERTS: Duration = Duration::from_secs(15);

/// Works until `stop` is cancelled, then drains: nothing new is claimed, what was not sent is
/// given back, what was sent is waited for, and the rest is recorded as unknown.
pub async fn run(parts: Parts, stop: CancellationToken) -> anyhow::Result<()> {
    work(parts, None, stop).await
}

/// Works as [`run`] does, and tells on a listener how it is: `/healthz`, `/readyz`, `/metrics`.
pub async fn run_observed(
    parts: Parts,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    work(parts, Some(listener), stop).await
}

async fn work(
    mut parts: Parts,
    listener: Option<TcpListener>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    allow_many_connections();
    // It may end by itself, which stops nothing else of this process.
    let stop = stop.child_token();
    let (speaker, alerts) = mpsc::unbounded_channel();
    parts.queue = parts.queue.with_alerts(speaker);
    let (namespace, ended) = (parts.queue.keys().namespace().to_owned(), CancellationToken::new());
    let lanes = parts.lanes.iter().map(|lane| lane.name.as_str());
    let counted = Arc::new(Counted::new(lanes, parts.catalogue.models().map(|model| model.id.clone())));
    let alert_settings = parts.settings.alerts.clone();
    let told =
        tokio::spawn(alerts::run(alert_settings, namespace, Arc::clone(&counted), alerts, ended.clone()));
    let engine = Arc::new(assemble(parts, counted)?);
    let renewals = leases::start(&engine).context("cannot start the lease thread")?;
    let (work, incoming) = mpsc::channel(engine.settings.concurrency.max(1));
    let mut background = begin(&engine, renewals, work);
    let news_ended = CancellationToken::new();
    let news = tokio::spawn(webhooks::run(Arc::clone(&engine), news_ended.clone()));
    let endpoint = listener.map(|listener| Endpoint::start(listener, &engine));
    let endpoint = endpoint.transpose().context("cannot answer probes")?;
    if endpoint.is_some() {
        background.push(tokio::spawn(store_watch::run(Arc::clone(&engine))));
    }
    let worker = WorkerBuilder::new(format!("pictor-{}", engine.incarnation))
        .backend(Source::new(incoming, Arc::clone(&engine)))
        .data(Arc::clone(&engine))
        .concurrency(engine.settings.concurrency.max(1))
        .build(generate);
    info!(incarnation = engine.incarnation, concurrency = engine.settings.concurrency, "working");
    let signal = stop.clone();
    let working = tokio::spawn(worker.run_until(async move {
        signal.cancelled().await;
        Ok::<(), std::io::Error>(())
    }));
    tokio::select! {
        () = stop.cancelled() => {}
        // Told through Redis; what it holds has ended by then.
        () = engine.ending.came(&engine.held) => stop.cancel(),
    }
    engine.draining.cancel();
    let stopping = Arc::clone(&engine);
    // Redis may be away; what was sent is waited for all the same.
    let word =
        tokio::spawn(async move { stopping.queue.beat(&stopping.incarnation, &stopping.beat()).await });
    drain(&engine, working).await;
    engine.deriver.leave().await;
    if tokio::time::timeout(FAREWELL, engine.books.all_told()).await.is_err() {
        debug!(
            "Redis is not told all that it has forgotten; what is missing is in the ledger as unknown, or in the store"
        );
    }
    for task in background {
        // A round that still waits for Redis has nothing left to do.
        task.abort();
    }
    word.abort();
    archivist::last(&engine).await;
    news_ended.cancel();
    finish_news(news).await;
    if let Some(endpoint) = endpoint {
        endpoint.stop().await;
    }
    let (queue, incarnation) = (engine.queue.clone(), engine.incarnation.clone());
    let left = leave(engine).await;
    let said = tokio::time::timeout(FAREWELL, queue.depart(&incarnation)).await;
    if !matches!(said, Ok(Ok(()))) {
        debug!("cannot say that this worker has left; its silence will");
    }
    ended.cancel();
    if tokio::time::timeout(LAST_ALERTS, told).await.is_err() {
        warn!("not all that was to be told of the budget was told; the events have it");
    }
    left
}

/// A webhook that does not answer keeps nobody: another worker tells it.
async fn finish_news(mut news: JoinHandle<()>) {
    if tokio::time::timeout(LAST_NEWS, &mut news).await.is_err() {
        news.abort();
        let _ended = news.await;
    }
}

/// Starts what runs beside the handlers.
fn begin(engine: &Arc<Engine>, renewals: Renewals, work: mpsc::Sender<Work>) -> Vec<JoinHandle<()>> {
    let claimer = Claimer {
        engine: Arc::clone(engine),
        places: Arc::new(Semaphore::new(engine.settings.concurrency.max(1))),
        work,
        renewals,
        sequence: 1,
        calls: 0,
        waker: None,
        declared: std::time::Instant::now(),
    };
    let own = || Arc::clone(engine);
    vec![
        tokio::spawn(watched(own(), Loop::Claims, claimer.run())),
        tokio::spawn(watched(own(), Loop::Reaper, reaper::run(own()))),
        tokio::spawn(watched(own(), Loop::Spools, certify::run(own()))),
        tokio::spawn(watched(own(), Loop::Keys, key_watch::run(own()))),
        tokio::spawn(watched(own(), Loop::Ledger, archivist::run(own()))),
        tokio::spawn(retention::run(own())),
        tokio::spawn(watched(own(), Loop::Runtime, tick(own()))),
        engine.deriver.begin(derive::sweep(own())),
    ]
}

/// Raises the limit of open files to what the system allows: each request takes a connection and a file.
fn allow_many_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current < maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        warn!(%error, ?current, "cannot raise the limit of open files");
    }
}

fn assemble(parts: Parts, counted: Arc<Counted>) -> anyhow::Result<Engine> {
    let incarnation = ulid::Ulid::generate().to_string();
    let spool = Spool::create(&parts.settings.spool, &incarnation)?;
    let room = Room::new(spool.dir(), parts.settings.spool_keep_free);
    let journal = Journal::open(&spool.dir()).context("cannot open the journal in the spool")?;
    let derive_threads = parts.settings.derive_threads;
    let lanes: HashMap<_, _> = parts.lanes.into_iter().map(|lane| (lane.name.clone(), lane)).collect();
    Ok(Engine {
        archive: Archive::new(Arc::clone(&parts.store), parts.queue.keys().namespace()),
        queue: parts.queue,
        store: parts.store,
        catalogue: parts.catalogue,
        lanes,
        settings: parts.settings,
        incarnation,
        room,
        spool,
        journal,
        held: crate::held::Held::default(),
        health: crate::health::Health::default(),
        metrics: counted,
        learnt: crate::learning::Learnt::default(),
        books: crate::books::Books::default(),
        decoders: Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)),
        deriver: derive::Deriver::new(derive_threads),
        uploads: Semaphore::new(UPLOADS),
        other_profile: Mutex::default(),
        refused: crate::refused::Refused::default(),
        ending: crate::ending::Ending::default(),
        draining: CancellationToken::new(),
    })
}

async fn drain<T>(engine: &Engine, working: JoinHandle<T>) {
    let unsent = engine.held.unsent();
    let sent = engine.held.all().len() - unsent.len();
    info!(unsent = unsent.len(), sent, "stopping: giving back what was not sent, waiting for what was");
    if let Err(error) = engine.queue.release(&unsent).await {
        warn!(%error, "cannot give back unsent assets; their leases end by themselves");
    }
    if tokio::time::timeout(engine.settings.drain, working).await.is_ok() {
        return;
    }
    for held in engine.held.all() {
        // An image on disk is not unknown: whoever takes up this spool delivers it.
        if held.phase != HeldPhase::Sent {
            continue;
        }
        let attempt = Attempt {
            key: held.key,
            token: held.token,
            attempt: held.attempt,
            payer: held.payer,
            tenant: held.tenant,
            lane: held.lane,
            model: String::new(),
            request_id: None,
        };
        let recorded = declare_unknown(
            engine,
            &attempt,
            held.ceiling,
            "the worker was stopped before the answer came",
            false,
        );
        if let Err(error) = recorded.await {
            warn!(%error, "cannot record unknown outcomes; the spool tells them");
            return;
        }
    }
}

/// Removes the spool when nothing is left in it; otherwise whoever takes it up replays it.
async fn leave(engine: Arc<Engine>) -> anyhow::Result<()> {
    // The writer works in order: when this line is on disk, all lines before it are.
    let last = Record::Ended { token: String::new() };
    engine.journal.sync(last).await.context("cannot close the journal")?;
    let open = read_journal(&engine.spool.dir().join("journal")).context("cannot read the journal")?;
    if open.is_empty() {
        engine.spool.remove().context("cannot remove the empty spool")?;
    } else {
        warn!(open = open.len(), "stopped with work in the spool; the next worker on it goes on");
    }
    info!("stopped");
    Ok(())
}
