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
