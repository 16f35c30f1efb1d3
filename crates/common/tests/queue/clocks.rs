//! The server's clock leaps: what was written down before lies far ahead, or long ago.

use std::time::Duration;

use pictor_common::queue::{Begun, HeldAsset, HeldPhase, LaneLimits};

use crate::world::{LANE, LEASE, World, held};

const TEN_MINUTES: u64 = 600_000_000;

async fn hset(world: &World, name: &str, field: &str, value: u64) {
    redis::cmd("HSET").arg(name).arg(field).arg(value).exec_async(&mut world.redis.clone()).await.unwrap();
}

/// Claims until something is granted, or so long.
async fn waits(world: &World, at_most: Duration) -> Duration {
    let begun = tokio::time::Instant::now();
    while world.claim(1).await.grants.is_empty() && begun.elapsed() < at_most {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}

/// A lane whose next permit is so far ahead of when that was written, which is so far ahead of now.
async fn written(world: &World, ahead: u64, of_now: u64) {
    let (lane, now) = (world.queue.keys().lane(LANE), world.now().await);
    hset(world, &lane, "tat:requests", now + of_now + ahead).await;
    hset(world, &lane, "at:requests", now + of_now).await;
}

fn in_three_seconds() -> LaneLimits {
    LaneLimits { requests: Some(100), window_seconds: Some(3.0), ..LaneLimits::default() }
}

#[tokio::test]
async fn a_lane_whose_clock_went_back_waits_no_longer_than_it_would_have() {
    let world = World::with(Duration::ZERO, &in_three_seconds()).await;
    world.submit("b", "shop", 0..5).await;
    written(&world, 3_000_000, TEN_MINUTES).await;
    assert_eq!(world.claim(1).await.why, "limit");
    let waited = waits(&world, Duration::from_secs(10)).await;
    assert!(waited > Duration::from_millis(500) && waited < Duration::from_secs(8), "{waited:?}");
}

#[tokio::test]
async fn a_long_wait_that_was_asked_for_is_no_leap_of_the_clock() {
    let world = World::with(Duration::ZERO, &in_three_seconds()).await;
    world.submit("b", "shop", 0..5).await;
    written(&world, TEN_MINUTES, 0).await;
    waits(&world, Duration::from_millis(300)).await;
    let lane = world.queue.keys().lane(LANE);
    let mut redis = world.redis.clone();
    let tat: u64 = redis::cmd("HGET").arg(lane).arg("tat:requests").query_async(&mut redis).await.unwrap();
    assert!(tat > world.now().await + TEN_MINUTES - 10_000_000, "ten minutes are ten minutes");
    assert_eq!(world.claim(1).await.why, "limit");
}

#[tokio::test]
async fn a_permit_of_another_clock_is_void() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.one().await;
    let asset = format!("{}a:{}", world.queue.keys().prefix(), grant.key);
    hset(&world, &asset, "slot", world.now().await + TEN_MINUTES).await;
    let begun = world.begin(&grant).await;
    assert!(matches!(begun, Begun::Go { attempt: 1, .. }), "{begun:?}");
}

#[tokio::test]
async fn what_is_on_its_way_keeps_its_place_when_the_clock_leaps_past_its_deadline() {
    let limits = LaneLimits { in_flight: Some(2), ..LaneLimits::default() };
    let world = World::with(Duration::ZERO, &limits).await;
    world.submit("b", "shop", 0..5).await;
    let sent = [world.sent().await, world.sent().await];
    let places = format!("{}inflight:{LANE}", world.queue.keys().prefix());
    for grant in &sent {
        redis::cmd("ZADD")
            .arg(&places)
            .arg(1)
            .arg(&grant.token)
            .exec_async(&mut world.redis.clone())
            .await
            .unwrap();
    }
    let all: Vec<HeldAsset> =
        sent.iter().map(|grant| HeldAsset { deadline: 1, ..held(grant, HeldPhase::Sent) }).collect();
    world.queue.extend(&all, LEASE).await.unwrap();
    let claimed = world.claim(5).await;
    assert_eq!((claimed.why.as_str(), claimed.grants.len()), ("in_flight", 0));
}
