//! The ledger's way to the store, and what was spent before the namespace began.

use std::{collections::BTreeMap, time::Duration};

use pictor_common::{
    MicroUsd,
    ledger::{EntryId, Spend},
    queue::{ArchiveTurn, LedgerEntry, Restored},
};

use crate::{ending::settle, world::World};

const DAY: Duration = Duration::from_secs(86_400);

fn spent(micros: u64) -> Spend {
    Spend { total: MicroUsd(micros), days: BTreeMap::new() }
}

#[tokio::test]
async fn nothing_is_claimed_before_it_is_known_what_was_spent() {
    let world = World::new().await;
    world.wipe().await;
    world.queue.declare_lane(crate::world::LANE, &Default::default()).await.unwrap();
    world.submit("b", "shop", 0..3).await;
    let claimed = world.claim(2).await;
    assert_eq!((claimed.grants.len(), claimed.why.as_str()), (0, "books"));

    let begun = world.queue.begun().await.unwrap();
    assert_eq!(world.queue.restore_spend("1", &spent(7)).await.unwrap(), Restored::Forgot);
    assert_eq!(world.queue.restore_spend(&begun, &spent(70_000)).await.unwrap(), Restored::Now);
    assert_eq!(world.queue.restore_spend(&begun, &spent(70_000)).await.unwrap(), Restored::Before);
    assert_eq!(world.queue.totals().await.unwrap().spent, MicroUsd(70_000));

    world.queue.set_total_cap(Some(MicroUsd(100_000))).await.unwrap();
    assert_eq!(world.claim(2).await.grants.len(), 1, "one ceiling of 20,000 fits");
}

#[tokio::test]
async fn what_is_settled_while_the_books_are_open_is_not_lost() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    world.wipe().await;
    settle(&world, &grant, 16_000).await;
    let begun = world.queue.begun().await.unwrap();
    world.queue.restore_spend(&begun, &spent(5)).await.unwrap();
    assert_eq!(world.queue.totals().await.unwrap().spent, MicroUsd(16_005));
}

#[tokio::test]
async fn a_reaper_says_when_the_namespace_began() {
    let world = World::new().await;
    let first = world.queue.reap(10).await.unwrap().begun;
    assert_eq!(first, world.queue.ledger_epoch().await.unwrap());
    world.wipe().await;
    let second = world.queue.reap(10).await.unwrap().begun;
    assert!(first.is_some() && second.is_some() && first != second);
    assert_eq!(world.queue.begun().await.ok(), second);
}

async fn three_entries(world: &World) -> Vec<EntryId> {
    world.submit("b", "shop", 0..3).await;
    for _ in 0..3 {
        let grant = world.sent().await;
        settle(world, &grant, 16_000).await;
    }
    ids(&world.queue.ledger("-", 10).await.unwrap())
}

fn ids(entries: &[(String, LedgerEntry)]) -> Vec<EntryId> {
    entries.iter().map(|(id, _)| id.parse().unwrap()).collect()
}

async fn turn(world: &World, owner: &str, hurry: bool) -> Result<ArchiveTurn, Duration> {
    world.queue.archive_turn(owner, "here", hurry).await.unwrap()
}

#[tokio::test]
async fn one_worker_at_a_time_archives_and_the_next_goes_on() {
    let world = World::new().await;
    let ids = three_entries(&world).await;
    let first = turn(&world, "a", false).await.unwrap();
    assert_eq!(first.after, EntryId::default());
    assert_eq!(world.queue.unarchived(&first).await.unwrap().len(), 3);
    assert!(turn(&world, "b", true).await.is_err(), "not while another has the turn");
    let goes_on = world.queue.archived("a", "here", &first, ids[1], DAY, false).await.unwrap().unwrap();
    assert_eq!(goes_on.after, ids[1]);
    assert_eq!(world.queue.archived("a", "here", &goes_on, ids[1], DAY, true).await.unwrap(), None);

    let wait = turn(&world, "b", false).await.unwrap_err();
    assert!(wait > Duration::from_secs(5) && wait <= Duration::from_secs(10), "{wait:?}");
    let next = turn(&world, "b", true).await.unwrap();
    assert_eq!((next.after, world.queue.unarchived(&next).await.unwrap().len()), (ids[1], 1));
    assert_eq!(world.queue.archived("a", "here", &first, ids[2], DAY, true).await.unwrap(), None, "too late");
    assert_eq!(turn(&world, "b", true).await.unwrap().after, ids[1]);
    let elsewhere = world.queue.archive_turn("b", "there", true).await.unwrap().unwrap();
    assert_eq!(elsewhere.after, EntryId::default(), "another store has nothing yet");
}

#[tokio::test]
async fn only_what_is_archived_and_old_leaves_redis() {
    let world = World::new().await;
    let mut redis = world.redis.clone();
    let entry = r#"{"kind":"settled","key":"k","token":"t","attempt":"1","cost":"1","batch":"b","tenant":"s","lane":"l","model":"m","request_id":"","at":"1"}"#;
    // A stream is trimmed by whole nodes, of a hundred entries.
    for id in 1..=1_000 {
        let add = redis::cmd("XADD")
            .arg(world.queue.keys().ledger())
            .arg(format!("{id}-0"))
            .arg("entry")
            .arg(entry)
            .to_owned();
        add.exec_async(&mut redis).await.unwrap();
    }
    let left = async || world.queue.ledger("-", 2_000).await.unwrap().len();
    let at = |ms| EntryId { ms, number: 0 };
    let first = turn(&world, "a", false).await.unwrap();
    let years = DAY * 365 * 100;
    let next = world.queue.archived("a", "here", &first, at(500), years, false).await.unwrap().unwrap();
    assert_eq!(left().await, 1_000, "old enough is nothing");
    let next = world.queue.archived("a", "here", &next, at(600), DAY, false).await.unwrap().unwrap();
    let now = left().await;
    assert!((401..=500).contains(&now), "{now} left of 1000 with 600 archived");
    assert!(ids(&world.queue.ledger("-", 1).await.unwrap())[0] <= at(600));
    world.queue.archived("a", "here", &next, at(1_000), DAY, true).await.unwrap();
    assert!(left().await <= 100);
}
