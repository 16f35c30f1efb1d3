//! Redis forgets while a file is submitted: what the store has is not bought again.

use std::time::{Duration, Instant};

use pictor_common::{
    AssetKey,
    queue::{Forgotten, Removal},
};
use pictor_simulator::Options;
use serde_json::Value;

use crate::{
    support::{
        clock::Clock,
        process::Proc,
        proxy::{Fault, Proxy},
        redis_server::RedisServer,
    },
    world::{World, told},
};

const PATIENCE: Duration = Duration::from_secs(60);

fn quick() -> Options {
    Options { latency_ms_p50: Some(20), ..Options::default() }
}

/// A submission whose every step takes a while, so that Redis can be wiped between two of them.
async fn slow_submission(world: &World, args: &[&str]) -> (Proc, Proxy) {
    let proxy = Proxy::start(world.redis.address()).await;
    proxy.set(Fault::Delay(Duration::from_millis(250)));
    let mut command = world.command(&[&["submit", "--json"], args].concat());
    command.env("PICTOR_REDIS__URL", format!("redis://{}/", proxy.address()));
    (Proc::spawn("submission", &mut command, world.dir.path()), proxy)
}

async fn connect(world: &World) -> redis::aio::MultiplexedConnection {
    redis::Client::open(world.redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn wipe(redis: &mut redis::aio::MultiplexedConnection) {
    redis::cmd("FLUSHALL").exec_async(redis).await.unwrap();
}

/// How often a server was asked for something.
async fn calls(redis: &mut redis::aio::MultiplexedConnection, commands: &[&str]) -> u64 {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await.unwrap();
    let of = |command: &&str| {
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")))?;
        line.split(',').next()?.parse::<u64>().ok()
    };
    commands.iter().filter_map(of).sum()
}

async fn asked_again(redis: &mut redis::aio::MultiplexedConnection, commands: &[&str], before: u64) {
    let deadline = Instant::now() + PATIENCE;
    while calls(redis, commands).await == before {
        assert!(Instant::now() < deadline, "nobody asks {commands:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Forgets what was made, as `retire.lua` does.
async fn retire(redis: &mut redis::aio::MultiplexedConnection) {
    redis::cmd("HSET").arg("{it}:meta").arg("forgets").arg(1).exec_async(redis).await.unwrap();
    let assets: Vec<String> = redis::cmd("KEYS").arg("{it}:a:*").query_async(redis).await.unwrap();
    redis::cmd("DEL").arg(assets).exec_async(redis).await.unwrap();
}

fn answer(proc: &mut Proc) -> Value {
    assert!(proc.wait(PATIENCE).success(), "{}", proc.told());
    assert!(proc.stderr().contains("everything is looked up again"), "{}", proc.told());
    serde_json::from_str(&proc.stdout()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_store_is_not_bought_again_when_redis_is_wiped_after_the_look() {
    let world = World::start(quick());
    let file = world.catalogue("a.csv", 0..3);
    let file = file.to_str().unwrap();
    let made = world.run(&["run", file]);
    assert!(made.status.success(), "{}", told(&made));
    let mut redis = connect(&world).await;
    let looks = calls(&mut redis, &["exists"]).await;
    let (mut proc, _proxy) = slow_submission(&world, &[file, "--run-id", "again"]).await;
    asked_again(&mut redis, &["exists"], looks).await;
    // The assets are known, and what is known of them is asked next.
    let reads = calls(&mut redis, &["hget", "hmget"]).await;
    asked_again(&mut redis, &["hget", "hmget"], reads).await;
    wipe(&mut redis).await;

    let answer = answer(&mut proc);
    assert_eq!((&answer["plan"]["already_made"], &answer["plan"]["new"]), (&3.into(), &0.into()), "{answer}");
    assert_eq!(answer["submitted"]["made"], 3, "{answer}");
    let batch = world.ended("again", PATIENCE).await;
    assert_eq!((batch.counts.done, batch.state.as_str()), (3, "complete"));
    assert_eq!(world.sim.billed().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_goes_on_when_redis_is_wiped_in_its_midst() {
    let world = World::start(quick());
    let file = world.catalogue("a.csv", 0..4_000);
    let mut redis = connect(&world).await;
    let chunks = calls(&mut redis, &["xadd"]).await;
    let (mut proc, _proxy) = slow_submission(&world, &[file.to_str().unwrap(), "--run-id", "midst"]).await;
    asked_again(&mut redis, &["xadd"], chunks).await;
    wipe(&mut redis).await;

    let answer = answer(&mut proc);
    assert_eq!(answer["submitted"]["new"], 4_000, "{answer}");
    let batch = world.queue().await.batch(&"midst".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((batch.assets, batch.sealed), (4_000, Some(4_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_by_age_after_the_look_is_not_bought_again() {
    let world = World::start(quick());
    let file = world.catalogue("a.csv", 0..3);
    let file = file.to_str().unwrap();
    let made = world.run(&["submit", file, "--run-id", "first"]);
    assert!(made.status.success(), "{}", told(&made));
    let worker = world.worker("w", 4, &[]);
    assert_eq!(world.ended("first", PATIENCE).await.counts.done, 3);
    // From here on, only the submission asks Redis.
    drop(worker);
    let mut redis = connect(&world).await;
    let looks = calls(&mut redis, &["exists"]).await;
    let (mut proc, _proxy) = slow_submission(&world, &[file, "--run-id", "again"]).await;
    asked_again(&mut redis, &["exists"], looks).await;
    let reads = calls(&mut redis, &["hget", "hmget"]).await;
    asked_again(&mut redis, &["hget", "hmget"], reads).await;
    retire(&mut redis).await;

    let answer = answer(&mut proc);
    assert_eq!((&answer["plan"]["already_made"], &answer["plan"]["new"]), (&3.into(), &0.into()), "{answer}");
    assert_eq!(world.ended("again", PATIENCE).await.counts.done, 3);
    assert_eq!(world.sim.billed().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_new_half_a_day_ago_and_was_made_and_went_by_age_since_is_not_bought_again() {
    let clock = Clock::ahead(0);
    let mut world = World::start(quick());
    world.redis = RedisServer::start_in(&[], clock.variables());
    world.write_settings();
    let file = world.catalogue("a.csv", 0..3);
    let file = file.to_str().unwrap();
    let mut redis = connect(&world).await;
    let looks = calls(&mut redis, &["exists"]).await;
    let (mut proc, proxy) = slow_submission(&world, &[file, "--run-id", "slept"]).await;
    asked_again(&mut redis, &["exists"], looks).await;
    // The answer that nothing is known arrives when the machine wakes up.
    proxy.set(Fault::BlackHole);
    let made = world.run(&["submit", file, "--run-id", "first"]);
    assert!(made.status.success(), "{}", told(&made));
    let worker = world.worker("w", 4, &[]);
    assert_eq!(world.ended("first", PATIENCE).await.counts.done, 3);
    drop(worker);
    retire(&mut redis).await;
    clock.turn(13 * 3600);
    proxy.set(Fault::Pass);

    let answer = answer(&mut proc);
    assert_eq!((&answer["plan"]["already_made"], &answer["plan"]["new"]), (&3.into(), &0.into()), "{answer}");
    assert_eq!(world.ended("slept", PATIENCE).await.counts.done, 3);
    assert_eq!(world.sim.billed().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_after_the_look_is_not_bought_beyond_what_was_allowed() {
    let world = World::start(quick());
    let file = world.catalogue("a.csv", 0..3);
    let file = file.to_str().unwrap();
    let made = world.run(&["run", file]);
    assert!(made.status.success(), "{}", told(&made));
    let queue = world.queue().await;
    let key: AssetKey = world.json(&["asset", "show", "row-1"])["key"].as_str().unwrap().parse().unwrap();
    let state = queue.assets(std::slice::from_ref(&key)).await.unwrap().pop().flatten().unwrap();
    let made = state.made.unwrap();
    let mut redis = connect(&world).await;
    let looks = calls(&mut redis, &["exists"]).await;
    let args = [file, "--run-id", "again", "--max-cost", "0.001"];
    let (mut proc, _proxy) = slow_submission(&world, &args).await;
    asked_again(&mut redis, &["exists"], looks).await;
    let reads = calls(&mut redis, &["hget", "hmget"]).await;
    asked_again(&mut redis, &["hget", "hmget"], reads).await;
    // As `pictor asset remove` does.
    let removal =
        Removal { key: &key, made: &made, spec: None, model: &state.model, payer: None, tenant: None };
    assert_eq!(queue.remove(&removal).await.unwrap(), Forgotten::Now);
    std::fs::remove_file(world.path("images").join(&made.object)).unwrap();

    assert!(!proc.wait(PATIENCE).success(), "{}", proc.told());
    assert!(proc.stderr().contains("everything is looked up again"), "{}", proc.told());
    assert!(proc.stderr().contains("more than the $0.001 allowed"), "{}", proc.told());
    let batch = queue.batch(&"again".parse().unwrap()).await.unwrap();
    assert!(batch.is_none_or(|batch| batch.assets == 0), "nothing was queued");
    assert_eq!(world.sim.billed().await, 3);
}
