//! Another take of a picture: one batch follows, once, and what it cost is paid once.

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{BatchHead, Made, NewAsset},
    queue::{Billed, FailureAction, Grant, Outcome, QueueError, Redo, Redone, Replaced, Replacement},
};
use redis::AsyncCommands as _;

use crate::{
    ending::{fail, unknown},
    failing::place,
    swapping::{OTHER, gone, other, other_grants},
    world::{World, asset, attempt, head, id, key, line, spec},
};

fn take(n: u64, take: u32) -> NewAsset {
    let spec = Spec { take, ..spec(n) };
    NewAsset { key: AssetKey::of(&spec), spec, ..asset(n) }
}

fn redo(n: u64, from: u32, to: u32) -> Redo {
    Redo {
        asked: key(n),
        row: n,
        from: take(n, from).key,
        to: take(n, to),
        most: 3,
        back: false,
        free: false,
    }
}

fn back(n: u64, from: u32, to: u32) -> Redo {
    Redo { back: true, ..redo(n, from, to) }
}

async fn settle(world: &World, grant: &Grant) {
    let object = format!("assets/{}/{}.png", &grant.key.as_str()[..2], grant.key);
    let made = Made {
        object,
        content_type: "image/png".into(),
        cost: MicroUsd(16_000),
        at_ms: 1,
        ..Made::default()
    };
    world.queue.settle(&attempt(grant), &made).await.unwrap();
}

async fn make(world: &World) -> AssetKey {
    let grant = world.sent().await;
    settle(world, &grant).await;
    grant.key
}

/// Two batches that share the picture 1; the first also has 2. All are made.
async fn made() -> World {
    let world = World::new().await;
    world.submit("b", "shop", 1..3).await;
    world.submit("other", "team", 1..2).await;
    for _ in 0..2 {
        make(&world).await;
    }
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    world
}

async fn counts(world: &World, batch: &str) -> (u64, u64, u64, String) {
    let state = world.queue.batch(&id(batch)).await.unwrap().unwrap();
    (state.counts.done, state.counts.failed, state.counts.parked, state.state)
}

/// What the batch has in its first place.
async fn stands(world: &World, batch: &str) -> AssetKey {
    world.queue.members(&id(batch), 0, 1).await.unwrap().remove(0)
}

async fn ask(world: &World, redo: &Redo) -> Redone {
    world.queue.redo(&id("b"), redo).await.unwrap()
}

#[tokio::test]
async fn two_who_ask_at_once_get_one_take_and_others_keep_what_they_have() {
    let world = made().await;
    let wanted = redo(1, 0, 1);
    let (first, second) = tokio::join!(ask(&world, &wanted), ask(&world, &wanted));
    let mut became = [first, second];
    became.sort_by_key(|became| *became == Redone::Again);
    assert_eq!(became, [Redone::Ok, Redone::Again]);
    assert_eq!(counts(&world, "b").await, (1, 0, 0, "open".into()), "open again for this line alone");
    assert_eq!(counts(&world, "other").await, (1, 0, 0, "complete".into()));
    assert_eq!(ask(&world, &redo(1, 1, 2)).await, Redone::Unmade, "not before it is made");
    assert_eq!(ask(&world, &redo(1, 0, 2)).await, Redone::Changed);

    let grant = world.sent().await;
    assert_eq!((&grant.key, grant.spec.take, grant.payer.as_str()), (&take(1, 1).key, 1, "b"));
    assert!(world.claim(5).await.grants.is_empty());
    settle(&world, &grant).await;
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    assert_eq!((stands(&world, "b").await, stands(&world, "other").await), (take(1, 1).key, key(1)));
    assert_eq!(world.phase(&key(1)).await, "done");
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 3 * 16_000);
    assert_eq!(world.queue.takes(&id("b"), &key(1)).await.unwrap(), [key(1), take(1, 1).key]);
}

#[tokio::test]
async fn going_back_and_forth_costs_nothing_and_takes_are_limited() {
    let world = made().await;
    for (from, to) in [(0, 1), (1, 2)] {
        assert_eq!(ask(&world, &redo(1, from, to)).await, Redone::Ok);
        make(&world).await;
    }
    assert_eq!(ask(&world, &redo(1, 2, 3)).await, Redone::Most);
    assert_eq!(ask(&world, &back(1, 2, 7)).await, Redone::Unmade, "never a take of this line");
    assert_eq!(ask(&world, &back(1, 2, 0)).await, Redone::Ok);
    assert_eq!((stands(&world, "b").await, counts(&world, "b").await.0), (key(1), 2));
    assert_eq!(ask(&world, &back(1, 2, 0)).await, Redone::Again);
    assert_eq!(ask(&world, &redo(1, 0, 2)).await, Redone::Ok, "one that is made is no further take");
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    assert!(world.claim(5).await.grants.is_empty());
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 4 * 16_000);
}

#[tokio::test]
async fn the_same_file_again_pays_for_neither_take() {
    let world = made().await;
    ask(&world, &redo(1, 0, 1)).await;
    let again = async |batch: &str| {
        let assets: Vec<_> = (1..3).map(|n| (n, asset(n))).collect();
        let lines: Vec<_> = assets.iter().map(|(row, asset)| line(*row, asset)).collect();
        world.queue.submit(&head(batch, "shop"), &assets, &lines, false).await.unwrap()
    };
    let sums = again("b").await;
    assert_eq!((sums.new, sums.made, sums.queued), (0, 1, 1), "the take is on its way");
    let sums = again("tomorrow").await;
    assert_eq!((sums.new, sums.made), (0, 2));
    assert_eq!(make(&world).await, take(1, 1).key);
    assert_eq!(again("b").await.made, 2);
    assert!(world.claim(5).await.grants.is_empty());
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
}

#[tokio::test]
async fn a_take_that_fails_is_retried_or_left_for_the_one_before() {
    let world = made().await;
    ask(&world, &redo(1, 0, 1)).await;
    let grant = world.sent().await;
    assert_eq!(ask(&world, &back(1, 1, 0)).await, Redone::Busy, "it may be paid");
    unknown(&world, &grant).await;
    let grant = world.sent().await;
    unknown(&world, &grant).await;
    assert_eq!(counts(&world, "b").await, (1, 0, 1, "complete".into()));
    assert_eq!(ask(&world, &back(1, 1, 0)).await, Redone::Ok);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    // Whoever retries it all the same makes it for nobody's batch.
    world.queue.act_on_failures(&[take(1, 1).key], FailureAction::Retry).await.unwrap();
    assert!(world.claim(5).await.grants.is_empty());
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
}

#[tokio::test]
async fn what_stands_in_for_a_take_is_what_the_line_has() {
    let world = World::new().await;
    let head = BatchHead { fallback: Some(OTHER.into()), ..head("b", "shop") };
    let assets = [(1, asset(1))];
    let lines = [line(1, &assets[0].1)];
    world.queue.submit(&head, &assets, &lines, false).await.unwrap();
    world.queue.seal(&head.id, 1).await.unwrap();
    make(&world).await;
    assert_eq!(ask(&world, &redo(1, 0, 1)).await, Redone::Ok);
    let grant = world.sent().await;
    gone(&world, &grant, 1).await;
    assert_eq!(stands(&world, "b").await, other(1).key);
    assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().open_assets(), 1);
    let there = other_grants(&world, 1).await.remove(0);
    world.begin(&there).await;
    settle(&world, &there).await;
    assert_eq!(counts(&world, "b").await, (1, 0, 0, "complete".into()));
    let first = Redo { from: other(1).key, to: asset(1), ..back(1, 0, 0) };
    assert_eq!(ask(&world, &first).await, Redone::Ok);
    assert_eq!((stands(&world, "b").await, counts(&world, "b").await.0), (key(1), 1));
}

#[tokio::test]
async fn a_take_that_waits_is_taken_back_unsent() {
    let world = made().await;
    ask(&world, &redo(1, 0, 1)).await;
    assert_eq!(ask(&world, &back(1, 1, 0)).await, Redone::Ok);
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    assert!(world.claim(5).await.grants.is_empty());
    assert_eq!(world.phase(&take(1, 1).key).await, "none");
    assert_eq!(world.queue.totals().await.unwrap().reserved.0, 0);
}

#[tokio::test]
async fn another_batch_that_redid_it_first_has_paid_for_the_take() {
    let world = made().await;
    ask(&world, &redo(1, 0, 1)).await;
    let same = redo(1, 0, 1);
    assert_eq!(world.queue.redo(&id("other"), &same).await.unwrap(), Redone::Ok);
    assert_eq!(make(&world).await, take(1, 1).key);
    assert!(world.claim(5).await.grants.is_empty());
    for (batch, done) in [("b", 2), ("other", 1)] {
        assert_eq!(counts(&world, batch).await, (done, 0, 0, "complete".into()));
    }
    assert_eq!(world.queue.redo(&id("nobody"), &same).await.unwrap(), Redone::Missing);
    world.submit("gone", "shop", 2..4).await;
    world.queue.cancel(&id("gone"), "no").await.unwrap();
    assert_eq!(world.queue.redo(&id("gone"), &redo(2, 0, 1)).await.unwrap(), Redone::Cancelled);
    // A row that wants several images asks for the next take already.
    world.submit("waits", "shop", 5..6).await;
    let batch = id("waits");
    make(&world).await;
    assert_eq!(
        world.queue.redo(&batch, &Redo { to: asset(5), ..redo(5, 0, 1) }).await.unwrap(),
        Redone::Again
    );
}

/// Puts rows into a batch, as a chunk does.
async fn put(world: &World, head: &BatchHead, rows: &[(u64, NewAsset)]) {
    let lines: Vec<_> = rows.iter().map(|(row, asset)| line(*row, asset)).collect();
    world.queue.submit(head, rows, &lines, false).await.unwrap();
}

/// What the lines of the batch have that asked for takes of the picture 1.
async fn lines_have(world: &World, asked: &[u32]) -> Vec<AssetKey> {
    let keys: Vec<AssetKey> = asked.iter().map(|n| take(1, *n).key).collect();
    let others = world.queue.stand_ins(&id("b"), &keys).await.unwrap();
    keys.into_iter().zip(others).map(|(key, other)| other.unwrap_or(key)).collect()
}

fn keys(takes: &[u32]) -> Vec<AssetKey> {
    takes.iter().map(|n| take(1, *n).key).collect()
}

#[tokio::test]
async fn a_line_that_chose_keeps_its_choice_when_another_wants_what_it_left() {
    let world = World::new().await;
    let head = head("b", "shop");
    put(&world, &head, &[(1, take(1, 0)), (2, take(1, 1))]).await;
    world.queue.seal(&head.id, 2).await.unwrap();
    make(&world).await;
    make(&world).await;
    let second = Redo { asked: take(1, 1).key, row: 2, ..redo(1, 1, 2) };
    assert_eq!(ask(&world, &second).await, Redone::Ok);
    make(&world).await;
    assert_eq!(ask(&world, &redo(1, 0, 1)).await, Redone::Taken);
    assert_eq!(lines_have(&world, &[0, 1]).await, keys(&[0, 2]));
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
}

#[tokio::test]
async fn a_take_that_a_later_line_asks_for_is_not_taken_from_it() {
    let world = World::new().await;
    let head = head("b", "shop");
    put(&world, &head, &[(1, take(1, 0))]).await;
    make(&world).await;
    assert_eq!(ask(&world, &redo(1, 0, 1)).await, Redone::Ok);
    put(&world, &head, &[(600, take(1, 1))]).await;
    world.queue.seal(&head.id, 2).await.unwrap();
    assert_eq!(ask(&world, &back(1, 1, 0)).await, Redone::Taken);
    assert_eq!(counts(&world, "b").await.3, "open");
    assert_eq!(make(&world).await, take(1, 1).key);
    assert_eq!(counts(&world, "b").await.3, "complete");
    assert_eq!(ask(&world, &back(1, 1, 0)).await, Redone::Ok);
    assert_eq!(lines_have(&world, &[0, 1]).await, keys(&[0, 1]));
    assert_eq!(counts(&world, "b").await.3, "complete");
}

#[tokio::test]
async fn what_fails_for_one_line_changes_no_line_that_went_back_from_it() {
    let world = World::new().await;
    let head = BatchHead { fallback: Some(OTHER.into()), ..head("b", "shop") };
    put(&world, &head, &[(1, take(1, 0))]).await;
    make(&world).await;
    assert_eq!(ask(&world, &redo(1, 0, 1)).await, Redone::Ok);
    assert_eq!(ask(&world, &back(1, 1, 0)).await, Redone::Ok);
    assert_eq!(world.queue.takes(&head.id, &key(1)).await.unwrap(), keys(&[0]), "it was never sent");
    put(&world, &head, &[(600, take(1, 1))]).await;
    world.queue.seal(&head.id, 2).await.unwrap();
    gone(&world, &world.sent().await, 1).await;
    assert_eq!(lines_have(&world, &[0, 1]).await, [key(1), other(1).key]);
    assert_eq!(counts(&world, "b").await, (1, 0, 0, "open".into()));
}

#[tokio::test]
async fn what_took_the_place_of_a_failed_take_can_be_gone_back_to() {
    let world = made().await;
    assert_eq!(ask(&world, &redo(1, 0, 1)).await, Redone::Ok);
    for (from, by) in [(take(1, 1), take(1, 6)), (take(1, 6), take(1, 7))] {
        let grant = world.sent().await;
        assert_eq!(grant.key, from.key);
        fail(&world, &grant, Billed::No, Outcome::Failed).await;
        let failed = place(&world, &from.key).await;
        let wanted = Replacement {
            how: String::new(),
            original: failed,
            parked: false,
            batches: vec![id("b")],
            current: by,
            free: false,
        };
        assert_eq!(world.queue.replace(&[wanted]).await.unwrap(), [Replaced::In(1)]);
    }
    make(&world).await;
    assert_eq!(lines_have(&world, &[0]).await, keys(&[7]));
    assert_eq!(ask(&world, &Redo { most: 9, ..redo(1, 7, 2) }).await, Redone::Ok);
    make(&world).await;
    for (from, to) in [(2, 7), (7, 0)] {
        assert_eq!(ask(&world, &Redo { most: 9, ..back(1, from, to) }).await, Redone::Ok);
        assert_eq!(lines_have(&world, &[0]).await, keys(&[to]));
        assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    }
    assert!(world.claim(5).await.grants.is_empty());
}

#[tokio::test]
async fn what_failed_for_others_or_comes_too_late_is_not_asked_for() {
    let world = made().await;
    put(&world, &head("x", "shop"), &[(1, take(1, 1))]).await;
    fail(&world, &world.sent().await, Billed::No, Outcome::Failed).await;
    assert_eq!(ask(&world, &redo(1, 0, 1)).await, Redone::Ended);
    assert_eq!(ask(&world, &redo(1, 0, 2)).await, Redone::Ok);
    make(&world).await;
    let name = world.queue.keys().batch(&id("b"));
    let _past: u64 = world.redis.clone().hset(&name, "deadline", 1).await.unwrap();
    assert_eq!(ask(&world, &redo(1, 2, 3)).await, Redone::Late);
    assert_eq!(ask(&world, &back(1, 2, 0)).await, Redone::Ok, "what is made is not sent");
    assert_eq!(counts(&world, "b").await, (2, 0, 0, "complete".into()));
    let _none: u64 = world.redis.clone().hdel(&name, "deadline").await.unwrap();
    let before = world.queue.within(&world.queue.epoch().await.unwrap());
    let _other: u64 = world.redis.clone().hset(world.queue.keys().meta(), "epoch", "x").await.unwrap();
    let became = before.redo(&id("b"), &redo(1, 0, 3)).await;
    assert!(matches!(became, Err(QueueError::Forgot)), "{became:?}");
}
