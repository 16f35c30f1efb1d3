//! `pictor workers`: one of two workers is told to end and leaves, and nothing is lost or paid twice.

use std::time::Duration;

use pictor_simulator::Options;
use serde_json::Value;

use crate::world::{World, told};

const SECOND: Duration = Duration::from_secs(1);

fn states(world: &World) -> Vec<(String, String)> {
    let text = |worker: &Value, name: &str| worker[name].as_str().unwrap().to_owned();
    let listed = world.json(&["workers", "list"]);
    listed.as_array().unwrap().iter().map(|w| (text(w, "incarnation"), text(w, "state"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_workers_leaves_when_it_is_told_and_nothing_is_lost() {
    let world = World::start(Options { latency_ms_p50: Some(400), ..Options::default() });
    let (mut leaves, mut stays) = (world.worker("leaves", 6, &[]), world.worker("stays", 6, &[]));
    let file = world.catalogue("rows.csv", 0..150);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "b"]);
    let queue = world.queue().await;
    while queue.batch(&"b".parse().unwrap()).await.unwrap().unwrap().counts.done < 10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let end = leaves.incarnation[20..].to_owned();
    let output = world.run(&["workers", "drain", &end, "--reason", "new kernel", "--dry-run"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("would be told to end"), "{}", told(&output));
    assert!(queue.workers().await.unwrap().drains.is_empty());

    let output = world.run(&["workers", "drain", &end, "--reason", "new kernel", "--wait"]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(leaves.proc.wait(30 * SECOND).success(), "{}", leaves.proc.told());
    assert!(leaves.proc.stderr().contains("new kernel"), "{}", leaves.proc.told());
    assert_eq!(stays.proc.exited(), None);
    assert_eq!(states(&world), [(stays.incarnation.clone(), "working".to_owned())]);

    assert_eq!(world.ended("b", 120 * SECOND).await.counts.done, 150);
    assert_eq!(world.sim.billed().await, 150);
    assert!(world.ledger().await.iter().all(|entry| entry.kind == "settled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_still_waits_for_an_answer_can_be_told_to_go_on() {
    let world = World::start(Options { latency_ms_p50: Some(15_000), ..Options::default() });
    let mut worker = world.worker("w", 2, &[]);
    let file = world.catalogue("rows.csv", 0..3);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "b"]);
    while world.sim.state().await["in_flight"].as_u64().unwrap_or(1) < 2 && worker.proc.exited().is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let unknown = world.run(&["workers", "drain", "nobody"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", told(&unknown));
    let unasked = world.run(&["workers", "drain", "--all"]);
    assert_eq!(unasked.status.code(), Some(2), "{}", told(&unasked));
    world.json(&["workers", "drain", "--all", "--yes"]);
    let ending = |(_, state): &(String, String)| state.starts_with("ending");
    while !states(&world).iter().any(ending) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let became = world.json(&["workers", "undrain", &worker.incarnation]);
    assert_eq!(became[0]["became"], "goes on", "{became}");
    assert_eq!(world.ended("b", 120 * SECOND).await.counts.done, 3);
    assert_eq!((worker.proc.exited(), world.sim.billed().await), (None, 3));
}
