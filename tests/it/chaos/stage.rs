//! A world with workers and enough to do, on which faults are played.

use std::{
    collections::BTreeSet,
    fs,
    ops::Range,
    time::{Duration, Instant},
};

use pictor_simulator::Options;
use redis::{AsyncCommands as _, AsyncConnectionConfig, aio::MultiplexedConnection};
use serde_json::Value;

use crate::world::{Images, Worker, World};

/// Of the connections that look at Redis.
const PATIENCE: Duration = Duration::from_secs(30);

/// How large a scenario is.
#[derive(Clone, Debug)]
pub(crate) struct Size {
    /// Assets submitted at first; more follow as long as faults do.
    pub(crate) assets: u64,
    pub(crate) workers: usize,
    /// Requests of a worker.
    pub(crate) concurrency: usize,
    /// How often the fault comes.
    pub(crate) faults: usize,
    /// Time between two faults.
    pub(crate) gap: Range<Duration>,
    /// How long a fault lasts.
    pub(crate) lasts: Range<Duration>,
    /// Requests in flight and bodies part-received, at least, when it comes.
    pub(crate) in_flight: u64,
    pub(crate) bodies: u64,
    pub(crate) latency_ms: u64,
    /// A request is given up after this.
    pub(crate) timeout: Duration,
    /// From the end of the fault to the next claim.
    pub(crate) recovers: Duration,
    /// For all of it.
    pub(crate) patience: Duration,
}

pub(crate) const fn secs(from: u64, to: u64) -> Range<Duration> {
    Duration::from_secs(from)..Duration::from_secs(to)
}

impl Size {
    /// Bodies take about a second, or a fifth of the latency.
    pub(crate) fn options(&self) -> Options {
        let seconds = (self.latency_ms / 5_000).max(1);
        Options {
            latency_ms_p50: Some(self.latency_ms),
            image_bytes: Some(60_000),
            body_bytes_per_second: Some(60_000 / seconds),
            one_picture: true,
            ..Options::default()
        }
    }
}

/// A play: what was submitted, and who works.
pub(crate) struct Stage {
    // Before the world, so that its workers end first.
    pub(crate) crew: Vec<Worker>,
    pub(crate) world: World,
    size: Size,
    lives: usize,
    batches: Vec<String>,
    enough: bool,
    pub(crate) assets: u64,
}

fn count(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} in {value}"))
}

impl Stage {
    pub(crate) fn new(size: &Size, images: Images) -> Self {
        Self::with(size.options(), size, images)
    }

    /// With a simulator that is told more than how slow it is.
    pub(crate) fn with(options: Options, size: &Size, images: Images) -> Self {
        let world = World::with(options, images);
        let seconds = size.timeout.as_secs();
        let catalogue = format!("[models.dall-e-2]\ntimeout_seconds = {seconds}\n");
        fs::write(world.path("catalogue.toml"), catalogue).unwrap();
        Self {
            crew: Vec::new(),
            world,
            size: size.clone(),
            lives: 0,
            batches: Vec::new(),
            enough: false,
            assets: 0,
        }
    }

    pub(crate) async fn redis(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.world.redis.url()).unwrap();
        // A machine that has much else to do answers late.
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        client.get_multiplexed_async_connection_with_config(&settings).await.unwrap()
    }

    /// Submits more of the catalogue.
    pub(crate) fn submit(&mut self, assets: u64) {
        let batch = format!("part-{}", self.batches.len());
        let file = self.world.catalogue(&format!("{batch}.csv"), self.assets..self.assets + assets);
        self.world.json(&["submit", file.to_str().unwrap(), "--run-id", &batch]);
        self.batches.push(batch);
        self.assets += assets;
    }

    /// Submits all of it once more, to a Redis that knows nothing of it.
    pub(crate) fn submit_again(&self) {
        for batch in &self.batches {
            let file = self.world.path(&format!("{batch}.csv"));
            self.world.json(&["submit", file.to_str().unwrap(), "--run-id", batch]);
        }
    }

    /// From now on nothing more is submitted.
    pub(crate) fn enough(&mut self) {
        self.enough = true;
    }

    /// Starts a worker, with settings of its own.
    pub(crate) async fn worker(&mut self, settings: &[(&str, &str)]) -> Worker {
        if self.lives == 0 {
            // A namespace that nobody looked after starts with a grace; this one has had nobody who could need it.
            let queue = self.world.queue().await.with_grace(Duration::ZERO);
            queue.reap(1).await.unwrap();
        }
        self.lives += 1;
        let catalogue = self.world.path("catalogue.toml");
        let own =
            [("PICTOR_CATALOGUE__FILE", catalogue.to_str().unwrap()), ("PICTOR_WORKER__MAX_UNKNOWN", "1000")];
        let settings = [&own, settings].concat();
        self.world.worker(&format!("worker-{}", self.lives), self.size.concurrency, &settings)
    }

    /// Starts all workers.
    pub(crate) async fn begin(&mut self) {
        self.submit(self.size.assets);
        for _ in 0..self.size.workers {
            let worker = self.worker(&[]).await;
            self.crew.push(worker);
        }
    }

    /// Puts another worker in the place of one that has ended.
    pub(crate) async fn replace(&mut self, place: usize, settings: &[(&str, &str)]) {
        self.crew[place] = self.worker(settings).await;
    }

    /// Assets that have not ended, by Pictor's own count: it only says when to submit more.
    async fn left(&self) -> u64 {
        let queue = self.world.queue().await;
        let mut ended = 0;
        for batch in &self.batches {
            if let Some(state) = queue.batch(&batch.parse().unwrap()).await.unwrap() {
                ended += state.counts.done + state.counts.failed + state.counts.parked;
            }
        }
        self.assets.saturating_sub(ended)
    }

    /// Waits until as much is under way as the size says, and tells how much; submits more when that runs out.
    pub(crate) async fn busy(&mut self) -> (u64, u64) {
        let deadline = Instant::now() + self.size.patience;
        let places = (self.size.workers * self.size.concurrency) as u64;
        let mut redis = self.redis().await;
        loop {
            if !self.enough && self.left().await < places + places / 2 {
                self.submit(places * 2);
            }
            let state = self.world.sim.state().await;
            // The simulator goes on with what the dead had asked for: only that of the living counts.
            let living = leases(&mut redis).await.into_iter().filter(|(token, _)| self.is_of_crew(token));
            let in_flight = count(&state, "in_flight").min(living.count() as u64);
            let bodies = count(&state, "bodies_part_sent");
            if in_flight >= self.size.in_flight && bodies >= self.size.bodies {
                return (in_flight, bodies);
            }
            assert!(Instant::now() < deadline, "never so much in flight as wanted: {state}; {}", self.told());
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    fn is_of_crew(&self, token: &str) -> bool {
        self.crew.iter().any(|worker| token.starts_with(&worker.incarnation))
    }

    /// Requests that the simulator has let in so far.
    pub(crate) async fn admitted(&self) -> u64 {
        count(&self.world.sim.state().await, "admitted")
    }

    pub(crate) async fn in_flight(&self) -> u64 {
        count(&self.world.sim.state().await, "in_flight")
    }

    /// Asserts that no worker has ended.
    pub(crate) fn all_work(&mut self) {
        for worker in &mut self.crew {
            assert!(worker.proc.exited().is_none(), "a worker ended: {}", worker.proc.told());
        }
    }

    /// Waits until all that was submitted is made.
    pub(crate) async fn made(&mut self) {
        let mut done = 0;
        for batch in &self.batches {
            let state = self.world.ended(batch, self.size.patience).await;
            let counts = &state.counts;
            assert_eq!(counts.failed + counts.parked, 0, "{batch}: {counts:?}; {}", self.told());
            done += counts.done;
        }
        assert_eq!(done, self.assets);
    }

    /// What the workers say.
    pub(crate) fn told(&self) -> String {
        self.crew.iter().map(|worker| worker.proc.told() + "\n").collect()
    }
}

/// Tokens and keys of all that is claimed.
pub(crate) async fn leases(redis: &mut MultiplexedConnection) -> BTreeSet<(String, String)> {
    let members: Vec<String> = redis.zrange("{it}:leases", 0, -1).await.unwrap();
    let pair = |member: &String| {
        let (token, key) = member.split_once(' ').unwrap();
        (token.to_owned(), key.to_owned())
    };
    members.iter().map(pair).collect()
}

/// Waits for a claim that none of these is, and tells when it came.
pub(crate) async fn next_claim(
    redis: &mut MultiplexedConnection,
    known: &BTreeSet<(String, String)>,
    patience: Duration,
) -> Instant {
    let deadline = Instant::now() + patience;
    loop {
        if leases(redis).await.iter().any(|lease| !known.contains(lease)) {
            return Instant::now();
        }
        assert!(Instant::now() < deadline, "nothing is claimed after {patience:?}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}
