//! Webhooks: whoever is told of batches and failures hears of each at least once, signed, under one id.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use pictor_simulator::Options;
use serde_json::Value;

use crate::{
    support::receiver::{Heard, Receiver},
    world::{API_KEY, MODEL, World, told},
};

const PATIENCE: Duration = Duration::from_secs(120);
const OLD: &str = "whsec_b2xkIGtleSBvZiB0aGlydHkgdHdvIGJ5dGVzIGZvciBhIHRlc3Q=";
const NEW: &str = "whsec_bmV3IGtleSBvZiB0aGlydHkgdHdvIGJ5dGVzIGZvciBhIHRlc3Q=";
const PAGE: &str = include_str!("../../docs/webhooks.md");

fn fast() -> Options {
    Options { latency_ms_p50: Some(20), ..Options::default() }
}

/// Adds an endpoint to the settings.
fn add(world: &World, name: &str, url: &str, more: &str) {
    let (settings, secret) = (world.path("pictor.toml"), world.path("hook.secret"));
    fs::write(&secret, format!("{OLD}\n{NEW}\n")).unwrap();
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(
        settings,
        format!("{text}[webhooks.{name}]\nurl = {url:?}\nsecret_file = {secret:?}\n{more}\n"),
    )
    .unwrap();
}

/// Rows that can be made, and rows whose content is refused.
fn file(world: &World, good: u64, bad: u64) -> String {
    let mut text = String::from("id,prompt,model,size\n");
    for n in 0..good + bad {
        let marker = if n < good { "" } else { "[[sim:moderation_blocked]]" };
        text += &format!("row-{n},a very secret product {n}{marker},{MODEL},256x256\n");
    }
    fs::write(world.path("c.csv"), text).unwrap();
    world.path("c.csv").to_str().unwrap().to_owned()
}

/// The example of the documentation in one language.
fn example(language: &str) -> &'static str {
    let opening = format!("```{language}\n");
    let from = PAGE.rfind(&opening).unwrap() + opening.len();
    &PAGE[from..from + PAGE[from..].find("```").unwrap()]
}

fn genuine(world: &World, heard: &Heard, secret: &str) -> [bool; 2] {
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| heard.header(name));
    let mut python = Command::new("python3");
    python.arg("-c").arg(example("python")).args(&headers).env("SECRET", secret).stdin(Stdio::piped());
    let mut child = python.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&heard.bytes).unwrap();
    fs::write(world.path("body.json"), &heard.bytes).unwrap();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(example("sh")).current_dir(world.dir.path()).env("SECRET", secret);
    shell.envs(["ID", "TIMESTAMP", "SIGNATURES"].into_iter().zip(&headers)).stdout(Stdio::null());
    [child.wait().unwrap().success(), shell.status().unwrap().success()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_ends_is_told_once_signed_and_without_secrets() {
    let world = World::start(fast());
    let receiver = Receiver::open(|_, _| 204);
    add(&world, "shop", &receiver.url(), "");
    let workers = [world.worker("one", 4, &[]), world.worker("two", 4, &[])];
    world.json(&["submit", &file(&world, 5, 3), "--run-id", "b", "--tenant", "shop"]);
    assert_eq!(world.ended("b", PATIENCE).await.counts.failed, 3);
    receiver.until("the end of the batch", |heard| heard.iter().any(|h| h.event() == "batch.failed")).await;
    let mut logs = String::new();
    for mut worker in workers {
        worker.proc.signal(rustix::process::Signal::TERM);
        assert!(worker.proc.wait(PATIENCE).success());
        logs += &worker.proc.stderr();
    }
    let heard = receiver.heard();
    let mut events: Vec<String> = heard.iter().map(Heard::event).collect();
    events.sort();
    assert_eq!(events, ["batch.failed", "failure.group.first_seen"], "{heard:?}");
    for heard in &heard {
        assert_eq!(heard.head[0], "POST /hooks/t0p-s3cret HTTP/1.1");
        assert_eq!(heard.header("content-type"), "application/json");
        assert_eq!(genuine(&world, heard, OLD), [true; 2], "{heard:?}");
        assert_eq!(genuine(&world, heard, NEW), [true; 2], "the new secret signs as well");
        let other = OLD.replace("b2xk", "b2xl");
        assert_eq!(genuine(&world, heard, &other), [false; 2], "another secret");
        let changed = Heard { bytes: b"{}".to_vec(), ..heard.clone() };
        assert_eq!(genuine(&world, &changed, OLD), [false; 2], "another body");
        let body = String::from_utf8(heard.bytes.clone()).unwrap();
        for secret in ["a very secret product", API_KEY, OLD, NEW, "t0p-s3cret"] {
            assert!(!body.contains(secret), "{body}");
        }
    }
    for secret in [OLD, NEW, "t0p-s3cret", "a very secret product"] {
        assert!(!logs.contains(secret), "{logs}");
    }
    let body = heard.iter().map(Heard::body).find(|body| body["type"] == "batch.failed").unwrap();
    let data = &body["data"];
    let of = |names: [&str; 7]| names.map(|name| data[name].clone());
    let expected = serde_json::json!([8, 5, 3, 0, "shop", "complete", "it"]);
    let found = of(["assets", "made", "failed", "parked", "tenant", "state", "namespace"]);
    assert_eq!(serde_json::json!(found), expected, "{body}");
    assert_eq!(data["cost_micro_usd"], world.sim.totals().await["cost_micro_usd"]);
    assert_eq!(
        (&data["failures"][0]["class"], &data["failures"][0]["count"]),
        (&"moderation".into(), &3.into())
    );
    for command in data["commands"].as_array().unwrap() {
        let words: Vec<&str> = command.as_str().unwrap().split(' ').skip(1).collect();
        let ran = world.run(&words);
        assert!(ran.status.code().is_some_and(|code| code < 2), "{command}: {}", told(&ran));
    }
    let shown = told(&world.run(&["config", "show"]));
    assert!(!shown.contains("t0p-s3cret") && shown.contains("http://127.0.0.1"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_is_told_again_under_its_id_though_its_worker_is_killed() {
    let world = World::start(fast());
    // An error, then no answer at all.
    let receiver = Receiver::open(|n, _| [500, 0].get(n).copied().unwrap_or(204));
    add(&world, "shop", &receiver.url(), "events = [\"batch.completed\"]");
    let mut one = world.worker("one", 4, &[]);
    world.json(&["submit", &file(&world, 2, 0), "--run-id", "b"]);
    receiver.until("a second try", |heard| heard.len() >= 2).await;
    one.proc.kill();
    let _two = world.worker("two", 4, &[]);
    let heard = receiver.until("a third try", |heard| heard.len() >= 3).await;
    let ids: Vec<String> = heard.iter().map(Heard::id).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.starts_with("msg_")), "{ids:?}");
    let bodies: Vec<Value> = heard.iter().map(Heard::body).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    let deadline = Instant::now() + PATIENCE;
    while world.json(&["webhooks", "show", "shop"])["notices"][0]["state"] != "delivered" {
        assert!(Instant::now() < deadline, "{}", world.json(&["webhooks", "show", "shop"]));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(world.json(&["webhooks", "show", "shop"])["notices"][0]["attempts"], 3);
    assert_eq!(receiver.heard().len(), 3, "what was taken is not told again");
}

fn endpoint(world: &World, name: &str) -> Value {
    let all = world.json(&["webhooks", "list"]);
    all.as_array().unwrap().iter().find(|endpoint| endpoint["name"] == name).unwrap().clone()
}

async fn until(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_or_never_takes_anything_is_given_up_and_can_be_told_again() {
    let world = World::start(fast());
    let gone = Receiver::open(|n, _| if n == 0 { 410 } else { 204 });
    let moved = Receiver::open(|n, _| if n < 12 { 302 } else { 204 });
    add(&world, "gone", &gone.url(), "events = [\"batch.completed\"]");
    add(&world, "moved", &moved.url(), "events = [\"batch.completed\"]");
    add(&world, "nobody", "http://127.0.0.1:1/t0p-s3cret", "events = [\"batch.cancelled\"]");
    let mut worker = world.worker("one", 4, &[]);
    world.json(&["submit", &file(&world, 1, 0), "--run-id", "b"]);
    until("410 disables", || endpoint(&world, "gone")["disabled"] == "410 Gone").await;
    let tested = world.run(&["webhooks", "test", "moved"]);
    assert_eq!(tested.status.code(), Some(1), "{}", told(&tested));
    assert!(told(&tested).contains("redirects are not followed"), "{}", told(&tested));
    let tested = told(&world.run(&["webhooks", "test", "nobody"]));
    assert!(!tested.contains("t0p-s3cret") && tested.contains("has not taken it"), "{tested}");

    // Hours later, in a hurry.
    let mut again = Value::Null;
    until("given up", || {
        again = world.json(&["webhooks", "retry", "moved"]);
        again["given_up"] == 1
    })
    .await;
    assert_eq!(endpoint(&world, "moved")["given_up"], 1, "{again}");
    let ids: Vec<String> =
        moved.heard().iter().filter(|h| h.event() != "webhook.test").map(Heard::id).collect();
    assert!(ids.len() >= 11 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let again = world.json(&["webhooks", "retry", "gone"]);
    assert_eq!((&again["given_up"], &again["was_disabled"]), (&1.into(), &true.into()), "{again}");
    for name in ["gone", "moved"] {
        until("told after all", || endpoint(&world, name)["delivered"] == 1).await;
        let tested = world.run(&["webhooks", "test", name]);
        assert!(tested.status.success(), "{}", told(&tested));
    }
    assert!(endpoint(&world, "gone")["disabled"].is_null());
    worker.proc.signal(rustix::process::Signal::TERM);
    assert!(worker.proc.wait(PATIENCE).success());
    assert!(!worker.proc.stderr().contains("t0p-s3cret"));
    assert_eq!(world.run(&["webhooks", "show", "nowhere"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_tells_before_it_ends_and_only_those_who_want_to_know() {
    let world = World::start(fast());
    let settings = fs::read_to_string(world.path("pictor.toml")).unwrap();
    let own = settings.lines().filter(|line| !line.contains("redis://") && !line.starts_with("namespace"));
    fs::write(world.path("pictor.toml"), own.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    let [all, named, other] = [(); 3].map(|()| Receiver::open(|_, _| 200));
    add(&world, "all", &all.url(), "");
    add(&world, "named", &named.url(), "named_only = true");
    add(&world, "other", &other.url(), "tenants = [\"other\"]");
    let run = |words: &[&str]| {
        let ran = world.run(&[&["run", &file(&world, 2, 0)], words].concat());
        (ran.status.code(), told(&ran))
    };
    let (code, said) = run(&["--run-id", "x", "--webhook", "nobody"]);
    assert!(code == Some(2) && said.contains("there are all, named, other"), "{said}");
    assert_eq!(world.sim.billed().await, 0);
    let (code, said) = run(&["--run-id", "a"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["--run-id", "b", "--webhook", "named"]);
    assert_eq!(code, Some(0), "{said}");
    let about = |receiver: &Receiver| -> Vec<String> {
        let heard = receiver.heard();
        heard.iter().map(|heard| heard.body()["data"]["batch"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (about(&all), about(&named), about(&other)),
        (vec!["a".into(), "b".into()], vec!["b".into()], vec![])
    );
    assert_eq!(world.sim.billed().await, 2, "the second run paid nothing");
}
