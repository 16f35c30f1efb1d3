//! Redis is killed and started again, with all it wrote, or without the last second of it.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    path::PathBuf,
    time::{Duration, Instant},
};

use pictor_simulator::Options;

use super::{
    Dice, Played,
    stage::{Size, Stage, leases, next_claim, secs},
};
use crate::{
    support::{
        proxy::{Fault, Proxy},
        redis_server::RedisServer,
    },
    topology::point,
    world::{Images, Worker},
};

/// What a machine that loses its power can take from the file.
const LAST: Duration = Duration::from_secs(1);

/// How the server writes its file, and whether the end of it is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum File {
    EverySecond,
    Always,
    EverySecondCut,
}

pub(crate) const SMALL: Size = Size {
    assets: 160,
    workers: 3,
    concurrency: 24,
    faults: 1,
    gap: secs(0, 1),
    lasts: secs(0, 2),
    in_flight: 50,
    bodies: 4,
    latency_ms: 1_500,
    timeout: Duration::from_secs(300),
    // Eight are the time that live workers get to say what they hold; with tests beside it a machine can be slow.
    recovers: Duration::from_secs(15),
    patience: Duration::from_secs(120),
};
pub(crate) const FULL: Size = Size {
    assets: 2_000,
    workers: 4,
    concurrency: 90,
    faults: 20,
    gap: secs(1, 4),
    lasts: secs(0, 3),
    in_flight: 200,
    bodies: 20,
    latency_ms: 4_000,
    recovers: Duration::from_secs(10),
    patience: Duration::from_secs(600),
    ..SMALL
};

/// Images that come so soon that many are claimed, sent and settled within what is lost.
const QUICK: Size = Size {
    assets: 2_000,
    workers: 2,
    concurrency: 32,
    in_flight: 8,
    bodies: 0,
    latency_ms: 150,
    recovers: Duration::from_secs(60),
    patience: Duration::from_secs(240),
    ..SMALL
};
/// Paid by then: told one after the other over a slow way, these would take much longer than the grace.
const PAID: u64 = 1_200;
const ONE_WAY: Duration = Duration::from_millis(20);

impl File {
    fn scenario(self) -> &'static str {
        match self {
            Self::EverySecond => "redis everysec",
            Self::Always => "redis always",
            Self::EverySecondCut => "redis cut",
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Self::EverySecond => &[],
            Self::Always => &["--appendfsync", "always"],
            // In one file, so that its end is the end.
            Self::EverySecondCut => &["--auto-aof-rewrite-percentage", "0", "--aof-load-truncated", "yes"],
        }
    }
}

/// The file that the server appends to.
fn appended(server: &RedisServer) -> PathBuf {
    let files = fs::read_dir(server.folder().join("appendonlydir")).unwrap();
    let mut incr =
        files.map(|file| file.unwrap().path()).filter(|path| path.to_string_lossy().ends_with(".incr.aof"));
    let only = incr.next().unwrap();
    assert!(incr.next().is_none(), "which of two files is it?");
    only
}

/// Lets the server work on for a second, and kills it as if it had not written that.
async fn loses_its_last(server: &mut RedisServer) {
    let path = appended(server);
    let length = fs::metadata(&path).unwrap().len();
    tokio::time::sleep(LAST).await;
    server.kill();
    OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

pub(crate) async fn redis_dies(size: &Size, file: File) -> Played {
    let mut dice = Dice::of(file.scenario());
    let mut stage = Stage::new(size, Images::Directory);
    stage.world.redis = RedisServer::start_with(file.options());
    stage.world.write_settings();
    stage.begin().await;
    let mut played = Played::new(&dice, size);
    for _ in 0..size.faults {
        tokio::time::sleep(dice.time(&size.gap)).await;
        played.saw(stage.busy().await);
        match file {
            File::EverySecondCut => loses_its_last(&mut stage.world.redis).await,
            File::EverySecond | File::Always => stage.world.redis.kill(),
        }
        tokio::time::sleep(dice.time(&size.lasts)).await;
        stage.world.redis.restart();
        let back = Instant::now();
        played.recoveries.push(next_claim_since(&stage, back, size.patience).await - back);
        stage.all_work();
    }
    played.end(&mut stage).await;
    played.paid_once();
    played
}

/// Waits for a claim of the server that is back. What workers had claimed before and say again in the first seconds
/// is none.
async fn next_claim_since(stage: &Stage, back: Instant, patience: Duration) -> Instant {
    let mut redis = stage.redis().await;
    let mut known = BTreeSet::new();
    while back.elapsed() < Duration::from_secs(4) {
        known.extend(leases(&mut redis).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    next_claim(&mut redis, &known, patience).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_and_started_again_costs_nothing_twice() {
    let run = |file| async move { redis_dies(&SMALL, file).await };
    // Mostly waiting: they do it together.
    let (second, always, cut) =
        tokio::join!(run(File::EverySecond), run(File::Always), run(File::EverySecondCut));
    [second, always, cut].iter().for_each(Played::in_time);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paid_in_the_lost_second_is_told_before_it_is_claimed_again() {
    let file = File::EverySecondCut;
    let dice = Dice::of(file.scenario());
    let options = Options { body_bytes_per_second: None, ..QUICK.options() };
    let mut stage = Stage::with(options, &QUICK, Images::Directory);
    stage.world.redis = RedisServer::start_with(file.options());
    let front = Proxy::start(stage.world.redis.address()).await;
    point(&stage.world, &format!("redis://{}", front.address()), "");
    stage.begin().await;
    let mut played = Played::new(&dice, &QUICK);
    let deadline = Instant::now() + QUICK.patience;
    while stage.world.sim.billed().await < PAID {
        assert!(Instant::now() < deadline, "never so much is paid; {}", stage.told());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    played.saw(stage.busy().await);
    loses_its_last(&mut stage.world.redis).await;
    front.set(Fault::Delay(ONE_WAY));
    stage.world.redis.restart();
    let back = Instant::now();
    played.recoveries.push(next_claim_since(&stage, back, QUICK.patience).await - back);
    played.end(&mut stage).await;
    let was_told = |worker: &Worker| worker.proc.stderr().contains("it is told again what was paid since");
    assert!(stage.crew.iter().any(was_told), "nothing was forgotten: {}", stage.told());
    played.paid_once();
    played.in_time();
}
