//! `[retention]`: what is old goes to the store and from Redis, and nothing is paid for again by that.

use std::time::Duration;

use pictor_simulator::Options;
use redis::AsyncCommands as _;

use crate::world::{World, told};

const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_batch_says_where_it_is_and_submitted_again_pays_nothing() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    let file = world.catalogue("rows.csv", 0..5);
    let submit = |batch: &str| world.json(&["submit", file.to_str().unwrap(), "--run-id", batch]);
    submit("nightly");
    let worker = world.worker("w", 4, &[]);
    assert_eq!(world.ended("nightly", PATIENCE).await.counts.done, 5);
    drop(worker);
    let shown = world.json(&["retention", "show"]);
    assert_eq!(shown["goes"]["batches"], serde_json::json!([]), "everything is kept: {shown}");

    // It was complete a while ago, by what Redis knows.
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let queue = world.queue().await;
    let name = queue.keys().batch(&"nightly".parse().unwrap());
    let _old: u64 = redis.hset(&name, "completed", 1_000_000_000_000_000_u64).await.unwrap();
    let _older: u64 = redis.hset(&name, "created", 1_000_000_000_000_000_u64).await.unwrap();
    let aged = |args: &[&str]| {
        let output = world.command(args).env("PICTOR_RETENTION__BATCHES", "90d").output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(aged(&["retention", "run", "--dry-run"]).contains("1 batch, 0 failures"), "it would go");
    assert!(world.json(&["batch", "show", "nightly"])["id"] == "nightly", "and is there still");

    // A worker does it by itself.
    let worker = world.worker("tidy", 4, &[("PICTOR_RETENTION__BATCHES", "90d")]);
    let deadline = std::time::Instant::now() + PATIENCE;
    while queue.batch(&"nightly".parse().unwrap()).await.unwrap().is_some() {
        assert!(std::time::Instant::now() < deadline, "{}", worker.proc.told());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for command in [&["batch", "show", "nightly"][..], &["results", "nightly"]] {
        let output = world.run(command);
        let told = told(&output);
        assert!(output.status.code() == Some(2) && told.contains("is archived"), "{told}");
        assert!(told.contains("archive/it/batches/nightly."), "{told}");
    }
    submit("nightly");
    submit("another");
    for batch in ["nightly", "another"] {
        assert_eq!(world.ended(batch, PATIENCE).await.counts.done, 5);
    }
    assert_eq!(world.sim.billed().await, 5);
    assert!(world.run(&["verify", "nightly"]).status.success());
    assert!(aged(&["retention", "run"]).contains("0 batches"));
}

/// All keys of the namespace that have to do with assets, batches and their lines.
async fn keys_of_images(redis: &mut redis::aio::MultiplexedConnection) -> Vec<String> {
    let mut names = Vec::new();
    for kind in ["a", "s", "made", "rows", "askers", "failure", "batch", "lines", "chunks"] {
        let found: Vec<String> = redis.keys(format!("{{it}}:{kind}:*")).await.unwrap();
        names.extend(found);
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_forgets_images_after_their_batches_and_the_store_knows_them() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    let file = world.catalogue("rows.csv", 0..40);
    let file = file.to_str().unwrap();
    world.json(&["submit", file, "--run-id", "nightly"]);
    let worker = world.worker("w", 8, &[]);
    assert_eq!(world.ended("nightly", PATIENCE).await.counts.done, 40);
    drop(worker);

    // All of that was long ago, by what Redis knows.
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let queue = world.queue().await;
    let nightly = "nightly".parse().unwrap();
    let old = [("completed", 1_000_000_000_000_000_u64), ("created", 1_000_000_000_000_000)];
    let () = redis.hset_multiple(queue.keys().batch(&nightly), &old).await.unwrap();
    let key = queue.lines(&nightly, 1, 1).await.unwrap()[0].keys[0].to_string();
    for name in redis.keys::<_, Vec<String>>("{it}:a:*").await.unwrap() {
        let made: String = redis.hget(&name, "made").await.unwrap();
        let parts: Vec<&str> = made.split(' ').collect();
        let aged = [&parts[..4], &["1000000000000"], &parts[5..]].concat().join(" ");
        let _old: u64 = redis.hset(&name, "made", aged).await.unwrap();
    }

    let settings = [("PICTOR_RETENTION__BATCHES", "90d"), ("PICTOR_RETENTION__ASSETS", "120d")];
    let shown = world.command(&["retention", "show", "--json"]).envs(settings).output().unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["keeps"]["assets_seconds"], 120 * 86_400, "{shown}");
    assert_eq!(shown["goes"]["assets"], 0, "a batch asks for them still: {shown}");
    let worker = world.worker("tidy", 4, &settings);
    let deadline = std::time::Instant::now() + PATIENCE;
    while !keys_of_images(&mut redis).await.is_empty() {
        assert!(std::time::Instant::now() < deadline, "{}", worker.proc.told());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut left: Vec<String> = redis.keys("{it}:*").await.unwrap();
    // These go by themselves, some minutes after a request.
    left.retain(|name| !name.starts_with("{it}:ended:") && !name.starts_with("{it}:answer:"));
    assert!(left.len() < 30, "{left:?}");

    let seen = world.run(&["asset", "show", &key]);
    assert!(seen.status.success() && told(&seen).contains("the store alone has it"), "{}", told(&seen));
    let plan = world.json(&["submit", file, "--run-id", "again", "--dry-run"]);
    assert_eq!((&plan["plan"]["already_made"], &plan["plan"]["to_make"]), (&40.into(), &0.into()), "{plan}");
    for batch in ["again", "nightly"] {
        world.json(&["submit", file, "--run-id", batch]);
        assert_eq!(world.ended(batch, PATIENCE).await.counts.done, 40);
    }
    assert_eq!(world.sim.billed().await, 40);
    assert!(world.run(&["verify", "again"]).status.success());
    assert_eq!(world.ledger().await.len(), 40, "nothing was charged again");
}
