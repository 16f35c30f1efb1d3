//! `on_unknown = "park"`: a request whose outcome nobody knows is never sent again by itself, however it became unknown.
//! The judge is the simulator's invoice: one bill for each image.

use std::{
    fs,
    time::{Duration, Instant},
};

use pictor_simulator::Options;
use serde_json::Value;

use crate::world::{MODEL, World, told};

const PARK: (&str, &str) = ("PICTOR_WORKER__ON_UNKNOWN", "park");

fn slow(latency_ms: u64) -> World {
    World::start(Options { latency_ms_p50: Some(latency_ms), ..Options::default() })
}

/// Requests of these worlds time out after three seconds.
fn quick(world: &World) -> String {
    let file = world.path("quick.toml");
    fs::write(&file, "[models.dall-e-2]\ntimeout_seconds = 3\n").unwrap();
    file.to_str().unwrap().to_owned()
}

async fn until_in_flight(world: &World, wanted: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.sim.state().await["in_flight"].as_u64() != Some(wanted) {
        assert!(Instant::now() < deadline, "never {wanted} in flight");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many were billed, each once.
async fn billed_once(world: &World) -> usize {
    until_in_flight(world, 0).await;
    let invoice = world.sim.invoice().await;
    let prompts: Vec<&str> =
        invoice["images"].as_array().unwrap().iter().map(|i| i["prompt_sha256"].as_str().unwrap()).collect();
    let distinct: std::collections::BTreeSet<&str> = prompts.iter().copied().collect();
    assert_eq!(distinct.len(), prompts.len(), "something was billed twice: {invoice}");
    prompts.len()
}

async fn all_parked(world: &World, batch: &str, count: u64) {
    let state = world.ended(batch, Duration::from_secs(90)).await;
    assert_eq!((state.counts.done, state.counts.failed, state.counts.parked), (0, 0, count));
    assert_eq!(billed_once(world).await as u64, count);
    assert!(world.ledger().await.iter().all(|entry| entry.kind == "unknown"));
}

fn text(world: &World, args: &[&str]) -> String {
    let output = world.run(args);
    assert!(output.status.success(), "{args:?}: {}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn its_own_verdict_parks_and_a_person_may_pay_again_and_sees_it() {
    let world = slow(50);
    let faults = ["bad_gateway_billed*1", "reset_after_headers*1", "hang*1"];
    let rows: String =
        faults.iter().map(|name| format!("{name},a mug [[sim:{name}]],{MODEL},256x256\n")).collect();
    let file = world.path("rows.csv");
    fs::write(&file, format!("id,prompt,model,size\n{rows}")).unwrap();
    let (file, quick) = (file.to_str().unwrap(), quick(&world));
    // The workers would retry: the batch says that it does not want that.
    world.json(&["submit", file, "--run-id", "careful", "--on-unknown", "park"]);
    let _worker = world.worker("worker", 4, &[("PICTOR_CATALOGUE__FILE", &quick)]);
    all_parked(&world, "careful", 3).await;

    world.json(&["submit", file, "--run-id", "careful"]);
    assert_eq!(world.ended("careful", Duration::from_secs(30)).await.counts.parked, 3, "it stays parked");
    let listed = text(&world, &["failed", "list"]);
    assert!(listed.contains("3 parked") && listed.contains("may have been billed"), "{listed}");
    assert!(listed.contains("failed retry --parked"), "{listed}");
    let found = world.json(&["failed"]);
    assert!(found["groups"].as_array().unwrap().iter().all(|group| group["parked"] == true), "{found}");
    let left = world.json(&["failed", "retry", "--everything"]);
    assert_eq!((&left["found"], &left["left_out"]["parked"]), (&Value::from(0), &Value::from(3)), "{left}");
    let shown = text(&world, &["batch", "show", "careful"]);
    assert!(shown.contains("may have been billed") && shown.contains("nothing is sent again"), "{shown}");

    let retried = text(&world, &["failed", "retry", "--parked"]);
    assert!(retried.contains("3 of them may have been billed"), "{retried}");
    let state = world.ended("careful", Duration::from_secs(60)).await;
    assert_eq!(state.counts.done, 3);
    assert_eq!(world.sim.billed().await, 6, "asked for, it is paid again");
    let of_batch = world.json(&["ledger", "show", "careful"]);
    assert_eq!(of_batch["odd"].as_array().unwrap().len(), 3, "{of_batch}");
    assert_eq!(of_batch["total"]["perhaps_twice"], of_batch["total"]["unknown_cost"], "{of_batch}");
    let key = of_batch["odd"][0]["key"].as_str().unwrap();
    let one = text(&world, &["ledger", "show", key]);
    assert!(one.contains("unknown") && one.contains("settled"), "{one}");
    assert!(one.contains("may have been paid twice: $0.0"), "{one}");
    let totals = world.json(&["ledger", "totals", "--by", "batch"]);
    let sum = &totals["by"]["careful"];
    assert_eq!((&sum["perhaps_twice"], &sum["settled"]), (&Value::from(3), &Value::from(3)), "{totals}");
    assert_eq!(sum["perhaps_twice_cost"], sum["unknown_cost"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_certificate_parks() {
    let world = slow(4_000);
    let file = world.catalogue("rows.csv", 0..20);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "b"]);
    let mut first = world.worker("first", 20, &[PARK]);
    until_in_flight(&world, 20).await;
    first.proc.kill();
    let _second = world.worker("second", 20, &[PARK]);
    all_parked(&world, "b", 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_parks_after_the_send_deadline_when_the_disk_is_gone() {
    let world = slow(2_500);
    let quick = quick(&world);
    let file = world.catalogue("rows.csv", 0..10);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "b"]);
    let (lost, other) = (world.path("lost"), world.path("other"));
    let settings = |spool: &'static str| [PARK, ("PICTOR_WORKER__SPOOL", spool)];
    let at = |path: &std::path::Path| -> &'static str { path.to_str().unwrap().to_owned().leak() };
    let with = |spool| [&settings(spool)[..], &[("PICTOR_CATALOGUE__FILE", quick.as_str())]].concat();
    let mut first = world.worker("first", 10, &with(at(&lost)));
    until_in_flight(&world, 10).await;
    first.proc.kill();
    fs::remove_dir_all(&lost).unwrap();
    let _second = world.worker("second", 10, &with(at(&other)));
    all_parked(&world, "b", 10).await;
}
