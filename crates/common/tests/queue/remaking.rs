//! Images that are gone are made again, once and as somebody asked; images that are there are not.

use pictor_common::{
    MicroUsd,
    batch::Made,
    queue::{Attempt, FailureAction, Found, Grant, Lost, Remade, Settled},
    stamp::Stamp,
};

use crate::{
    ending::unknown,
    world::{World, asset, attempt, head, id, key, line},
};

fn made(n: u64, at_ms: u64) -> Made {
    let key = key(n);
    let object = format!("assets/{}/{key}.png", &key.as_str()[..2]);
    Made { object, content_type: "image/png".into(), cost: MicroUsd(16_000), at_ms, ..Made::default() }
}

async fn settle_at(world: &World, grant: &Grant, n: u64, at_ms: u64) -> Settled {
    world.queue.settle(&attempt(grant), &made(n, at_ms)).await.unwrap()
}

fn lost(n: u64, at_ms: u64) -> Lost {
    Lost { key: key(n), row: n, at_ms, model: "dall-e-2".into(), asset: Some(asset(n)) }
}

async fn remake(world: &World, lost: &[Lost]) -> Vec<Remade> {
    world.queue.remake(&id("b"), lost).await.unwrap().expect("the batch takes them")
}

/// Done, failed, parked; and the state.
async fn counts(world: &World, batch: &str) -> (u64, u64, u64, String) {
    let state = world.queue.batch(&id(batch)).await.unwrap().unwrap();
    (state.counts.done, state.counts.failed, state.counts.parked, state.state)
}

async fn kinds(world: &World) -> Vec<String> {
    world.queue.ledger("-", 100).await.unwrap().into_iter().map(|(_, entry)| entry.kind).collect()
}

/// A batch of two images, both made at 1000 ms; the grant of the first.
async fn two_made() -> (World, Grant) {
    let world = World::new().await;
    world.submit("b", "shop", 1..3).await;
    let first = world.sent().await;
    assert_eq!(settle_at(&world, &first, 1, 1_000).await, Settled::Done);
    let second = world.sent().await;
    assert_eq!(settle_at(&world, &second, 2, 1_000).await, Settled::Done);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    (world, first)
}

#[tokio::test]
async fn an_image_that_is_gone_is_made_again_and_the_counts_go_down_and_up() {
    let (world, first) = two_made().await;
    assert_eq!(remake(&world, &[lost(1, 1_000)]).await, [Remade::Queued]);
    assert_eq!(counts(&world, "b").await, (1, 0, 0, "open".into()));
    assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().open_assets(), 1);
    assert_eq!(remake(&world, &[lost(1, 1_000)]).await, [Remade::Changed], "twice asked, once done");

    let again = world.sent().await;
    assert_eq!((again.key.clone(), again.payer.as_str()), (key(1), "b"));
    assert_eq!(again.spec, asset(1).spec);
    assert_ne!(again.token, first.token);
    assert_eq!((again.attempts, again.unknowns), (0, 0), "counted anew");
    assert!(world.claim(5).await.grants.is_empty(), "nothing else is made again");
    assert_eq!(settle_at(&world, &again, 1, 2_000).await, Settled::Done);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    let totals = world.queue.totals().await.unwrap();
    assert_eq!((totals.spent.0, totals.reserved.0), (3 * 16_000, 0), "all three are paid");
    assert_eq!(kinds(&world).await, ["settled", "settled", "remade", "settled"]);
    let mark = world.queue.ledger("-", 100).await.unwrap()[2].1.clone();
    let name = format!("{}@1000", key(1));
    assert_eq!((mark.key.as_str(), mark.token.as_str()), (key(1).as_str(), name.as_str()));
    assert_eq!((mark.cost.as_str(), mark.batch.as_str(), mark.tenant.as_str()), ("0", "b", "shop"));
}

#[tokio::test]
async fn what_was_made_since_it_was_looked_for_stands() {
    let (world, _) = two_made().await;
    assert_eq!(remake(&world, &[lost(1, 999)]).await, [Remade::Changed]);
    assert_eq!(remake(&world, &[lost(1, 1_000)]).await, [Remade::Queued]);
    let again = world.sent().await;
    assert_eq!(settle_at(&world, &again, 1, 2_000).await, Settled::Done);
    // Somebody who looked when the first image was gone comes late.
    assert_eq!(remake(&world, &[lost(1, 1_000)]).await, [Remade::Changed]);
    assert_eq!(world.phase(&key(1)).await, "done");
    let odd = Made { mismatch: Some("asked for png, got jpeg".into()), ..made(2, 1_000) };
    let world = World::new().await;
    world.submit("b", "shop", 2..3).await;
    let grant = world.sent().await;
    world.queue.settle(&attempt(&grant), &odd).await.unwrap();
    assert_eq!(remake(&world, &[lost(2, 7)]).await, [Remade::Changed], "also by a longer record");
    assert_eq!(remake(&world, &[lost(2, 1_000)]).await, [Remade::Queued]);
}

#[tokio::test]
async fn a_late_word_of_the_old_attempt_neither_ends_nor_charges_it() {
    let (world, first) = two_made().await;
    remake(&world, &[lost(1, 1_000)]).await;
    assert_eq!(settle_at(&world, &first, 1, 1_000).await, Settled::Again);
    assert_eq!(world.phase(&key(1)).await, "ready", "its image is gone, whatever its worker says");
    let again = world.sent().await;
    assert_eq!(settle_at(&world, &first, 1, 1_000).await, Settled::Again);
    assert_eq!(unknown(&world, &first).await, pictor_common::queue::Ended::Lost);
    assert_eq!(world.phase(&key(1)).await, "sent");
    assert_eq!(settle_at(&world, &again, 1, 2_000).await, Settled::Done);
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 3 * 16_000);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
}

#[tokio::test]
async fn what_is_out_or_unknown_is_not_touched() {
    let world = World::new().await;
    world.submit("b", "shop", 1..2).await;
    assert_eq!(remake(&world, &[lost(1, 0), lost(9, 0)]).await, [Remade::Changed, Remade::Changed]);
    let _out = world.sent().await;
    assert_eq!(remake(&world, &[lost(1, 0)]).await, [Remade::Changed]);
    assert_eq!(world.queue.remake(&id("nobody"), &[lost(1, 0)]).await.unwrap(), None);
    world.queue.cancel(&id("b"), "enough").await.unwrap();
    assert_eq!(world.queue.remake(&id("b"), &[lost(1, 0)]).await.unwrap(), None);
    assert!(!kinds(&world).await.contains(&"remade".to_owned()));
}

#[tokio::test]
async fn without_a_spec_it_is_forgotten_and_submitted_again_it_is_made() {
    let (world, _) = two_made().await;
    let bare = Lost { asset: None, ..lost(1, 1_000) };
    assert_eq!(remake(&world, &[bare]).await, [Remade::Forgotten]);
    assert_eq!(counts(&world, "b").await, (1, 0, 0, "open".into()));
    assert_eq!(world.phase(&key(1)).await, "none");
    assert!(world.claim(5).await.grants.is_empty());
    // The same file: nothing is new but what is gone.
    let assets: Vec<_> = (1..3).map(|n| (n, asset(n))).collect();
    let lines: Vec<_> = assets.iter().map(|(row, asset)| line(*row, asset)).collect();
    let sums = world.queue.submit(&head("b", "shop"), &assets, &lines, false).await.unwrap();
    assert_eq!((sums.new, sums.made), (1, 1));
    let again = world.sent().await;
    assert_eq!(again.key, key(1));
    assert_eq!(settle_at(&world, &again, 1, 2_000).await, Settled::Done);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
}

#[tokio::test]
async fn a_remade_image_fails_and_is_retried_like_any_other() {
    let (world, _) = two_made().await;
    remake(&world, &[lost(1, 1_000)]).await;
    // Twice unknown parks it.
    for _ in 0..2 {
        let grant = world.sent().await;
        unknown(&world, &grant).await;
    }
    assert_eq!(counts(&world, "b").await, (1, 0, 1, "complete".into()));
    world.queue.act_on_failures(&[key(1)], FailureAction::Retry).await.unwrap();
    assert_eq!(counts(&world, "b").await, (1, 0, 0, "open".into()));
    let again = world.sent().await;
    assert_eq!(settle_at(&world, &again, 1, 3_000).await, Settled::Done);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
}

#[tokio::test]
async fn a_cap_holds_what_is_made_again() {
    let (world, _) = two_made().await;
    world.cap(pictor_common::queue::CapOf::Batch("b".into()), Some(MicroUsd(2 * 16_000 + 19_999))).await;
    assert_eq!(remake(&world, &[lost(1, 1_000)]).await, [Remade::Queued]);
    assert!(world.claim(5).await.grants.is_empty(), "its ceiling of 20,000 is more than what is left");
    world.cap(pictor_common::queue::CapOf::Batch("b".into()), None).await;
    assert_eq!(world.one().await.key, key(1));
}

fn stamp(attempt: Attempt, n: u64) -> Stamp {
    Stamp { attempt, made: made(n, 1_000) }
}

#[tokio::test]
async fn an_image_that_came_back_ends_what_was_to_be_made_again_for_nothing() {
    let (world, first) = two_made().await;
    remake(&world, &[lost(1, 1_000)]).await;
    let back = stamp(attempt(&first), 1);
    let rival = world.one().await;
    assert_eq!(world.queue.found(&back).await.unwrap(), Found::Done, "also from one who has not sent");
    assert_eq!(world.queue.found(&back).await.unwrap(), Found::Again);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    let begun = world.begin(&rival).await;
    assert!(matches!(begun, pictor_common::queue::Begun::No(_)), "{begun:?}");
    let totals = world.queue.totals().await.unwrap();
    assert_eq!((totals.spent.0, totals.reserved.0), (2 * 16_000, 0));
    assert_eq!(kinds(&world).await.iter().filter(|kind| *kind == "settled").count(), 2);
}

#[tokio::test]
async fn what_is_out_waits_for_its_worker_and_what_is_unknown_is_not_invented() {
    let world = World::new().await;
    world.submit("b", "shop", 1..2).await;
    let grant = world.sent().await;
    let other = Attempt { token: "w-999".into(), ..attempt(&grant) };
    assert_eq!(world.queue.found(&stamp(other.clone(), 1)).await.unwrap(), Found::Busy);
    assert_eq!(world.queue.found(&stamp(Attempt { key: key(7), ..other }, 7)).await.unwrap(), Found::Missing);
    assert_eq!(world.phase(&key(1)).await, "sent");
}
