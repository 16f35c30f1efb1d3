//! Several servers and several schedules, of which some cannot be fired here, or not yet.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use pictor_common::queue::{Firing, Queue, ScheduleState, Step, Taken};

use super::{manifest, quick};
use crate::{
    support::{
        process::Proc,
        proxy::{Fault, Proxy},
        seaweed::Seaweed,
    },
    world::{Images, World, told},
};

const PATIENCE: Duration = Duration::from_secs(90);

/// Adds a schedule of which a time was due a while ago.
async fn due(world: &World, queue: &Queue, name: &str, file: &Path, hours: u64) {
    let file = file.display().to_string();
    world.json(&["schedule", "add", name, &file, "--cron", "0 3 * * *", "--time-zone", "UTC"]);
    let state = queue.schedule(name).await.unwrap().unwrap();
    let now = queue.clock().await.unwrap();
    let back = now - hours * 3_600_000_000;
    assert!(queue.keep_schedule(name, &state.definition, "ann", now - 1, true, Some(back)).await.unwrap());
}

fn server(world: &World, name: &str, place: &Path) -> Proc {
    let mut command = world.command(&["schedule", "serve"]);
    let server = Proc::spawn(name, command.env("PICTOR_SCHEDULE__READ_FROM", place), world.dir.path());
    let mut server = server;
    server.wait_until("serving", PATIENCE, |server| server.stderr().contains("serving schedules"));
    server
}

async fn until(queue: &Queue, name: &str, servers: &[&Proc], met: impl Fn(&ScheduleState) -> bool) {
    let begun = Instant::now();
    loop {
        let state = queue.schedule(name).await.unwrap().unwrap();
        if met(&state) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{state:?}: {servers:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn submitted(state: &ScheduleState) -> bool {
    state.last.as_ref().is_some_and(|run| run.contains(r#""outcome":"submitted""#))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_leaves_what_it_may_not_read_to_one_that_may() {
    let world = World::start(quick());
    let (here, other) = (world.path("in"), world.path("other"));
    for dir in [&here, &other] {
        fs::create_dir(dir).unwrap();
    }
    fs::write(here.join("a.csv"), manifest(3)).unwrap();
    let output = world.run(&["schedule", "serve"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("schedule.read_from"), "{}", told(&output));
    let queue = world.queue().await;
    due(&world, &queue, "nightly", &here.join("a.csv"), 25).await;
    let mut blind = server(&world, "blind", &other);
    blind.wait_until("it leaves it", PATIENCE, |server| server.stderr().contains("left to others"));
    let state = queue.schedule("nightly").await.unwrap().unwrap();
    assert_eq!((state.last, state.firing), (None, None));
    let seeing = server(&world, "seeing", &here);
    until(&queue, "nightly", &[&blind, &seeing], submitted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_one_schedule_holds_up_no_other_and_a_file_may_come_late() {
    let world = World::start(quick());
    let place = world.path("in");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("a.csv"), manifest(3)).unwrap();
    let queue = world.queue().await;
    for (name, file, hours) in [("a", "a.csv", 49), ("b", "late.csv", 25), ("c", "a.csv", 25)] {
        due(&world, &queue, name, &place.join(file), hours).await;
    }
    // Of the first the history is broken: to look at it is an error each time.
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let history = pictor_common::keys::Keys::new("it").unwrap().schedule_runs("a");
    let _: () = redis::cmd("SET").arg(history).arg("odd").query_async(&mut connection).await.unwrap();
    let mut server = server(&world, "server", &place);
    until(&queue, "c", &[&server], submitted).await;
    server.wait_until("it tries again", PATIENCE, |server| server.stderr().contains("trying again"));
    let state = queue.schedule("b").await.unwrap().unwrap();
    assert!(state.last.is_none() && state.firing.is_some(), "a file that is late is waited for: {state:?}");
    let shown = String::from_utf8(world.run(&["schedule", "show", "b"]).stdout).unwrap();
    assert!(shown.contains("in vain") && shown.contains("No such file"), "{shown}");
    assert!(!shown.contains("being submitted"), "{shown}");
    fs::write(place.join("late.csv"), manifest(5)).unwrap();
    until(&queue, "b", &[&server], submitted).await;
    assert!(server.stderr().contains("cannot look at it"), "{}", server.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_run_by_hand_left_goes_on_by_hand() {
    let world = World::start(quick());
    let place = world.path("in");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("a.csv"), manifest(3)).unwrap();
    let queue = world.queue().await;
    due(&world, &queue, "nightly", &place.join("a.csv"), 25).await;
    let state = queue.schedule("nightly").await.unwrap().unwrap();
    let (now, dead) = (queue.clock().await.unwrap(), Duration::from_secs(120));
    let firing = Firing { token: "dead".to_owned(), lease: dead };
    let step = Step { due: Some(now), next: state.next, by_hand: true, ..Step::default() };
    let before = Some(now - 200_000_000);
    assert_eq!(queue.step_schedule(&state, &step, &firing, before).await.unwrap(), Taken::Ours);
    let mut command = world.command(&["schedule", "run", "nightly"]);
    let output = command.env("PICTOR_SCHEDULE__READ_FROM", &place).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let state = queue.schedule("nightly").await.unwrap().unwrap();
    assert!(submitted(&state) && state.firing.is_none(), "{state:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_run_by_hand_is_left_alone_as_long_as_it_lives() {
    let seaweed = Seaweed::shared();
    let world = World::with(quick(), Images::S3(Arc::clone(&seaweed)));
    let place = world.path("in");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("a.csv"), manifest(3)).unwrap();
    let bucket = Proxy::start(seaweed.address()).await;
    bucket.set(Fault::BlackHole);
    let queue = world.queue().await;
    due(&world, &queue, "nightly", &place.join("a.csv"), 1).await;
    let mut command = world.command(&["schedule", "run", "nightly", "--reason", "the night was lost"]);
    command.env("PICTOR_SCHEDULE__READ_FROM", &place);
    command.env("PICTOR_STORE__ENDPOINT", format!("http://{}", bucket.address()));
    let mut run = Proc::spawn("run", &mut command, world.dir.path());
    until(&queue, "nightly", &[&run], |state| state.firing.is_some()).await;
    let taken = queue.schedule("nightly").await.unwrap().unwrap();
    assert!(taken.lease <= queue.clock().await.unwrap() + 30_000_000, "who dies is followed soon: {taken:?}");
    until(&queue, "nightly", &[&run], |state| state.lease > taken.lease).await;
    let beside = world.run(&["schedule", "run", "nightly"]);
    assert!(String::from_utf8_lossy(&beside.stderr).contains("is being submitted"), "{}", told(&beside));
    bucket.set(Fault::Pass);
    assert!(run.wait(PATIENCE).success(), "{}", run.told());
    let state = queue.schedule("nightly").await.unwrap().unwrap();
    assert!(submitted(&state) && state.firing.is_none(), "{state:?}");
    let deeds = world.json(&["audit"]);
    assert_eq!(deeds[0]["why"], "the night was lost", "{deeds}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_changes_a_schedule_is_in_the_audit_and_a_listing_is_enough_to_add_it_again() {
    let world = World::start(quick());
    fs::write(world.path("a.csv"), manifest(3)).unwrap();
    let file = world.path("a.csv").display().to_string();
    let add = ["schedule", "add", "nightly", &file, "--cron", "0 3 * * *", "--reason", "spring"];
    let more = ["--template", "a {{ prompt }}", "--deadline", "6h", "--quality", "low", "--tenant", "shop"];
    world.json(&[&add[..], &more].concat());
    let listed = world.json(&["schedule", "list"]);
    world.json(&["schedule", "pause", "nightly", "--reason", "a new catalogue"]);
    world.json(&["schedule", "resume", "nightly"]);
    world.json(&["schedule", "resume", "nightly"]);
    world.json(&[&add[..], &more, &["--replace"]].concat());
    assert_eq!(world.run(&[&add[..], &more].concat()).status.code(), Some(2), "it is there");
    world.json(&["schedule", "remove", "nightly", "--reason", "moved"]);
    let deeds = world.json(&["audit"]);
    let told = |deed: &serde_json::Value| format!("{} {}", deed["what"], deed["why"]).replace('"', "");
    let told: Vec<String> = deeds.as_array().unwrap().iter().map(told).collect();
    let expected = ["removed moved", "replaced spring", "resumed ", "paused a new catalogue", "added spring"];
    assert_eq!(told, expected);
    assert!(deeds.as_array().unwrap().iter().all(|deed| deed["of"] == "schedule nightly"), "{deeds}");
    // A file that had been named is kept as its text, so that the listing needs nothing else.
    let definition = &listed[0]["definition"];
    assert_eq!((&listed[0]["name"], &definition["file"]), (&"nightly".into(), &file.into()), "{listed}");
    let batch = &definition["batch"];
    assert_eq!((&batch["tenant"], &batch["spec"]["quality"]), (&"shop".into(), &"low".into()), "{batch}");
    assert!(batch["template"].as_str().unwrap().contains("a {{ prompt }}"), "{batch}");
}
