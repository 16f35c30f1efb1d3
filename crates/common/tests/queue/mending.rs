//! What stands in for failures: in a crowd, again and again, beside fallbacks, and for those who ask later.

use pictor_common::{
    AssetKey,
    batch::{BatchHead, BatchId},
    queue::{Billed, FailureAction, MODERATION, QueueError, Replaced, Replacement, Trait},
};
use redis::AsyncCommands as _;

use crate::{
    ending::settle,
    failing::{fail, fail_as, lists_are_right, mended, place, with},
    swapping::{gone, other, other_grants, swaps},
    world::{World, asset, head, id, key, line},
};

async fn submit(world: &World, head: &BatchHead, n: u64) {
    world.queue.submit(head, &[(1, asset(n))], &[line(1, &asset(n))], false).await.unwrap();
    world.queue.seal(&head.id, 1).await.unwrap();
}

async fn mend(world: &World, failed: &AssetKey, batches: &[BatchId], n: u64) -> Replaced {
    let failed = place(world, failed).await;
    let one = Replacement {
        how: String::new(),
        original: failed,
        parked: true,
        batches: batches.to_vec(),
        current: mended(n),
        free: false,
    };
    world.queue.replace(&[one]).await.unwrap()[0]
}

async fn stands_in(world: &World, batch: &str) -> Option<AssetKey> {
    world.queue.stand_ins(&id(batch), &[key(0)]).await.unwrap().remove(0)
}

async fn counts(world: &World, batch: &str) -> (String, u64, u64, u64) {
    let state = world.queue.batch(&id(batch)).await.unwrap().unwrap();
    (state.state, state.counts.done, state.counts.failed, state.counts.parked)
}

#[tokio::test]
async fn a_crowd_is_mended_only_when_all_have_heard_and_then_every_batch_completes() {
    let world = World::new().await;
    let batches: Vec<BatchId> = (0..250).map(|n| id(&format!("b{n}"))).collect();
    for batch in &batches {
        submit(&world, &head(batch.as_str(), "shop"), 0).await;
    }
    fail(&world, "bad_spec", "oh").await;
    assert_eq!(mend(&world, &key(0), &batches, 0).await, Replaced::Crowd, "no worker has looked yet");
    for _ in 0..10 {
        world.queue.reap(100).await.unwrap();
    }
    let keys = [key(0), key(1)];
    for (batch, asks) in [("b0", true), ("b249", true), ("nobody", false)] {
        assert_eq!(world.queue.asks(&id(batch), &keys).await.unwrap(), [asks, false], "{batch}");
    }
    assert_eq!(mend(&world, &key(0), &batches, 0).await, Replaced::In(250));
    settle(&world, &world.sent().await, 20_000).await;
    for _ in 0..10 {
        world.queue.reap(100).await.unwrap();
    }
    for batch in &batches {
        assert_eq!(counts(&world, batch.as_str()).await, ("complete".into(), 1, 0, 0), "{batch}");
    }
    let mark: Option<String> =
        world.redis.clone().hget(world.queue.keys().asset(&key(0)), "counting").await.unwrap();
    assert_eq!(mark, None);
}

#[tokio::test]
async fn a_fallback_counts_among_those_that_stand_one_for_another() {
    let world = World::new().await;
    submit(&world, &swaps("b"), 0).await;
    gone(&world, &world.sent().await, 0).await;
    let grant = other_grants(&world, 1).await.remove(0);
    fail_as(&world, &grant, "bad_spec", "oh", Billed::No).await;
    let mut failed = grant.key;
    for n in 1..=7 {
        assert_eq!(mend(&world, &failed, &[id("b")], n).await, Replaced::In(1), "hop {n}");
        failed = fail(&world, "bad_spec", "oh").await;
        assert_eq!(failed, mended(n).key);
    }
    assert_eq!(mend(&world, &failed, &[id("b")], 8).await, Replaced::Circle);
    assert_eq!(stands_in(&world, "b").await, Some(mended(7).key));
    assert_eq!(counts(&world, "b").await, ("complete".into(), 0, 1, 0));
}

#[tokio::test]
async fn no_fallback_stands_where_no_reader_would_find_it() {
    let world = World::new().await;
    submit(&world, &swaps("b"), 0).await;
    let mut failed = fail(&world, "bad_spec", "oh").await;
    for n in 1..=8 {
        assert_eq!(mend(&world, &failed, &[id("b")], n).await, Replaced::In(1), "hop {n}");
        if n < 8 {
            failed = fail(&world, "bad_spec", "oh").await;
        }
    }
    gone(&world, &world.sent().await, 0).await;
    assert_eq!(stands_in(&world, "b").await, Some(mended(8).key));
    assert_eq!(
        counts(&world, "b").await,
        ("complete".into(), 0, 1, 0),
        "a failure, and nothing more is paid"
    );
    assert!(other_grants(&world, 1).await.is_empty());
    lists_are_right(&world).await;
}

#[tokio::test]
async fn a_failure_off_the_lists_is_listed_for_whoever_asks_later() {
    let world = World::new().await;
    // Discarded.
    submit(&world, &head("b", "shop"), 0).await;
    let failed = fail(&world, MODERATION, "no").await;
    world.queue.act_on_failures(&[failed], FailureAction::Discard).await.unwrap();
    submit(&world, &head("later", "shop"), 0).await;
    assert_eq!(counts(&world, "later").await, ("complete".into(), 0, 1, 0));
    assert_eq!(with(&world, &[Trait::Batch(id("later"))]).await.len(), 1);
    // Parked, and replaced for all who asked.
    submit(&world, &head("p", "shop"), 1).await;
    let grant = world.sent().await;
    fail_as(&world, &grant, "timeout", "nothing came", Billed::Unknown).await;
    assert_eq!(mend(&world, &key(1), &[id("p")], 1).await, Replaced::In(1));
    submit(&world, &head("p2", "shop"), 1).await;
    assert_eq!(counts(&world, "p2").await, ("complete".into(), 0, 0, 1));
    assert_eq!(with(&world, &[Trait::Batch(id("p2"))]).await.len(), 1);
    settle(&world, &world.sent().await, 20_000).await;
    lists_are_right(&world).await;
}

#[tokio::test]
async fn what_stands_in_and_is_off_the_lists_is_listed_for_whoever_asks_later() {
    let world = World::new().await;
    submit(&world, &swaps("b"), 0).await;
    gone(&world, &world.sent().await, 0).await;
    let grant = other_grants(&world, 1).await.remove(0);
    fail_as(&world, &grant, "bad_spec", "oh", Billed::No).await;
    world.queue.act_on_failures(&[other(0).key], FailureAction::Discard).await.unwrap();
    submit(&world, &swaps("later"), 0).await;
    assert_eq!(counts(&world, "later").await, ("complete".into(), 0, 1, 0));
    let found = with(&world, &[Trait::Batch(id("later"))]).await;
    assert_eq!(found.iter().map(|place| &place.key).collect::<Vec<_>>(), [&other(0).key]);
    lists_are_right(&world).await;
}

#[tokio::test]
async fn failures_of_many_batches_are_listed_in_smaller_steps() {
    let world = World::new().await;
    for n in 0..100 {
        world.submit(&format!("b{n}"), "shop", 0..60).await;
    }
    let (mut redis, keys) = (world.redis.clone(), world.queue.keys().clone());
    let _older: u64 = redis.hset(keys.meta(), "layout", 3).await.unwrap();
    let () = redis.set(keys.schema(), 3).await.unwrap();
    for _ in 0..60 {
        fail(&world, "server_error", "oh").await;
    }
    let _newer: u64 = redis.hset(keys.meta(), "layout", 4).await.unwrap();
    let () = redis.set(keys.schema(), 4).await.unwrap();
    for left in [40, 20, 0] {
        world.queue.reap(100).await.unwrap();
        assert_eq!(world.queue.failure_groups(5).await.unwrap().unsorted, left);
    }
    world.queue.reap(100).await.unwrap();
    assert_eq!(with(&world, &[Trait::Batch(id("b99"))]).await.len(), 60);
}

#[tokio::test]
async fn what_was_looked_up_before_redis_forgot_is_not_mended() {
    let world = World::new().await;
    submit(&world, &head("b", "shop"), 0).await;
    let failed = place(&world, &fail(&world, "bad_spec", "oh").await).await;
    let within = world.queue.within(&world.queue.epoch().await.unwrap());
    let one = Replacement {
        how: String::new(),
        original: failed,
        parked: false,
        batches: vec![id("b")],
        current: mended(0),
        free: false,
    };
    let _other: u64 = world.redis.clone().hset(world.queue.keys().meta(), "epoch", "7").await.unwrap();
    let forgot = within.replace(std::slice::from_ref(&one)).await;
    assert!(matches!(forgot, Err(QueueError::Forgot)), "{forgot:?}");
    assert_eq!(stands_in(&world, "b").await, None);
    let again = world.queue.within(&world.queue.epoch().await.unwrap());
    assert_eq!(again.replace(&[one]).await.unwrap(), [Replaced::In(1)]);
}
