//! Whose derivatives are to be made: one worker at a time, once a batch has ended, and not for ever.

use std::time::Duration;

use pictor_common::{
    batch::{BatchHead, Made},
    derivative::Derivative,
    queue::Derived,
};

use crate::world::{World, asset, attempt, head, id, line};

const LEASE: Duration = Duration::from_secs(120);

fn words(texts: &[&str]) -> Vec<Derivative> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Submits a batch of one asset that asks for derivatives.
async fn submit(world: &World, derive: Option<Vec<Derivative>>) {
    let head = BatchHead { derive, ..head("b", "shop") };
    let asset = asset(1);
    let line = line(1, &asset);
    world.queue.submit(&head, &[(1, asset)], &[line], false).await.unwrap();
    world.queue.seal(&head.id, 1).await.unwrap();
}

async fn make_it(world: &World) {
    let grant = world.sent().await;
    let made = Made { object: "assets/x.png".to_owned(), ..Made::default() };
    world.queue.settle(&attempt(&grant), &made).await.unwrap();
}

async fn take(world: &World, lease: Duration) -> Option<String> {
    world.queue.take_underived(lease, false).await.unwrap().map(|batch| batch.to_string())
}

/// Whatever waits for its time has waited long enough.
async fn let_time_pass(world: &World) {
    let name = world.queue.keys().derive();
    let waiting: Vec<String> =
        redis::cmd("ZRANGE").arg(&name).arg(0).arg(-1).query_async(&mut world.redis.clone()).await.unwrap();
    for batch in waiting {
        redis::cmd("ZADD").arg(&name).arg(1).arg(batch).exec_async(&mut world.redis.clone()).await.unwrap();
    }
}

async fn gauges(world: &World) -> (u64, u64) {
    let gauges = world.queue.gauges(&[]).await.unwrap();
    (gauges.derive, gauges.underived)
}

#[tokio::test]
async fn a_batch_is_given_out_once_it_has_ended_and_to_one_alone() {
    let world = World::new().await;
    submit(&world, Some(words(&["64 cover"]))).await;
    assert_eq!(world.queue.derivatives_of("b").await.unwrap(), Some(words(&["64 cover"])));
    assert_eq!(take(&world, LEASE).await, None);
    make_it(&world).await;
    let_time_pass(&world).await;
    assert_eq!(take(&world, LEASE).await.as_deref(), Some("b"));
    assert_eq!(take(&world, LEASE).await, None);

    // Put off, it comes back; ended, it does not.
    world.queue.tell_derived(&id("b"), Derived::Later(Duration::ZERO), None).await.unwrap();
    assert_eq!(take(&world, LEASE).await.as_deref(), Some("b"));
    world.queue.tell_derived(&id("b"), Derived::Ended(2), None).await.unwrap();
    let_time_pass(&world).await;
    assert_eq!((take(&world, LEASE).await, gauges(&world).await), (None, (0, 1)));

    // Submitted again, with other words, it is looked at again.
    submit(&world, Some(words(&["32w jpeg"]))).await;
    assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().derive, Some(words(&["32w jpeg"])));
    assert_eq!(take(&world, LEASE).await.as_deref(), Some("b"));
    world.queue.tell_derived(&id("b"), Derived::Ended(0), None).await.unwrap();
    assert_eq!(gauges(&world).await, (0, 0));
    assert!(!world.queue.tell_derived(&id("unknown"), Derived::Ended(0), None).await.unwrap());
}

#[tokio::test]
async fn a_batch_over_which_three_die_is_left_to_people() {
    let world = World::new().await;
    submit(&world, Some(Vec::new())).await;
    make_it(&world).await;
    for _death in 0..3 {
        let_time_pass(&world).await;
        assert_eq!(take(&world, LEASE).await.as_deref(), Some("b"));
        // Renewed while it was worked on, which says nothing of how it ends.
        world.queue.tell_derived(&id("b"), Derived::GoesOn(LEASE), None).await.unwrap();
    }
    let_time_pass(&world).await;
    assert_eq!((take(&world, LEASE).await, gauges(&world).await), (None, (0, 1)));
}

#[tokio::test]
async fn what_some_builds_do_not_make_waits_for_one_that_does() {
    let world = World::new().await;
    submit(&world, Some(words(&["64 cover avif"]))).await;
    make_it(&world).await;
    let all = || async { world.queue.take_underived(LEASE, true).await.unwrap().map(|id| id.to_string()) };
    for _round in 0..5 {
        // Who leaves it to others has not died over it.
        assert_eq!(take(&world, LEASE).await.as_deref(), Some("b"));
        world.queue.tell_derived(&id("b"), Derived::Aside(2), None).await.unwrap();
        assert_eq!((take(&world, LEASE).await, gauges(&world).await), (None, (1, 1)));
        assert_eq!(all().await.as_deref(), Some("b"));
        assert_eq!(all().await, None);
        world.queue.tell_derived(&id("b"), Derived::Later(Duration::ZERO), None).await.unwrap();
    }
    // Asked for anew, it is everybody's.
    assert_eq!(take(&world, LEASE).await.as_deref(), Some("b"));
    world.queue.tell_derived(&id("b"), Derived::Aside(0), None).await.unwrap();
    submit(&world, Some(words(&["32w jpeg"]))).await;
    assert_eq!(take(&world, LEASE).await.as_deref(), Some("b"));
    // And deaths of those who make all are counted.
    for _death in 0..2 {
        let_time_pass(&world).await;
        assert_eq!(take(&world, LEASE).await.as_deref(), Some("b"));
        world.queue.tell_derived(&id("b"), Derived::Aside(0), None).await.unwrap();
        assert_eq!(all().await.as_deref(), Some("b"));
    }
    let_time_pass(&world).await;
    assert_eq!((all().await, gauges(&world).await), (None, (0, 1)));
}

#[tokio::test]
async fn a_batch_whose_failures_are_made_after_all_is_looked_at_again() {
    let world = World::new().await;
    submit(&world, Some(words(&["64 cover"]))).await;
    world.queue.tell_derived(&id("b"), Derived::Ended(0), None).await.unwrap();
    assert_eq!(gauges(&world).await, (0, 0));
    make_it(&world).await;
    assert_eq!(take(&world, LEASE).await.as_deref(), Some("b"));
}

#[tokio::test]
async fn a_batch_that_asks_for_nothing_is_never_looked_at() {
    let world = World::new().await;
    submit(&world, None).await;
    make_it(&world).await;
    assert_eq!((take(&world, LEASE).await, gauges(&world).await), (None, (0, 0)));
}
