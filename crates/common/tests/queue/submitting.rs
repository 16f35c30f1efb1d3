//! Batches: what is added, what is shared, what is refused.

use pictor_common::queue::{QueueError, SealError, Submitted};

use crate::world::{World, head, id, key};

#[tokio::test]
async fn submitting_again_adds_nothing() {
    let world = World::new().await;
    assert_eq!(world.submit("b", "shop", 0..1_200).await, Submitted { new: 1_200, ..Submitted::default() });
    assert_eq!(
        world.submit("b", "shop", 0..1_200).await,
        Submitted { queued: 1_200, ..Submitted::default() }
    );
    let batch = world.queue.batch(&id("b")).await.unwrap().unwrap();
    assert_eq!((batch.assets, batch.sealed, batch.ended()), (1_200, Some(1_200), false));
    assert_eq!(world.claim(2_000).await.grants.len(), 1_200);
}

#[tokio::test]
async fn one_id_never_stands_for_two_contents() {
    let world = World::new().await;
    world.submit("b", "shop", 0..2).await;
    let mut other = head("b", "shop");
    other.content = "different".into();
    let refused = world.queue.submit(&other, &[], &[], false).await;
    assert!(matches!(refused, Err(QueueError::OtherContent(id)) if id == "b"));
}

#[tokio::test]
async fn a_batch_is_sealed_only_when_whole() {
    let world = World::new().await;
    assert!(matches!(world.queue.seal(&id("b"), 1).await, Err(SealError::Missing(_))));
    world.submit("b", "shop", 0..2).await;
    assert!(matches!(world.queue.seal(&id("b"), 3).await, Err(SealError::Short(_))));
}

#[tokio::test]
async fn two_batches_that_share_an_asset_pay_once_and_both_count_it() {
    let world = World::new().await;
    world.submit("one", "a", 0..1).await;
    assert_eq!(world.submit("two", "b", 0..1).await.queued, 1);
    let grant = world.sent().await;
    assert!(world.claim(5).await.grants.is_empty(), "the shared asset is claimed once");
    crate::ending::settle(&world, &grant, 20_000).await;
    for batch in ["one", "two"] {
        let state = world.queue.batch(&id(batch)).await.unwrap().unwrap();
        assert_eq!((state.counts.done, state.state.as_str()), (1, "complete"), "{batch}");
    }
    assert_eq!(world.submit("three", "c", 0..1).await.made, 1);
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 20_000);
}

#[tokio::test]
async fn more_than_a_hundred_batches_are_counted_by_work_list() {
    let world = World::new().await;
    for n in 0..250 {
        world.submit(&format!("b{n}"), "shop", 0..1).await;
    }
    let grant = world.sent().await;
    crate::ending::settle(&world, &grant, 1).await;
    for _ in 0..5 {
        world.queue.reap(100).await.unwrap();
    }
    for n in 0..250 {
        let batch = world.queue.batch(&id(&format!("b{n}"))).await.unwrap().unwrap();
        assert_eq!(batch.counts.done, 1, "b{n}");
    }
}

#[tokio::test]
async fn cancelling_gives_up_what_nobody_else_asks_for() {
    let world = World::new().await;
    world.submit("one", "a", 0..3).await;
    world.submit("two", "b", 2..3).await;
    let sent = world.sent().await;
    assert!(world.queue.cancel(&id("one"), "changed our mind").await.unwrap());
    for _ in 0..3 {
        world.queue.reap(100).await.unwrap();
    }
    assert_eq!(sent.key, key(0));
    assert_eq!(world.phase(&key(0)).await, "sent", "what is sent is finished");
    assert_eq!(world.phase(&key(1)).await, "none");
    let next = world.claim(5).await.grants;
    assert_eq!(next.iter().map(|g| (&g.key, g.payer.as_str())).collect::<Vec<_>>(), [(&key(2), "two")]);
    crate::ending::settle(&world, &sent, 7).await;
    assert_eq!(world.phase(&key(0)).await, "done");
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 7);
}
