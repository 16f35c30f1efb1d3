//! Answers that come after an asset was given up, retried or asked for again: each token is charged once.

use std::{collections::BTreeMap, time::Duration};

use pictor_common::{
    MicroUsd,
    queue::{Billed, Ended, Failure, FailureAction, Grant, Outcome, Settled, Unmade},
};

use crate::{
    ending::settle,
    world::{World, asset, attempt, head, id, key, line, unmade},
};

/// What people and the reaper do meanwhile.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Nobody knows the outcome, which parks the asset.
    Unknown,
    /// It was paid for and brought nothing usable, which fails the asset.
    Bad,
    /// The owner is silent until its asset is an orphan.
    Orphan,
    /// A person gives the batch up.
    Cancel,
    /// The reaper takes its references away.
    Reap,
    /// A person retries what failed.
    Retry,
    /// Another worker claims it, and gives it back.
    ClaimAndRelease,
    /// It is submitted again, under another name.
    Submit(&'static str),
}
use Step::{Bad, Cancel, ClaimAndRelease, Orphan, Reap, Retry, Submit, Unknown};

async fn end(world: &World, grant: &Grant, billed: Billed, outcome: Outcome) -> Ended {
    let cost = if billed == Billed::No { MicroUsd::ZERO } else { grant.ceiling };
    let failure = Failure::default();
    let unmade = Unmade { billed, cost, outcome, max_unknown: 0, ..unmade(&failure) };
    world.queue.fail(&attempt(grant), &unmade).await.unwrap()
}

async fn unknown(world: &World, grant: &Grant) -> Ended {
    end(world, grant, Billed::Unknown, Outcome::Retry(Duration::ZERO)).await
}

async fn take(step: Step, world: &World, grant: &Grant) {
    match step {
        Unknown => assert_eq!(unknown(world, grant).await, Ended::Parked),
        Bad => assert_eq!(end(world, grant, Billed::Yes, Outcome::Failed).await, Ended::Failed),
        Orphan => {
            world.expire_leases().await;
            assert_eq!(world.queue.reap(100).await.unwrap().orphaned, 1);
        }
        Cancel => assert!(world.queue.cancel(&id("b"), "changed our mind").await.unwrap()),
        Reap => {
            world.queue.reap(100).await.unwrap();
        }
        Retry => {
            let changed = world.queue.act_on_failures(&[key(0)], FailureAction::Retry).await.unwrap();
            assert_eq!(changed, 1);
        }
        ClaimAndRelease => {
            let rival = world.one().await;
            // Given up while the rival has it.
            world.queue.cancel(&id("b"), "changed our mind").await.unwrap();
            world.queue.reap(100).await.unwrap();
            world.queue.release(&[(rival.key.clone(), rival.token.clone())]).await.unwrap();
        }
        Submit(batch) => {
            let asset = asset(0);
            let lines = [line(1, &asset)];
            world.queue.submit(&head(batch, "shop"), &[(1, asset)], &lines, true).await.unwrap();
            world.queue.seal(&id(batch), 1).await.unwrap();
        }
    }
}

/// Sums of the ledger by kind: how many, and how much.
async fn ledger(world: &World) -> BTreeMap<String, (u64, u64)> {
    let mut sums = BTreeMap::new();
    for (_, entry) in world.queue.ledger("-", 100).await.unwrap() {
        let sum: &mut (u64, u64) = sums.entry(entry.kind).or_default();
        *sum = (sum.0 + 1, sum.1 + entry.cost.parse::<u64>().unwrap());
    }
    sums
}

async fn after(steps: &[Step]) -> (World, Grant) {
    let world = World::new().await;
    // The other one keeps the batch open.
    world.submit("b", "shop", 0..2).await;
    let grant = world.sent().await;
    for step in steps {
        take(*step, &world, &grant).await;
    }
    // A token that has ended is remembered for two minutes; an answer may come later than that.
    let name = format!("{}ended:{}", world.queue.keys().prefix(), grant.token);
    redis::cmd("DEL").arg(name).exec_async(&mut world.redis.clone()).await.unwrap();
    (world, grant)
}

const ORDERS: &[&[Step]] = &[
    &[Unknown],
    &[Unknown, Cancel, Reap, Retry],
    &[Unknown, Cancel, Retry, Reap],
    &[Unknown, Retry, Cancel, Reap],
    &[Unknown, Retry, ClaimAndRelease],
    &[Orphan, Cancel, Reap, Unknown, Retry],
    &[Cancel, Reap, Unknown, Retry],
    &[Unknown, Cancel, Reap, Retry, Submit("again")],
    &[Unknown, Cancel, Retry, Submit("again"), Reap],
    &[Unknown, Retry, Cancel, Reap, Submit("again")],
    &[Unknown, Submit("again"), Cancel, Reap],
    &[Unknown, Retry, ClaimAndRelease, Submit("again")],
];

#[tokio::test]
async fn a_late_image_is_charged_once_and_its_unknown_is_resolved() {
    for steps in ORDERS {
        let (world, late) = after(steps).await;
        unknown(&world, &late).await;
        let before = world.queue.totals().await.unwrap();
        assert_eq!((before.spent.0, before.unknown.0), (20_000, 20_000), "{steps:?}");
        assert_eq!(settle(&world, &late, 7).await, Settled::Done, "{steps:?}");
        assert_eq!(settle(&world, &late, 7).await, Settled::Again, "{steps:?}");
        let totals = world.queue.totals().await.unwrap();
        assert_eq!((totals.spent.0, totals.unknown.0, totals.reserved.0), (7, 0, 0), "{steps:?}");
        assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().spent.0, 7, "{steps:?}");
        let sums = ledger(&world).await;
        let sum = |kind: &str| sums.get(kind).copied().unwrap_or_default();
        let all = [sum("unknown"), sum("resolved"), sum("settled")];
        assert_eq!(all, [(1, 20_000), (1, 20_000), (1, 7)], "{steps:?}");
        assert_eq!(world.phase(&key(0)).await, "done", "{steps:?}");
        if let Some(again) = world.queue.batch(&id("again")).await.unwrap() {
            assert_eq!((again.counts.done, again.state.as_str()), (1, "complete"), "{steps:?}");
        }
        let next = world.claim(5).await.grants;
        assert!(next.iter().all(|grant| grant.key != key(0)), "{steps:?}");
    }
}

#[tokio::test]
async fn a_late_word_that_nothing_was_billed_takes_the_unknown_back() {
    for steps in ORDERS {
        let (world, late) = after(steps).await;
        end(&world, &late, Billed::No, Outcome::Failed).await;
        let totals = world.queue.totals().await.unwrap();
        assert_eq!((totals.spent.0, totals.unknown.0), (0, 0), "{steps:?}");
        let state = world.queue.assets(&[key(0)]).await.unwrap().remove(0);
        assert_eq!(state.map_or(0, |asset| asset.unknowns), 0, "{steps:?}");
    }
}

#[tokio::test]
async fn what_was_paid_for_without_an_image_is_not_charged_again_by_a_replay() {
    for steps in [&[Bad, Cancel, Reap, Retry][..], &[Bad, Retry, Cancel, Reap, Submit("again")]] {
        let (world, late) = after(steps).await;
        end(&world, &late, Billed::Yes, Outcome::Failed).await;
        assert_eq!(world.queue.totals().await.unwrap().spent.0, 20_000, "{steps:?}");
    }
}

#[tokio::test]
async fn an_asset_of_which_redis_knows_only_a_doubt_is_made_all_the_same() {
    let (world, late) = after(&[]).await;
    world.wipe().await;
    world.nothing_spent_before().await;
    unknown(&world, &late).await;
    world.queue.declare_lane(crate::world::LANE, &Default::default()).await.unwrap();
    take(Submit("again"), &world, &late).await;
    let again = world.sent().await;
    assert_eq!((again.key.clone(), again.payer.as_str()), (key(0), "again"));
    assert_eq!(settle(&world, &again, 7).await, Settled::Done);
    assert_eq!(settle(&world, &late, 7).await, Settled::Duplicate);
    let totals = world.queue.totals().await.unwrap();
    assert_eq!((totals.spent.0, totals.unknown.0), (14, 0));
}
