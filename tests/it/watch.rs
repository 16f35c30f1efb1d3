//! What people on call see: why it waits, who paid, and what steering does.

use std::{
    fs,
    process::Output,
    time::{Duration, Instant},
};

use pictor_simulator::Options;
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    support::process::Proc,
    world::{World, told},
};

const LANE: &str = "sim.dall-e-2";

fn quick() -> Options {
    Options { latency_ms_p50: Some(20), ..Options::default() }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", told(output)))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn submit(world: &World, id: &str, prompts: std::ops::Range<u64>) {
    let file = world.catalogue(&format!("{id}.csv"), prompts);
    let output = world.run(&["submit", file.to_str().unwrap(), "--run-id", id]);
    assert_eq!(code(&output), 0, "{}", told(&output));
}

fn look(world: &World, batch: &str) -> Value {
    world.json(&["watch", batch, "--once"])["batches"][0].clone()
}

fn kinds(frame: &Value) -> Vec<String> {
    let why = frame["why"].as_array().unwrap();
    why.iter().map(|why| why["kind"].as_str().unwrap().to_owned()).collect()
}

/// Polls until a batch waits for a reason of this kind.
fn until(world: &World, batch: &str, kind: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let frame = look(world, batch);
        if kinds(&frame).iter().any(|found| found == kind) {
            return frame;
        }
        assert!(Instant::now() < deadline, "{kind} is not told: {frame}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_lane_and_then_a_dead_worker_are_the_reasons() {
    let world = World::start(quick());
    let mut worker = world.worker("worker", 2, &[]);
    assert_eq!(code(&world.run(&["lane", "pause", LANE, "--reason", "no money"])), 0);
    submit(&world, "b", 0..5);
    let frame = until(&world, "b", "lane_paused");
    assert_eq!((frame["why"][0]["reason"].as_str(), frame["open"].as_u64()), (Some("no money"), Some(5)));
    assert_eq!(frame["eta"]["because"], "it waits for a person");
    assert_eq!(world.json(&["status"])["workers"][0]["incarnation"], worker.incarnation.as_str());
    worker.proc.kill();
    let frame = until(&world, "b", "no_worker");
    assert_eq!(kinds(&frame)[0], "no_worker");
    for args in [&["status"][..], &["watch", "--once"], &["batch", "show", "b"]] {
        let output = world.run(args);
        assert!(said(&output).contains("no worker is alive: start pictor worker"), "{}", told(&output));
    }
    let asset = said(&world.run(&["asset", "show", "row-3"]));
    assert!(asset.contains("batch b: no worker is alive"), "{asset}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_reached_is_told_and_watching_ends_with_the_batch() {
    let world = World::start(quick());
    submit(&world, "b", 0..3);
    assert_eq!(code(&world.run(&["budget", "set", "0.02"])), 0);
    let _worker = world.worker("worker", 2, &[]);
    let deadline = Instant::now() + Duration::from_secs(40);
    while look(&world, "b")["done"] != 1 {
        assert!(Instant::now() < deadline, "{}", look(&world, "b"));
    }
    let frame = until(&world, "b", "budget");
    assert_eq!((frame["why"][0]["cap"].as_u64(), frame["spent"].as_u64()), (Some(20_000), Some(16_000)));
    assert_eq!(frame["projected"]["expected"].as_u64(), Some(48_000), "{frame}");
    let mut watch = Proc::spawn("watch", &mut world.command(&["watch"]), world.dir.path());
    watch.wait_until("watching", Duration::from_secs(10), |watch| {
        watch.stdout().contains("the budget of $0.02")
    });
    assert_eq!(code(&world.run(&["budget", "set", "none"])), 0);
    assert_eq!(watch.wait(Duration::from_secs(40)).code(), Some(0), "{}", watch.told());
    let last = watch.stdout().lines().last().unwrap().to_owned();
    assert_eq!(last, "b  3 of 3  complete  $0.048 spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_ends_with_1_when_some_failed_or_it_was_given_up_or_left() {
    let world = World::start(quick());
    fs::write(
        world.path("bad.csv"),
        "id,prompt,model,size\nx,[[sim:moderation_blocked]] x,dall-e-2,256x256\n",
    )
    .unwrap();
    submit(&world, "left", 0..3);
    let mut watch = Proc::spawn("left", &mut world.command(&["watch"]), world.dir.path());
    watch.wait_until("watching", Duration::from_secs(10), |watch| watch.stdout().contains("3 open"));
    watch.signal(Signal::INT);
    assert_eq!(watch.wait(Duration::from_secs(10)).code(), Some(1), "{}", watch.told());
    assert_eq!(look(&world, "left")["state"], "open", "the batch is left alone");

    let mut watch = Proc::spawn("cancel", &mut world.command(&["watch", "left", "--json"]), world.dir.path());
    watch.wait_until("watching", Duration::from_secs(10), |watch| !watch.stdout().is_empty());
    assert_eq!(code(&world.run(&["batch", "cancel", "left"])), 0);
    assert_eq!(watch.wait(Duration::from_secs(10)).code(), Some(1), "{}", watch.told());
    for line in watch.stdout().lines() {
        let moment: Value = serde_json::from_str(line).unwrap();
        assert_eq!(moment["batches"][0]["batch"], "left");
    }

    assert_eq!(code(&world.run(&["submit", "bad.csv", "--run-id", "bad"])), 0);
    let _worker = world.worker("worker", 2, &[]);
    let output = world.run(&["watch", "bad"]);
    assert_eq!(code(&output), 1, "{}", told(&output));
    let shown = said(&world.run(&["batch", "show", "bad"]));
    assert!(shown.contains("moderation (moderation_blocked)"), "{shown}");
    assert_eq!(code(&world.run(&["watch", "nope"])), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_moved_up_is_made_before_its_elder() {
    let world = World::start(Options { latency_ms_p50: Some(100), ..Options::default() });
    submit(&world, "elder", 0..60);
    submit(&world, "urgent", 100..105);
    let frame = look(&world, "urgent");
    assert!(kinds(&frame).contains(&"behind".to_owned()), "{frame}");
    let moved = world.run(&["batch", "priority", "urgent", "high", "--reason", "a customer waits"]);
    assert_eq!(said(&moved), "urgent: normal -> interactive\n", "{}", told(&moved));
    assert!(said(&world.run(&["batch", "priority", "urgent", "interactive"])).contains("as before"));
    let shown = said(&world.run(&["batch", "show", "urgent"]));
    assert!(shown.contains("interactive: a customer waits"), "{shown}");
    let _worker = world.worker("worker", 1, &[]);
    world.ended("urgent", Duration::from_secs(60)).await;
    let elder = look(&world, "elder");
    assert!(elder["done"].as_u64().unwrap() < 30, "{elder}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_batches_are_steered_at_once_or_not_at_all() {
    let world = World::start(quick());
    for (n, id) in ["a", "b", "c"].iter().enumerate() {
        submit(&world, id, n as u64 * 10..n as u64 * 10 + 2);
    }
    let run = |args: &[&str]| world.run(&[&["batch"], args].concat());
    assert_eq!(
        said(&run(&["pause", "a", "b", "--reason", "proofs"])),
        "a: open -> paused: proofs\nb: open -> paused: proofs\n"
    );
    assert_eq!(said(&run(&["hold", "a", "--reason", "proofs"])), "a: paused: proofs (as before)\n");
    assert_eq!(kinds(&look(&world, "a"))[0], "paused");
    assert_eq!(said(&run(&["resume", "a", "c"])), "a: paused: proofs -> open\nc: open (as before)\n");
    assert_eq!(said(&run(&["cancel", "c", "--reason", "wrong file"])), "c: open -> cancelled: wrong file\n");
    assert_eq!(said(&run(&["cancel", "c"])), "c: cancelled: wrong file (as before)\n");
    let refused = run(&["pause", "a", "c", "nope"]);
    assert_eq!(code(&refused), 2);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "batch c was cancelled: there is nothing to pause",
            "batch nope is unknown; pictor batch list names those there are",
            "no batch was changed"
        ]
    );
    assert_eq!(look(&world, "a")["why"][0]["kind"], "no_worker", "a was left alone");
    let _worker = world.worker("worker", 2, &[]);
    assert_eq!(world.ended("a", Duration::from_secs(60)).await.counts.done, 2);
    let refused = run(&["priority", "a", "bulk"]);
    assert_eq!(
        (code(&refused), String::from_utf8_lossy(&refused.stderr).trim()),
        (2, "batch a is complete: nothing of it waits")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_is_found_by_its_line_with_both_its_attempts() {
    let world = World::start(quick());
    fs::write(
        world.path("a.csv"),
        "id,prompt,n,model,size\nlamp,[[sim:bad_gateway_billed*1]] a lamp,1,dall-e-2,256x256\n12345678,a cup,2,dall-e-2,256x256\n",
    )
    .unwrap();
    assert_eq!(code(&world.run(&["submit", "a.csv", "--run-id", "first", "--tenant", "shop"])), 0);
    assert_eq!(code(&world.run(&["submit", "a.csv", "--run-id", "second", "--tenant", "other"])), 0);
    let _worker = world.worker("worker", 2, &[]);
    world.ended("first", Duration::from_secs(60)).await;
    let lamp = world.json(&["asset", "show", "lamp"]);
    let entries = lamp["attempts"]["entries"].as_array().unwrap();
    let told: Vec<_> =
        entries.iter().map(|e| (e["kind"].as_str().unwrap(), e["attempt"].as_str().unwrap())).collect();
    assert_eq!(told, [("unknown", "1"), ("settled", "2")], "{lamp}");
    assert_eq!(lamp["attempts"]["bounded"], false);
    let asked: Vec<_> =
        lamp["asked"].as_array().unwrap().iter().map(|a| a["batch"].as_str().unwrap()).collect();
    assert_eq!(asked, ["first", "second"]);
    assert!(fs::metadata(lamp["place"].as_str().unwrap()).unwrap().len() > 0);
    // Who asks for it once it is made is kept nowhere but in the lines.
    assert_eq!(code(&world.run(&["submit", "a.csv", "--run-id", "third"])), 0);
    world.catalogue("else.csv", 0..3);
    assert_eq!(code(&world.run(&["submit", "else.csv", "--run-id", "else"])), 0);
    let late = world.json(&["asset", "show", lamp["key"].as_str().unwrap()]);
    let asked: Vec<_> =
        late["asked"].as_array().unwrap().iter().map(|a| a["batch"].as_str().unwrap()).collect();
    assert_eq!(asked, ["first", "second", "third"], "{late}");
    let request = entries[1]["request_id"].as_str().unwrap();
    let invoice = world.sim.invoice().await;
    assert!(invoice.to_string().contains(request), "the request id is the invoice's");
    let text = said(&world.run(&["asset", "show", "lamp"]));
    for part in ["perhaps paid", "paid", request, "done, for", "shop", "sim.dall-e-2"] {
        assert!(text.contains(part), "{part} in {text}");
    }

    let key = lamp["key"].as_str().unwrap();
    assert_eq!(world.json(&["asset", "show", &key[..8]])["key"], key);
    // An id of digits alone is an id first; its line has two images.
    let several = world.run(&["asset", "show", "12345678"]);
    let text = String::from_utf8_lossy(&several.stderr).into_owned();
    assert_eq!(code(&several), 2);
    assert!(text.contains("fits 2 assets") && text.contains("take 0") && text.contains("take 1"), "{text}");
    let one = world.json(&["asset", "show", "12345678", "--take", "1", "--batch", "second"]);
    assert_eq!(one["asset"]["spec"]["take"], 1);
    let none = world.run(&["asset", "show", "cup"]);
    assert_eq!(code(&none), 2);
    let text = String::from_utf8_lossy(&none.stderr).into_owned();
    assert_eq!(text.trim(), "no line in the newest 4 batches has the id cup");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_json_of_watch_has_these_fields() {
    let world = World::start(quick());
    let worker = world.worker("worker", 2, &[]);
    assert_eq!(code(&world.run(&["lane", "pause", LANE])), 0);
    submit(&world, "b", 0..2);
    until(&world, "b", "lane_paused");
    let moment = world.json(&["watch", "--once"]);
    let names = |value: &Value| -> Vec<String> {
        let mut names: Vec<String> =
            value.as_object().unwrap_or_else(|| panic!("{moment}")).keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(&moment), ["at", "batches", "lanes", "money", "workers"]);
    assert_eq!(
        names(&moment["batches"][0]),
        [
            "assets",
            "band",
            "batch",
            "cap",
            "completed",
            "created",
            "done",
            "eta",
            "failed",
            "open",
            "parked",
            "per_minute",
            "projected",
            "replaced",
            "reserved",
            "spent",
            "state",
            "substituted",
            "tenant",
            "waiting",
            "why"
        ]
    );
    assert_eq!(names(&moment["batches"][0]["eta"]), ["because", "known"]);
    assert_eq!(names(&moment["batches"][0]["projected"]), ["ceiling", "expected"]);
    assert_eq!(names(&moment["batches"][0]["why"][0]), ["kind", "lane", "others", "reason", "text", "until"]);
    assert_eq!(
        names(&moment["workers"][0]),
        [
            "concurrency",
            "draining",
            "heeds_drain",
            "held",
            "host",
            "incarnation",
            "lanes",
            "layout",
            "pid",
            "seen",
            "sent",
            "version"
        ]
    );
    assert_eq!(
        names(&moment["lanes"][0]),
        [
            "faults",
            "in_flight",
            "in_flight_limit",
            "kind",
            "limits",
            "name",
            "pace",
            "pause_reason",
            "pause_until",
            "paused",
            "probing",
            "refused_since"
        ]
    );
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_this_machine_is_watched_to_its_end_though_its_server_ends_with_it() {
    let world = World::start(Options { latency_ms_p50: Some(200), ..Options::default() });
    let settings = fs::read_to_string(world.path("pictor.toml")).unwrap();
    let (before, after) = settings.split_once("[redis]").unwrap();
    let after = after.split_once("[store]").unwrap().1;
    fs::write(world.path("pictor.toml"), format!("{before}[store]{after}")).unwrap();
    world.catalogue("a.csv", 0..20);
    let mut run =
        Proc::spawn("run", &mut world.command(&["run", "a.csv", "--concurrency", "2"]), world.dir.path());
    let deadline = Instant::now() + Duration::from_secs(30);
    // Before that nobody holds the server's lock, and looking would take it.
    while !world.path("data/socket").exists() || !world.run(&["watch", "--once"]).status.success() {
        assert!(Instant::now() < deadline, "{}", run.told());
        std::thread::sleep(Duration::from_millis(100));
    }
    let watched = world.run(&["watch"]);
    assert_eq!(code(&watched), 0, "{}", told(&watched));
    assert!(said(&watched).contains("20 of 20  complete"), "{}", told(&watched));
    assert_eq!(run.wait(Duration::from_secs(30)).code(), Some(0), "{}", run.told());
}
