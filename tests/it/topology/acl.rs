//! A user with exactly the rule of docs/redis.md: everything works, and nothing else is asked for.

use std::fs;

use pictor_common::queue::acl_rule;
use pictor_simulator::Options;
use rustix::process::Signal;

use super::{PATIENCE, logs, point, says, send};
use crate::{
    support::redis_server::RedisServer,
    world::{MODEL, World, told},
};

const DOCUMENT: &str = include_str!("../../../docs/redis.md");

/// The line of the document that makes the user.
fn published() -> &'static str {
    let mut lines = DOCUMENT.lines().filter(|line| line.starts_with("ACL SETUSER "));
    let line = lines.next().expect("docs/redis.md publishes the rule");
    assert_eq!(lines.next(), None, "which of two rules is it?");
    line
}

/// Makes the user as the document says, in the namespace `it`, with more words behind.
async fn user(server: &RedisServer, more: &[&str]) -> String {
    let line = published().replace("{pictor}", "{it}");
    let words: Vec<&str> = line.split(' ').chain(more.iter().copied()).collect();
    send(server, &words).await;
    let name = words[2];
    let password = words.iter().find_map(|word| word.strip_prefix('>')).expect("a password");
    format!("redis://{name}:{password}@{}", server.address())
}

#[test]
fn the_document_publishes_what_a_doctor_prints() {
    assert!(
        published().ends_with(&format!(" {}", acl_rule("{pictor}:"))),
        "write: {}",
        acl_rule("{pictor}:")
    );
}

/// Runs a command that must not be refused anything; 1 is for failures that were asked for.
fn runs(world: &World, args: &[&str]) -> String {
    let output = world.run(args);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{args:?}: {}", told(&output));
    let words = told(&output);
    assert!(!words.contains("NOPERM") && !words.contains("may not"), "{args:?}: {words}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_system_works_under_the_published_rule() {
    let world = World::start(Options { latency_ms_p50: Some(30), one_picture: true, ..Options::default() });
    let url = user(&world.redis, &[]).await;
    point(&world, &url, "");
    says(&world, "permissions", "ok", &[]);
    let rows = format!(
        "id,prompt,model,size\nbad,a thing [[sim:moderation_blocked]],{MODEL},256x256\n\
         late,a thing [[sim:server_error*1]],{MODEL},256x256\ngood,a good thing,{MODEL},256x256\n"
    );
    fs::write(world.path("rows.csv"), rows).unwrap();
    world.catalogue("more.csv", 0..3);
    let mut worker = world.worker("worker", 4, &[]);
    runs(&world, &["budget", "set", "per-day", "40"]);
    runs(&world, &["budget", "set", "tenant", "default", "30"]);
    runs(&world, &["submit", "rows.csv", "--run-id", "all", "--cap", "25", "--wait"]);
    assert_eq!(world.ended("all", PATIENCE).await.counts.failed, 1);
    let failed: serde_json::Value = world.json(&["failed", "list", "--all"]);
    let words = failed.to_string();
    let key = words
        .split('"')
        .find(|word| word.len() == 64)
        .unwrap_or_else(|| panic!("no key in {words}"))
        .to_owned();
    for args in [
        &["status"][..],
        &["status", "all"],
        &["watch", "--once"],
        &["failed", "list"],
        &["failed", "show", &key],
        &["failed", "retry", "--everything"],
        &["watch", "all"],
        &["failed", "discard", "--everything"],
        &["batch", "list"],
        &["batch", "show", "all"],
        &["asset", "show", "good"],
        &["results", "all"],
        &["lane", "list"],
        &["lane", "pause", "sim.dall-e-2"],
        &["submit", "more.csv", "--run-id", "again"],
        &["batch", "pause", "again", "--reason", "a look"],
        &["batch", "resume", "again"],
        &["batch", "priority", "again", "interactive"],
        &["batch", "cancel", "again"],
        &["lane", "resume", "sim.dall-e-2"],
        &["budget", "show"],
        &["budget", "audit"],
        &["ledger", "list"],
        &["ledger", "totals"],
        &["ledger", "totals", "--by", "account"],
        &["doctor"],
    ] {
        runs(&world, args);
    }
    worker.proc.signal(Signal::TERM);
    assert!(worker.proc.wait(PATIENCE).success(), "{}", worker.proc.told());
    assert!(!worker.proc.stderr().contains("NOPERM"), "{}", worker.proc.told());
    let log = send(&world.redis, &["ACL", "LOG"]).await;
    let redis::Value::Array(refused) = log else { panic!("{log:?}") };
    // What only a doctor asks, and the client's greeting, may be refused: all else is needed.
    let optional = ["acl|whoami", "config|get", "client|setinfo"];
    let needed = refused.iter().map(|entry| format!("{entry:?}"));
    let needed: Vec<String> =
        needed.filter(|entry| !optional.iter().any(|known| entry.contains(known))).collect();
    assert_eq!(needed, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_lacks_is_named() {
    let world = World::start(Options { latency_ms_p50: Some(30), one_picture: true, ..Options::default() });
    let file = world.catalogue("rows.csv", 0..2);
    let url = user(&world.redis, &["-zadd"]).await;
    point(&world, &url, "");
    let refused = world.run(&["submit", file.to_str().unwrap(), "--run-id", "b"]);
    let words = told(&refused);
    assert_eq!(refused.status.code(), Some(3), "{words}");
    assert!(words.contains("may not run zadd") || words.contains("'zadd'"), "{words}");
    assert!(words.contains("pictor doctor"), "{words}");

    let url = user(&world.redis, &["-evalsha"]).await;
    point(&world, &url, "");
    let refused = told(&world.run(&["submit", file.to_str().unwrap(), "--run-id", "b"]));
    assert!(refused.contains("'evalsha'"), "{refused}");

    // A worker waits, says for what, and goes on when it is mended.
    let url = user(&world.redis, &["-xadd"]).await;
    point(&world, &url, "");
    let plain = world.redis.url();
    let submit = ["submit", file.to_str().unwrap(), "--run-id", "b"];
    let output = world.command(&submit).env("PICTOR_REDIS__URL", plain).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let mut worker = world.worker("worker", 4, &[]);
    logs(&mut worker, "xadd");
    send(&world.redis, &["ACL", "SETUSER", "pictor", "+xadd"]).await;
    assert_eq!(world.ended("b", PATIENCE).await.counts.done, 2);
    assert_eq!(world.sim.billed().await, 2);
}
