//! What metrics are told of a namespace.

use pictor_common::{
    MicroUsd,
    batch::Route,
    queue::{CapOf, Counter, Gauges, LaneLimits},
};

use crate::world::{LANE, World, route};

fn money(gauges: &Gauges, of: &CapOf) -> Option<Counter> {
    gauges.money.iter().find(|(other, _)| other == of).map(|(_, counter)| *counter)
}

#[tokio::test]
async fn an_empty_namespace_has_its_lane_and_no_money() {
    let world = World::new().await;
    let gauges = world.queue.gauges(&[]).await.unwrap();
    assert_eq!(gauges.lanes.iter().map(|lane| lane.name.as_str()).collect::<Vec<_>>(), [LANE]);
    assert!(gauges.ready.is_empty() && gauges.cut.is_empty(), "{gauges:?}");
    assert_eq!(
        gauges.money.iter().map(|(of, _)| of.clone()).collect::<Vec<_>>(),
        [CapOf::Total, CapOf::Day],
        "who has no cap is not told"
    );
    world.wipe().await;
    assert!(world.queue.gauges(&[route()]).await.unwrap().lanes.is_empty());
}

#[tokio::test]
async fn what_waits_what_is_held_and_what_is_capped_is_told() {
    let world = World::new().await;
    world.submit("one", "shop", 0..5).await;
    world.submit("two", "other", 5..8).await;
    world.cap(CapOf::Tenant("shop".into()), Some(MicroUsd(1_000_000))).await;
    world.cap(CapOf::TenantDay("shop".into()), Some(MicroUsd(500_000))).await;
    world.cap(CapOf::Batch("two".into()), Some(MicroUsd(300_000))).await;
    world.sent().await;
    world.sent().await;
    let routes = [route(), Route::named("nobody.generate")];
    let gauges = world.queue.gauges(&routes).await.unwrap();
    assert_eq!(gauges.ready, [("dall-e-2.generate".to_owned(), 6), ("nobody.generate".to_owned(), 0)]);
    assert_eq!((gauges.leased, gauges.retrying, gauges.in_doubt, gauges.failed), (2, 0, 0, 0));
    assert_eq!(gauges.lanes[0].in_flight, 2);
    let total = money(&gauges, &CapOf::Total).unwrap();
    assert_eq!((total.cap, total.spent, total.reserved), (None, MicroUsd(0), MicroUsd(40_000)));
    let tenant = money(&gauges, &CapOf::Tenant("shop".into())).unwrap();
    let of_day = money(&gauges, &CapOf::TenantDay("shop".into())).unwrap();
    let batch = money(&gauges, &CapOf::Batch("two".into())).unwrap();
    assert_eq!(tenant.cap, Some(MicroUsd(1_000_000)));
    assert_eq!(of_day.cap, Some(MicroUsd(500_000)));
    assert_eq!(batch.cap, Some(MicroUsd(300_000)));
    assert_eq!(tenant.reserved + batch.reserved, MicroUsd(40_000), "each of them paid for its own");
    assert_eq!(money(&gauges, &CapOf::Tenant("other".into())), None, "without a cap");

    world.queue.pause_lane(LANE, Some("a \"test\"")).await.unwrap();
    world.expire_leases().await;
    world.queue.reap(10).await.unwrap();
    let gauges = world.queue.gauges(&routes).await.unwrap();
    assert_eq!(gauges.condition(&gauges.lanes[0]), "paused");
    assert_eq!((gauges.leased, gauges.in_doubt), (0, 2));
}

#[tokio::test]
async fn what_there_is_too_much_of_is_cut_and_that_is_told() {
    let world = World::new().await;
    for n in 0..101 {
        world.queue.declare_lane(&format!("a{n:03}.dall-e-2"), &LaneLimits::default()).await.unwrap();
    }
    for n in 0..53 {
        world.cap(CapOf::Tenant(format!("t{n}")), Some(MicroUsd(1))).await;
    }
    for n in 0..3 {
        world.submit(&format!("b{n}"), "t0", n..n + 1).await;
    }
    let gauges = world.queue.gauges(&[route()]).await.unwrap();
    assert_eq!(gauges.ready[0].1, 3);
    assert_eq!(gauges.lanes.len(), 100);
    assert_eq!(gauges.money.len(), 2 + 50);
    assert_eq!(gauges.cut, ["lanes", "tenants"]);
}
