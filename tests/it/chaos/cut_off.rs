//! Redis stays silent to one worker, or to all of them.

use std::time::{Duration, Instant};

use super::{
    Dice, Played,
    stage::{Size, Stage, leases, next_claim, secs},
};
use crate::{
    support::proxy::{Fault, Proxy},
    world::Images,
};

pub(crate) const SMALL: Size = Size {
    assets: 240,
    workers: 3,
    concurrency: 32,
    faults: 1,
    gap: secs(0, 1),
    lasts: secs(6, 6),
    in_flight: 70,
    bodies: 4,
    latency_ms: 1_500,
    timeout: Duration::from_secs(300),
    // With tests beside it a machine can be slow; mostly it is little more than the 8 s of grace.
    recovers: Duration::from_secs(30),
    patience: Duration::from_secs(120),
};
pub(crate) const FULL: Size = Size {
    assets: 3_000,
    workers: 4,
    concurrency: 150,
    faults: 5,
    gap: secs(1, 5),
    in_flight: 500,
    bodies: 20,
    latency_ms: 4_000,
    recovers: Duration::from_secs(20),
    patience: Duration::from_secs(900),
    ..SMALL
};

/// Whole seconds of silence, and after how many a request is given up.
pub(crate) const SILENCES: [(u64, u64); 3] = [(20, 300), (60, 300), (75, 30)];

/// At full size, for so long.
pub(crate) fn full(silence: u64, timeout: u64) -> Size {
    Size { lasts: secs(silence, silence), timeout: Duration::from_secs(timeout), ..FULL }
}

/// Starts all workers, each with its own way to Redis.
async fn begin_behind_proxies(stage: &mut Stage, size: &Size) -> Vec<Proxy> {
    stage.submit(size.assets);
    let mut proxies = Vec::new();
    for _ in 0..size.workers {
        let proxy = Proxy::start(stage.world.redis.address()).await;
        let url = format!("redis://{}/", proxy.address());
        let worker = stage.worker(&[("PICTOR_REDIS__URL", &url)]).await;
        stage.crew.push(worker);
        proxies.push(proxy);
    }
    proxies
}

pub(crate) async fn cut_off(size: &Size, all: bool) -> Played {
    let mut dice = Dice::of(if all { "cut all" } else { "cut one" });
    let mut stage = Stage::new(size, Images::Directory);
    let proxies = begin_behind_proxies(&mut stage, size).await;
    let mut redis = stage.redis().await;
    let mut played = Played::new(&dice, size);
    for _ in 0..size.faults {
        tokio::time::sleep(dice.time(&size.gap)).await;
        played.saw(stage.busy().await);
        let victim = dice.one_of(size.workers);
        let cut = if all { &proxies[..] } else { &proxies[victim..=victim] };
        for proxy in cut {
            proxy.set(Fault::BlackHole);
        }
        tokio::time::sleep(dice.time(&size.lasts)).await;
        let known = leases(&mut redis).await;
        for proxy in cut {
            proxy.set(Fault::Pass);
        }
        let back = Instant::now();
        if all {
            played.recoveries.push(next_claim(&mut redis, &known, size.patience).await - back);
        }
        stage.all_work();
    }
    played.end(&mut stage).await;
    assert_eq!(played.judgement.twice, 0, "no worker died: nothing is paid twice");
    played
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_redis_is_silent_to_stay_up_and_pay_nothing_twice() {
    let (one, all) = tokio::join!(cut_off(&SMALL, false), cut_off(&SMALL, true));
    [one, all].iter().for_each(Played::in_time);
}

/// Redis can be reached all the time, by new connections alone.
const FORGOTTEN: Size =
    Size { assets: 160, workers: 2, concurrency: 8, in_flight: 12, bodies: 1, latency_ms: 1_000, ..SMALL };

/// Forgets the connections of one worker or of all, as a host without power does, or a router that was replaced.
async fn forgotten(all: bool) -> Played {
    let size = &FORGOTTEN;
    let dice = Dice::of(if all { "forget all" } else { "forget one" });
    let mut stage = Stage::new(size, Images::Directory);
    let proxies = begin_behind_proxies(&mut stage, size).await;
    let mut redis = stage.redis().await;
    let mut played = Played::new(&dice, size);
    played.saw(stage.busy().await);
    let cut = if all { size.workers } else { 1 };
    for proxy in &proxies[..cut] {
        proxy.set(Fault::Forget);
    }
    let begun = Instant::now();
    // By then all that had come through is claimed, and nobody has given a call up.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let known = leases(&mut redis).await;
    for worker in &stage.crew[..cut] {
        let is_news = |(token, key): &(String, String)| {
            token.starts_with(&worker.incarnation) && !known.contains(&(token.clone(), key.clone()))
        };
        while !leases(&mut redis).await.iter().any(is_news) {
            assert!(begun.elapsed() < size.patience, "it claims nothing any more: {}", worker.proc.told());
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        played.recoveries.push(begun.elapsed());
    }
    stage.all_work();
    played.end(&mut stage).await;
    assert_eq!(played.judgement.twice, 0, "no worker died: nothing is paid twice");
    played
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_whose_connections_are_forgotten_open_others_and_pay_nothing_twice() {
    let (one, all) = tokio::join!(forgotten(false), forgotten(true));
    [one, all].iter().for_each(Played::in_time);
}
