//! Redis is killed and started again, with all it wrote, or without the last second of it.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    Dice, Played,
    stage::{Size, Stage, leases, next_claim, secs},
};
use crate::{support::redis_server::RedisServer, world::Images};

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
    recovers: Duration::from_secs(30),
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
        let cut = matches!(file, File::EverySecondCut).then(|| appended(&stage.world.redis));
        let length = cut.as_ref().map(|path| fs::metadata(path).unwrap().len());
        if cut.is_some() {
            tokio::time::sleep(LAST).await;
        }
        stage.world.redis.kill();
        if let (Some(path), Some(length)) = (cut, length) {
            OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
        }
        tokio::time::sleep(dice.time(&size.lasts)).await;
        stage.world.redis.restart();
        let back = Instant::now();
        played.recoveries.push(next_claim_since(&stage, back, size.patience).await - back);
        stage.all_work();
    }
    played.end(&mut stage).await;
    assert_eq!(played.judgement.twice, 0, "no worker died: nothing is paid twice");
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
