//! Nights in a row by a clock that leaps: two servers, one of them killed each night while it fires.

use std::{
    fs,
    time::{Duration, Instant},
};

use jiff::{Timestamp, tz::TimeZone};
use pictor_common::queue::Queue;
use pictor_producer::schedule::Cron;
use pictor_simulator::{Limits, Options};
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    support::{clock::Clock, process::Proc, redis_server::RedisServer},
    world::{Images, MODEL, Sim, World, told},
};

const LINE: &str = "30 2 * * *";
const ZONE: &str = "Europe/Berlin";
const LANE: &str = "sim.dall-e-2";
/// Rows of the first night, and what each night adds.
const ROWS: u64 = 20;
const MORE: u64 = 2;
const PATIENCE: Duration = Duration::from_secs(120);

/// Which nights.
#[derive(Debug)]
pub(crate) struct Size {
    pub(crate) nights: usize,
    /// Noon before the first.
    pub(crate) start: &'static str,
    /// Where in the week of kinds the first stands.
    pub(crate) kind: usize,
}

/// The clocks go forward in the second of them.
pub(crate) const SMALL: Size = Size { nights: 3, start: "2026-03-27T12:00:00Z", kind: 2 };
/// The clocks go forward in the eleventh of them.
pub(crate) const SPRING: Size = Size { nights: 20, start: "2026-03-18T12:00:00Z", kind: 0 };
/// The clocks go back in the fifth of them.
pub(crate) const AUTUMN: Size = Size { nights: 10, start: "2026-10-20T12:00:00Z", kind: 0 };

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) submitted: usize,
    pub(crate) skipped: usize,
    pub(crate) made_up: usize,
    /// Nights on which the server that died was the one that fired.
    pub(crate) taken_over: usize,
    pub(crate) killed: usize,
    pub(crate) rows: u64,
    pub(crate) elapsed: Duration,
}

/// What happens in a night.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One server is killed while one fires.
    Killed,
    /// The same, and the lane is paused: the run goes on over the next night.
    Busy,
    /// The night after that.
    Skipped,
    /// Nobody serves when it is due.
    Missed,
}

const KINDS: [Kind; 7] =
    [Kind::Killed, Kind::Killed, Kind::Killed, Kind::Busy, Kind::Skipped, Kind::Killed, Kind::Missed];

struct Stage {
    world: World,
    clock: Clock,
    queue: Queue,
    servers: Vec<Proc>,
    started: usize,
    rows: u64,
}

impl Stage {
    async fn new(start: Timestamp) -> Self {
        let clock = Clock::ahead(ahead(start));
        let options = Options { latency_ms_p50: Some(20), limits: Limits::none(), ..Options::default() };
        let world = World {
            dir: tempfile::tempdir().unwrap(),
            redis: RedisServer::start_in(&[], clock.variables()),
            sim: Sim::start(options),
            images: Images::Directory,
            limits: "requests = 1000000".to_owned(),
        };
        world.write_settings();
        fs::create_dir(world.path("in")).unwrap();
        let queue = world.queue().await;
        Self { world, clock, queue, servers: Vec::new(), started: 0, rows: ROWS }
    }

    fn variables(&self) -> Vec<(String, String)> {
        let mut variables = self.clock.variables();
        variables
            .push(("PICTOR_SCHEDULE__READ_FROM".to_owned(), self.world.path("in").display().to_string()));
        variables
    }

    fn run(&self, args: &[&str]) {
        let output = self.world.command(args).envs(self.variables()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", told(&output));
    }

    fn serve(&mut self) {
        while self.servers.len() < 2 {
            let mut command = self.world.command(&["schedule", "serve"]);
            command.envs(self.variables());
            self.started += 1;
            let name = format!("server-{}", self.started);
            let mut server = Proc::spawn(&name, &mut command, self.world.dir.path());
            server.wait_until("serving", PATIENCE, |server| server.stderr().contains("serving schedules"));
            self.servers.push(server);
        }
    }

    fn write(&self) {
        let rows = (0..self.rows).map(|n| format!("row-{n},thing number {n},{MODEL},256x256\n"));
        let text = "id,prompt,model,size\n".to_owned() + &rows.collect::<String>();
        fs::write(self.world.path("in/nightly.csv"), text).unwrap();
    }

    async fn is_firing(&self) -> bool {
        self.queue.schedule("nightly").await.unwrap().unwrap().firing.is_some()
    }

    /// What became of a due time: all that was written of it.
    async fn runs(&self, due: Timestamp) -> Vec<Value> {
        let runs = self.queue.schedule_runs("nightly", 100).await.unwrap();
        let runs = runs.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
        runs.filter(|run| run["due"] == due.as_microsecond()).collect()
    }

    /// Waits until a due time is decided; tells whether that took a lease.
    async fn decided(&self, due: Timestamp) -> bool {
        let (begun, mut leapt) = (Instant::now(), false);
        while self.runs(due).await.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "nothing became of {due}: {:?}", self.servers);
            if !leapt && begun.elapsed() > Duration::from_secs(8) && self.is_firing().await {
                leapt = true;
                self.clock.turn(ahead(due.checked_add(Duration::from_secs(90)).unwrap()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        leapt
    }

    /// Kills one of the servers as soon as one fires, or has.
    async fn kill_while_firing(&mut self, which: usize, due: Timestamp) {
        let begun = Instant::now();
        while !self.is_firing().await && self.runs(due).await.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "{due} does not fire: {:?}", self.servers);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.servers.remove(which).kill();
    }

    async fn made(&self, batch: &str) {
        let state = self.world.ended(batch, PATIENCE).await;
        assert_eq!((state.state.as_str(), state.counts.done), ("complete", state.assets), "{state:?}");
        assert_eq!(self.world.sim.billed().await, self.rows, "{batch}: only new rows are paid for");
    }
}

/// Seconds from now to a moment that a clock is to show.
fn ahead(moment: Timestamp) -> i64 {
    moment.as_second() - Timestamp::now().as_second()
}

/// Plays nights; each is judged by what was written of it, and by the simulator's invoice.
pub(crate) async fn played(size: &Size) -> Told {
    let (begun, start) = (Instant::now(), size.start.parse::<Timestamp>().unwrap());
    let zone = TimeZone::get(ZONE).unwrap();
    let end = start.checked_add(Duration::from_secs(86_400 * size.nights as u64)).unwrap();
    let (dues, _) = Cron::parse(LINE).unwrap().between(start, end, &zone, 100);
    assert_eq!(dues.len(), size.nights);
    let mut stage = Stage::new(start).await;
    stage.write();
    let variables = stage.variables();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let _worker = stage.world.worker("worker", 8, &variables);
    let file = stage.world.path("in/nightly.csv").display().to_string();
    stage.run(&["schedule", "add", "nightly", &file, "--cron", LINE, "--time-zone", ZONE]);
    stage.serve();
    let mut told = Told::default();
    for (at, due) in dues.iter().enumerate() {
        night(&mut stage, KINDS[(at + size.kind) % KINDS.len()], at, *due, &mut told).await;
    }
    for mut server in stage.servers.drain(..) {
        server.signal(Signal::TERM);
        assert!(server.wait(Duration::from_secs(60)).success(), "{}", server.told());
    }
    let batches = stage.queue.batches(200).await.unwrap();
    assert_eq!(batches.len(), told.submitted, "one batch a night that was fired");
    told.rows = stage.rows;
    told.elapsed = begun.elapsed();
    told
}

async fn night(stage: &mut Stage, kind: Kind, at: usize, due: Timestamp, told: &mut Told) {
    stage.rows += MORE;
    stage.write();
    let shortly = due.checked_sub(Duration::from_secs(2)).unwrap();
    match kind {
        Kind::Busy => stage.run(&["lane", "pause", LANE, "--reason", "a busy night"]),
        Kind::Missed => stage.servers.drain(..).for_each(|mut server| server.kill()),
        Kind::Killed | Kind::Skipped => {}
    }
    let late = due.checked_add(Duration::from_secs(3_600)).unwrap();
    stage.clock.turn(ahead(if kind == Kind::Missed { late } else { shortly }));
    if kind == Kind::Missed {
        stage.serve();
        told.made_up += 1;
    }
    stage.kill_while_firing(at % 2, due).await;
    told.killed += 1;
    told.taken_over += usize::from(stage.decided(due).await);
    stage.serve();
    let runs = stage.runs(due).await;
    assert_eq!(runs.len(), 1, "a night is decided once: {runs:?}");
    let shown = due.to_zoned(TimeZone::get(ZONE).unwrap()).strftime("%Y-%m-%dT%H%M").to_string();
    let batch = format!("nightly-{shown}");
    match kind {
        Kind::Skipped => {
            assert_eq!(runs[0]["outcome"], "passed", "{runs:?}");
            assert!(runs[0]["note"].as_str().unwrap().contains("goes on"), "{runs:?}");
            told.skipped += 1;
            // What it adds comes the night after.
            stage.rows -= MORE;
            stage.run(&["lane", "resume", LANE]);
            let before = stage.queue.batches(1).await.unwrap().remove(0).id;
            stage.made(&before).await;
        }
        Kind::Busy => {
            assert_eq!(runs[0]["batch"], batch, "{runs:?}");
            told.submitted += 1;
        }
        Kind::Killed | Kind::Missed => {
            assert_eq!(runs[0]["batch"], batch, "{runs:?}");
            told.submitted += 1;
            stage.made(&batch).await;
        }
    }
}
