//! Everything of one run: directory, Redis, simulator, workers and their backlog, all gone with it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use pictor_common::{
    batch::BatchId,
    keys::Keys,
    queue::{Queue, Which},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    backlog,
    case::{self, Case},
    judge::Judge,
    workers::{Workers, pictor},
};
use crate::{
    config,
    private_redis::{PrivateRedis, Use},
    signals::Signals,
};

const NAMESPACE: &str = "bench";
/// How long workers may take to start.
const START: Duration = Duration::from_secs(60);

/// A run that goes on.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) judge: Judge,
    pub(super) queue: Queue,
    pub(super) batch: BatchId,
    pub(super) workers: Workers,
    pub(super) redis: PrivateRedis,
    /// Last, so that everything in them has ended before they go.
    _dirs: [TempDir; 2],
}

/// A directory that goes with the run.
fn scratch(parent: &Path) -> anyhow::Result<TempDir> {
    let dir = tempfile::Builder::new().prefix("pictor-bench-").tempdir_in(parent);
    dir.with_context(|| format!("cannot make a directory in {}", parent.display()))
}

/// Images go to memory where the system has a place there: the disk is not what is measured.
fn place_of_images() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { config::temporary_dir() }
}

/// Lays a table over another.
fn lay(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (name, value) in above {
                lay(below.entry(name).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

/// The settings of submitter and workers, with those of the caller laid over.
fn settings(
    case: &Case,
    judge: &Judge,
    socket: &Path,
    dir: &Path,
    images: &Path,
    over: &Value,
) -> anyhow::Result<String> {
    let mut settings = json!({
        "data_dir": dir.join("data"),
        "redis": { "url": format!("redis+unix://{}", socket.display()), "namespace": NAMESPACE },
        "store": { "url": images },
        "worker": { "spool": dir.join("spool"), "drain_seconds": 2 },
        "accounts": case.accounts(&judge.base_url()),
    });
    lay(&mut settings, over.clone());
    toml::to_string(&settings).context("cannot write the settings of the workers")
}

impl Stage {
    /// Sets everything up, in the order in which it can be measured: workers first, then work.
    pub(super) async fn set(
        case: &Case,
        seed: u64,
        over: &Value,
        log: &str,
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let [dir, images] = [scratch(&config::temporary_dir())?, scratch(&place_of_images())?];
        let judge = Judge::start(case.simulator(seed))?;
        let store = images.path().display().to_string();
        let redis = PrivateRedis::open(&dir.path().join("redis"), Use::Work(&store), signals).await?;
        let queue = Queue::connect(redis.client()?, Keys::new(NAMESPACE)?).await?;
        let file = dir.path().join("pictor.toml");
        std::fs::write(&file, settings(case, &judge, redis.socket(), dir.path(), images.path(), over)?)?;
        let command = || {
            let mut command = pictor(&file, dir.path())?;
            command.envs((1..=case.lanes).map(|lane| (case::key_variable(lane), case::api_key(lane))));
            anyhow::Ok(command)
        };
        let mut workers = Workers::none(signals);
        for _ in 0..case.processes {
            let mut worker = command()?;
            worker.args(["--log", log, "worker", "--concurrency"]).arg(case.concurrency().to_string());
            workers.start(worker, dir.path())?;
        }
        all_up(&queue, &mut workers, case.processes, signals).await?;
        if let Some(lane) = case.pause_lane {
            queue.pause_lane(&case.lane(lane), Some("paused for a bench")).await?;
        }
        let manifest = dir.path().join("backlog.csv");
        backlog::write(case, &manifest).context("cannot write the backlog")?;
        let batch = backlog::submit(command()?, &manifest).await?;
        Ok(Self { judge, queue, batch, workers, redis, _dirs: [dir, images] })
    }

    /// Ends everything in good order.
    pub(super) async fn strike(self) -> anyhow::Result<()> {
        self.workers.stop().await;
        drop(self.judge);
        self.redis.stop().await
    }
}

async fn all_up(queue: &Queue, workers: &mut Workers, count: usize, signals: &Signals) -> anyhow::Result<()> {
    let deadline = Instant::now() + START;
    loop {
        workers.check()?;
        let overview = queue.overview(Which::Newest(0)).await?;
        // Claims of a new server wait until its grace is over.
        if overview.workers.len() == count && overview.grace_until.is_none() {
            return Ok(());
        }
        ensure!(!signals.stop.is_cancelled(), "stopped");
        ensure!(
            Instant::now() < deadline,
            "only {} of {count} workers are up after {} s",
            overview.workers.len(),
            START.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
