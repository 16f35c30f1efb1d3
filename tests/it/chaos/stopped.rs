//! Workers are frozen for longer than their leases, and asked to end under load.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{
    Dice, Played,
    stage::{Size, Stage, leases, secs},
};
use crate::world::Images;

pub(crate) const SMALL: Size = Size {
    assets: 200,
    workers: 3,
    concurrency: 24,
    faults: 1,
    gap: secs(0, 1),
    // Leases last 15 s.
    lasts: secs(16, 17),
    in_flight: 50,
    bodies: 4,
    latency_ms: 1_500,
    timeout: Duration::from_secs(300),
    recovers: Duration::from_secs(150),
    patience: Duration::from_secs(120),
};
pub(crate) const FULL: Size = Size {
    assets: 3_000,
    workers: 4,
    concurrency: 150,
    faults: 20,
    gap: secs(1, 5),
    lasts: secs(60, 61),
    in_flight: 500,
    bodies: 20,
    latency_ms: 4_000,
    patience: Duration::from_secs(900),
    ..SMALL
};

/// Freezes workers and lets them go on.
pub(crate) async fn frozen(size: &Size) -> Played {
    let mut dice = Dice::of("freeze");
    let mut stage = Stage::new(size, Images::Directory);
    stage.begin().await;
    let mut played = Played::new(&dice, size);
    for _ in 0..size.faults {
        tokio::time::sleep(dice.time(&size.gap)).await;
        played.saw(stage.busy().await);
        let victim = dice.one_of(size.workers);
        stage.crew[victim].proc.signal(Signal::STOP);
        tokio::time::sleep(dice.time(&size.lasts)).await;
        stage.crew[victim].proc.signal(Signal::CONT);
        stage.all_work();
    }
    played.end(&mut stage).await;
    played.paid_once();
    played
}

/// Asks workers to end, and puts others in their place.
pub(crate) async fn ended(size: &Size) -> Played {
    let mut dice = Dice::of("end");
    let mut stage = Stage::new(size, Images::Directory);
    stage.begin().await;
    let mut redis = stage.redis().await;
    let mut played = Played::new(&dice, size);
    for _ in 0..size.faults {
        tokio::time::sleep(dice.time(&size.gap)).await;
        played.saw(stage.busy().await);
        let victim = dice.one_of(size.workers);
        let asked = Instant::now();
        stage.crew[victim].proc.signal(Signal::TERM);
        let worker = &mut stage.crew[victim];
        let status = worker.proc.wait(size.recovers);
        assert!(status.success(), "{status}: {}", worker.proc.told());
        played.recoveries.push(asked.elapsed());
        let kept =
            leases(&mut redis).await.into_iter().filter(|(token, _)| token.starts_with(&worker.incarnation));
        assert_eq!(kept.count(), 0, "an ended worker holds something still");
        let spool = stage.world.path("spool").join(&stage.crew[victim].incarnation);
        assert!(!spool.exists(), "an ended worker left something in its spool");
        stage.replace(victim, &[]).await;
    }
    played.end(&mut stage).await;
    played.paid_once();
    played
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_frozen_or_asked_to_end_under_load_pay_nothing_twice() {
    tokio::join!(frozen(&SMALL), ended(&SMALL));
}
