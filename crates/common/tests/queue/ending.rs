//! Settle, fail, orphans, late owners: what ends an attempt, and what it costs.

use std::time::Duration;

use pictor_common::{
    MicroUsd,
    batch::Made,
    queue::{Billed, Ended, Failure, FailureAction, Fault, Grant, Orphan, Outcome, Refusal, Settled, Unmade},
};

use crate::world::{World, attempt, id, key, unmade};

pub(crate) async fn settle(world: &World, grant: &Grant, cost: u64) -> Settled {
    let made = Made { object: "o".into(), cost: MicroUsd(cost), ..Made::default() };
    world.queue.settle(&attempt(grant), &made).await.unwrap()
}

pub(crate) async fn fail(world: &World, grant: &Grant, billed: Billed, outcome: Outcome) -> Ended {
    end(world, grant, billed, outcome, (None, None)).await
}

/// A refusal that the lane learns from.
pub(crate) async fn refused(world: &World, grant: &Grant, refusal: &Refusal) -> Ended {
    end(world, grant, Billed::No, Outcome::Refused(Duration::ZERO), (Some(refusal), None)).await
}

/// A failure of the API.
pub(crate) async fn fault(world: &World, grant: &Grant, epoch: u64) -> Ended {
    let fault = Fault { reason: "HTTP 500", epoch };
    end(world, grant, Billed::No, Outcome::Retry(Duration::from_secs(60)), (None, Some(fault))).await
}

async fn end(
    world: &World,
    grant: &Grant,
    billed: Billed,
    outcome: Outcome,
    (refusal, fault): (Option<&Refusal>, Option<Fault<'_>>),
) -> Ended {
    let cost = if billed == Billed::No { MicroUsd::ZERO } else { grant.ceiling };
    let failure = Failure { class: "server_error".into(), ..Failure::default() };
    let unmade = Unmade { billed, cost, outcome, refusal, fault, ..unmade(&failure) };
    world.queue.fail(&attempt(grant), &unmade).await.unwrap()
}

pub(crate) async fn refuse(world: &World, grant: &Grant) -> Ended {
    fail(world, grant, Billed::No, Outcome::Refused(Duration::ZERO)).await
}

/// Fails for good.
pub(crate) async fn give_up(world: &World, grant: &Grant) -> Ended {
    fail(world, grant, Billed::No, Outcome::Failed).await
}

pub(crate) async fn later(world: &World, grant: &Grant, delay: Duration) -> Ended {
    fail(world, grant, Billed::No, Outcome::Retry(delay)).await
}

pub(crate) async fn unknown(world: &World, grant: &Grant) -> Ended {
    fail(world, grant, Billed::Unknown, NOW).await
}

/// A reaper's word that nobody knows.
pub(crate) async fn doubt(world: &World, orphan: &Orphan) -> Ended {
    let failure = Failure { class: "unknown_outcome".into(), ..Failure::default() };
    let unmade = Unmade {
        billed: Billed::Unknown,
        cost: orphan.ceiling,
        outcome: NOW,
        doubt: true,
        ..unmade(&failure)
    };
    world.queue.fail(&orphan.attempt, &unmade).await.unwrap()
}

const NOW: Outcome = Outcome::Retry(Duration::ZERO);

#[tokio::test]
async fn settling_twice_counts_once() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    assert_eq!(settle(&world, &grant, 16_000).await, Settled::Done);
    assert_eq!(settle(&world, &grant, 16_000).await, Settled::Again);
    let totals = world.queue.totals().await.unwrap();
    assert_eq!((totals.spent.0, totals.reserved.0), (16_000, 0));
    let ledger = world.queue.ledger("-", 10).await.unwrap();
    assert_eq!(ledger.len(), 1);
    assert_eq!((ledger[0].1.kind.as_str(), ledger[0].1.tenant.as_str()), ("settled", "shop"));
}

#[tokio::test]
async fn an_unbilled_failure_is_retried_and_costs_nothing() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    assert_eq!(fail(&world, &grant, Billed::No, NOW).await, Ended::Retry);
    assert_eq!(fail(&world, &grant, Billed::No, NOW).await, Ended::Lost, "said twice, done once");
    let second = world.sent().await;
    assert_eq!(second.attempts, 1);
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 0);
}

#[tokio::test]
async fn a_retry_waits_for_its_time() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    fail(&world, &grant, Billed::No, Outcome::Retry(Duration::from_millis(300))).await;
    let claimed = world.claim(1).await;
    assert!(claimed.grants.is_empty() && claimed.sleep <= Duration::from_millis(300), "{claimed:?}");
    assert_eq!(world.submit("b", "shop", 0..1).await.queued, 1);
    assert!(world.claim(1).await.grants.is_empty(), "submitting again does not jump the wait");
    tokio::time::sleep(claimed.sleep + Duration::from_millis(5)).await;
    assert_eq!(world.claim(1).await.grants.len(), 1);
}

#[tokio::test]
async fn a_refusal_is_not_an_attempt() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    fail(&world, &grant, Billed::No, Outcome::Refused(Duration::ZERO)).await;
    assert_eq!(world.one().await.attempts, 0);
}

#[tokio::test]
async fn failed_assets_stay_failed_until_retried() {
    let world = World::new().await;
    world.submit("b", "shop", 0..2).await;
    for grant in world.claim(2).await.grants {
        world.begin(&grant).await;
        assert_eq!(fail(&world, &grant, Billed::No, Outcome::Failed).await, Ended::Failed);
    }
    let batch = world.queue.batch(&id("b")).await.unwrap().unwrap();
    assert_eq!((batch.counts.failed, batch.state.as_str()), (2, "complete"));
    assert_eq!(world.submit("b", "shop", 0..2).await.failed, 2);
    assert_eq!(world.queue.failures(0, 10).await.unwrap().len(), 2);
    assert_eq!(world.queue.act_on_failures(&[key(0)], FailureAction::Retry).await.unwrap(), 1);
    assert_eq!(world.queue.act_on_failures(&[key(1)], FailureAction::Discard).await.unwrap(), 1);
    assert_eq!(world.queue.failure_count().await.unwrap(), 0);
    let batch = world.queue.batch(&id("b")).await.unwrap().unwrap();
    assert_eq!((batch.counts.failed, batch.state.as_str()), (1, "open"));
    settle(&world, &world.sent().await, 1).await;
    assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().state, "complete");
}

#[tokio::test]
async fn a_second_unknown_parks() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let first = world.sent().await;
    assert_eq!(fail(&world, &first, Billed::Unknown, NOW).await, Ended::Retry);
    let second = world.sent().await;
    assert_eq!(second.unknowns, 1);
    assert_eq!(fail(&world, &second, Billed::Unknown, NOW).await, Ended::Parked);
    let totals = world.queue.totals().await.unwrap();
    assert_eq!((totals.spent.0, totals.unknown.0, totals.reserved.0), (40_000, 40_000, 0));
    assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().counts.parked, 1);
}

#[tokio::test]
async fn a_silent_owner_leaves_an_orphan_and_its_late_settle_ends_it() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    world.expire_leases().await;
    let reaped = world.queue.reap(100).await.unwrap();
    assert_eq!((reaped.orphaned, reaped.orphans.len(), reaped.orphans[0].last), (1, 1, false));
    assert_eq!(world.phase(&grant.key).await, "orphan");
    assert!(world.claim(5).await.grants.is_empty(), "a paid request is not sent again while in doubt");
    assert_eq!(settle(&world, &grant, 3).await, Settled::Done);
    assert_eq!(world.phase(&grant.key).await, "done");
}

#[tokio::test]
async fn past_its_deadline_an_orphan_is_looked_for_once_more() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.one().await;
    let begun =
        world.queue.begin(&grant.key, &grant.token, Duration::ZERO, crate::world::LEASE).await.unwrap();
    assert!(matches!(begun, pictor_common::queue::Begun::Go { .. }));
    world.expire_leases().await;
    let reaped = world.queue.reap(100).await.unwrap();
    assert!(reaped.orphans.iter().any(|o| o.last), "{reaped:?}");
    assert!(world.queue.reap(100).await.unwrap().orphans.is_empty(), "one reaper looks at a time");
    assert_eq!(fail(&world, &grant, Billed::Unknown, NOW).await, Ended::Retry);
    let rival = world.sent().await;
    assert_eq!(settle(&world, &grant, 3).await, Settled::Done, "the late owner's image counts");
    let totals = world.queue.totals().await.unwrap();
    assert_eq!((totals.spent.0, totals.unknown.0), (3, 0), "the unknown turned out");
    assert_eq!(settle(&world, &rival, 4).await, Settled::Duplicate);
    let totals = world.queue.totals().await.unwrap();
    assert_eq!((totals.spent.0, totals.reserved.0), (7, 0));
    let kinds: Vec<String> =
        world.queue.ledger("-", 10).await.unwrap().into_iter().map(|(_, e)| e.kind).collect();
    assert_eq!(kinds, ["unknown", "resolved", "settled", "settled"]);
}

#[tokio::test]
async fn a_late_settle_revokes_a_rival_that_has_not_sent() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let late = world.sent().await;
    fail(&world, &late, Billed::Unknown, NOW).await;
    let rival = world.one().await;
    assert_eq!(settle(&world, &late, 9).await, Settled::Done);
    assert_eq!(world.begin(&rival).await, pictor_common::queue::Begun::No("lost".into()));
    let totals = world.queue.totals().await.unwrap();
    assert_eq!((totals.spent.0, totals.reserved.0), (9, 0));
}
