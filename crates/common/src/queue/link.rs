//! A connection that finds its server again: shared, and by itself.

use std::{
    future::pending,
    io,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, ServerErrorKind,
    Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use tokio::sync::watch;
use tracing::{debug, info};

use super::topology::{Reached, Topology, Way};

/// The crate's default of 500 ms gives up on work the server still does.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often Sentinels are asked whether the master is still the one, by who has something to say to it or waits for
/// its answer.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A shared connection that reconnects by itself within a second of the server's return, wherever that is then.
#[derive(Clone)]
pub struct Connection(Arc<Link>);

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.0.topology)
    }
}

struct Link {
    topology: Topology,
    /// A key of the namespace, by which the node of a cluster is found.
    probe: String,
    retries: u32,
    state: tokio::sync::Mutex<State>,
    /// How often nothing was reached.
    failures: AtomicU64,
    looked: Mutex<Instant>,
}

#[derive(Default)]
struct State {
    live: Option<Live>,
    number: u64,
    /// Where it was before.
    address: Option<String>,
    error: Option<RedisError>,
}

/// One connection to one server.
#[derive(Clone)]
struct Live {
    number: u64,
    connection: MultiplexedConnection,
    address: Arc<str>,
    /// Why nobody waits for its answers any more.
    left: Arc<watch::Sender<Option<&'static str>>>,
    /// Since when it owes an answer; who asked may have gone before it came.
    owes: Arc<Mutex<Option<Instant>>>,
}

/// Another server is the one by now.
const MOVED: &str = "the master is another server now";
/// The way to it may be gone, of which nobody tells.
const SILENT: &str = "no answer on this connection for too long: another one is opened";

impl Connection {
    /// Nothing is reached before something is sent; the runtime that sends first drives it.
    pub(super) fn new(topology: Topology, probe: String, retries: u32) -> Self {
        Self(Arc::new(Link {
            topology,
            probe,
            retries,
            state: tokio::sync::Mutex::default(),
            failures: AtomicU64::new(0),
            looked: Mutex::new(Instant::now()),
        }))
    }

    /// Another one to the same place.
    pub(super) fn another(&self) -> Self {
        Self::new(self.0.topology.clone(), self.0.probe.clone(), self.0.retries)
    }

    /// A key of the namespace.
    pub(super) fn probe(&self) -> &str {
        &self.0.probe
    }

    /// Makes sure that there is a server.
    pub(super) async fn ready(&self) -> RedisResult<()> {
        self.0.live().await.map(|_live| ())
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let live = self.0.live().await?;
            let mut connection = live.connection.clone();
            let answer = self.0.answer(&live, connection.send_packed_command(cmd)).await;
            self.0.heed(&live, &answer, std::slice::from_ref).await;
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let live = self.0.live().await?;
            let mut connection = live.connection.clone();
            let answers =
                self.0.answer(&live, connection.send_packed_commands(pipeline, offset, count)).await;
            self.0.heed(&live, &answers, Vec::as_slice).await;
            answers
        })
    }

    fn get_db(&self) -> i64 {
        self.0.topology.database()
    }
}

impl Link {
    /// The connection there is, or a new one; who comes while one is sought shares what comes of it.
    async fn live(self: &Arc<Self>) -> RedisResult<Live> {
        let failures = self.failures.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(silent) = state.live.take_if(|live| live.is_silent()) {
            silent.left.send_replace(Some(SILENT));
        }
        if let Some(live) = &state.live {
            let live = live.clone();
            drop(state);
            self.look_around(&live);
            return Ok(live);
        }
        if let Some(error) = &state.error
            && self.failures.load(Ordering::Acquire) > failures
        {
            return Err(error.clone());
        }
        match self.reach().await {
            Ok(Reached { connection, address }) => {
                if state.address.as_ref().is_some_and(|before| *before != address) {
                    info!(address, "Redis is another server now");
                }
                state.address = Some(address.clone());
                state.number += 1;
                state.error = None;
                let live = Live {
                    number: state.number,
                    connection,
                    address: address.into(),
                    left: Arc::default(),
                    owes: Arc::default(),
                };
                state.live = Some(live.clone());
                Ok(live)
            }
            Err(error) => {
                state.error = Some(error.clone());
                self.failures.fetch_add(1, Ordering::AcqRel);
                Err(error)
            }
        }
    }

    async fn reach(&self) -> RedisResult<Reached> {
        let mut pause = FIRST_PAUSE;
        let mut left = self.retries;
        loop {
            match self.topology.reach(&settings(), &self.probe).await {
                Err(error) if left > 0 && error.kind() != ErrorKind::AuthenticationFailed => {
                    debug!(%error, "no Redis yet");
                    left -= 1;
                }
                reached => return reached,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits for an answer, unless nobody is to wait any more; meanwhile Sentinels may name another master.
    async fn answer<T>(
        self: &Arc<Self>,
        live: &Live,
        answer: impl Future<Output = RedisResult<T>>,
    ) -> RedisResult<T> {
        live.owes().get_or_insert_with(Instant::now);
        let mut left = live.left.subscribe();
        let mut answer = pin!(answer);
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut answer => break answer,
                why = left.wait_for(Option::is_some) => return Err(over(why.ok().and_then(|why| *why))),
                () = self.look_is_due() => self.look_around(live),
            }
        };
        if !answer.as_ref().is_err_and(RedisError::is_timeout) {
            *live.owes() = None;
        }
        answer
    }

    /// Gives a connection up whose server is gone, or is not the one any more.
    async fn heed<T>(&self, live: &Live, answer: &RedisResult<T>, values: impl Fn(&T) -> &[Value]) {
        if answer.as_ref().is_err_and(RedisError::is_timeout) {
            return self.give_up(live, Some(SILENT)).await;
        }
        let is_over = match answer {
            Ok(answer) => values(answer).iter().any(|value| match value {
                Value::ServerError(error) => error.kind().is_some_and(is_elsewhere),
                _other => false,
            }),
            Err(error) => match error.kind() {
                ErrorKind::Server(kind) => is_elsewhere(kind),
                _other => error.is_unrecoverable_error() || error.is_connection_dropped(),
            },
        };
        if is_over {
            self.give_up(live, None).await;
        }
    }

    /// Whoever comes next finds another; who waits for an answer goes on waiting unless it is said why not to.
    async fn give_up(&self, live: &Live, why: Option<&'static str>) {
        let mut state = self.state.lock().await;
        if state.live.as_ref().is_some_and(|now| now.number == live.number) {
            state.live = None;
        }
        drop(state);
        if why.is_some() {
            live.left.send_replace(why);
        }
    }

    /// Waits until Sentinels are to be asked again.
    async fn look_is_due(&self) {
        if self.topology.way() != Way::Sentinel {
            return pending().await;
        }
        let since = self.looked.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        tokio::time::sleep(LOOK_EVERY.saturating_sub(since)).await;
    }

    /// Asks now and then whether there is another master: one that is cut off says nothing of it.
    fn look_around(self: &Arc<Self>, live: &Live) {
        if self.topology.way() != Way::Sentinel {
            return;
        }
        {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.elapsed() < LOOK_EVERY {
                return;
            }
            *looked = Instant::now();
        }
        let (link, live) = (Arc::clone(self), live.clone());
        tokio::spawn(async move {
            if link.topology.has_moved(&live.address, &settings()).await {
                link.give_up(&live, Some(MOVED)).await;
            }
        });
    }
}

impl Live {
    fn owes(&self) -> MutexGuard<'_, Option<Instant>> {
        self.owes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has answered nobody for so long that it never will; the one who asked need not have waited.
    fn is_silent(&self) -> bool {
        self.owes().is_some_and(|since| since.elapsed() >= RESPONSE_TIMEOUT)
    }
}

/// Whether an answer says that somebody else has the namespace, or may have by now.
const fn is_elsewhere(kind: ServerErrorKind) -> bool {
    use ServerErrorKind::{Ask, ClusterDown, MasterDown, Moved, ReadOnly};
    matches!(kind, Ask | ClusterDown | MasterDown | Moved | ReadOnly)
}

fn over(why: Option<&'static str>) -> RedisError {
    io::Error::new(io::ErrorKind::ConnectionReset, why.unwrap_or(SILENT)).into()
}

/// How long to wait for a server.
fn settings() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
