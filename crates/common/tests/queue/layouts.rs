//! Versions of Pictor with different layouts, one after the other and at the same time.

use std::time::Duration;

use pictor_common::{
    keys::Keys,
    queue::{Beat, LaneLimits, Layout, Queue, QueueError, SCHEMA},
};
use redis::AsyncCommands as _;

use crate::world::{LEASE, World};

fn of(layout: u32) -> Beat {
    Beat { layout, ..Beat::default() }
}

/// Makes the namespace look as a version left it that knows the second layout only.
async fn of_the_second_layout(world: &World) {
    let (keys, mut redis) = (world.queue.keys(), world.redis.clone());
    let _gone: u64 = redis.hdel(keys.meta(), "layout").await.unwrap();
    let () = redis.set(keys.schema(), 2).await.unwrap();
}

async fn schema(world: &World) -> String {
    world.redis.clone().get(world.queue.keys().schema()).await.unwrap()
}

/// All that is in the namespace.
async fn everything(world: &World) -> Vec<(String, Vec<u8>)> {
    let mut redis = world.redis.clone();
    let pattern = format!("{}*", world.queue.keys().prefix());
    let mut names: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap();
    names.sort();
    let mut all = Vec::new();
    for name in names {
        let dump: Vec<u8> = redis::cmd("DUMP").arg(&name).query_async(&mut redis).await.unwrap();
        all.push((name, dump));
    }
    all
}

#[tokio::test]
async fn while_an_older_worker_is_alive_both_work_on_its_layout() {
    let world = World::new().await;
    of_the_second_layout(&world).await;
    world.queue.beat("older", &of(0)).await.unwrap();
    let newer = Queue::connect(world.client(), world.queue.keys().clone()).await.unwrap();
    let stays = newer.beat("newer", &of(SCHEMA)).await.unwrap();
    assert_eq!(stays, Layout { layout: "2".to_owned(), from: None, older: 1, drain: None });
    world.submit("mixed", "t", 0..2).await;
    let (of_older, of_newer) = (world.sent().await, world.sent().await);
    assert_ne!(of_older.key, of_newer.key);
    assert_eq!(schema(&world).await, "2");
}

#[tokio::test]
async fn the_namespace_is_taken_over_once_the_last_older_worker_has_left() {
    let world = World::new().await;
    of_the_second_layout(&world).await;
    world.queue.beat("newer", &of(SCHEMA)).await.unwrap();
    of_the_second_layout(&world).await;
    world.queue.beat("older", &of(0)).await.unwrap();
    world.queue.depart("older").await.unwrap();
    let now = world.queue.beat("newer", &of(SCHEMA)).await.unwrap();
    assert_eq!(now.layout, SCHEMA.to_string());
    assert_eq!(schema(&world).await, SCHEMA.to_string());
    let again = world.queue.beat("newer", &of(SCHEMA)).await.unwrap();
    assert_eq!(again.from, None, "it is told once");
}

#[tokio::test]
async fn an_older_worker_that_is_silent_for_a_lease_is_not_waited_for() {
    let world = World::new().await;
    of_the_second_layout(&world).await;
    let (keys, mut redis) = (world.queue.keys(), world.redis.clone());
    for (silent, layout) in [(14_000_000, "2".to_owned()), (15_500_000, SCHEMA.to_string())] {
        let seen = world.now().await - silent;
        let said = format!("{seen} {{\"host\":\"a\",\"pid\":1}}");
        let _new: u64 = redis.hset(keys.workers(), "killed", said).await.unwrap();
        let found = world.queue.beat("newer", &of(SCHEMA)).await.unwrap();
        assert_eq!(found.layout, layout, "silent for {silent} µs");
    }
}

#[tokio::test]
async fn a_newer_layout_refuses_who_connects_and_whoever_is_still_there() {
    let world = World::new().await;
    world.submit("before", "t", 0..3).await;
    let claimed = world.sent().await;
    let (keys, mut redis) = (world.queue.keys().clone(), world.redis.clone());
    let newer = SCHEMA + 1;
    let () = redis.set(keys.schema(), newer).await.unwrap();
    let _new: u64 = redis.hset(keys.meta(), "layout", newer).await.unwrap();

    let refused = Queue::connect(world.client(), keys.clone()).await;
    assert!(matches!(refused, Err(QueueError::Schema { found }) if found == newer.to_string()));

    let before = everything(&world).await;
    let claim = world.queue.claim(&world.claim_request(1)).await.map(|_| ());
    let begin = world.queue.begin(&claimed.key, &claimed.token, LEASE, LEASE).await;
    let cancel = world.queue.cancel(&"before".parse().unwrap(), "no").await;
    let calls = [
        ("claim", claim),
        ("begin", begin.map(|_| ())),
        ("extend", world.queue.extend(&[], LEASE).await.map(|_| ())),
        ("reap", world.queue.reap(10).await.map(|_| ())),
        ("beat", world.queue.beat("w", &of(SCHEMA)).await.map(|_| ())),
        ("cancel", cancel.map(|_| ())),
        ("epoch", world.queue.epoch().await.map(|_| ())),
    ];
    for (name, answer) in calls {
        let words = answer.expect_err(name).to_string();
        assert!(words.contains("start the newer version"), "{name}: {words}");
    }
    assert!(before == everything(&world).await, "a call that is refused changes nothing");
}

#[tokio::test]
async fn a_wiped_namespace_gets_its_layout_back_from_who_works_there() {
    let world = World::new().await;
    world.wipe().await;
    let found = world.queue.beat("newer", &of(SCHEMA)).await.unwrap();
    assert_eq!(found, Layout { layout: SCHEMA.to_string(), from: None, older: 0, drain: None });
    assert_eq!(schema(&world).await, SCHEMA.to_string());
}

#[tokio::test]
async fn a_layout_too_old_to_take_over_is_refused() {
    let world = World::new().await;
    let keys = Keys::new("older").unwrap();
    let () = world.redis.clone().set(keys.schema(), 1).await.unwrap();
    let refused = Queue::connect(world.client(), keys).await;
    assert!(matches!(refused, Err(QueueError::Schema { found }) if found == "1"));
}

#[tokio::test]
async fn nobody_counts_as_gone_in_the_grace_after_an_outage() {
    let world = World::with(Duration::from_millis(600), &LaneLimits::default()).await;
    of_the_second_layout(&world).await;
    let (keys, mut redis) = (world.queue.keys(), world.redis.clone());
    let before = world.now().await - 90_000_000;
    let said = format!("{before} {{\"host\":\"a\",\"pid\":1}}");
    let _new: u64 = redis.hset(keys.workers(), "older", said).await.unwrap();
    let _old: u64 = redis.hset(keys.meta(), "stamp", before).await.unwrap();
    let first = world.queue.beat("newer", &of(SCHEMA)).await.unwrap();
    assert_eq!((first.layout.as_str(), first.older), ("2", 1), "it could not say that it is alive");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while world.queue.beat("newer", &of(SCHEMA)).await.unwrap().older > 0 {
        assert!(tokio::time::Instant::now() < deadline, "it is waited for without end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
