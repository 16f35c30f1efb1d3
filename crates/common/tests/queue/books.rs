//! The ledger's way to the store, and what was spent before the namespace began.

use std::{sync::Arc, time::Duration};

use jiff::tz::{Offset, TimeZone};
use pictor_common::{
    MicroUsd,
    ledger::{Archive, EntryId, Spend},
    queue::{ArchiveTurn, CapOf, HeldPhase, LedgerEntry, Restored},
};

use crate::{
    ending::settle,
    memory::MemoryStore,
    world::{LEASE, World, held},
};

const DAY: Duration = Duration::from_secs(86_400);

fn spent(micros: u64) -> Spend {
    Spend { total: MicroUsd(micros), ..Spend::default() }
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

    world.cap(CapOf::Total, Some(MicroUsd(100_000))).await;
    assert_eq!(world.claim(2).await.grants.len(), 1, "one ceiling of 20,000 fits");
}

/// Archives the ledger, wipes Redis, and brings back what was spent.
async fn wipe_and_restore(world: &World, caps: &[CapOf], cap: u64) {
    let archive = Archive::new(Arc::new(MemoryStore::default()), "test");
    let entries = world.queue.ledger("-", 100).await.unwrap();
    let entries: Vec<_> = entries.into_iter().map(|(id, entry)| (id.parse().unwrap(), entry)).collect();
    // In segments that overlap, as two workers may leave them.
    let epoch = world.queue.begun().await.unwrap();
    for some in [&entries[..1], &entries[..]] {
        archive.write(&epoch, some).await.unwrap();
    }
    world.wipe().await;
    world.queue.declare_lane(crate::world::LANE, &Default::default()).await.unwrap();
    for of in caps {
        world.cap(of.clone(), Some(MicroUsd(cap))).await;
    }
    let begun = world.queue.begun().await.unwrap();
    let spend = archive.spend(&begun, world.queue.current_days(), world.queue.zone()).await.unwrap();
    assert_eq!(world.queue.restore_spend(&begun, &spend).await.unwrap(), Restored::Now);
    let none = archive.spend(&epoch, world.queue.current_days(), world.queue.zone()).await.unwrap();
    assert_eq!(none, Spend::default(), "what this beginning has spent is in its purses");
}

/// A world whose days are not those of UTC now, in which two tenants have spent 16,000 each.
async fn two_have_spent() -> World {
    let mut world = World::new().await;
    let hour = jiff::Timestamp::now().as_second().rem_euclid(86_400) / 3_600;
    let offset = Offset::constant(if hour < 12 { -12 } else { 12 });
    world.queue = world.queue.clone().in_zone(offset.to_time_zone());
    for (tenant, row) in [("shop", 0), ("rival", 1)] {
        world.submit(tenant, tenant, row..row + 1).await;
        let grant = world.sent().await;
        settle(&world, &grant, 16_000).await;
    }
    world
}

#[tokio::test]
async fn caps_of_a_day_hold_through_a_wipe() {
    let world = two_have_spent().await;
    let before = world.queue.budget().await.unwrap();
    assert_eq!(before.money.today.spent, MicroUsd(32_000));
    wipe_and_restore(&world, &[CapOf::Day], 60_000).await;
    let after = world.queue.budget().await.unwrap();
    assert_eq!((&after.day, &after.money.days), (&before.day, &before.money.days));
    assert_eq!(after.money.total.spent, MicroUsd(32_000));
    for (was, is) in before.tenants.iter().zip(&after.tenants) {
        assert_eq!((&is.tenant, &is.money), (&was.tenant, &was.money));
    }
    assert_eq!(after.tenants.len(), 2);

    world.submit("more", "shop", 10..15).await;
    let claimed = world.claim(5).await;
    assert_eq!((claimed.grants.len(), claimed.why.as_str()), (1, "budget"), "28,000 were left of the day");
}

#[tokio::test]
async fn caps_of_tenants_hold_through_a_wipe() {
    for of in [CapOf::Tenant("shop".into()), CapOf::TenantDay("shop".into())] {
        let world = two_have_spent().await;
        wipe_and_restore(&world, std::slice::from_ref(&of), 40_000).await;
        world.submit("more", "shop", 10..15).await;
        world.submit("others", "rival", 20..25).await;
        let grants = world.claim(10).await.grants;
        let paid_by = |batch: &str| grants.iter().filter(|grant| grant.payer == batch).count();
        assert_eq!((paid_by("more"), paid_by("others")), (1, 5), "{of}: 24,000 were left of it");
    }
}

#[tokio::test]
async fn parts_of_a_cap_that_were_announced_are_not_again() {
    let mut world = two_have_spent().await;
    let (speaker, mut heard) = tokio::sync::mpsc::unbounded_channel();
    world.queue = world.queue.clone().with_alerts(speaker);
    wipe_and_restore(&world, &[CapOf::Total, CapOf::Day], 60_000).await;
    world.submit("more", "shop", 10..11).await;
    let grant = world.sent().await;
    settle(&world, &grant, 16_000).await;
    let told: Vec<_> = std::iter::from_fn(|| heard.try_recv().ok()).map(|alert| alert.percent).collect();
    assert_eq!(told, [80, 80], "32,000 of 60,000 were known, now it is 48,000");
}

#[tokio::test]
async fn what_was_spent_long_ago_counts_in_all_and_of_its_tenant() {
    let world = two_have_spent().await;
    let mut entries = world.queue.ledger("-", 100).await.unwrap();
    let (_, mut doubt) = entries.pop().unwrap();
    doubt.kind = "unknown".to_owned();
    let resolved = LedgerEntry { kind: "resolved".to_owned(), ..doubt.clone() };
    let today = world.queue.current_days();
    let yesterday = today.start().yesterday().unwrap().to_string();
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
    let at = |number| EntryId { ms: now, number };
    let old = |number| EntryId { ms: 1_000, number };
    let archive = Archive::new(Arc::new(MemoryStore::default()), "test");
    let crowd: Vec<_> = (1..=60)
        .map(|n| {
            let (tenant, day, at) = (format!("tenant{n}"), String::new(), "1000000".to_owned());
            (old(n), LedgerEntry { tenant, day, at, ..doubt.clone() })
        })
        .collect();
    archive.write("a", &crowd).await.unwrap();
    archive
        .write("a", &[(old(100), LedgerEntry { day: "1970-01-01".to_owned(), ..doubt.clone() })])
        .await
        .unwrap();
    // A doubt of yesterday that is cleared up today leaves today's money alone.
    archive.write("b", &[(at(1), LedgerEntry { day: yesterday.clone(), ..resolved })]).await.unwrap();
    archive.write("b", &[(at(2), doubt.clone())]).await.unwrap();
    let spend = archive.spend("c", today, world.queue.zone()).await.unwrap();
    assert_eq!(spend.total, MicroUsd(16_000 * 61));
    assert_eq!((spend.tenants.len(), spend.tenants["tenant7"]), (61, MicroUsd(16_000)));
    assert_eq!(spend.tenants["rival"], MicroUsd(16_000));
    let of_today: Vec<_> = spend.days.into_iter().map(|(day, of)| (day.to_string(), of)).collect();
    assert_eq!(of_today, [(doubt.day, [("rival".to_owned(), MicroUsd(16_000))].into())]);
}

#[tokio::test]
async fn an_entry_says_the_day_its_money_was_set_aside() {
    let world = two_have_spent().await;
    let day = world.queue.budget().await.unwrap().day;
    for (_, entry) in world.queue.ledger("-", 10).await.unwrap() {
        let utc = entry.at.parse::<i64>().map(jiff::Timestamp::from_microsecond).unwrap().unwrap();
        assert_eq!(entry.day, day);
        assert_ne!(entry.day, utc.to_zoned(TimeZone::UTC).date().to_string());
    }
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

#[tokio::test]
async fn what_is_written_after_a_wipe_is_not_archived_as_of_before() {
    let world = World::new().await;
    three_entries(&world).await;
    let old = turn(&world, "a", false).await.unwrap();
    world.wipe().await;
    let begun = world.queue.begun().await.unwrap();
    assert_ne!(begun, old.epoch);
    world.nothing_spent_before().await;
    world.queue.declare_lane(crate::world::LANE, &Default::default()).await.unwrap();
    three_entries(&world).await;
    assert_eq!(world.queue.unarchived(&old).await.unwrap(), [], "they are of another beginning");
}

#[tokio::test]
async fn what_a_forgotten_batch_pays_counts_for_its_tenant() {
    let world = World::new().await;
    world.submit("b", "shop", 0..3).await;
    let (paid, renewed) = (world.sent().await, world.sent().await);
    assert_eq!(paid.tenant, "shop");
    world.wipe().await;
    world.nothing_spent_before().await;
    world.queue.extend(&[held(&renewed, HeldPhase::Sent)], LEASE).await.unwrap();
    settle(&world, &paid, 16_000).await;
    let of_shop = async || {
        let budget = world.queue.budget().await.unwrap();
        let shop = budget.tenants.iter().find(|of| of.tenant == "shop").expect("it has money");
        let (total, today) = (&shop.money.total, &shop.money.today);
        assert_eq!((total.spent, total.reserved), (today.spent, today.reserved));
        (total.spent.0, total.reserved.0)
    };
    assert_eq!(of_shop().await, (16_000, 20_000), "what is on its way is set aside");
    settle(&world, &renewed, 16_000).await;
    assert_eq!(of_shop().await, (32_000, 0));
    for (_, entry) in world.queue.ledger("-", 10).await.unwrap() {
        assert_eq!(entry.tenant, "shop");
    }
}

#[tokio::test]
async fn a_reaper_says_in_which_epoch_that_is() {
    let world = World::new().await;
    let reaped = world.queue.reap(10).await.unwrap();
    assert_eq!(reaped.epoch, Some(world.queue.epoch().await.unwrap()));
    assert_eq!(reaped.epoch.map(|epoch| epoch.begun().to_owned()), reaped.begun);
}
