//! Batches that want nothing sent again after an outcome that nobody knows.

use std::time::Duration;

use pictor_common::{
    batch::{BatchHead, OnUnknown},
    queue::{Attempt, Billed, Ended, Failure, FailureAction, Outcome, Settled, Unmade},
};

use crate::{
    ending::{doubt, settle, unknown},
    world::{World, asset, attempt, head, id, key, line, unmade},
};

async fn submit(world: &World, batch: &str, on_unknown: Option<OnUnknown>) {
    let head = BatchHead { on_unknown, ..head(batch, "shop") };
    let asset = asset(1);
    let lines = [line(1, &asset)];
    world.queue.submit(&head, &[(1, asset)], &lines, false).await.unwrap();
    world.queue.seal(&head.id, 1).await.unwrap();
}

#[tokio::test]
async fn the_first_unknown_parks_and_only_a_person_has_it_sent_again() {
    let world = World::new().await;
    submit(&world, "b", Some(OnUnknown::Park)).await;
    let grant = world.sent().await;
    assert_eq!(unknown(&world, &grant).await, Ended::Parked);
    assert!(world.claim(5).await.grants.is_empty());
    submit(&world, "b", Some(OnUnknown::Park)).await;
    assert!(world.claim(5).await.grants.is_empty(), "submitted again, it stays parked");
    let batch = world.queue.batch(&id("b")).await.unwrap().unwrap();
    assert_eq!((batch.counts.parked, batch.on_unknown.as_deref()), (1, Some("park")));
    world.queue.act_on_failures(&[key(1)], FailureAction::Retry).await.unwrap();
    assert_eq!(world.one().await.key, key(1));
}

#[tokio::test]
async fn a_reapers_word_parks_too_and_a_late_image_ends_it() {
    let world = World::new().await;
    submit(&world, "b", Some(OnUnknown::Park)).await;
    let grant = world.sent().await;
    world.expire_leases().await;
    let orphan = world.queue.reap(100).await.unwrap().orphans.remove(0);
    assert_eq!(doubt(&world, &orphan).await, Ended::Parked);
    assert_eq!(settle(&world, &grant, 7).await, Settled::Done);
    let batch = world.queue.batch(&id("b")).await.unwrap().unwrap();
    assert_eq!((batch.counts.done, batch.counts.parked, batch.state.as_str()), (1, 0, "complete"));
    assert_eq!(world.queue.failure_count().await.unwrap(), 0);
}

#[tokio::test]
async fn it_parks_also_on_a_server_that_has_forgotten_that_it_was_sent() {
    let world = World::new().await;
    submit(&world, "b", Some(OnUnknown::Park)).await;
    let claimed = world.one().await;
    assert_eq!(unknown(&world, &claimed).await, Ended::Parked);
    submit(&world, "c", Some(OnUnknown::Park)).await;
    assert!(world.claim(5).await.grants.is_empty());
}

#[tokio::test]
async fn what_its_own_verdict_parks_is_parked_there_too() {
    let world = World::new().await;
    submit(&world, "b", None).await;
    let given = world.one().await;
    world.queue.release(&[(given.key.clone(), given.token.clone())]).await.unwrap();
    let failure = Failure::default();
    let parked = Unmade {
        billed: Billed::Unknown,
        cost: given.ceiling,
        outcome: Outcome::Parked,
        max_unknown: 5,
        ..unmade(&failure)
    };
    let forgotten = Attempt { token: "01JC0000000000000000000009-1".to_owned(), ..attempt(&given) };
    assert_eq!(world.queue.fail(&forgotten, &parked).await.unwrap(), Ended::Parked);
    assert!(world.claim(5).await.grants.is_empty());
}

#[tokio::test]
async fn of_two_batches_that_share_an_image_the_careful_one_decides() {
    for careful in ["first", "second"] {
        let world = World::new().await;
        for batch in ["first", "second"] {
            submit(&world, batch, (batch == careful).then_some(OnUnknown::Park)).await;
        }
        let grant = world.sent().await;
        assert_eq!(unknown(&world, &grant).await, Ended::Parked, "{careful}");
    }
}

#[tokio::test]
async fn submitted_again_a_batch_may_change_its_mind() {
    let world = World::new().await;
    submit(&world, "b", Some(OnUnknown::Park)).await;
    submit(&world, "b", None).await;
    assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().on_unknown.as_deref(), Some("park"));
    submit(&world, "b", Some(OnUnknown::Retry)).await;
    let grant = world.sent().await;
    assert_eq!(unknown(&world, &grant).await, Ended::Retry);
    tokio::time::timeout(Duration::from_secs(10), async { while world.claim(1).await.grants.is_empty() {} })
        .await
        .expect("it is sent again");
}
