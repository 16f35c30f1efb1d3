//! An older version of Pictor and this one on the same namespace, together and one after the other.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use pictor_common::queue::SCHEMA;
use pictor_simulator::Options;
use redis::{AsyncCommands as _, aio::MultiplexedConnection};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::world::{Worker, World, told};

const BATCH: &str = "across-versions";
/// Assets of the namespace that is kept.
const KEPT: u64 = 30;
const PATIENCE: Duration = Duration::from_secs(120);

/// How large a rolling restart is.
pub(crate) struct Size {
    assets: u64,
    workers: usize,
    concurrency: usize,
}

pub(crate) const FULL: Size = Size { assets: 3_000, workers: 4, concurrency: 32 };

fn options(latency_ms: u64) -> Options {
    Options { latency_ms_p50: Some(latency_ms), one_picture: true, ..Options::default() }
}

fn left_behind() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/layout-2")
}

async fn redis_of(world: &World) -> MultiplexedConnection {
    let client = redis::Client::open(world.redis.url()).unwrap();
    let settings = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(30)));
    client.get_multiplexed_async_connection_with_config(&settings).await.unwrap()
}

async fn layout(redis: &mut MultiplexedConnection) -> String {
    redis.get("{it}:schema").await.unwrap()
}

async fn wait_for_layout(redis: &mut MultiplexedConnection, wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    while layout(redis).await != wanted {
        assert!(Instant::now() < deadline, "the namespace never gets layout {wanted}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until so many of the batch's assets are made.
async fn until_made(redis: &mut MultiplexedConnection, made: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let done: Option<u64> = redis.hget(format!("{{it}}:batch:{BATCH}"), "done").await.unwrap();
        if done.unwrap_or_default() >= made {
            return;
        }
        assert!(Instant::now() < deadline, "{done:?} of {made} are made");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

fn submit_with(world: &World, binary: &Path, assets: u64) -> Value {
    let file = world.catalogue("catalogue.csv", 0..assets);
    let output = world
        .command_of(binary, &["submit", file.to_str().unwrap(), "--run-id", BATCH, "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn this_version() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pictor"))
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Writes every key of the namespace as a line of JSON.
async fn dump(redis: &mut MultiplexedConnection) -> String {
    let mut names: Vec<String> = redis.keys("{it}:*").await.unwrap();
    names.sort();
    let mut text = String::new();
    for name in names {
        let left: i64 = redis.pttl(&name).await.unwrap();
        if left > 0 {
            // Gone by the time anybody restores it.
            continue;
        }
        let value: Vec<u8> = redis::cmd("DUMP").arg(&name).query_async(redis).await.unwrap();
        let hex = value.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        writeln!(text, "{}", json!({ "key": name, "dump": hex })).unwrap();
    }
    text
}

/// Tokens of what is sent.
async fn sent(redis: &mut MultiplexedConnection) -> BTreeSet<String> {
    let mut sent = BTreeSet::new();
    let assets: Vec<String> = redis.keys("{it}:a:*").await.unwrap();
    for asset in assets {
        let (phase, token): (String, Option<String>) = redis.hmget(asset, &["phase", "token"]).await.unwrap();
        if phase == "sent" || phase == "received" {
            sent.insert(token.unwrap());
        }
    }
    sent
}

async fn restore(redis: &mut MultiplexedConnection, text: &str) {
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let hex = entry["dump"].as_str().unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let value: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let name = entry["key"].as_str().unwrap();
        redis::cmd("RESTORE").arg(name).arg(0).arg(value).exec_async(redis).await.unwrap();
    }
}

/// Keeps a namespace and its store as an older version leaves them that was killed in the middle of its work.
pub(crate) async fn keep_what_an_older_version_leaves(older: &Path) {
    let world = World::start(options(400));
    submit_with(&world, older, KEPT);
    let worker = world.worker_of(older, "older", 5);
    let mut redis = redis_of(&world).await;
    until_made(&mut redis, KEPT / 3).await;
    drop(worker);
    let place = left_behind();
    drop(fs::remove_dir_all(&place));
    copy(&world.path("images"), &place.join("images"));
    fs::write(place.join("redis.jsonl"), dump(&mut redis).await).unwrap();
}

/// Replaces workers of the older version one after the other, and tells how it went.
pub(crate) async fn rolled(older: &Path, size: &Size) -> String {
    let world = World::start(options(1_000));
    submit_with(&world, older, size.assets);
    let name = |n: usize| format!("older-{n}");
    let mut crew: Vec<Worker> =
        (0..size.workers).map(|n| world.worker_of(older, &name(n), size.concurrency)).collect();
    let mut redis = redis_of(&world).await;
    let step = size.assets / (size.workers as u64 + 2);
    for (place, older) in crew.iter_mut().enumerate() {
        until_made(&mut redis, step * (place as u64 + 1)).await;
        assert_eq!(layout(&mut redis).await, "2", "an older worker is alive");
        older.proc.signal(Signal::TERM);
        let newer = world.worker(&format!("newer-{place}"), size.concurrency, &[]);
        // Both work until the older one has drained.
        older.proc.wait(PATIENCE);
        *older = newer;
    }
    wait_for_layout(&mut redis, &SCHEMA.to_string()).await;
    let state = world.ended(BATCH, PATIENCE).await;
    assert_eq!(state.counts.done, size.assets, "{:?}", state.counts);
    assert_eq!(world.sim.billed().await, size.assets, "each is paid for once");
    let ledger = world.ledger().await;
    assert!(ledger.iter().all(|entry| entry.kind == "settled"), "a restart in good order leaves no doubt");
    let refused = world.command_of(older, &["worker"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(3), "{}", told(&refused));
    format!(
        "{} assets, {} workers replaced one after the other under load: each paid for once, none in doubt; the older \
         version is refused afterwards",
        size.assets, size.workers
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_version_left_in_the_middle_is_finished_and_nothing_is_paid_again() {
    let world = World::start(options(20));
    let mut redis = redis_of(&world).await;
    restore(&mut redis, &fs::read_to_string(left_behind().join("redis.jsonl")).unwrap()).await;
    copy(&left_behind().join("images"), &world.path("images"));
    let sent = sent(&mut redis).await;
    let done: u64 = redis.hget(format!("{{it}}:batch:{BATCH}"), "done").await.unwrap();
    assert!(done >= KEPT / 3 && !sent.is_empty(), "{done} were made, {sent:?} were on their way");

    let again = submit_with(&world, this_version(), KEPT);
    assert_eq!(again["plan"]["new"], 0, "{again}");
    let _worker = world.worker("newer", 8, &[]);
    let state = world.ended(BATCH, PATIENCE).await;
    assert_eq!(state.counts.done, KEPT, "{:?}", state.counts);
    assert_eq!(world.sim.billed().await, KEPT - done, "what was made is not made again");
    wait_for_layout(&mut redis, &SCHEMA.to_string()).await;
    let unknown: BTreeSet<String> =
        world.ledger().await.into_iter().filter(|e| e.kind == "unknown").map(|e| e.token).collect();
    assert_eq!(unknown, sent, "what was on its way may have been billed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_namespace_a_newer_version_took_over_stays_up_and_sends_nothing() {
    let world = World::start(options(300));
    let mut redis = redis_of(&world).await;
    submit_with(&world, this_version(), 40);
    let mut worker = world.worker("left-behind", 4, &[]);
    until_made(&mut redis, 8).await;
    let newer = SCHEMA + 1;
    let () = redis.set("{it}:schema", newer).await.unwrap();
    let _new: u64 = redis.hset("{it}:meta", "layout", newer).await.unwrap();
    worker.proc.wait_until("told why", PATIENCE, |proc| proc.stderr().contains("start the newer version"));
    let deadline = Instant::now() + PATIENCE;
    while world.sim.state().await["in_flight"] != 0 {
        assert!(Instant::now() < deadline, "requests do not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let admitted = world.sim.state().await["admitted"].clone();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.sim.state().await["admitted"], admitted, "nothing more is sent");
    assert!(worker.proc.exited().is_none(), "{}", worker.proc.told());
    for args in [&["submit", "catalogue.csv"][..], &["worker"], &["status"]] {
        let refused = world.run(args);
        assert_eq!(refused.status.code(), Some(3), "{args:?}: {}", told(&refused));
        assert!(
            told(&refused).contains("a newer version of Pictor works in this namespace"),
            "{}",
            told(&refused)
        );
    }
}
