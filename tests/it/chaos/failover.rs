//! Redis is killed, and a replica takes over that had not got the last second or two of what was written.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use pictor_simulator::Options;

use super::{
    Dice, Played,
    stage::{Size, Stage, leases, next_claim},
};
use crate::{
    support::{
        proxy::{Fault, Proxy},
        redis_server::RedisServer,
    },
    topology::{point, send, text},
    world::Images,
};

pub(crate) use super::redis_dies::{FULL, SMALL};

/// By how much the replica lags when it takes over.
const LAG: std::ops::Range<Duration> = Duration::from_millis(1_000)..Duration::from_millis(2_000);

/// A replica, and the way on which it gets what it is to know.
struct Follower {
    server: RedisServer,
    link: Proxy,
}

impl Follower {
    async fn of(master: &RedisServer) -> Self {
        let link = Proxy::start(master.address()).await;
        let server = RedisServer::start_with(&["--repl-diskless-sync-delay", "0"]);
        send(master, &["CONFIG", "SET", "repl-diskless-sync-delay", "0"]).await;
        send(&server, &["REPLICAOF", "127.0.0.1", &link.address().port().to_string()]).await;
        let follower = Self { server, link };
        follower.has(0).await;
        follower
    }

    /// Waits until it has so much of what the master wrote.
    async fn has(&self, offset: u64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let info = replication(&self.server).await;
            if info.contains("master_link_status:up") && number(&info, "slave_repl_offset") >= offset {
                return;
            }
            assert!(Instant::now() < deadline, "the replica does not get to {offset}: {info}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Gets nothing more.
    fn lags(&self) {
        self.link.set(Fault::BlackHole);
    }

    /// Takes over; tells how many bytes of what the master wrote it never got.
    async fn takes_over(self, written: u64) -> (RedisServer, u64) {
        let got = number(&replication(&self.server).await, "slave_repl_offset");
        send(&self.server, &["REPLICAOF", "NO", "ONE"]).await;
        (self.server, written.saturating_sub(got))
    }
}

async fn replication(server: &RedisServer) -> String {
    text(&send(server, &["INFO", "replication"]).await)
}

async fn written(server: &RedisServer) -> u64 {
    number(&replication(server).await, "master_repl_offset")
}

fn number(info: &str, name: &str) -> u64 {
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// Kills the master when its replica has lagged for a while, and lets that take over; tells what was claimed until then.
async fn fails_over(
    stage: &mut Stage,
    follower: Follower,
    front: &Proxy,
    dice: &mut Dice,
    size: &Size,
) -> BTreeSet<(String, String)> {
    // What was submitted just now is not to be lost: no worker could know of it.
    follower.has(written(&stage.world.redis).await).await;
    follower.lags();
    tokio::time::sleep(dice.time(&LAG)).await;
    // Nobody claims while it is looked at: what is claimed after that is claimed of the other.
    send(&stage.world.redis, &["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let mut claimed = leases(&mut stage.redis().await).await;
    let written = written(&stage.world.redis).await;
    stage.world.redis.kill();
    tokio::time::sleep(dice.time(&size.lasts)).await;
    let (server, forgotten) = follower.takes_over(written).await;
    stage.world.redis = server;
    // And what had ended meanwhile, which the other has not heard of.
    claimed.extend(leases(&mut stage.redis().await).await);
    front.aim(stage.world.redis.address());
    assert!(forgotten > 0, "the replica had everything");
    claimed
}

pub(crate) async fn failover(size: &Size) -> Played {
    let mut dice = Dice::of("failover");
    // What ended without an image in the forgotten time has left no trace but in the worker's memory.
    let faults = [("server_error".to_owned(), 0.05)].into_iter().collect();
    let mut stage = Stage::with(Options { faults, ..size.options() }, size, Images::Directory);
    let front = Proxy::start(stage.world.redis.address()).await;
    let address: SocketAddr = front.address();
    point(&stage.world, &format!("redis://{address}"), "");
    let mut follower = Follower::of(&stage.world.redis).await;
    stage.begin().await;
    let mut played = Played::new(&dice, size);
    for _ in 0..size.faults {
        tokio::time::sleep(dice.time(&size.gap)).await;
        played.saw(stage.busy().await);
        let claimed = fails_over(&mut stage, follower, &front, &mut dice, size).await;
        let back = Instant::now();
        played.recoveries.push(next_claim(&mut stage.redis().await, &claimed, size.patience).await - back);
        stage.all_work();
        follower = Follower::of(&stage.world.redis).await;
    }
    played.end(&mut stage).await;
    played.paid_once();
    played
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lags_takes_over_and_nothing_is_paid_twice() {
    failover(&SMALL).await.in_time();
}
