//! Workers are told to end, or to go on, and hear it with their next word.

use pictor_common::queue::{Beat, Drain, Drained};
use redis::AsyncCommands as _;

use crate::world::World;

fn order() -> Drain {
    Drain { by: "ann@desk".into(), why: "new kernel".into() }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn an_order_reaches_its_worker_alone_and_goes_with_it() {
    let world = World::new().await;
    let (queue, beat) = (&world.queue, Beat { heeds_drain: true, ..Beat::default() });
    for name in ["w1", "w2"] {
        assert_eq!(queue.beat(name, &beat).await.unwrap().drain, None);
    }
    let (order, both) = (order(), names(&["w1", "gone"]));
    let (first, second) = tokio::join!(queue.drain(&both, Some(&order)), queue.drain(&both, Some(&order)));
    let mut became = [first.unwrap(), second.unwrap()];
    became.sort_by_key(|became| became[0] == Drained::AsBefore);
    assert_eq!(became, [[Drained::Told, Drained::Gone], [Drained::AsBefore, Drained::Gone]]);
    assert_eq!(queue.beat("w1", &beat).await.unwrap().drain, Some(order.clone()));
    assert_eq!(queue.beat("w2", &beat).await.unwrap().drain, None);
    assert_eq!(queue.workers().await.unwrap().drains.len(), 1);

    assert_eq!(queue.drain(&names(&["w1", "w2"]), None).await.unwrap(), [Drained::Told, Drained::AsBefore]);
    assert_eq!(queue.beat("w1", &beat).await.unwrap().drain, None);

    queue.drain(&names(&["w1"]), Some(&order)).await.unwrap();
    queue.depart("w1").await.unwrap();
    let left: bool = world.redis.clone().exists(queue.keys().drains()).await.unwrap();
    assert!(!left, "nobody of that name comes again");
}

#[tokio::test]
async fn the_order_of_a_worker_that_was_killed_goes_with_its_memory() {
    let world = World::new().await;
    let (queue, mut redis) = (&world.queue, world.redis.clone());
    queue.beat("w1", &Beat::default()).await.unwrap();
    queue.drain(&names(&["w1"]), Some(&order())).await.unwrap();
    let _old: u64 = redis.hset(queue.keys().workers(), "w1", "1 {}").await.unwrap();
    assert!(queue.workers().await.unwrap().is_silent(&queue.workers().await.unwrap().workers[0]));
    queue.beat("w2", &Beat::default()).await.unwrap();
    let all = queue.workers().await.unwrap();
    assert_eq!((all.workers.len(), all.drains.len()), (1, 0));
    // An order without a worker is swept by the next one.
    let _old: u64 = redis.hset(queue.keys().drains(), "w0", "{}").await.unwrap();
    queue.drain(&[], Some(&order())).await.unwrap();
    assert_eq!(queue.drain(&names(&["w2"]), Some(&order())).await.unwrap(), [Drained::Told]);
    let left: Vec<String> = redis.hkeys(queue.keys().drains()).await.unwrap();
    assert_eq!(left, ["w2"]);
}
