//! Scenarios in which an earlier draft lost money, assets or reservations.

use std::time::Duration;

use pictor_common::{
    MicroUsd,
    queue::{Begun, Billed, Ended, Failure, Grant, HeldAsset, HeldPhase, Hold, Outcome, Settled, Unmade},
};

use crate::{
    ending::settle,
    world::{LEASE, World, attempt, head, held, id, unmade},
};

async fn unknown(world: &World, grant: &Grant, doubt: bool) -> Ended {
    let failure = Failure::default();
    let unmade = Unmade {
        billed: Billed::Unknown,
        cost: grant.ceiling,
        outcome: Outcome::Retry(Duration::ZERO),
        doubt,
        ..unmade(&failure)
    };
    world.queue.fail(&attempt(grant), &unmade).await.unwrap()
}

async fn unbilled(world: &World, grant: &Grant) -> Ended {
    crate::ending::refuse(world, grant).await
}

fn received(grant: &Grant) -> HeldAsset {
    held(grant, HeldPhase::Received)
}

#[tokio::test]
async fn a_reapers_doubt_is_void_when_the_owner_is_back() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    world.expire_leases().await;
    assert_eq!(world.queue.reap(100).await.unwrap().orphaned, 1);
    assert_eq!(world.queue.extend(&[received(&grant)], LEASE).await.unwrap(), [Hold::Ok]);
    assert_eq!(unknown(&world, &grant, true).await, Ended::Lost);
    assert!(world.claim(5).await.grants.is_empty(), "it is not bought again");
    assert_eq!(settle(&world, &grant, 5).await, Settled::Done);
    assert_eq!(world.queue.totals().await.unwrap().unknown, MicroUsd::ZERO);
}

#[tokio::test]
async fn what_was_sent_on_a_server_that_forgot_it_is_on_the_books_of_the_one_that_has_only_the_claim() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    // Sent, and ended without anybody knowing how, in a second that this server knows nothing of.
    let claimed = world.one().await;
    assert_eq!(unknown(&world, &claimed, true).await, Ended::Retry);
    let totals = world.queue.totals().await.unwrap();
    assert_eq!((totals.unknown, totals.reserved), (claimed.ceiling, MicroUsd::ZERO));
    assert_eq!(unknown(&world, &claimed, true).await, Ended::Lost, "once");
    assert_eq!(world.queue.totals().await.unwrap().unknown, claimed.ceiling);
    assert_eq!(world.sent().await.unknowns, 1);
}

#[tokio::test]
async fn who_has_sent_since_on_a_server_that_forgot_it_has_time_to_say_so() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    // What this server takes for sent still has ended, and another attempt was sent, in a second that it never got.
    let first = world.sent().await;
    let since = HeldAsset { token: "01JC0000000000000000000009-1".to_owned(), ..received(&first) };
    assert_eq!(world.queue.extend(std::slice::from_ref(&since), LEASE).await.unwrap(), [Hold::Lost]);
    let failure = Failure::default();
    let told = Unmade {
        billed: Billed::Unknown,
        cost: first.ceiling,
        outcome: Outcome::Retry(Duration::from_secs(10)),
        ..unmade(&failure)
    };
    assert_eq!(world.queue.fail(&attempt(&first), &told).await.unwrap(), Ended::Retry);
    assert!(world.claim(5).await.grants.is_empty(), "not at once");
    assert_eq!(world.queue.extend(&[since], LEASE).await.unwrap(), [Hold::Restored]);
    assert!(world.claim(5).await.grants.is_empty(), "it is on its way");
    let totals = world.queue.totals().await.unwrap();
    assert_eq!((totals.unknown, totals.reserved), (first.ceiling, first.ceiling));
}

#[tokio::test]
async fn who_yields_to_a_later_one_on_such_a_server_is_on_the_books_too() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    // Sent, ended in doubt, claimed and sent by another one: all of it forgotten.
    let first = world.one().await;
    let second = HeldAsset { token: "later-1".to_owned(), ..held(&first, HeldPhase::Sent) };
    assert_eq!(world.queue.extend(&[second], LEASE).await.unwrap(), [Hold::Restored]);
    assert_eq!(unknown(&world, &first, true).await, Ended::Lost);
    let totals = world.queue.totals().await.unwrap();
    assert_eq!((totals.unknown, totals.reserved), (first.ceiling, first.ceiling));
}

#[tokio::test]
async fn what_a_server_knows_only_as_waiting_is_parked_when_there_were_too_many_unknowns() {
    for claimed_by_another in [false, true] {
        let world = World::new().await;
        world.submit("b", "shop", 0..1).await;
        let first = world.sent().await;
        assert_eq!(unknown(&world, &first, false).await, Ended::Retry);
        // The second was claimed and sent in the second that is forgotten.
        let rival = if claimed_by_another { Some(world.one().await) } else { None };
        let second = Grant { token: "forgotten-1".to_owned(), ..first.clone() };
        assert_eq!(unknown(&world, &second, true).await, Ended::Parked);
        assert!(world.claim(5).await.grants.is_empty(), "it is not sent a third time");
        if let Some(rival) = &rival {
            let late = world.begin(rival).await;
            assert!(!matches!(late, Begun::Go { .. }), "{late:?}");
        }
        let totals = world.queue.totals().await.unwrap();
        assert_eq!((totals.unknown.0, totals.reserved.0), (2 * first.ceiling.0, 0));
        assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().counts.parked, 1);
        assert_eq!(unknown(&world, &second, true).await, Ended::Lost, "said again, it changes nothing");
        assert_eq!(settle(&world, &second, 5).await, Settled::Done, "a late image ends it");
        assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().counts.parked, 0);
    }
}

#[tokio::test]
async fn what_costs_nothing_ends_like_everything_else() {
    let world = World::new().await;
    let mut free = crate::world::asset(0);
    free.ceiling = MicroUsd::ZERO;
    world.queue.submit(&head("b", "shop"), &[(0, free)], &[], false).await.unwrap();
    let grant = world.sent().await;
    assert_eq!(settle(&world, &grant, 0).await, Settled::Done);
    assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().counts.done, 1);
}

#[tokio::test]
async fn an_overtaken_rival_that_dies_leaves_an_unknown_and_no_reservation() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let late = world.sent().await;
    unknown(&world, &late, false).await;
    let rival = world.one().await;
    let begun = world.queue.begin(&rival.key, &rival.token, Duration::ZERO, LEASE).await.unwrap();
    assert!(matches!(begun, Begun::Go { .. }));
    assert_eq!(settle(&world, &late, 9).await, Settled::Done);
    world.expire_leases().await;
    let mut orphans = world.queue.reap(100).await.unwrap().orphans;
    orphans.extend(world.queue.reap(100).await.unwrap().orphans);
    let orphan = orphans.iter().find(|o| o.attempt.token == rival.token).expect("the rival is looked for");
    assert!(orphan.last);
    assert_eq!(unknown(&world, &rival, true).await, Ended::Lost);
    let totals = world.queue.totals().await.unwrap();
    assert_eq!((totals.spent.0, totals.unknown.0, totals.reserved.0), (20_009, 20_000, 0));
}

#[tokio::test]
async fn nobody_doubts_what_was_recorded_and_the_owners_word_corrects_a_doubt() {
    let world = World::new().await;
    world.submit("b", "shop", 0..2).await;
    let (told, doubted) = (world.sent().await, world.sent().await);
    unbilled(&world, &told).await;
    assert_eq!(unknown(&world, &told, false).await, Ended::Lost, "a replay after the failure was recorded");
    unknown(&world, &doubted, false).await;
    unbilled(&world, &doubted).await;
    let totals = world.queue.totals().await.unwrap();
    assert_eq!((totals.spent.0, totals.unknown.0, totals.reserved.0), (0, 0, 0));
}

#[tokio::test]
async fn a_batch_that_was_restored_first_keeps_its_reservations() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    world.wipe().await;
    world.queue.extend(&[received(&grant)], LEASE).await.unwrap();
    world.submit("b", "shop", 0..1).await;
    settle(&world, &grant, 7).await;
    let batch = world.queue.batch(&id("b")).await.unwrap().unwrap();
    assert_eq!((batch.reserved.0, batch.spent.0), (0, 7));
}

#[tokio::test]
async fn a_wiped_server_grants_nothing_before_the_limits_are_said_again() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    world.wipe().await;
    world.nothing_spent_before().await;
    world.submit("b", "shop", 0..1).await;
    let claimed = world.claim(5).await;
    assert_eq!((claimed.grants.len(), claimed.why.as_str()), (0, "undeclared"));
}

#[tokio::test]
async fn a_raised_cap_lets_a_held_batch_go_on() {
    let world = World::new().await;
    let mut capped = head("b", "shop");
    capped.cap = Some(MicroUsd(10_000));
    world.queue.submit(&capped, &[(0, crate::world::asset(0))], &[], false).await.unwrap();
    assert!(world.claim(5).await.grants.is_empty());
    capped.cap = Some(MicroUsd(20_000));
    world.queue.submit(&capped, &[], &[], false).await.unwrap();
    assert_eq!(world.claim(5).await.grants.len(), 1);
}

#[tokio::test]
async fn claiming_alone_keeps_a_namespace_out_of_grace() {
    let world = World::with(Duration::from_millis(50), &pictor_common::queue::LaneLimits::default()).await;
    world.submit("b", "shop", 0..1).await;
    let stamp = || async {
        let mut redis = world.redis.clone();
        let name = format!("{}meta", world.queue.keys().prefix());
        redis::cmd("HGET").arg(name).arg("stamp").query_async::<u64>(&mut redis).await.unwrap()
    };
    world.claim(0).await;
    let first = stamp().await;
    while world.claim(0).await.why == "grace" {}
    world.claim(0).await;
    assert!(stamp().await > first);
}
