//! A private server and a namespace per test.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{Band, BatchHead, BatchId, Line, NewAsset, Route},
    keys::Keys,
    ledger::Spend,
    queue::{
        Attempt, Begun, Billed, CapOf, Claim, Claimed, Failure, Grant, HeldAsset, HeldPhase, LaneLimits,
        LaneOffer, Outcome, Queue, Setter, Submitted, Unmade,
    },
    spec::Operation,
};

pub(crate) const LANE: &str = "acme.dall-e-2";
pub(crate) const LEASE: Duration = Duration::from_secs(15);

struct Server {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static NAMES: AtomicU64 = AtomicU64::new(0);

fn binary() -> &'static str {
    let runs = |name: &str| {
        Command::new(name).arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    let bundled = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/bin/valkey-server");
    ["redis-server", "valkey-server", bundled]
        .into_iter()
        .find(|name| runs(name))
        .expect("no redis-server or valkey-server found: run `make tools`")
}

fn server() -> Arc<Server> {
    let mut shared = SERVER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(server) = shared.upgrade() {
        return server;
    }
    let server = start();
    *shared = Arc::downgrade(&server);
    server
}

fn start() -> Arc<Server> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new(binary())
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"])
        .args(["--dir", dir.path().to_str().unwrap(), "--enable-debug-command", "yes"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let server = Arc::new(Server { child, port, _dir: dir });
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "the server does not listen");
        std::thread::yield_now();
    }
    server
}

fn client_of(server: &Server) -> redis::Client {
    redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).unwrap()
}

/// A namespace of its own with one lane and one route.
pub(crate) struct World {
    pub(crate) queue: Queue,
    pub(crate) redis: redis::aio::MultiplexedConnection,
    calls: AtomicU64,
    server: Arc<Server>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Duration::ZERO, &LaneLimits::default()).await
    }

    pub(crate) async fn with(grace: Duration, limits: &LaneLimits) -> Self {
        Self::on(server(), grace, limits).await
    }

    /// On a server of its own, which long scripts may keep from others.
    pub(crate) async fn alone() -> Self {
        Self::on(start(), Duration::ZERO, &LaneLimits::default()).await
    }

    async fn on(server: Arc<Server>, grace: Duration, limits: &LaneLimits) -> Self {
        let client = client_of(&server);
        let keys = Keys::new(&format!("t{}", NAMES.fetch_add(1, Ordering::Relaxed))).unwrap();
        // The crate's half a second is little on a busy machine.
        let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(10)));
        let redis = client.get_multiplexed_async_connection_with_config(&patient).await.unwrap();
        let queue = Queue::connect(client, keys).await.unwrap().with_grace(grace);
        queue.declare_lane(LANE, limits).await.unwrap();
        let world = Self { queue, redis, calls: AtomicU64::new(0), server };
        world.nothing_spent_before().await;
        world
    }

    /// Without this nothing is claimed.
    pub(crate) async fn nothing_spent_before(&self) {
        let begun = self.queue.begun().await.unwrap();
        self.queue.restore_spend(&begun, &Spend::default()).await.unwrap();
    }

    pub(crate) fn client(&self) -> redis::Client {
        client_of(&self.server)
    }

    pub(crate) fn claim_request(&self, free: usize) -> Claim {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        Claim {
            request: format!("r{call}"),
            incarnation: "w".to_owned(),
            sequence: call * 1_000,
            lease: LEASE,
            horizon: Duration::from_secs(1),
            free,
            lanes: vec![LaneOffer { lane: LANE.to_owned(), routes: vec![route().to_string()] }],
        }
    }

    pub(crate) async fn claim(&self, free: usize) -> Claimed {
        self.queue.claim(&self.claim_request(free)).await.unwrap()
    }

    pub(crate) async fn one(&self) -> Grant {
        self.claim(1).await.grants.pop().expect("an asset is ready")
    }

    pub(crate) async fn begin(&self, grant: &Grant) -> Begun {
        self.queue.begin(&grant.key, &grant.token, Duration::from_secs(60), LEASE).await.unwrap()
    }

    /// The server's time, µs since 1970.
    pub(crate) async fn now(&self) -> u64 {
        let (seconds, micros): (u64, u64) =
            redis::cmd("TIME").query_async(&mut self.redis.clone()).await.unwrap();
        seconds * 1_000_000 + micros
    }

    /// Claims one asset and marks it sent.
    pub(crate) async fn sent(&self) -> Grant {
        let grant = self.one().await;
        assert!(matches!(self.begin(&grant).await, Begun::Go { .. }));
        grant
    }

    pub(crate) async fn submit(&self, batch: &str, tenant: &str, prompts: std::ops::Range<u64>) -> Submitted {
        let head = head(batch, tenant);
        let mut all = Submitted::default();
        let rows: Vec<u64> = prompts.collect();
        for chunk in rows.chunks(500) {
            let assets: Vec<_> = chunk.iter().map(|n| (*n, asset(*n))).collect();
            let lines: Vec<_> = assets.iter().map(|(row, a)| line(*row, a)).collect();
            all += self.queue.submit(&head, &assets, &lines, false).await.unwrap();
        }
        self.queue.seal(&head.id, rows.len() as u64).await.unwrap();
        all
    }

    /// Sets a cap by hand, or lifts it.
    pub(crate) async fn cap(&self, of: CapOf, amount: Option<MicroUsd>) {
        self.queue.set_caps(Setter::Person, "ann@desk", "a test", &[(of, amount)]).await.unwrap();
    }

    pub(crate) async fn phase(&self, key: &AssetKey) -> String {
        self.queue.assets(std::slice::from_ref(key)).await.unwrap()[0]
            .clone()
            .map_or("none".into(), |a| a.phase)
    }

    /// Forgets the namespace.
    pub(crate) async fn wipe(&self) {
        let mut redis = self.redis.clone();
        let pattern = format!("{}*", self.queue.keys().prefix());
        let names: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap();
        redis::cmd("DEL").arg(names).exec_async(&mut redis).await.unwrap();
    }

    /// Moves the end of every lease into the past.
    pub(crate) async fn expire_leases(&self) {
        let mut redis = self.redis.clone();
        let leases = self.queue.keys().leases();
        let members: Vec<String> =
            redis::cmd("ZRANGE").arg(&leases).arg(0).arg(-1).query_async(&mut redis).await.unwrap();
        for member in members {
            redis::cmd("ZADD").arg(&leases).arg(1).arg(member).exec_async(&mut redis).await.unwrap();
        }
    }
}

pub(crate) fn route() -> Route {
    Route::new("dall-e-2", Operation::Generate)
}

pub(crate) fn spec(n: u64) -> Spec {
    Spec { model: "dall-e-2".into(), prompt: Some(format!("thing {n}")), ..Spec::default() }
}

pub(crate) fn asset(n: u64) -> NewAsset {
    let spec = spec(n);
    NewAsset {
        key: AssetKey::of(&spec),
        spec,
        route: route(),
        ceiling: MicroUsd(20_000),
        tokens: 0,
        made: None,
    }
}

pub(crate) fn key(n: u64) -> AssetKey {
    AssetKey::of(&spec(n))
}

pub(crate) fn line(row: u64, asset: &NewAsset) -> Line {
    Line { row, id: row.to_string(), keys: vec![asset.key.clone()], cells: vec![] }
}

pub(crate) fn head(batch: &str, tenant: &str) -> BatchHead {
    BatchHead {
        id: id(batch),
        tenant: tenant.into(),
        band: Band::Normal,
        content: "c".into(),
        source: "-".into(),
        columns: vec![],
        cap: None,
        fallback: None,
        on_unknown: None,
        deadline: None,
        derive: None,
    }
}

pub(crate) fn id(batch: &str) -> BatchId {
    batch.parse().unwrap()
}

pub(crate) fn attempt(grant: &Grant) -> Attempt {
    Attempt {
        key: grant.key.clone(),
        token: grant.token.clone(),
        attempt: grant.attempts + 1,
        payer: grant.payer.clone(),
        tenant: grant.tenant.clone(),
        lane: grant.lane.clone(),
        model: grant.spec.model.clone(),
        request_id: Some(format!("req-{}", grant.token)),
    }
}

/// How an attempt ended without an image: free, and for good.
pub(crate) fn unmade(failure: &Failure) -> Unmade<'_> {
    Unmade {
        billed: Billed::No,
        cost: MicroUsd::ZERO,
        outcome: Outcome::Failed,
        max_unknown: 1,
        failure,
        pause: None,
        refusal: None,
        fault: None,
        doubt: false,
    }
}

pub(crate) fn held(grant: &Grant, phase: HeldPhase) -> HeldAsset {
    HeldAsset {
        key: grant.key.clone(),
        token: grant.token.clone(),
        phase,
        lane: LANE.into(),
        payer: grant.payer.clone(),
        tenant: grant.tenant.clone(),
        ceiling: grant.ceiling,
        attempt: 1,
        deadline: 0,
    }
}
