//! Three Sentinels, a master and a replica; the master is killed while workers are busy.

use std::{process::Command, time::Instant};

use super::{PATIENCE, billed, logs, point, says, send, until};
use crate::{
    chaos::judge::judge,
    support::{
        ports,
        process::{Proc, program},
        redis_server::RedisServer,
    },
    world::told,
};

const PASSWORD: &str = "s3ntinel";
/// On both servers; the Sentinels themselves are let in as everybody is.
const USER: &[&str] = &["ACL", "SETUSER", "app", "on", ">s3same", "~{it}:*", "+@all"];

struct Sentinel {
    // Before the folder, so that it is dropped first.
    process: Proc,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Sentinel {
    /// Watches the master at a port under the name `shop`; two must agree.
    fn watching(master: &RedisServer) -> Self {
        let folder = tempfile::Builder::new().prefix("pictor-sentinel-").tempdir().unwrap();
        let port = ports::free();
        let file = folder.path().join("sentinel.conf");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndaemonize no\ndir {}\nrequirepass {PASSWORD}\n\
             sentinel sentinel-pass {PASSWORD}\n\
             sentinel monitor shop 127.0.0.1 {} 2\nsentinel down-after-milliseconds shop 1000\n\
             sentinel failover-timeout shop 20000\n",
            folder.path().display(),
            master.address().port(),
        );
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(program("PICTOR_TEST_REDIS", &["redis-server", "valkey-server"]));
        command.arg(&file).arg("--sentinel");
        let process = Proc::spawn("sentinel", &mut command, folder.path());
        Self { process, port, _folder: folder }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Waits until it knows the other two and the replica.
    async fn ready(&self) {
        let client = redis::Client::open(format!("redis://:{PASSWORD}@{}", self.address())).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(mut connection) = client.get_multiplexed_async_connection().await {
                let info = redis::cmd("INFO").arg("sentinel").query_async::<String>(&mut connection).await;
                if info.is_ok_and(|info| info.contains("status=ok") && info.contains("slaves=1,sentinels=3"))
                {
                    return;
                }
            }
            assert!(
                Instant::now() < deadline,
                "the Sentinels do not find each other: {}",
                self.process.told()
            );
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

/// A replica of a server that has all that it has.
async fn replica_of(master: &RedisServer) -> RedisServer {
    let port = master.address().port().to_string();
    let replica =
        RedisServer::start_with(&["--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1", &port]);
    until(&replica, &["INFO", "replication"], |info| info.contains("master_link_status:up")).await;
    replica
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_workers_follow_the_sentinels_to_another_master() {
    let mut world = super::world(1_000);
    let replica = replica_of(&world.redis).await;
    send(&world.redis, USER).await;
    send(&replica, USER).await;
    let mut sentinels: Vec<Sentinel> = (0..3).map(|_| Sentinel::watching(&world.redis)).collect();
    for sentinel in &sentinels {
        sentinel.ready().await;
    }
    let addresses: Vec<String> = sentinels.iter().map(Sentinel::address).collect();
    let url = |name: &str| format!("redis+sentinel://app:s3same@{}/{name}/0", addresses.join(","));
    point(&world, &url("shop"), "");
    says(&world, "reach", "failed", &["redis.sentinel_password"]);
    let let_in = format!("sentinel_password = {PASSWORD:?}");
    point(&world, &url("shoe"), &let_in);
    says(&world, "reach", "failed", &["know no master \"shoe\""]);
    point(&world, &url("shop"), &let_in);
    let master = world.redis.address().to_string();
    says(&world, "reach", "ok", &[&master, "the master shop of the Sentinels"]);
    says(&world, "sentinels", "ok", &["3 of 3", &master]);

    let file = world.catalogue("rows.csv", 0..60);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "all"]);
    let mut workers: Vec<_> =
        (0..2).map(|number| world.worker(&format!("worker-{number}"), 8, &[])).collect();
    billed(&world, 10).await;
    world.redis.kill();
    // Who looks from now on looks at the one that took over.
    let _dead = std::mem::replace(&mut world.redis, replica);
    until(&world.redis, &["INFO", "replication"], |info| info.contains("role:master")).await;
    for worker in &mut workers {
        logs(worker, "Redis is another server now");
    }
    assert_eq!(world.ended("all", PATIENCE).await.counts.done, 60);
    let judgement = judge(&world, 60).await;
    assert_eq!(judgement.twice, 0, "{judgement:?}");
    for worker in &mut workers {
        assert!(worker.proc.exited().is_none(), "{}", worker.proc.told());
        assert!(!worker.proc.stderr().contains("s3same"), "{}", worker.proc.told());
    }
    let now = world.redis.address().to_string();
    says(&world, "reach", "ok", &[&now]);
    assert_eq!(world.json(&["status"])["batches"][0]["counts"]["done"], 60);

    // A Sentinel is lost: nobody notices but a doctor.
    sentinels.remove(0);
    says(&world, "sentinels", "warning", &["2 of 3", &now]);
    let output = world.run(&["config", "show"]);
    assert!(!told(&output).contains("s3same") && !told(&output).contains(PASSWORD), "{}", told(&output));
}

/// A master that hangs says nothing of what happens elsewhere: the Sentinels are asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_hangs_is_left() {
    let mut world = super::world(300);
    let replica = replica_of(&world.redis).await;
    let sentinels: Vec<Sentinel> = (0..3).map(|_| Sentinel::watching(&world.redis)).collect();
    for sentinel in &sentinels {
        sentinel.ready().await;
    }
    let addresses: Vec<String> = sentinels.iter().map(Sentinel::address).collect();
    let let_in = format!("sentinel_password = {PASSWORD:?}");
    point(&world, &format!("redis+sentinel://{}/shop", addresses.join(",")), &let_in);
    let file = world.catalogue("rows.csv", 0..30);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "all"]);
    let _worker = world.worker("worker", 4, &[]);
    billed(&world, 4).await;
    let hung = Hung::stop(std::mem::replace(&mut world.redis, replica));
    until(&world.redis, &["INFO", "replication"], |info| info.contains("role:master")).await;
    assert_eq!(world.ended("all", PATIENCE).await.counts.done, 30);
    let judgement = judge(&world, 30).await;
    assert_eq!(judgement.twice, 0, "{judgement:?}");
    drop(hung);
}

/// A server that does nothing until it is dropped.
struct Hung(RedisServer);

impl Hung {
    fn stop(server: RedisServer) -> Self {
        let hung = Self(server);
        hung.signal(rustix::process::Signal::STOP);
        hung
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.0.pid()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        self.signal(rustix::process::Signal::CONT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_that_are_away_are_named() {
    let world = super::world(30);
    let nobody = format!("127.0.0.1:{}", ports::free());
    point(&world, &format!("redis+sentinel://app:s3same@{nobody}/shop"), "");
    says(&world, "reach", "failed", &["no Sentinel tells where the master is", &nobody]);
    let output = world.run(&["status"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(told(&output).contains("the master shop of the Sentinels"), "{}", told(&output));
    assert!(!told(&output).contains("s3same"), "{}", told(&output));
    // A server that is none says so.
    point(&world, &format!("redis+sentinel://{}/shop", world.redis.address()), "");
    says(&world, "reach", "failed", &["is that a Sentinel?"]);
}
