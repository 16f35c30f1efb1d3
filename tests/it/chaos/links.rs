//! The links of workers to Redis, the store and the API break off, stall or end in the midst of answers, again and again.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    Dice, Played,
    stage::{Size, Stage, leases, next_claim, secs},
};
use crate::{
    support::{
        proxy::{Fault, Proxy},
        seaweed::Seaweed,
    },
    world::Images,
};

pub(crate) const SMALL: Size = Size {
    assets: 200,
    workers: 3,
    concurrency: 24,
    faults: 4,
    gap: secs(0, 1),
    lasts: secs(3, 5),
    in_flight: 40,
    bodies: 4,
    latency_ms: 1_500,
    timeout: Duration::from_secs(300),
    recovers: Duration::from_secs(30),
    patience: Duration::from_secs(120),
};
pub(crate) const FULL: Size = Size {
    assets: 2_000,
    workers: 4,
    concurrency: 90,
    faults: 40,
    gap: secs(1, 3),
    lasts: secs(3, 20),
    in_flight: 200,
    bodies: 20,
    latency_ms: 2_000,
    recovers: Duration::from_secs(20),
    patience: Duration::from_secs(900),
    ..SMALL
};

/// Bytes that one call answers with, and those of some hundred.
const SPANS: [u64; 2] = [300, 40_000];

/// One of the ways in which a link can break, a different one each time.
fn breaks(dice: &mut Dice, turn: usize) -> Fault {
    let span = usize::try_from(SPANS[dice.one_of(SPANS.len())]).unwrap();
    let bytes = dice.one_of(span) as u64;
    match turn % 4 {
        0 => Fault::CutAfter(bytes),
        1 => Fault::HalfClose(bytes),
        2 => Fault::Stall(bytes),
        _ => Fault::Reset,
    }
}

/// An answer of the API that breaks off is billed all the same: its link is slow or stands still, and no more.
fn slows(dice: &mut Dice, turn: usize) -> Fault {
    match turn % 2 {
        0 => Fault::Stall(dice.one_of(60_000) as u64),
        _ => Fault::Delay(Duration::from_millis(400)),
    }
}

struct Links {
    redis: Proxy,
    store: Proxy,
    api: Proxy,
}

impl Links {
    async fn of(stage: &Stage, seaweed: SocketAddr) -> Self {
        Self {
            redis: Proxy::start(stage.world.redis.address()).await,
            store: Proxy::start(seaweed).await,
            api: Proxy::start(stage.world.sim.address()).await,
        }
    }

    fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("PICTOR_REDIS__URL", format!("redis://{}/", self.redis.address())),
            ("PICTOR_STORE__ENDPOINT", format!("http://{}", self.store.address())),
            ("PICTOR_ACCOUNTS__SIM__BASE_URL", format!("http://{}/v1", self.api.address())),
        ]
    }

    fn fail(&self, dice: &mut Dice, turn: usize) {
        self.redis.set(breaks(dice, turn));
        self.store.set(breaks(dice, turn + 1));
        self.api.set(slows(dice, turn));
    }

    fn mend(&self) {
        for link in [&self.redis, &self.store, &self.api] {
            link.set(Fault::Pass);
        }
    }
}

pub(crate) async fn links(size: &Size) -> Played {
    let mut dice = Dice::of("links");
    let seaweed = Seaweed::shared();
    let address = seaweed.address();
    let mut stage = Stage::new(size, Images::S3(seaweed));
    let links = Links::of(&stage, address).await;
    let settings = links.settings();
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    stage.submit(size.assets);
    for _ in 0..size.workers {
        let worker = stage.worker(&settings).await;
        stage.crew.push(worker);
    }
    let mut redis = stage.redis().await;
    let mut played = Played::new(&dice, size);
    for turn in 0..size.faults {
        tokio::time::sleep(dice.time(&size.gap)).await;
        played.saw(stage.busy().await);
        links.fail(&mut dice, turn);
        tokio::time::sleep(dice.time(&size.lasts)).await;
        let known = leases(&mut redis).await;
        links.mend();
        let back = Instant::now();
        played.recoveries.push(next_claim(&mut redis, &known, size.patience).await - back);
        stage.all_work();
    }
    played.end(&mut stage).await;
    played.paid_once();
    played
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_break_off_stall_and_end_halfway_cost_nothing_twice() {
    links(&SMALL).await.in_time();
}
