//! Three nodes, and a replica of the one that has the namespace; that one is killed while a worker is busy.

use super::{PATIENCE, billed, logs, point, says, send, text, until};
use crate::{chaos::judge::judge, support::redis_server::RedisServer, world::told};

const SLOTS: [(u16, u16); 3] = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];

fn node() -> RedisServer {
    RedisServer::start_with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "2000",
        "--cluster-replica-validity-factor",
        "0",
        "--repl-diskless-sync-delay",
        "0",
    ])
}

/// Three nodes that have all slots between them, and one that has none; they know each other.
async fn formed() -> (Vec<RedisServer>, RedisServer) {
    let nodes: Vec<RedisServer> = SLOTS.iter().map(|_| node()).collect();
    let spare = node();
    for (node, (from, to)) in nodes.iter().zip(SLOTS) {
        send(node, &["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]).await;
    }
    for other in nodes[1..].iter().chain([&spare]) {
        let port = other.address().port().to_string();
        send(&nodes[0], &["CLUSTER", "MEET", "127.0.0.1", &port]).await;
    }
    for node in nodes.iter().chain([&spare]) {
        until(node, &["CLUSTER", "INFO"], |info| {
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:4")
        })
        .await;
    }
    (nodes, spare)
}

/// Which of the nodes has the namespace `it`.
async fn owner(nodes: &[RedisServer]) -> usize {
    let slot: u16 = redis::from_redis_value(send(&nodes[0], &["CLUSTER", "KEYSLOT", "it"]).await).unwrap();
    SLOTS.iter().position(|(from, to)| (*from..=*to).contains(&slot)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_worker_follows_the_namespace_through_a_cluster() {
    let (mut nodes, replica) = formed().await;
    let place = owner(&nodes).await;
    let id = text(&send(&nodes[place], &["CLUSTER", "MYID"]).await);
    send(&replica, &["CLUSTER", "REPLICATE", &id]).await;
    until(&replica, &["INFO", "replication"], |info| info.contains("master_link_status:up")).await;
    let mut world = super::world(1_000);
    world.redis = nodes.remove(place);
    let owner = world.redis.address().to_string();

    // A single node that is the wrong one sends to the right words.
    let wrong = nodes[0].address();
    point(&world, &format!("redis://{wrong}"), "");
    says(&world, "cluster", "failed", &[&owner, "redis+cluster://"]);
    let refused = world.run(&["status"]);
    assert_eq!(refused.status.code(), Some(3), "{}", told(&refused));
    assert!(told(&refused).contains(&format!("redis+cluster://{owner}")), "{}", told(&refused));
    point(&world, &format!("redis://{owner}"), "");
    says(&world, "cluster", "warning", &["redis+cluster://"]);

    point(&world, &format!("redis+cluster://{},{}", nodes[0].address(), nodes[1].address()), "");
    says(&world, "cluster", "ok", &["{it}:", &owner]);
    says(&world, "reach", "ok", &[&owner, "the cluster of"]);
    let file = world.catalogue("rows.csv", 0..40);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "all"]);
    let mut worker = world.worker("worker", 8, &[]);
    billed(&world, 8).await;
    world.redis.kill();
    let _dead = std::mem::replace(&mut world.redis, replica);
    until(&world.redis, &["INFO", "replication"], |info| info.contains("role:master")).await;
    logs(&mut worker, "Redis is another server now");
    assert_eq!(world.ended("all", PATIENCE).await.counts.done, 40);
    let judgement = judge(&world, 40).await;
    assert_eq!(judgement.twice, 0, "{judgement:?}");
    assert!(worker.proc.exited().is_none(), "{}", worker.proc.told());
    says(&world, "cluster", "ok", &[&world.redis.address().to_string()]);
    assert_eq!(world.json(&["status"])["batches"][0]["counts"]["done"], 40);
}

/// A node that gives the namespace away says where it went.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_moves_is_followed() {
    let (mut nodes, _spare) = formed().await;
    let place = owner(&nodes).await;
    let mut world = super::world(100);
    world.redis = nodes.remove(place);
    point(&world, &format!("redis+cluster://{}", world.redis.address()), "");
    let mut worker = world.worker("worker", 4, &[]);
    logs(&mut worker, "working");
    let slot = text(&send(&nodes[0], &["CLUSTER", "KEYSLOT", "it"]).await);
    let from = text(&send(&world.redis, &["CLUSTER", "MYID"]).await);
    let to = text(&send(&nodes[0], &["CLUSTER", "MYID"]).await);
    // Who takes a slot has the last word on it; what was in it is gone.
    send(&nodes[0], &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from]).await;
    send(&nodes[0], &["CLUSTER", "SETSLOT", &slot, "NODE", &to]).await;
    logs(&mut worker, "Redis is another server now");
    let _before = std::mem::replace(&mut world.redis, nodes.remove(0));
    let file = world.catalogue("rows.csv", 0..4);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "all"]);
    assert_eq!(world.ended("all", PATIENCE).await.counts.done, 4);
    assert_eq!(world.sim.billed().await, 4);
}
