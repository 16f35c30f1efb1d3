//! After a gap, live workers re-assert their leases before anything is claimed or reaped.

use std::time::Duration;

use pictor_common::queue::LaneLimits;

use crate::world::{LANE, World};

const GRACE: Duration = Duration::from_millis(400);

async fn set_meta(world: &World, field: &str, value: &str) {
    let name = format!("{}meta", world.queue.keys().prefix());
    redis::cmd("HSET").arg(name).arg(field).arg(value).exec_async(&mut world.redis.clone()).await.unwrap();
}

async fn past_grace(world: &World) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while world.claim(1).await.why == "grace" {
        assert!(tokio::time::Instant::now() < deadline, "grace never ends");
        world.queue.extend(&[], crate::world::LEASE).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_gap_a_clock_gone_back_or_another_server_start_grace() {
    let world = World::with(GRACE, &LaneLimits::default()).await;
    world.submit("b", "shop", 0..10).await;
    assert_eq!(world.claim(1).await.why, "grace", "a namespace nobody looked after");
    past_grace(&world).await;
    for (field, value) in [("stamp", "1"), ("stamp", "9000000000000000"), ("server", "another")] {
        let before = world.claim(1).await;
        assert_ne!(before.why, "grace", "{field}");
        set_meta(&world, field, value).await;
        let claimed = world.claim(1).await;
        assert_eq!((claimed.why.as_str(), claimed.grants.len()), ("grace", 0), "{field} {value}");
        assert!(claimed.sleep <= GRACE);
        past_grace(&world).await;
    }
}

#[tokio::test]
async fn lanes_that_an_image_would_heal_are_named_in_grace_too() {
    let world = World::with(GRACE, &LaneLimits::default()).await;
    assert_eq!(world.claim(1).await.troubled, Vec::<String>::new());
    let lane = world.queue.keys().lane(LANE);
    redis::cmd("HSET").arg(&lane).arg(&["faults", "4"]).exec_async(&mut world.redis.clone()).await.unwrap();
    let claimed = world.claim(1).await;
    assert_eq!((claimed.why.as_str(), claimed.troubled), ("grace", vec![LANE.to_owned()]));
}

#[tokio::test]
async fn nothing_is_reaped_in_grace() {
    let world = World::with(GRACE, &LaneLimits::default()).await;
    world.submit("b", "shop", 0..1).await;
    world.claim(1).await;
    past_grace(&world).await;
    world.expire_leases().await;
    set_meta(&world, "stamp", "1").await;
    assert_eq!(world.queue.reap(100).await.unwrap().requeued, 0);
    past_grace(&world).await;
    assert_eq!(world.queue.reap(100).await.unwrap().requeued, 1);
}

#[tokio::test]
async fn a_claim_that_is_told_to_wait_keeps_one_grace_from_following_another() {
    let world = World::with(Duration::from_secs(8), &LaneLimits::default()).await;
    assert_eq!(world.claim(1).await.why, "grace");
    let two_seconds_ago = world.now().await - 2_000_000;
    set_meta(&world, "stamp", &two_seconds_ago.to_string()).await;
    assert_eq!(world.claim(1).await.why, "grace");
    let name = format!("{}meta", world.queue.keys().prefix());
    let stamp: u64 =
        redis::cmd("HGET").arg(name).arg("stamp").query_async(&mut world.redis.clone()).await.unwrap();
    assert!(stamp > two_seconds_ago);
}

#[tokio::test]
async fn nothing_is_claimed_or_reaped_while_a_server_is_told_what_it_forgot() {
    let world = World::with(GRACE, &LaneLimits::default()).await;
    world.submit("b", "shop", 0..2).await;
    past_grace(&world).await;
    assert_eq!(world.claim(1).await.grants.len(), 1);
    world.expire_leases().await;
    let began = tokio::time::Instant::now();
    // Longer than a grace lasts, and never longer than one from the last word.
    while began.elapsed() < GRACE * 2 {
        world.queue.still_telling(Duration::from_secs(60)).await.unwrap();
        assert_eq!(world.claim(1).await.why, "grace");
        assert_eq!(world.queue.reap(100).await.unwrap().requeued, 0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    past_grace(&world).await;
    let own = world.queue.clone().with_grace(Duration::ZERO);
    own.still_telling(Duration::from_secs(60)).await.unwrap();
    assert_ne!(world.claim(1).await.why, "grace", "a server with one owner needs none");
}
