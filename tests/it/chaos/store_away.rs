//! The store goes away, and then refuses some of what it is asked.

use std::time::{Duration, Instant};

use super::{
    Dice, Played,
    stage::{Size, Stage, secs},
};
use crate::{
    support::{
        busy_front::BusyFront,
        proxy::{Fault, Proxy},
        seaweed::Seaweed,
    },
    world::Images,
};

pub(crate) const SMALL: Size = Size {
    assets: 120,
    workers: 2,
    concurrency: 16,
    faults: 1,
    gap: secs(0, 1),
    lasts: secs(5, 5),
    in_flight: 20,
    bodies: 0,
    latency_ms: 1_000,
    timeout: Duration::from_secs(300),
    recovers: Duration::from_secs(60),
    patience: Duration::from_secs(120),
};
pub(crate) const FULL: Size = Size {
    assets: 2_000,
    workers: 4,
    concurrency: 90,
    faults: 5,
    gap: secs(1, 5),
    lasts: secs(120, 121),
    in_flight: 200,
    bodies: 20,
    latency_ms: 4_000,
    patience: Duration::from_secs(900),
    ..SMALL
};

/// Percent of requests that the store refuses when it is back.
const BUSY: u64 = 30;

pub(crate) async fn store_away(size: &Size) -> Played {
    let mut dice = Dice::of("store");
    let seaweed = Seaweed::shared();
    let front = BusyFront::start(seaweed.address()).await;
    let proxy = Proxy::start(front.address()).await;
    let mut stage = Stage::new(size, Images::S3(seaweed));
    let endpoint = format!("http://{}", proxy.address());
    stage.submit(size.assets);
    for _ in 0..size.workers {
        let worker = stage.worker(&[("PICTOR_STORE__ENDPOINT", &endpoint)]).await;
        stage.crew.push(worker);
    }
    let mut played = Played::new(&dice, size);
    let places = (size.workers * size.concurrency) as u64;
    for _ in 0..size.faults {
        tokio::time::sleep(dice.time(&size.gap)).await;
        front.refuse(0);
        played.saw(stage.busy().await);
        proxy.set(Fault::Refuse);
        let (gone, before) = (Instant::now(), stage.admitted().await);
        full_hands(&stage, size.patience).await;
        let lasts = dice.time(&size.lasts);
        tokio::time::sleep(lasts.saturating_sub(gone.elapsed())).await;
        let (sent, in_flight) = (stage.admitted().await - before, stage.in_flight().await);
        assert!(sent <= places, "{sent} sent into {places} places while the store was away");
        assert_eq!(in_flight, 0, "something is sent although nothing can be stored");
        stage.all_work();
        let refused = front.refused();
        front.refuse(BUSY);
        proxy.set(Fault::Pass);
        let back = Instant::now();
        while stage.admitted().await <= before + sent || front.refused() < refused + 10 {
            assert!(back.elapsed() < size.patience, "nothing is sent again; {}", stage.told());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        played.recoveries.push(back.elapsed());
    }
    played.end(&mut stage).await;
    assert_eq!(played.judgement.twice, 0, "no worker died: nothing is paid twice");
    played
}

/// Waits until every answer was received and nothing more is asked for.
async fn full_hands(stage: &Stage, patience: Duration) {
    let deadline = Instant::now() + patience;
    while stage.in_flight().await > 0 {
        assert!(Instant::now() < deadline, "requests go out all the time although nothing can be stored");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_and_then_busy_stops_claims_and_loses_nothing() {
    store_away(&SMALL).await;
}
