//! Where Redis can be: behind TLS, behind a narrow user, named by Sentinels, in a cluster; and what it may refuse for a while.

mod acl;
mod cluster;
mod outages;
mod sentinel;
mod tls;

use std::{
    fs,
    time::{Duration, Instant},
};

use pictor_simulator::Options;
use redis::{AsyncConnectionConfig, Value};

use crate::{
    support::redis_server::RedisServer,
    world::{Worker, World},
};

const PATIENCE: Duration = Duration::from_secs(90);
const LATE: Duration = Duration::from_secs(30);
const ONLY: &[&str] = &["doctor", "--json", "--only", "redis"];

fn world(latency_ms: u64) -> World {
    World::start(Options { latency_ms_p50: Some(latency_ms), one_picture: true, ..Options::default() })
}

/// Puts another address, and more settings of Redis, into a world's settings file.
pub(crate) fn point(world: &World, url: &str, more: &str) {
    world.write_settings();
    let text = fs::read_to_string(world.path("pictor.toml")).unwrap();
    let line = |line: &str| match line.starts_with("url = \"redis") {
        true => format!("url = {url:?}\n{more}\n"),
        false => format!("{line}\n"),
    };
    fs::write(world.path("pictor.toml"), text.lines().map(line).collect::<String>()).unwrap();
}

/// Sends a command to a server, word by word.
pub(crate) async fn send(server: &RedisServer, words: &[&str]) -> Value {
    ask(server, words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

async fn ask(server: &RedisServer, words: &[&str]) -> redis::RedisResult<Value> {
    let client = redis::Client::open(server.url())?;
    // A machine that has much else to do answers late.
    let late =
        AsyncConnectionConfig::new().set_connection_timeout(Some(LATE)).set_response_timeout(Some(LATE));
    let mut connection = client.get_multiplexed_async_connection_with_config(&late).await?;
    let mut command = redis::cmd(words[0]);
    words[1..].iter().for_each(|word| {
        command.arg(word);
    });
    command.query_async(&mut connection).await
}

/// The text of an answer.
pub(crate) fn text(value: &Value) -> String {
    redis::from_redis_value(value.clone()).unwrap()
}

/// Polls until a server says so.
async fn until(server: &RedisServer, words: &[&str], met: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Who changes its role hangs up.
        let answer = ask(server, words).await.map(|answer| text(&answer));
        if answer.as_ref().is_ok_and(|answer| met(answer)) {
            return;
        }
        assert!(Instant::now() < deadline, "{words:?} still answers {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Polls until the simulator has billed so many.
async fn billed(world: &World, at_least: u64) {
    let deadline = Instant::now() + PATIENCE;
    while world.sim.billed().await < at_least {
        assert!(Instant::now() < deadline, "{} of {at_least} billed", world.sim.billed().await);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// What a doctor says of one check: how it ended, and its words.
fn doctor(world: &World, check: &str) -> (String, String) {
    let output = world.run(ONLY);
    let whole: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", crate::world::told(&output)));
    let found = whole["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no {check} in {whole}"));
    let words = format!("{} {}", found["found"].as_str().unwrap(), found["mend"].as_str().unwrap_or(""));
    (found["status"].as_str().unwrap().to_owned(), words)
}

#[track_caller]
fn says(world: &World, check: &str, status: &str, words: &[&str]) {
    let (found, told) = doctor(world, check);
    assert_eq!(found, status, "{check}: {told}");
    for word in words {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
}

/// Submits rows and waits for their images, with one worker; nothing is bought twice.
async fn makes_all(world: &World, rows: u64) {
    let file = world.catalogue("rows.csv", 0..rows);
    let worker = world.worker("worker", 8, &[]);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "all", "--wait"]);
    assert_eq!(world.sim.billed().await, rows);
    assert_eq!(world.json(&["status"])["batches"][0]["counts"]["done"], rows);
    drop(worker);
}

/// Waits until a worker's log says so.
fn logs(worker: &mut Worker, words: &str) {
    worker.proc.wait_until(words, PATIENCE, |proc| proc.stderr().contains(words));
}
