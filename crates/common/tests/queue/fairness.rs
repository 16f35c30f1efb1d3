//! Tenants share a route; nobody blocks anybody.

use crate::world::{World, id};

async fn payers(world: &World, count: usize) -> Vec<String> {
    let mut payers = Vec::new();
    while payers.len() < count {
        let grants = world.claim(1).await.grants;
        payers.extend(grants.into_iter().map(|g| g.payer));
    }
    payers
}

#[tokio::test]
async fn ten_rows_behind_ten_thousand_are_served_within_thirty() {
    let world = World::new().await;
    world.submit("big", "whale", 0..10_000).await;
    payers(&world, 50).await;
    world.submit("small", "minnow", 20_000..20_010).await;
    let served = payers(&world, 30).await;
    assert_eq!(served.iter().filter(|p| *p == "small").count(), 10, "{served:?}");
}

#[tokio::test]
async fn a_tenant_that_slept_does_not_catch_up() {
    let world = World::new().await;
    world.submit("a1", "a", 0..40).await;
    world.submit("b1", "b", 100..101).await;
    payers(&world, 21).await;
    world.submit("b2", "b", 200..240).await;
    let served = payers(&world, 20).await;
    let mine = served.iter().filter(|p| *p == "b2").count();
    assert!((9..=11).contains(&mine), "{served:?}");
}

#[tokio::test]
async fn cancelled_and_held_flows_block_nobody() {
    let world = World::new().await;
    for n in 0..20 {
        let batch = format!("x{n}");
        world.submit(&batch, "shop", n * 10..n * 10 + 5).await;
        if n % 2 == 0 {
            world.queue.cancel(&id(&batch), "x").await.unwrap();
        } else {
            world.queue.hold(&id(&batch), Some("x")).await.unwrap();
        }
    }
    world.submit("live", "shop", 1_000..1_003).await;
    assert_eq!(payers(&world, 3).await, ["live", "live", "live"]);
    world.queue.hold(&id("x1"), None).await.unwrap();
    assert_eq!(payers(&world, 1).await, ["x1"]);
}

#[tokio::test]
async fn bands_are_weights_and_nothing_starves() {
    use pictor_common::batch::Band;
    let world = World::new().await;
    for (batch, band, from) in [("i", Band::Interactive, 0), ("k", Band::Bulk, 1_000)] {
        let mut head = crate::world::head(batch, batch);
        head.band = band;
        let assets: Vec<_> = (from..from + 400).map(|n| (n, crate::world::asset(n))).collect();
        world.queue.submit(&head, &assets, &[], false).await.unwrap();
    }
    let served = payers(&world, 170).await;
    let bulk = served.iter().filter(|p| *p == "k").count();
    assert!((9..=12).contains(&bulk), "1 in 17 is bulk: {bulk}");
}
