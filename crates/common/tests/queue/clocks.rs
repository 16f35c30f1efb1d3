//! The server's clock leaps: what was written down before lies far ahead, or long ago.

use std::time::Duration;

use pictor_common::queue::{Begun, HeldAsset, HeldPhase, LaneLimits};

use crate::world::{LANE, LEASE, World, held};

const TEN_MINUTES: u64 = 600_000_000;

async fn hset(world: &World, name: &str, field: &str, value: u64) {
    redis::cmd("HSET").arg(name).arg(field).arg(value).exec_async(&mut world.redis.clone()).await.unwrap();
}

#[tokio::test]
async fn a_lane_whose_clock_went_back_waits_out_one_window_and_no_more() {
    let limits = LaneLimits { requests: Some(100), window_seconds: Some(3.0), ..LaneLimits::default() };
    let world = World::with(Duration::ZERO, &limits).await;
    world.submit("b", "shop", 0..5).await;
    hset(&world, &world.queue.keys().lane(LANE), "tat:requests", world.now().await + TEN_MINUTES).await;
    let begun = world.now().await;
    let first = world.claim(1).await;
    assert_eq!((first.why.as_str(), first.grants.len()), ("limit", 0), "how much is used is not known");
    while world.claim(1).await.grants.is_empty() {
        assert!(world.now().await < begun + 10_000_000, "it waits for what was given on another clock");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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
