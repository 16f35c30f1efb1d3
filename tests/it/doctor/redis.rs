//! Redis servers that are wrong in one way.

use pictor_common::queue::acl_rule;
use redis::{Client, aio::MultiplexedConnection};

use super::{Report, world};
use crate::{
    support::{ports, redis_server::RedisServer},
    world::{World, told},
};

const ONLY: &[&str] = &["--only", "redis"];

async fn connect(server: &RedisServer) -> MultiplexedConnection {
    Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Sends a command to a world's server, word by word.
async fn send(server: &RedisServer, words: &[&str]) {
    let mut command = redis::cmd(words[0]);
    words[1..].iter().for_each(|word| {
        command.arg(word);
    });
    command.exec_async(&mut connect(server).await).await.unwrap();
}

fn report(world: &World) -> Report {
    Report::of(world, ONLY, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_forget_are_named() {
    let world = world();
    let set = |name: &'static str, value: &'static str| {
        let server = &world.redis;
        async move { send(server, &["CONFIG", "SET", name, value]).await }
    };
    set("maxmemory-policy", "allkeys-lru").await;
    report(&world).says("eviction", "failed", &["allkeys-lru", "CONFIG SET maxmemory-policy noeviction"]);
    set("maxmemory-policy", "noeviction").await;

    set("appendfsync", "no").await;
    report(&world).says("persistence", "warning", &["appendfsync everysec"]);
    set("appendonly", "no").await;
    report(&world).says("persistence", "warning", &["NONE", "appendonly yes"]);
    set("save", "60 1").await;
    report(&world).says("persistence", "warning", &["snapshots only"]);

    set("maxmemory", "1mb").await;
    report(&world).says("memory", "failed", &["CONFIG SET maxmemory"]);
    set("maxmemory", "0").await;
    send(&world.redis, &["SET", "{it}:schema", "99"]).await;
    report(&world).says("namespace", "failed", &["layout 99", "redis.namespace"]);
    assert_eq!(report(&world).failed(), ["namespace"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_names_its_primary() {
    let (world, primary) = (world(), RedisServer::start());
    let port = primary.address().port().to_string();
    send(&world.redis, &["REPLICAOF", "127.0.0.1", &port]).await;
    let address = format!("127.0.0.1:{port}");
    report(&world).says("role", "failed", &["replica", &format!("to the primary, {address}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_away_are_told_apart() {
    let world = world();
    let at = |url: &str| Report::of(&world, ONLY, &[("PICTOR_REDIS__URL", url)]);
    at(&format!("redis://127.0.0.1:{}", ports::free())).says("reach", "failed", &["nothing listens"]);
    at("redis://no-such-host.invalid").says("reach", "failed", &["redis.url (PICTOR_REDIS__URL)"]);
    at("http://127.0.0.1").says("reach", "failed", &["redis://HOST:PORT"]);

    send(&world.redis, &["CONFIG", "SET", "requirepass", "s3same"]).await;
    report(&world).says("reach", "failed", &["redis://:PASSWORD@HOST:PORT"]);
    let address = world.redis.address();
    let wrong = at(&format!("redis://:hunter2@{address}"));
    wrong.says("reach", "failed", &["refuses the user or the password"]);
    assert!(!told(&wrong.output).contains("hunter2"));
    at(&format!("redis://:s3same@{address}")).says("reach", "ok", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_must_serve_the_namespace_here() {
    let world = world();
    let node = RedisServer::start_with(&["--cluster-enabled", "yes"]);
    let url = node.url();
    let report = || Report::of(&world, ONLY, &[("PICTOR_REDIS__URL", &url)]);
    report().says("cluster", "failed", &["no node for the namespace"]);
    send(&node, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while report().one("cluster")["status"] != "warning" {
        assert!(std::time::Instant::now() < deadline, "the cluster does not come up");
    }
    report().says("cluster", "warning", &["{it}:", "on this node", "redis+cluster://"]);
    let followed = url.replace("redis://", "redis+cluster://");
    Report::of(&world, ONLY, &[("PICTOR_REDIS__URL", &followed)]).says(
        "cluster",
        "ok",
        &["the node 127.0.0.1:"],
    );
}

/// Makes a user of a rule; returns the variable that uses it.
async fn user(server: &RedisServer, name: &str, rule: &str) -> String {
    let words: Vec<&str> =
        ["ACL", "SETUSER", name, "reset", "on", ">s3same"].into_iter().chain(rule.split(' ')).collect();
    send(server, &words).await;
    format!("redis://{name}:s3same@{}", server.address())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_may_not_do_is_named_with_the_rule() {
    let world = world();
    let rule = acl_rule("{it}:");
    for (name, changed, words) in [
        ("noscript", format!("{rule} -evalsha"), &["may not run evalsha", "'~{it}:*' '-@all'"][..]),
        ("noload", format!("{rule} -script|load"), &["may not run script"]),
        ("nowrite", format!("{rule} -hset -xadd"), &["may not run hset, xadd"]),
        ("noinfo", format!("{rule} -info"), &["may not run info"]),
        ("stranger", rule.replace("{it}:", "{other}:"), &["keys that begin with {it}:", "redis.namespace"]),
    ] {
        let url = user(&world.redis, name, &changed).await;
        let report = Report::of(&world, ONLY, &[("PICTOR_REDIS__URL", &url)]);
        report.says("permissions", "failed", words);
    }
}

/// The rule that is published is enough: a whole batch is made by a user who has exactly that.
#[tokio::test(flavor = "multi_thread")]
async fn the_published_rule_runs_a_batch() {
    let world = world();
    let url = user(&world.redis, "pictor", &acl_rule("{it}:")).await;
    let variable = ("PICTOR_REDIS__URL", &*url);
    let report = Report::of(&world, ONLY, &[variable]);
    report.says("permissions", "ok", &[]);
    assert_eq!(report.failed(), [""; 0]);

    let file = world.catalogue("rows.csv", 0..5);
    let run = |args: &[&str]| {
        let output = world.command(args).env(variable.0, variable.1).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", told(&output));
        output
    };
    let mut worker = world.worker("acl", 4, &[variable]);
    run(&["submit", file.to_str().unwrap(), "--run-id", "acl", "--wait"]);
    assert_eq!(world.sim.billed().await, 5);
    for looking in [
        &["status"][..],
        &["batch", "list"],
        &["batch", "show", "acl"],
        &["failed", "list"],
        &["lane", "list"],
        &["ledger", "list"],
        &["ledger", "totals"],
        &["budget", "show"],
        &["results", "acl"],
        &["verify", "acl", "--deep"],
        &["lane", "pause", "sim.dall-e-2"],
        &["lane", "resume", "sim.dall-e-2"],
    ] {
        run(looking);
    }
    worker.proc.signal(rustix::process::Signal::TERM);
    assert!(worker.proc.wait(std::time::Duration::from_secs(30)).success(), "{}", worker.proc.told());
    let mut connection = connect(&world.redis).await;
    let refused: Vec<redis::Value> = redis::cmd("ACL").arg("LOG").query_async(&mut connection).await.unwrap();
    let refused: Vec<String> = refused.iter().map(|entry| format!("{entry:?}")).collect();
    // What only a doctor asks, and the client's greeting, may be refused: all else is needed.
    let needed = refused.iter().filter(|entry| {
        !["acl|whoami", "config|get", "client|setinfo"].iter().any(|optional| entry.contains(optional))
    });
    assert_eq!(needed.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_private_server_needs_a_program_and_a_directory() {
    let world = world();
    let text = std::fs::read_to_string(world.path("pictor.toml")).unwrap();
    let text: String =
        text.lines().filter(|line| !line.contains("redis://")).map(|l| format!("{l}\n")).collect();
    std::fs::write(world.path("pictor.toml"), text).unwrap();
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/bin");
    let path = format!("{}:{tools}", std::env::var_os("PATH").unwrap_or_default().display());
    let report = Report::of(&world, ONLY, &[("PATH", &path)]);
    report.says("program", "ok", &[" at "]);
    report.says("data directory", "ok", &[]);
    report.says("reach", "ok", &["started when one is needed"]);
    assert!(!world.path("data").exists());

    // One that runs is looked at itself.
    let mut worker = world.worker("private", 2, &[("PATH", &path)]);
    let output = world.command(&["doctor", "--json", "--only", "redis"]).env("PATH", &path).output().unwrap();
    // Ended in good order before anything is judged, so that its server never outlives a failed test.
    worker.proc.signal(rustix::process::Signal::TERM);
    assert!(worker.proc.wait(std::time::Duration::from_secs(30)).success(), "{}", worker.proc.told());
    let report = Report::read(output);
    report.says("persistence", "ok", &["synced everysec"]);
    report.says("namespace", "ok", &["{it}: is known"]);

    let fake = world.path("bin");
    std::fs::create_dir(&fake).unwrap();
    let script = fake.join("redis-server");
    std::fs::write(&script, "#!/bin/sh\necho Redis server v=6.2.7 sha=0\n").unwrap();
    std::process::Command::new("chmod").arg("755").arg(&script).status().unwrap();
    Report::of(&world, ONLY, &[("PATH", fake.to_str().unwrap())]).says(
        "program",
        "failed",
        &["6.2.7", "too old"],
    );

    std::fs::write(world.path("a file"), "").unwrap();
    Report::of(&world, &["--only", "redis", "--data-dir", "a file"], &[]).says(
        "data directory",
        "failed",
        &["is a file", "--data-dir"],
    );
}
