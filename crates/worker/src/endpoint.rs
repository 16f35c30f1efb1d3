//! Tells over HTTP how this worker is: `/healthz`, `/readyz`, `/metrics`.
//!
//! On a thread of its own, so that it can still tell when everything else stands.

mod page;

use std::{
    collections::BTreeSet,
    io,
    net::TcpListener,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use pictor_common::{
    batch::Route,
    metrics::Page,
    queue::{Gauges, Queue},
};
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::engine::Engine;

/// Redis is looked at this often at most, however many ask.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How long a page waits for Redis.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);
/// What the lines of `/readyz` begin with.
const REASONS: [&str; 6] = ["redis", "claims", "store", "draining", "profile", "spool"];

/// The thread that answers.
#[derive(Debug)]
pub(crate) struct Endpoint {
    over: CancellationToken,
    thread: JoinHandle<()>,
}

impl Endpoint {
    /// Begins to answer on a listener.
    pub(crate) fn start(listener: TcpListener, engine: &Arc<Engine>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let over = CancellationToken::new();
        let (engine, stop) = (Arc::clone(engine), over.clone());
        let answer = async move {
            tokio::select! {
                served = serve(listener, engine) => if let Err(error) = served {
                    warn!(%error, "cannot answer probes any more");
                },
                () = stop.cancelled() => {}
            }
        };
        let thread =
            thread::Builder::new().name("endpoint".to_owned()).spawn(move || runtime.block_on(answer))?;
        info!(%address, "answers /healthz, /readyz and /metrics");
        Ok(Self { over, thread })
    }

    /// Answers no more.
    pub(crate) async fn stop(self) {
        self.over.cancel();
        if tokio::task::spawn_blocking(move || self.thread.join()).await.is_err() {
            debug!("the thread that answers probes did not end in good order");
        }
    }
}

async fn serve(listener: TcpListener, engine: Arc<Engine>) -> io::Result<()> {
    let routes: BTreeSet<&str> =
        engine.lanes.values().flat_map(|lane| &lane.routes).map(Route::as_str).collect();
    let routes = routes.into_iter().map(Route::named).collect();
    let queue = engine.queue.own();
    let shown = Arc::new(Shown { routes, queue, engine, look: Mutex::default() });
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(shown);
    axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await
}

/// What is shown.
struct Shown {
    engine: Arc<Engine>,
    /// A connection of this thread.
    queue: Queue,
    routes: Vec<Route>,
    look: Mutex<Look>,
}

/// The last look at Redis.
#[derive(Default)]
struct Look {
    at: Option<Instant>,
    saw: Option<Arc<Gauges>>,
}

impl Shown {
    /// What Redis holds; none when it does not answer.
    async fn look(&self) -> Option<Arc<Gauges>> {
        let mut look = self.look.lock().await;
        if look.at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return look.saw.clone();
        }
        let saw = match tokio::time::timeout(LOOK_PATIENCE, self.queue.gauges(&self.routes)).await {
            Ok(Ok(gauges)) => Some(Arc::new(gauges)),
            Ok(Err(error)) => {
                debug!(%error, "metrics without what Redis holds");
                None
            }
            Err(_elapsed) => None,
        };
        *look = Look { at: Some(Instant::now()), saw };
        look.saw.clone()
    }
}

async fn healthz(State(shown): State<Arc<Shown>>) -> Response {
    let Engine { health, draining, .. } = &*shown.engine;
    verdict("moving", &health.standing(health.now(), draining.is_cancelled()))
}

async fn readyz(State(shown): State<Arc<Shown>>) -> Response {
    verdict("ready", &unready(&shown.engine))
}

/// Why this worker takes no work, a line for each reason.
fn unready(engine: &Engine) -> Vec<String> {
    let mut missing = engine.health.missing(engine.health.now());
    if engine.draining.is_cancelled() || engine.ending.is_told() {
        missing.push("draining: nothing new is claimed, what was sent is waited for".to_owned());
    }
    if engine.other_profile().is_some() {
        missing.push("profile: the namespace belongs to another one".to_owned());
    }
    if engine.room.full() {
        missing.push("spool: its disk is full".to_owned());
    }
    missing
}

async fn metrics(State(shown): State<Arc<Shown>>) -> Response {
    let saw = shown.look().await;
    let text = page::of(&shown.engine, saw.as_deref());
    told(StatusCode::OK, Page::CONTENT_TYPE, text)
}

/// 200 with a word, or 503 with a line for each reason.
fn verdict(good: &str, reasons: &[String]) -> Response {
    let (status, text) = if reasons.is_empty() {
        (StatusCode::OK, good.to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n"))
    };
    told(status, "text/plain; charset=utf-8", text + "\n")
}

fn told(status: StatusCode, content_type: &'static str, text: String) -> Response {
    // Whoever asks seldom need not hold a connection.
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONNECTION, "close"),
    ];
    (status, headers, text).into_response()
}
