//! Redis is emptied while work is under way, and the catalogue submitted again.

use std::time::{Duration, Instant};

use super::{
    Dice, Played,
    stage::{Size, Stage, secs},
};
use crate::world::Images;

pub(crate) const SMALL: Size = Size {
    assets: 160,
    workers: 3,
    concurrency: 20,
    faults: 1,
    gap: secs(0, 2),
    lasts: secs(0, 1),
    in_flight: 40,
    bodies: 2,
    latency_ms: 1_000,
    timeout: Duration::from_secs(300),
    recovers: Duration::from_secs(20),
    patience: Duration::from_secs(120),
};
pub(crate) const FULL: Size = Size {
    assets: 10_000,
    workers: 4,
    concurrency: 90,
    faults: 5,
    gap: secs(3, 10),
    in_flight: 200,
    bodies: 20,
    latency_ms: 4_000,
    patience: Duration::from_secs(900),
    ..SMALL
};

/// What an image costs, in micro-USD.
const PRICE: u64 = 16_000;

fn dollars(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

pub(crate) async fn wiped(size: &Size) -> Played {
    let mut dice = Dice::of("wipe");
    let mut stage = Stage::new(size, Images::Directory);
    // The day's money is for three in four of them.
    let cap = size.assets * 3 / 4 * PRICE;
    let per_day = dollars(cap);
    stage.submit(size.assets);
    for _ in 0..size.workers {
        let worker = stage.worker(&[("PICTOR_BUDGET__PER_DAY", &per_day)]).await;
        stage.crew.push(worker);
    }
    stage.enough();
    let mut redis = stage.redis().await;
    let mut played = Played::new(&dice, size);
    for _ in 0..size.faults {
        played.saw(stage.busy().await);
        tokio::time::sleep(dice.time(&size.gap)).await;
        redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
        let wiped = Instant::now();
        stage.submit_again();
        let before = stage.admitted().await;
        while stage.admitted().await == before {
            assert!(wiped.elapsed() < size.patience, "nothing is sent again; {}", stage.told());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        played.recoveries.push(wiped.elapsed());
        stage.all_work();
    }
    let billed = used_up(&stage, cap, size.patience).await;
    assert_eq!(billed, cap, "the day's money is used, and not more");
    stage.world.json(&["budget", "set", "per-day", "none"]);
    played.end(&mut stage).await;
    assert_eq!(played.judgement.twice, 0, "no worker died: nothing is paid twice");
    played
}

/// Waits until the day's money is used up and nothing is on its way; what is billed then.
async fn used_up(stage: &Stage, cap: u64, patience: Duration) -> u64 {
    let deadline = Instant::now() + patience;
    let queue = stage.world.queue().await;
    loop {
        let totals = queue.totals().await.unwrap();
        let billed = stage.world.sim.totals().await["cost_micro_usd"].as_u64().unwrap();
        assert!(billed <= cap, "{billed} billed of {cap} a day");
        if totals.reserved.0 == 0 && billed + PRICE > cap && stage.in_flight().await == 0 {
            return billed;
        }
        assert!(
            Instant::now() < deadline,
            "{billed} of {cap} after {patience:?}: {totals:?}; {}",
            stage.told()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_redis_buys_nothing_again_and_keeps_to_the_cap_of_the_day() {
    wiped(&SMALL).await;
}
