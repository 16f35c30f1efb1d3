//! Images that a person removes: the money stays in the books, the counts stay right, and nothing is made by itself.

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{Made, NewAsset},
    queue::{
        Attempt, Billed, Ended, Failure, Forgotten, Found, Grant, HeldPhase, Hold, Lost, Offer, Outcome,
        Parted, QueueError, Redo, Redone, Remade, Removal, Replaced, Replacement, Settled, Submitted,
    },
    stamp::Stamp,
};
use redis::AsyncCommands as _;

use crate::{
    ending::fail,
    failing::place,
    leaving::submit_as,
    swapping,
    world::{LEASE, World, asset, attempt, head, held, id, key, line, route, spec, unmade},
};

fn made_of(key: &AssetKey, at_ms: u64) -> Made {
    let object = format!("assets/{}/{key}.png", &key.as_str()[..2]);
    Made { object, content_type: "image/png".into(), cost: MicroUsd(16_000), at_ms, ..Made::default() }
}

fn made(n: u64, at_ms: u64) -> Made {
    made_of(&key(n), at_ms)
}

async fn make(world: &World, at_ms: u64) -> Grant {
    let grant = world.sent().await;
    let settled = world.queue.settle(&attempt(&grant), &made_of(&grant.key, at_ms)).await.unwrap();
    assert_eq!(settled, Settled::Done);
    grant
}

async fn remove_key(world: &World, key: &AssetKey, at_ms: u64) -> Forgotten {
    let (made, payer) = (made_of(key, at_ms), id("b"));
    let spec = spec(1);
    let spec = (*key == AssetKey::of(&spec)).then_some(&spec);
    let tenant = Some("shop");
    let removal = Removal { key, made: &made, spec, model: "dall-e-2", payer: Some(&payer), tenant };
    world.queue.remove(&removal).await.unwrap()
}

async fn remove(world: &World, n: u64, at_ms: u64) -> Forgotten {
    remove_key(world, &key(n), at_ms).await
}

/// Done, failed, parked; and the state.
async fn counts(world: &World, batch: &str) -> (u64, u64, u64, String) {
    let state = world.queue.batch(&id(batch)).await.unwrap().unwrap();
    (state.counts.done, state.counts.failed, state.counts.parked, state.state)
}

async fn kinds(world: &World) -> Vec<String> {
    world.queue.ledger("-", 100).await.unwrap().into_iter().map(|(_, entry)| entry.kind).collect()
}

/// The phase as people are told it.
async fn phase_told(world: &World, n: u64) -> String {
    world.queue.assets(&[key(n)]).await.unwrap().pop().flatten().unwrap().phase
}

/// Submits the same rows once more.
async fn again(world: &World, batch: &str, assets: &[NewAsset]) -> Result<Submitted, QueueError> {
    let assets: Vec<_> = (1..).zip(assets.iter().cloned()).collect();
    let lines: Vec<_> = assets.iter().map(|(row, asset)| line(*row, asset)).collect();
    world.queue.submit(&head(batch, "shop"), &assets, &lines, false).await
}

/// Two batches that share the image 1, which the first pays for; the first also has 2. All are made at 1000 ms.
async fn two_made() -> World {
    let world = World::new().await;
    world.submit("b", "shop", 1..3).await;
    world.submit("other", "team", 1..2).await;
    for _ in 0..2 {
        make(&world, 1_000).await;
    }
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    world
}

#[tokio::test]
async fn batches_go_on_counting_what_was_removed_until_it_is_submitted_again() {
    let world = two_made().await;
    assert_eq!(remove(&world, 1, 1_000).await, Forgotten::Now);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    assert_eq!(counts(&world, "other").await, (1, 0, 0, "complete".into()));
    let state = world.queue.assets(&[key(1)]).await.unwrap().pop().flatten().unwrap();
    assert_eq!((state.phase.as_str(), state.made), ("removed", None));
    let removed = state.removed.unwrap();
    assert_eq!(state.spec, Some(spec(1)), "another take can be asked for");
    assert_eq!((removed.made.cost.0, removed.made.at_ms, state.model.as_str()), (16_000, 1_000, "dall-e-2"));
    assert!(removed.at.abs_diff(world.now().await) < 60_000_000 && !state.perhaps_paid);
    assert!(world.claim(5).await.grants.is_empty(), "nothing is made by itself");

    assert_eq!(remove(&world, 1, 1_000).await, Forgotten::Before, "by two at once, or once more");
    assert_eq!(kinds(&world).await, ["settled", "settled", "removed"]);
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 2 * 16_000, "what was paid stays paid");
    let mark = world.queue.ledger("-", 100).await.unwrap()[2].1.clone();
    assert_eq!((mark.key.as_str(), mark.token), (key(1).as_str(), format!("{}@1000", key(1))));
    assert_eq!((mark.cost.as_str(), mark.batch.as_str(), mark.tenant.as_str()), ("0", "b", "shop"));

    // What was derived may be there still, and would pass for what is derived from the next.
    let unfinished = again(&world, "b", &[asset(1), asset(2)]).await.unwrap_err();
    assert!(matches!(unfinished, QueueError::Gone(_)), "{unfinished}");
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    world.queue.end_removal(&key(1)).await.unwrap();

    let sums = again(&world, "b", &[asset(1), asset(2)]).await.unwrap();
    assert_eq!((sums.new, sums.made), (1, 1));
    assert_eq!(counts(&world, "b").await, (1, 0, 0, "open".into()));
    // Others go on counting it until they ask, too; nobody asks twice.
    assert_eq!(counts(&world, "other").await, (1, 0, 0, "complete".into()));
    for _ in 0..2 {
        assert_eq!(again(&world, "other", &[asset(1)]).await.unwrap().queued, 1);
        assert_eq!(counts(&world, "other").await, (0, 0, 0, "open".into()));
    }
    assert_eq!(world.phase(&key(1)).await, "ready");
    make(&world, 2_000).await;
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    assert_eq!(counts(&world, "other").await, (1, 0, 0, "complete".into()));
    assert_eq!(again(&world, "other", &[asset(1)]).await.unwrap().made, 1);
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 3 * 16_000);
    assert_eq!(remove(&world, 1, 1_000).await, Forgotten::Changed, "who looked before that comes late");
    assert_eq!(world.phase(&key(1)).await, "done");
}

#[tokio::test]
async fn what_is_made_again_and_fails_is_a_failure_of_all_who_asked_again() {
    let world = two_made().await;
    assert_eq!(remove(&world, 1, 1_000).await, Forgotten::Now);
    world.queue.end_removal(&key(1)).await.unwrap();
    again(&world, "b", &[asset(1), asset(2)]).await.unwrap();
    again(&world, "other", &[asset(1)]).await.unwrap();
    let grant = world.sent().await;
    fail(&world, &grant, Billed::No, Outcome::Failed).await;
    assert_eq!(counts(&world, "b").await, (1, 1, 0, "complete".into()));
    assert_eq!(counts(&world, "other").await, (0, 1, 0, "complete".into()));
}

#[tokio::test]
async fn who_tries_again_what_failed_for_others_alone_has_it() {
    let world = two_made().await;
    assert_eq!(remove(&world, 1, 1_000).await, Forgotten::Now);
    world.queue.end_removal(&key(1)).await.unwrap();
    world.submit("third", "shop", 1..4).await;
    let grant = world.sent().await;
    assert_eq!(grant.key, key(1));
    fail(&world, &grant, Billed::No, Outcome::Failed).await;
    assert!(world.queue.cancel(&id("third"), "a mistake").await.unwrap());
    assert_eq!(counts(&world, "other").await, (1, 0, 0, "complete".into()));

    let lines = [line(1, &asset(1))];
    let sums = world.queue.submit(&head("other", "team"), &[(1, asset(1))], &lines, true).await.unwrap();
    assert_eq!(sums.queued, 1);
    assert_eq!(counts(&world, "other").await, (0, 0, 0, "open".into()));
    assert_eq!(make(&world, 2_000).await.key, key(1));
    assert_eq!(counts(&world, "other").await, (1, 0, 0, "complete".into()));
}

#[tokio::test]
async fn what_was_never_paid_here_is_counted_back_also_when_others_gave_it_up() {
    let world = World::new().await;
    let seen = NewAsset { made: Some(made(1, 1_000)), ..asset(1) };
    for batch in ["x", "y"] {
        assert_eq!(again(&world, batch, std::slice::from_ref(&seen)).await.unwrap().made, 1);
        world.queue.seal(&id(batch), 1).await.unwrap();
    }
    assert_eq!(remove(&world, 1, 1_000).await, Forgotten::Now);
    world.queue.end_removal(&key(1)).await.unwrap();
    assert_eq!(again(&world, "x", &[asset(1)]).await.unwrap().new, 1);
    assert!(world.queue.cancel(&id("x"), "a mistake").await.unwrap());
    world.queue.reap(10).await.unwrap();
    assert_eq!(world.phase(&key(1)).await, "none", "nobody asks for it");

    assert_eq!(again(&world, "y", &[asset(1)]).await.unwrap().new, 1);
    assert_eq!(counts(&world, "y").await, (0, 0, 0, "open".into()));
    make(&world, 2_000).await;
    assert_eq!(counts(&world, "y").await, (1, 0, 0, "complete".into()));
}

#[tokio::test]
async fn a_batch_that_is_complete_and_past_its_deadline_has_nothing_made_again() {
    let world = two_made().await;
    assert_eq!(remove(&world, 1, 1_000).await, Forgotten::Now);
    world.queue.end_removal(&key(1)).await.unwrap();
    let past = world.now().await - 1_000_000;
    let batch = world.queue.keys().batch(&id("b"));
    let _: () = world.redis.clone().hset(batch, "deadline", past).await.unwrap();
    for phase in ["removed", "ready"] {
        assert_eq!(phase_told(&world, 1).await, phase);
        let sums = again(&world, "b", &[asset(1), asset(2)]).await.unwrap();
        assert_eq!((sums.made, sums.queued, sums.new), (2, 0, 0));
        assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
        let flow = world.queue.keys().flow_named(route().as_str(), &id("b"));
        assert!(!world.redis.clone().exists::<_, bool>(flow).await.unwrap());
        // Somebody else may.
        again(&world, "other", &[asset(1)]).await.unwrap();
    }
    make(&world, 2_000).await;
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    assert_eq!(counts(&world, "other").await, (1, 0, 0, "complete".into()));
}

#[tokio::test]
async fn who_saw_the_image_in_the_store_just_before_is_not_believed() {
    let world = two_made().await;
    assert_eq!(remove(&world, 1, 1_000).await, Forgotten::Now);
    let seen = |at_ms| NewAsset { made: Some(made(1, at_ms)), ..asset(1) };
    let refused = again(&world, "new", &[seen(1_000)]).await.unwrap_err();
    assert!(matches!(refused, QueueError::Gone(_)), "{refused}");
    assert_eq!(world.queue.batch(&id("new")).await.unwrap(), None, "nothing was written");
    let redo = Redo {
        asked: key(2),
        row: 2,
        from: key(2),
        to: NewAsset { made: Some(made(1, 1_000)), ..asset(1) },
        most: 3,
        back: false,
        free: false,
    };
    let refused = world.queue.redo(&id("b"), &redo).await.unwrap_err();
    assert!(matches!(refused, QueueError::Gone(_)), "{refused}");
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));

    // What somebody has put back is taken again later, and what was stored after that at once.
    let mut redis = world.redis.clone();
    let long_ago = world.now().await - 601_000_000;
    let _: () = redis.hset(world.queue.keys().asset(&key(1)), "gone", long_ago).await.unwrap();
    let unfinished = again(&world, "new", &[seen(1_000)]).await.unwrap_err();
    let named = matches!(&unfinished, QueueError::Gone(of) if *of == key(1).to_string());
    assert!(named, "killed or denied before the store was empty: {unfinished}");
    world.queue.end_removal(&key(1)).await.unwrap();
    assert_eq!(again(&world, "b", &[seen(1_000), asset(2)]).await.unwrap().made, 2);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    assert_eq!(world.phase(&key(1)).await, "done");
    assert_eq!(remove(&world, 1, 1_000).await, Forgotten::Now);
    let later = world.now().await / 1_000 + 1;
    let unfinished = again(&world, "new", &[seen(later)]).await.unwrap_err();
    assert!(matches!(unfinished, QueueError::Gone(_)), "its derivatives may be there: {unfinished}");
    world.queue.end_removal(&key(1)).await.unwrap();
    assert_eq!(again(&world, "new", &[seen(later)]).await.unwrap().made, 1);
    assert_eq!(counts(&world, "new").await.0, 1);
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 2 * 16_000);
}

/// Another one in the place of what failed, as it was found.
async fn instead_of(world: &World, failed: &AssetKey, current: NewAsset, free: bool) -> Replaced {
    let one = Replacement {
        how: String::new(),
        original: place(world, failed).await,
        parked: false,
        batches: vec![id("more")],
        current,
        free,
    };
    world.queue.replace(&[one]).await.unwrap().remove(0)
}

#[tokio::test]
async fn what_was_found_made_is_not_bought_where_it_was_removed_since() {
    let world = two_made().await;
    world.submit("more", "shop", 3..4).await;
    let grant = world.sent().await;
    fail(&world, &grant, Billed::No, Outcome::Failed).await;
    assert_eq!(remove(&world, 1, 1_000).await, Forgotten::Now);

    let planned = submit_as(&world, "new", 1, None, true).await;
    assert!(matches!(planned, Err(QueueError::Gone(_))), "{planned:?}");
    assert_eq!(world.queue.batch(&id("new")).await.unwrap(), None, "nothing was written");
    let redo = |free| Redo { asked: key(2), row: 2, from: key(2), to: asset(1), most: 3, back: false, free };
    let refused = world.queue.redo(&id("b"), &redo(true)).await.unwrap_err();
    assert!(matches!(refused, QueueError::Gone(_)), "{refused}");
    let seen = NewAsset { made: Some(made(1, 1_000)), ..asset(1) };
    for (current, free) in [(asset(1), true), (seen.clone(), true), (seen, false)] {
        assert_eq!(instead_of(&world, &grant.key, current, free).await, Replaced::Changed);
    }
    assert!(world.claim(5).await.grants.is_empty(), "nobody wanted to pay");
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    assert_eq!(world.phase(&key(1)).await, "removed");

    // Who knows that it costs something has it, once the store has nothing of it.
    assert_eq!(instead_of(&world, &grant.key, asset(1), false).await, Replaced::Changed);
    world.queue.end_removal(&key(1)).await.unwrap();
    assert_eq!(instead_of(&world, &grant.key, asset(1), false).await, Replaced::In(1));
    assert_eq!(make(&world, 2_000).await.key, key(1));
    assert_eq!(counts(&world, "more").await, (1, 0, 0, "complete".into()));
}

#[tokio::test]
async fn a_fallback_that_was_removed_since_it_was_found_is_no_offer() {
    let world = World::new().await;
    let other = swapping::other(1);
    assert_eq!(remove_key(&world, &other.key, 1_000).await, Forgotten::Now);
    let (rows, lines) = ([(1, asset(1))], [line(1, &asset(1))]);
    world.queue.submit(&swapping::swaps("b"), &rows, &lines, false).await.unwrap();
    world.queue.seal(&id("b"), 1).await.unwrap();
    let grant = world.sent().await;
    let failure = Failure { class: "model_not_found".into(), ..Failure::default() };
    let seen = NewAsset { made: Some(made_of(&other.key, 1_000)), ..other.clone() };
    let offers = [Offer { model: swapping::OTHER.into(), asset: Some(seen) }];
    let ended = world.queue.part(&attempt(&grant), &unmade(&failure), &offers).await.unwrap();
    assert_eq!(ended, Parted::Ended(Ended::Failed));
    assert_eq!(counts(&world, "b").await, (0, 1, 0, "complete".into()));
    assert_eq!(world.phase(&other.key).await, "none");
    assert!(swapping::other_grants(&world, 5).await.is_empty());
}

#[tokio::test]
async fn an_image_from_a_clock_that_is_ahead_is_removed_once() {
    let world = two_made().await;
    let ahead = world.now().await / 1_000 + 3_600_000;
    for expected in [Forgotten::Now, Forgotten::Before, Forgotten::Before] {
        assert_eq!(remove(&world, 7, ahead).await, expected);
    }
    assert_eq!(kinds(&world).await, ["settled", "settled", "removed"]);
}

#[tokio::test]
async fn nothing_is_removed_where_an_older_version_may_make_it_again() {
    let world = two_made().await;
    let (mut redis, keys) = (world.redis.clone(), world.queue.keys().clone());
    let _older: u64 = redis.hset(keys.meta(), "layout", 4).await.unwrap();
    assert_eq!(remove(&world, 1, 1_000).await, Forgotten::Older);
    assert_eq!(world.phase(&key(1)).await, "done");
    assert_eq!(kinds(&world).await, ["settled", "settled"]);
}

#[tokio::test]
async fn only_what_is_done_is_removed() {
    let world = World::new().await;
    world.submit("b", "shop", 1..2).await;
    let busy = |phase: &str| Forgotten::Busy(phase.to_owned());
    assert_eq!(remove(&world, 1, 0).await, busy("ready"));
    let grant = world.sent().await;
    assert_eq!(remove(&world, 1, 0).await, busy("sent"));
    fail(&world, &grant, Billed::No, Outcome::Failed).await;
    assert_eq!(remove(&world, 1, 0).await, busy("failed"));
    assert_eq!(counts(&world, "b").await, (0, 1, 0, "complete".into()));
    assert!(kinds(&world).await.is_empty());

    // The store had it, and Redis has forgotten, or never knew.
    assert_eq!(remove(&world, 7, 1_000).await, Forgotten::Now);
    assert_eq!(remove(&world, 7, 1_000).await, Forgotten::Before);
    assert_eq!(kinds(&world).await, ["removed"]);
    assert_eq!(world.phase(&key(7)).await, "none", "no batch counts it");
    world.queue.end_removal(&key(7)).await.unwrap();
    world.submit("c", "shop", 7..8).await;
    make(&world, 2_000).await;
    assert_eq!(counts(&world, "c").await, (1, 0, 0, "complete".into()));
}

#[tokio::test]
async fn nothing_brings_a_removed_image_back_but_an_answer_that_was_out() {
    let world = two_made().await;
    let first = {
        let (_, entry) = world.queue.ledger("-", 1).await.unwrap().remove(0);
        Attempt {
            key: entry.key.parse().unwrap(),
            token: entry.token,
            attempt: 1,
            payer: "b".into(),
            tenant: "shop".into(),
            lane: entry.lane,
            model: entry.model,
            request_id: None,
        }
    };
    remove_key(&world, &first.key, 1_000).await;
    let lost = Lost { key: first.key.clone(), row: 1, at_ms: 1_000, model: "dall-e-2".into(), asset: None };
    assert_eq!(world.queue.remake(&id("b"), &[lost]).await.unwrap().unwrap(), [Remade::Changed]);
    let stamp = Stamp { attempt: first.clone(), made: made_of(&first.key, 1_000) };
    assert_eq!(world.queue.found(&stamp).await.unwrap(), Found::Missing);
    assert_eq!(world.queue.settle(&first, &stamp.made).await.unwrap(), Settled::Again);
    assert_eq!(world.phase(&first.key).await, "removed");

    let rival = Attempt { token: "w-999".into(), ..first.clone() };
    assert_eq!(world.queue.settle(&rival, &made_of(&first.key, 3_000)).await.unwrap(), Settled::Done);
    assert_eq!(world.phase(&first.key).await, "done", "it was paid for, and is kept");
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 3 * 16_000);
    // What is forgotten then was not removed.
    let lost = Lost { key: first.key.clone(), row: 1, at_ms: 3_000, model: "dall-e-2".into(), asset: None };
    assert_eq!(world.queue.remake(&id("b"), &[lost]).await.unwrap().unwrap(), [Remade::Forgotten]);
    assert_eq!(world.phase(&first.key).await, "none");
    assert_eq!(counts(&world, "b").await, (1, 0, 0, "open".into()));
}

#[tokio::test]
async fn a_line_whose_take_was_removed_gets_another_or_goes_back() {
    let take = |take: u32| {
        let spec = Spec { take, ..spec(1) };
        NewAsset { key: AssetKey::of(&spec), spec, ..asset(1) }
    };
    let redo = |from: u32, to: u32, back: bool| Redo {
        asked: key(1),
        row: 1,
        from: take(from).key,
        to: take(to),
        most: 5,
        back,
        free: false,
    };
    let world = two_made().await;
    assert_eq!(world.queue.redo(&id("b"), &redo(0, 1, false)).await.unwrap(), Redone::Ok);
    make(&world, 2_000).await;
    assert_eq!(remove_key(&world, &take(1).key, 2_000).await, Forgotten::Now);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));

    // The same rows do not pay for what the line had before, nor for what was removed.
    let sums = again(&world, "b", &[asset(1), asset(2)]).await.unwrap();
    assert_eq!((sums.new, sums.queued, sums.made), (0, 0, 2));
    assert!(world.claim(5).await.grants.is_empty());
    assert_eq!(world.queue.redo(&id("b"), &redo(1, 2, false)).await.unwrap(), Redone::Ok);
    assert_eq!(counts(&world, "b").await, (1, 0, 0, "open".into()));
    assert_eq!(make(&world, 3_000).await.key, take(2).key);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));

    assert_eq!(world.queue.redo(&id("b"), &redo(2, 1, true)).await.unwrap(), Redone::Unmade);
    assert_eq!(remove_key(&world, &take(2).key, 3_000).await, Forgotten::Now);
    assert_eq!(world.queue.redo(&id("b"), &redo(2, 0, true)).await.unwrap(), Redone::Ok);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
}

#[tokio::test]
async fn who_goes_back_from_what_others_have_made_again_counts_it_once() {
    let take = |take: u32| {
        let spec = Spec { take, ..spec(1) };
        NewAsset { key: AssetKey::of(&spec), spec, ..asset(1) }
    };
    let redo = |from: u32, to: u32, back: bool| {
        let (from, to) = (take(from).key, take(to));
        Redo { asked: key(1), row: 1, from, to, most: 5, back, free: false }
    };
    let world = two_made().await;
    assert_eq!(world.queue.redo(&id("b"), &redo(0, 1, false)).await.unwrap(), Redone::Ok);
    make(&world, 2_000).await;
    assert_eq!(remove_key(&world, &take(1).key, 2_000).await, Forgotten::Now);
    world.queue.end_removal(&take(1).key).await.unwrap();
    assert_eq!(world.queue.redo(&id("other"), &redo(0, 1, false)).await.unwrap(), Redone::Ok);
    assert_eq!(counts(&world, "other").await, (0, 0, 0, "open".into()));
    assert_eq!(world.queue.redo(&id("b"), &redo(1, 0, true)).await.unwrap(), Redone::Ok);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    assert_eq!(make(&world, 3_000).await.key, take(1).key);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    assert_eq!(counts(&world, "other").await, (1, 0, 0, "complete".into()));
}

#[tokio::test]
async fn who_was_frozen_with_it_in_hand_does_not_send_what_was_made_and_removed() {
    let world = World::new().await;
    world.submit("b", "shop", 1..2).await;
    let frozen = world.one().await;
    world.expire_leases().await;
    world.queue.reap(10).await.unwrap();
    make(&world, 1_000).await;
    assert_eq!(remove(&world, 1, 1_000).await, Forgotten::Now);
    // After two minutes nobody knows that token any more.
    let ended = format!("{}ended:{}", world.queue.keys().prefix(), frozen.token);
    assert_eq!(world.redis.clone().del::<_, u64>(ended).await.unwrap(), 1);
    let answers = world.queue.extend(&[held(&frozen, HeldPhase::Claimed)], LEASE).await.unwrap();
    assert_eq!(answers, [Hold::Lost]);
    assert!(world.claim(5).await.grants.is_empty());
}
