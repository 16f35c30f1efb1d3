//! What is submitted by the clock: a line in a crontab, and schedules that any number of processes serve.

pub(crate) mod nights;

use std::{
    fs,
    os::unix::fs::symlink,
    process::{Command, Output},
    time::Duration,
};

use pictor_common::store::{Body, NewObject};
use pictor_simulator::Options;

use crate::{
    support::seaweed::Seaweed,
    world::{Images, MODEL, World, told},
};

/// As the README has it, behind the five fields.
const CRONTAB: &str =
    "pictor submit nightly.csv --run-id 'nightly-{date}' --wait --deadline 06:00 --max-cost 20 --quiet";

fn quick() -> Options {
    Options { latency_ms_p50: Some(20), ..Options::default() }
}

/// Runs a line as cron does: by `sh`, at home, with little in the environment.
fn by_cron(world: &World, line: &str) -> Output {
    let (home, bin) = (world.path("home"), world.path("bin"));
    fs::create_dir_all(home.join(".config/pictor")).unwrap();
    fs::copy(world.path("pictor.toml"), home.join(".config/pictor/pictor.toml")).unwrap();
    if fs::create_dir(&bin).is_ok() {
        symlink(env!("CARGO_BIN_EXE_pictor"), bin.join("pictor")).unwrap();
    }
    let mut command = Command::new("/bin/sh");
    command.env_clear().env("HOME", &home).env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    command.args(["-c", line]).current_dir(&home).output().unwrap()
}

fn manifest(rows: u64) -> String {
    let rows = (0..rows).map(|n| format!("row-{n},thing number {n},{MODEL},256x256\n"));
    "id,prompt,model,size\n".to_owned() + &rows.collect::<String>()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_in_a_crontab_is_silent_when_all_was_made() {
    let readme = include_str!("../../README.md");
    assert!(readme.contains(CRONTAB) && !CRONTAB.contains('%'), "the README has another line");
    let world = World::start(quick());
    fs::create_dir_all(world.path("home")).unwrap();
    fs::write(world.path("home/nightly.csv"), manifest(12)).unwrap();
    let _worker = world.worker("worker", 8, &[]);
    for _again in 0..2 {
        let output = by_cron(&world, CRONTAB);
        assert!(output.status.success(), "{}", told(&output));
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{}", told(&output));
        assert_eq!(world.sim.billed().await, 12);
    }
    let date = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::system()).date();
    assert!(world.json(&["batch", "list"]).to_string().contains(&format!("nightly-{date}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_in_a_crontab_says_in_few_lines_what_went_wrong() {
    let world = World::start(quick());
    fs::create_dir_all(world.path("home")).unwrap();
    fs::write(world.path("home/nightly.csv"), manifest(5)).unwrap();
    let late = CRONTAB.replace("06:00", "2s");
    // No worker is alive: nothing is sent by the deadline.
    let output = by_cron(&world, &late);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(said.contains("0 of 5 made, 5 not sent: past its deadline"), "{said}");
    assert!(said.lines().count() <= 4 && output.stdout.is_empty(), "{}", told(&output));
    let status = String::from_utf8(world.run(&["status"]).stdout).unwrap();
    assert!(status.contains("past its deadline: 5 given up"), "{status}");
    // Submitted again with a later one, it goes on and is made.
    let _worker = world.worker("worker", 4, &[]);
    let output = by_cron(&world, CRONTAB);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", told(&output));
    assert_eq!(world.sim.billed().await, 5);
    let output = by_cron(&world, &CRONTAB.replace("{date}", "{dat}"));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("{dat} is no placeholder"), "{}", told(&output));
    let output = by_cron(&world, &CRONTAB.replace("06:00", "2020-01-01T00:00:00Z"));
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_read_only_what_the_settings_allow() {
    let world = World::start(quick());
    let (good, other) = (world.path("in"), world.path("private"));
    for dir in [&good, &other] {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("a.csv"), manifest(3)).unwrap();
    }
    let add = |name: &str, file: &str| {
        world.json(&["schedule", "add", name, file, "--cron", "0 3 * * *", "--time-zone", "Europe/Berlin"])
    };
    add("good", good.join("a.csv").to_str().unwrap());
    add("other", other.join("a.csv").to_str().unwrap());
    add("gone", good.join("none.csv").to_str().unwrap());
    let run = |name: &str| {
        let mut command = world.command(&["schedule", "run", name]);
        command.env("PICTOR_SCHEDULE__READ_FROM", &good).output().unwrap()
    };
    let output = run("good");
    assert!(output.status.success(), "{}", told(&output));
    assert!(world.run(&["schedule", "list"]).status.success());
    let output = run("other");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("schedule.read_from"), "{}", told(&output));
    assert_eq!(run("gone").status.code(), Some(2));
    let output = world.run(&["schedule", "list"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "somebody should look: {text}");
    assert!(text.matches("FAILED").count() == 2 && text.contains("No such file"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 240), "{text}");
    assert_eq!(world.json(&["batch", "list"]).as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_a_bucket_is_read_each_time_and_only_new_rows_cost() {
    let seaweed = Seaweed::shared();
    let world = World::with(quick(), Images::S3(std::sync::Arc::clone(&seaweed)));
    let _worker = world.worker("worker", 8, &[]);
    let place = seaweed.url(&format!("{}-in", world.prefix()));
    let store = pictor_store::open(
        &place,
        &pictor_store::S3Settings {
            path_style: Some(true),
            region: Some("us-east-1".to_owned()),
            ..seaweed.settings()
        },
    )
    .await
    .unwrap();
    let file = format!("{place}/nightly.csv");
    world.json(&["schedule", "add", "nightly", &file, "--cron", "0 3 * * *", "--max-cost", "1"]);
    for (name, rows, status) in [("first", 4, 0), ("second", 7, 0), ("too dear", 900, 2)] {
        let object = NewObject {
            name: "nightly.csv".to_owned(),
            body: Body::Bytes(manifest(rows).into_bytes().into()),
            content_type: "text/csv".to_owned(),
            metadata: std::collections::BTreeMap::new(),
        };
        store.put(object).await.unwrap();
        let mut command = world.command(&["schedule", "run", "nightly", "--json"]);
        let output = command.env("PICTOR_SCHEDULE__READ_FROM", &place).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{name}: {}", told(&output));
        if status == 0 {
            let run: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            world.ended(run["batch"].as_str().unwrap(), Duration::from_secs(60)).await;
            assert_eq!(world.sim.billed().await, rows, "{name}");
        }
    }
    assert_eq!(world.sim.billed().await, 7, "what is refused for its cost costs nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nights_of_two_servers_of_which_one_is_killed() {
    let told = nights::played(&nights::SMALL).await;
    assert_eq!((told.submitted, told.skipped), (2, 1), "{told:?}");
}
