//! Workers die and lose Redis; nothing is lost, and nothing is paid twice that need not be.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use pictor_simulator::Options;
use redis::AsyncCommands as _;
use serde_json::Value;

use crate::{
    support::{
        proxy::{Fault, Proxy},
        seaweed::Seaweed,
    },
    world::{Images, World},
};

/// How large a run is.
pub(crate) struct Size {
    pub(crate) assets: u64,
    pub(crate) concurrency: usize,
    pub(crate) cut: Duration,
    pub(crate) patience: Duration,
}

pub(crate) const SMALL: Size =
    Size { assets: 700, concurrency: 90, cut: Duration::from_secs(20), patience: Duration::from_secs(120) };
pub(crate) const FULL: Size = Size {
    assets: 10_000,
    concurrency: 100,
    cut: Duration::from_secs(60),
    patience: Duration::from_secs(900),
};

/// Answers after 2 s in the median, and takes about a second to send a body.
fn slow_bodies() -> Options {
    Options {
        latency_ms_p50: Some(2_000),
        image_bytes: Some(60_000),
        body_bytes_per_second: Some(60_000),
        ..Options::default()
    }
}

fn count(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} in {value}"))
}

/// Tokens a dead worker still holds in Redis.
async fn still_held(world: &World, incarnation: &str) -> usize {
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let tokens: Vec<String> = redis.hkeys("{it}:reservations").await.unwrap();
    tokens.iter().filter(|token| token.starts_with(incarnation)).count()
}

/// Checks the invoice against the ledger: every bill beyond one an asset is an unknown by id.
pub(crate) async fn extra_bills(world: &World, assets: u64) -> u64 {
    let invoice = world.sim.invoice().await;
    let images = invoice["images"].as_array().unwrap();
    let mut bills: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for image in images {
        let id = image["client_request_id"].as_str().unwrap();
        let token = id.rsplit_once(':').map_or(id, |(token, _)| token).to_owned();
        bills.entry(image["prompt_sha256"].as_str().unwrap()).or_default().push(token);
    }
    assert_eq!(bills.len() as u64, assets, "every asset was made");
    let ledger = world.ledger().await;
    let of = |kind: &str| -> BTreeSet<String> {
        ledger.iter().filter(|e| e.kind == kind).map(|e| e.token.clone()).collect()
    };
    let (settled, unknown) = (of("settled"), of("unknown"));
    let mut extra = 0;
    for tokens in bills.values() {
        for token in tokens {
            assert!(
                settled.contains(token) || unknown.contains(token),
                "{token} was billed and is not in the ledger"
            );
        }
        extra += tokens.len() as u64 - 1;
    }
    assert!(settled.len() as u64 <= images.len() as u64, "no more is settled than was billed");
    assert!(
        images.len() as u64 <= settled.union(&unknown).count() as u64,
        "settled and unknown cover the invoice"
    );
    extra
}

/// What a killed worker cost.
pub(crate) struct Killed {
    pub(crate) in_flight: u64,
    pub(crate) bodies: u64,
    pub(crate) recovery: Duration,
    pub(crate) extra: u64,
    pub(crate) unknown: usize,
    pub(crate) elapsed: Duration,
}

pub(crate) async fn killed(size: &Size) -> Killed {
    let world = World::with(slow_bodies(), Images::S3(Seaweed::shared()));
    let file = world.catalogue("catalogue.csv", 0..size.assets);
    let begun = Instant::now();
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "killed"]);
    let mut workers: Vec<_> =
        (0..3).map(|n| world.worker(&format!("worker-{n}"), size.concurrency, &[])).collect();

    let deadline = Instant::now() + Duration::from_secs(60);
    let (in_flight, bodies) = loop {
        let state = world.sim.state().await;
        let seen = (count(&state, "in_flight"), count(&state, "bodies_part_sent"));
        if seen.0 >= 200 && seen.1 >= 20 {
            break seen;
        }
        assert!(Instant::now() < deadline, "never 200 in flight and 20 bodies part-received: {state}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let mut dead = workers.remove(0);
    dead.proc.kill();
    let death = Instant::now();
    while still_held(&world, &dead.incarnation).await > 0 {
        assert!(death.elapsed() < Duration::from_secs(60), "the dead worker's assets are still held");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let recovery = death.elapsed();
    let batch = world.ended("killed", size.patience).await;
    assert_eq!((batch.counts.done, batch.counts.failed + batch.counts.parked), (size.assets, 0));
    let extra = extra_bills(&world, size.assets).await;
    let unknown = world.ledger().await.iter().filter(|e| e.kind == "unknown").count();
    assert_eq!(objects(&world).await, size.assets, "one object an asset");
    Killed { in_flight, bodies, recovery, extra, unknown, elapsed: begun.elapsed() }
}

/// A large catalogue without any trouble; what was billed, and how long it took.
pub(crate) async fn drained(size: &Size) -> (u64, Duration) {
    let options = Options { latency_ms_p50: Some(2_000), ..Options::default() };
    let world = World::with(options, Images::S3(Seaweed::shared()));
    let file = world.catalogue("catalogue.csv", 0..size.assets);
    let begun = Instant::now();
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "calm"]);
    let _workers: Vec<_> =
        (0..3).map(|n| world.worker(&format!("worker-{n}"), size.concurrency, &[])).collect();
    let batch = world.ended("calm", size.patience).await;
    assert_eq!(batch.counts.done, size.assets);
    let billed = world.sim.billed().await;
    assert_eq!((billed, objects(&world).await), (size.assets, size.assets));
    (billed, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_make_each_asset_once() {
    drained(&SMALL).await;
}

async fn objects(world: &World) -> u64 {
    let Images::S3(seaweed) = &world.images else { panic!("not an S3 world") };
    let prefix = world.dir.path().file_name().unwrap().to_string_lossy().trim_start_matches('.').to_owned();
    let store = pictor_store::open(&seaweed.url(&prefix), &seaweed.settings()).await.unwrap();
    let (mut after, mut images) = (None::<String>, 0);
    loop {
        let page = store.list("assets/", after.as_deref(), 1_000).await.unwrap();
        let Some(last) = page.last() else { return images };
        images += page.iter().filter(|name| name.ends_with(".png")).count() as u64;
        after = Some(last.clone());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_loses_nothing_and_its_work_resumes_at_once() {
    let outcome = killed(&SMALL).await;
    assert!(outcome.recovery <= Duration::from_secs(20), "{:?}", outcome.recovery);
    assert!(outcome.extra <= outcome.in_flight, "{} extra of {} in flight", outcome.extra, outcome.in_flight);
    assert!(outcome.bodies >= 20 && outcome.unknown as u64 <= outcome.in_flight);
}

/// Cuts some of two workers off from Redis with 250 requests in flight; nothing is paid twice.
pub(crate) async fn cut_off(size: &Size, both: bool) -> u64 {
    let world = World::start(Options { latency_ms_p50: Some(2_000), ..Options::default() });
    let file = world.catalogue("catalogue.csv", 0..size.assets.min(2_000));
    let assets = size.assets.min(2_000);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "cut"]);
    let proxies = [Proxy::start(world.redis.address()).await, Proxy::start(world.redis.address()).await];
    let mut workers = Vec::new();
    for (n, proxy) in proxies.iter().enumerate() {
        let url = format!("redis://{}/", proxy.address());
        workers.push(world.worker(&format!("worker-{n}"), 150, &[("PICTOR_REDIS__URL", &url)]));
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while count(&world.sim.state().await, "in_flight") < 250 {
        assert!(Instant::now() < deadline, "never 250 in flight");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let cut = if both { &proxies[..] } else { &proxies[..1] };
    for proxy in cut {
        proxy.set(Fault::BlackHole);
    }
    tokio::time::sleep(size.cut).await;
    for proxy in cut {
        proxy.set(Fault::Pass);
    }
    let batch = world.ended("cut", size.patience).await;
    assert_eq!(batch.counts.done, assets);
    for worker in &mut workers {
        assert!(worker.proc.exited().is_none(), "a worker ended: {}", worker.proc.told());
    }
    assert_eq!(extra_bills(&world, assets).await, 0, "nothing is paid twice");
    world.sim.billed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_cut_from_redis_pays_nothing_twice() {
    cut_off(&SMALL, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_workers_cut_from_redis_pay_nothing_twice() {
    cut_off(&SMALL, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_received_while_the_store_is_away_survive_the_worker() {
    let seaweed = Seaweed::shared();
    let bucket = Proxy::start(seaweed.address()).await;
    let options = Options { latency_ms_p50: Some(50), ..Options::default() };
    let world = World::with(options, Images::S3(seaweed));
    let endpoint = format!("http://{}", bucket.address());
    let through = [("PICTOR_STORE__ENDPOINT", endpoint.as_str())];
    let mut worker = world.worker("first", 64, &through);
    // Before the store goes away: without it nobody knows what this namespace spent, and nothing is sent.
    let early = world.catalogue("early.csv", 40..41);
    world.json(&["submit", early.to_str().unwrap(), "--run-id", "early"]);
    assert_eq!(world.ended("early", Duration::from_secs(60)).await.counts.done, 1);
    bucket.set(Fault::Refuse);
    let assets = 40;
    let file = world.catalogue("catalogue.csv", 0..assets);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "kept"]);
    let spool = world.path("spool").join(&worker.incarnation);
    let images = || {
        let names = std::fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|e| e == "img")).count() as u64
    };
    worker.proc.wait_until("all received", Duration::from_secs(60), |_| images() == assets);
    assert_eq!(world.queue().await.batch(&"kept".parse().unwrap()).await.unwrap().unwrap().counts.done, 0);
    worker.proc.kill();
    bucket.set(Fault::Pass);
    let _second = world.worker("second", 64, &through);
    let batch = world.ended("kept", Duration::from_secs(60)).await;
    assert_eq!(
        (batch.counts.done, world.sim.billed().await),
        (assets, assets + 1),
        "paid once, and not lost"
    );
    assert_eq!(objects(&world).await, assets + 1);
    assert!(world.ledger().await.iter().all(|entry| entry.kind == "settled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_gives_back_what_it_has_not_sent_and_waits_for_what_it_has() {
    use rustix::process::Signal;
    let world = World::start(Options { latency_ms_p50: Some(1_500), ..Options::default() });
    let assets = 200;
    let file = world.catalogue("catalogue.csv", 0..assets);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "stopped"]);
    let mut first = world.worker("first", 50, &[]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while count(&world.sim.state().await, "in_flight") < 40 {
        assert!(Instant::now() < deadline, "never 40 in flight");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    first.proc.signal(Signal::TERM);
    let status = first.proc.wait(Duration::from_secs(60));
    assert!(status.success(), "{status}: {}", first.proc.told());
    assert_eq!(
        still_held(&world, &first.incarnation).await,
        0,
        "nothing is left in a stopped worker's hands"
    );
    let billed = world.sim.billed().await;
    let done = world.queue().await.batch(&"stopped".parse().unwrap()).await.unwrap().unwrap().counts.done;
    assert_eq!(billed, done, "what was sent was waited for");
    assert!(!world.path("spool").join(&first.incarnation).exists(), "an empty spool is not left behind");
    let _second = world.worker("second", 50, &[]);
    assert_eq!(world.ended("stopped", Duration::from_secs(90)).await.counts.done, assets);
    assert_eq!(extra_bills(&world, assets).await, 0);
}
