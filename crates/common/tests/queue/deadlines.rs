//! What a batch has not sent by its deadline is not sent for it; others still get what they share with it.

use std::time::Duration;

use pictor_common::queue::{Begun, FailureAction, QueueError, Submitted, Which, Why, why};

use crate::{
    ending,
    world::{World, asset, head, id, key, line},
};

async fn submit(
    world: &World,
    batch: &str,
    prompts: std::ops::Range<u64>,
    deadline: Option<u64>,
) -> Result<Submitted, QueueError> {
    let mut head = head(batch, "shop");
    head.deadline = deadline;
    let assets: Vec<_> = prompts.map(|n| (n + 1, asset(n))).collect();
    let lines: Vec<_> = assets.iter().map(|(row, asset)| line(*row, asset)).collect();
    let sums = world.queue.submit(&head, &assets, &lines, false).await?;
    world.queue.seal(&head.id, lines.len() as u64).await.unwrap();
    Ok(sums)
}

/// A deadline that comes soon, by the server's clock.
async fn soon(world: &World) -> u64 {
    world.now().await + 1_500_000
}

async fn passed(world: &World, deadline: u64) {
    while world.now().await <= deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn state(world: &World, batch: &str) -> (String, u64, Option<u64>) {
    let batch = world.queue.batch(&id(batch)).await.unwrap().unwrap();
    (batch.state.clone(), batch.counts.done, batch.past_deadline())
}

#[tokio::test]
async fn what_was_sent_is_finished_and_the_rest_is_given_up() {
    let world = World::new().await;
    let deadline = soon(&world).await;
    submit(&world, "night", 0..4, Some(deadline)).await.unwrap();
    let sent = world.sent().await;
    let claimed = world.one().await;
    passed(&world, deadline).await;
    assert_eq!(world.begin(&claimed).await, Begun::No("deadline".to_owned()), "nothing is sent after it");
    assert!(world.claim(4).await.grants.is_empty(), "nothing is taken after it");
    let overview = world.queue.overview(Which::These(&[id("night")])).await.unwrap();
    let reasons = why(&overview.batches[0], &overview);
    assert_eq!(reasons.first(), Some(&Why::PastDeadline { deadline }), "{reasons:?}");
    world.queue.reap(10).await.unwrap();
    ending::settle(&world, &sent, 10_000).await;
    assert_eq!(state(&world, "night").await, ("cancelled".to_owned(), 1, Some(3)));
    let batch = world.queue.batch(&id("night")).await.unwrap().unwrap();
    assert_eq!(batch.reason.as_deref(), Some("past its deadline"));
    assert_eq!((batch.spent.0, batch.reserved.0), (10_000, 0), "what was not sent is not paid for");
}

#[tokio::test]
async fn a_batch_that_had_sent_everything_is_complete() {
    let world = World::new().await;
    let deadline = soon(&world).await;
    submit(&world, "night", 0..1, Some(deadline)).await.unwrap();
    let sent = world.sent().await;
    passed(&world, deadline).await;
    assert_eq!(world.queue.expire().await.unwrap(), 1, "also where no worker is alive");
    ending::settle(&world, &sent, 10_000).await;
    assert_eq!(state(&world, "night").await, ("complete".to_owned(), 1, None));
}

#[tokio::test]
async fn another_batch_without_a_deadline_gets_the_asset_they_share() {
    let world = World::new().await;
    let deadline = soon(&world).await;
    submit(&world, "night", 0..2, Some(deadline)).await.unwrap();
    submit(&world, "day", 1..3, None).await.unwrap();
    let claimed = world.claim(1).await.grants.pop().unwrap();
    passed(&world, deadline).await;
    world.begin(&claimed).await;
    world.queue.reap(10).await.unwrap();
    for _ in 0..2 {
        let grant = world.sent().await;
        assert_eq!(grant.payer, "day");
        ending::settle(&world, &grant, 10_000).await;
    }
    assert!(world.claim(2).await.grants.is_empty());
    assert_eq!(state(&world, "day").await.0, "complete");
    assert_eq!(state(&world, "night").await, ("cancelled".to_owned(), 1, Some(1)));
}

#[tokio::test]
async fn submitted_again_with_a_later_deadline_it_goes_on() {
    let world = World::new().await;
    let deadline = soon(&world).await;
    submit(&world, "night", 0..2, Some(deadline)).await.unwrap();
    passed(&world, deadline).await;
    for same in [None, Some(deadline)] {
        let again = submit(&world, "night", 0..2, same).await;
        assert!(matches!(again, Err(QueueError::PastDeadline(_))), "{again:?}");
    }
    world.queue.reap(10).await.unwrap();
    let later = world.now().await + 3_600_000_000;
    submit(&world, "night", 0..2, Some(later)).await.unwrap();
    for _ in 0..2 {
        let grant = world.sent().await;
        ending::settle(&world, &grant, 10_000).await;
    }
    assert_eq!(state(&world, "night").await, ("complete".to_owned(), 2, None));
    // An earlier one, from a host whose clock is wrong, takes nothing back.
    submit(&world, "night", 0..2, Some(later - 1_800_000_000)).await.unwrap();
    assert_eq!(world.queue.batch(&id("night")).await.unwrap().unwrap().deadline, Some(later));
}

#[tokio::test]
async fn what_failed_is_not_tried_again_after_the_deadline_unless_somebody_else_asks() {
    let world = World::new().await;
    let deadline = soon(&world).await;
    submit(&world, "night", 0..1, Some(deadline)).await.unwrap();
    let sent = world.sent().await;
    ending::give_up(&world, &sent).await;
    assert_eq!(state(&world, "night").await.0, "complete");
    passed(&world, deadline).await;
    let none = world.queue.act_on_failures(&[key(0)], FailureAction::Retry).await.unwrap();
    let phase = world.phase(&key(0)).await;
    assert_eq!((none, phase.as_str()), (0, "failed"), "nothing may send it");
    submit(&world, "day", 0..1, None).await.unwrap();
    let one = world.queue.act_on_failures(&[key(0)], FailureAction::Retry).await.unwrap();
    assert_eq!(one, 1);
    let grant = world.sent().await;
    ending::settle(&world, &grant, 10_000).await;
    assert_eq!(state(&world, "night").await, ("complete".to_owned(), 1, None));
}

#[tokio::test]
async fn cancelled_by_a_person_it_lets_go_of_what_it_asked_for() {
    let world = World::new().await;
    let deadline = soon(&world).await;
    submit(&world, "night", 0..2, Some(deadline)).await.unwrap();
    passed(&world, deadline).await;
    world.queue.reap(10).await.unwrap();
    assert!(world.queue.cancel(&id("night"), "no longer wanted").await.unwrap());
    world.queue.reap(10).await.unwrap();
    assert_eq!(world.phase(&key(0)).await, "none");
    let later = world.now().await + 3_600_000_000;
    let again = submit(&world, "night", 0..2, Some(later)).await;
    assert!(matches!(again, Err(QueueError::Cancelled(_))), "{again:?}");
}
