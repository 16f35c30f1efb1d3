//! Keys that are replaced under a running worker: nothing fails, nothing is paid twice, no key is seen.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use pictor_common::queue::LaneState;
use pictor_simulator::Options;
use serde_json::{Value, json};

use crate::{
    cli::kept,
    world::{API_KEY, MODEL, World, told},
};

const NEW_KEY: &str = "sk-sim-n3w-and-s3cret-key";
const PATIENCE: Duration = Duration::from_secs(60);

/// A world whose account has its key from elsewhere than a variable.
fn world(source: &str) -> World {
    let world = World::start(Options { latency_ms_p50: Some(150), ..Options::default() });
    fs::write(world.path("key"), API_KEY).unwrap();
    set_source(&world, source);
    world
}

fn set_source(world: &World, source: &str) {
    world.write_settings();
    let path = world.path("pictor.toml");
    let text = fs::read_to_string(&path).unwrap();
    let changed = text.replace("api_key_env = \"SIM_API_KEY\"", source);
    assert_ne!(text, changed);
    fs::write(path, changed).unwrap();
}

async fn change_keys(world: &World, change: Value) {
    let url = world.sim.base_url().replace("/v1", "/_simulator/keys");
    reqwest::Client::new().post(url).json(&change).send().await.unwrap().error_for_status().unwrap();
}

/// Puts another key in place, as people do: whole or not at all.
fn replace_key(world: &World) {
    fs::write(world.path("key.new"), format!("{NEW_KEY}\n")).unwrap();
    fs::rename(world.path("key.new"), world.path("key")).unwrap();
}

async fn lane(world: &World) -> LaneState {
    let lanes = world.queue().await.lanes().await.unwrap();
    lanes.into_iter().find(|lane| lane.name == format!("sim.{MODEL}")).unwrap()
}

async fn until(what: &str, mut met: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met().await {
        assert!(Instant::now() < deadline, "not {what} after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn submit(world: &World, images: u64) {
    let file = world.catalogue("a.csv", 0..images);
    let output = world.run(&["submit", file.to_str().unwrap(), "--run-id", "b"]);
    assert!(output.status.success(), "{}", told(&output));
}

/// Every image was made, at its first attempt, and is paid once.
async fn all_made_once(world: &World, images: u64) {
    let batch = world.ended("b", PATIENCE).await;
    assert_eq!((batch.counts.done, batch.counts.failed, batch.counts.parked), (images, 0, 0));
    assert_eq!(world.sim.billed().await, images, "no image is paid twice");
    let ledger = world.ledger().await;
    assert_eq!(ledger.len() as u64, images);
    for entry in ledger {
        assert_eq!(
            (entry.kind.as_str(), entry.attempt.as_str()),
            ("settled", "1"),
            "a refused key is no attempt"
        );
    }
}

/// Images paid with each key, by the end of the key.
async fn paid_with(world: &World, key: &str) -> usize {
    let invoice = world.sim.invoice().await;
    let images = invoice["images"].as_array().unwrap();
    images.iter().filter(|image| image["api_key_fingerprint"] == key[key.len() - 4..]).count()
}

async fn refusals(world: &World) -> usize {
    let invoice = world.sim.invoice().await;
    let refusals = invoice["refusals"].as_array().unwrap();
    refusals.iter().filter(|refusal| refusal["status"] == 401).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_is_replaced_under_a_running_worker() {
    let world = world("api_key_file = \"key\"");
    submit(&world, 120).await;
    let mut worker = world.worker("worker", 8, &[]);
    until("begun", async || world.sim.billed().await >= 20).await;
    // The worst order: the old key dies first.
    change_keys(&world, json!({ "accept": [format!("{NEW_KEY}0000")], "revoke": [API_KEY] })).await;
    fs::write(world.path("key.new"), format!("{NEW_KEY}0000\n")).unwrap();
    fs::rename(world.path("key.new"), world.path("key")).unwrap();
    all_made_once(&world, 120).await;
    let (old, new) = (paid_with(&world, API_KEY).await, paid_with(&world, "0000").await);
    assert!(old >= 20 && new > 0 && old + new == 120, "{old} with the old key, {new} with the new");
    assert!(worker.proc.exited().is_none());
    assert_eq!(lane(&world).await.paused, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_waits_for_a_key_goes_on_by_itself() {
    let world = world("api_key_file = \"key\"");
    submit(&world, 20).await;
    change_keys(&world, json!({ "revoke": [API_KEY] })).await;
    let _worker = world.worker("worker", 4, &[]);
    until("paused", async || lane(&world).await.paused.is_some()).await;
    let reason = lane(&world).await.paused.unwrap();
    assert!(reason.contains("Incorrect API key"), "{reason}");
    let status = world.run(&["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("Incorrect API key"), "{}", told(&status));
    until("quiet", async || lane(&world).await.in_flight == 0).await;
    let refused = refusals(&world).await;
    assert!((1..=4).contains(&refused), "a refused key is not tried on and on: {refused}");

    change_keys(&world, json!({ "accept": [NEW_KEY] })).await;
    replace_key(&world);
    all_made_once(&world, 20).await;
    assert_eq!(lane(&world).await.paused, None);

    // What a person paused stays so, whatever the key.
    assert!(world.run(&["lane", "pause", &format!("sim.{MODEL}")]).status.success());
    fs::write(world.path("key"), API_KEY).unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        assert!(lane(&world).await.paused.is_some());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_a_refused_key_leaves_the_lane_to_those_with_a_good_one() {
    let world = World::start(Options { latency_ms_p50: Some(150), ..Options::default() });
    let name = format!("sim.{MODEL}");
    submit(&world, 80).await;
    let bad = world.worker("bad", 1, &[("SIM_API_KEY", "sk-sim-r3fused-key")]);
    until("refused", async || refusals(&world).await > 0).await;
    let _good = world.worker("good", 2, &[]);
    all_made_once(&world, 80).await;
    assert_eq!(refusals(&world).await, 1, "what another's key lifts does not send the refused one again");
    assert_eq!(lane(&world).await.paused, None);
    assert_eq!(bad.proc.stderr().matches("API key was refused").count(), 1, "{}", bad.proc.told());
    let status = || world.json(&["status"]);
    let workers = |status: Value| status["workers"].as_array().cloned().unwrap_or_default();
    let refused =
        |status: Value| workers(status).into_iter().filter(|worker| !worker["refused"].is_null()).count();
    until("said", async || refused(status()) == 1).await;
    let shown = told(&world.run(&["status"]));
    assert!(shown.contains(&format!("takes nothing for {name}: its API key was refused")), "{shown}");

    // Whoever has no other key tries again when a person says so.
    assert!(world.run(&["lane", "resume", &name]).status.success());
    until("tried again", async || refused(status()) == 0).await;
}

fn script(world: &World, text: &str) {
    let path = world.path("vault");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_run_again_and_sees_no_other_secret() {
    let world = world("key_command = [\"./vault\", \"read\"]\nkey_refresh_seconds = 1");
    script(&world, "env > seen; echo $$ >> runs; [ \"$1\" = read ] && cat key");
    change_keys(&world, json!({ "accept": [NEW_KEY] })).await;
    submit(&world, 60).await;
    let variables = [("PICTOR_STORE__SECRET_ACCESS_KEY", "hunter2-of-the-bucket")];
    let _worker = world.worker("worker", 2, &variables);
    until("begun", async || world.sim.billed().await >= 5).await;
    // The old key stays good: nothing is refused, and the new one is used all the same.
    replace_key(&world);
    let log = || fs::read_to_string(world.path("worker.err")).unwrap();
    until("replaced", async || log().contains("the API key was replaced")).await;
    change_keys(&world, json!({ "revoke": [API_KEY] })).await;
    all_made_once(&world, 60).await;
    let seen = fs::read_to_string(world.path("seen")).unwrap();
    assert!(seen.contains("PATH="), "it has what it needs");
    assert!(!seen.contains("hunter2") && !seen.contains("PICTOR_"), "{seen}");
    assert!(fs::read_to_string(world.path("runs")).unwrap().lines().count() >= 2);

    // It fails from now on: the key it printed last goes on being used, and that is said once.
    script(&world, "echo no lease any more >&2; exit 4");
    let more = world.catalogue("more.csv", 100..140);
    assert!(world.run(&["submit", more.to_str().unwrap(), "--run-id", "more"]).status.success());
    assert_eq!(world.ended("more", PATIENCE).await.counts.done, 40);
    assert_eq!(log().matches("no lease any more").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_gives_no_key_stops_a_worker_before_it_begins() {
    let world = world("key_command = [\"./vault\", \"s3cret-argument\"]");
    for (text, expected) in [
        (
            "echo sk-half-a-key; echo 'permission denied' >&2; exit 2",
            "ended with exit status: 2: permission denied",
        ),
        ("echo a warning >&2", "printed no key"),
        ("echo one; echo two", "cannot be sent as a header"),
        ("sleep 600", "did not end within 10 s"),
    ] {
        script(&world, text);
        let output = world.run(&["worker"]);
        assert_eq!(output.status.code(), Some(3), "{}", told(&output));
        let said = told(&output);
        assert!(said.contains("accounts.sim") && said.contains(expected), "{said}");
        assert!(
            !said.contains("half-a-key") && !said.contains("s3cret") && !said.contains("warning"),
            "{said}"
        );
    }
    fs::remove_file(world.path("vault")).unwrap();
    let output = world.run(&["worker"]);
    assert!(told(&output).contains("key_command ./vault cannot be started"), "{}", told(&output));
    let shown = world.run(&["config", "show"]);
    assert!(told(&shown).contains("command, not run"), "{}", told(&shown));
    assert!(!told(&shown).contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_old_key_nor_the_new_is_ever_seen() {
    let world = world("api_key_file = \"key\"");
    submit(&world, 30).await;
    let worker = world.worker("worker", 4, &[("PICTOR_LOG", "trace,pictor=trace")]);
    until("begun", async || world.sim.billed().await >= 5).await;
    change_keys(&world, json!({ "revoke": [API_KEY] })).await;
    until("paused", async || lane(&world).await.paused.is_some()).await;
    let shown = world.run(&["config", "show", "--json"]);
    change_keys(&world, json!({ "accept": [NEW_KEY] })).await;
    replace_key(&world);
    all_made_once(&world, 30).await;
    let status = world.run(&["status", "--json"]);
    let arguments = fs::read(format!("/proc/{}/cmdline", worker.proc.pid())).unwrap();
    let mut seen = vec![
        ("the worker's log", worker.proc.stderr() + &worker.proc.stdout()),
        ("argv", String::from_utf8_lossy(&arguments).into_owned()),
        ("config show", told(&shown)),
        ("status", told(&status)),
    ];
    assert!(seen[0].1.contains("the API key was replaced") && seen[0].1.contains("TRACE"));
    seen.extend(kept(&world, |path| !path.ends_with("key")).await);
    for (place, text) in seen {
        for key in [API_KEY, NEW_KEY] {
            assert!(!text.contains(key), "an API key stands in {place}");
        }
    }
}
