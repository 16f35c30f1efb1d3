//! Caps of a day, a tenant, a batch and in all: nothing exceeds them, and nothing is lost to them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{Timestamp, tz::Offset};
use pictor_common::{
    MicroUsd,
    queue::{
        Alert, Budget, CapOf, Counter, HeldPhase, Hold, LaneLimits, Setter, TenantMoney, WasSet, Which, Why,
        why,
    },
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{
    ending::{self, settle},
    world::{LANE, LEASE, World, head, held, id},
};

const CEILING: u64 = 20_000;

/// A world whose day ends so many seconds from now.
async fn day_ends_in(seconds: i64) -> World {
    let mut world = World::new().await;
    let into_day = Timestamp::now().as_second().rem_euclid(86_400);
    let mut offset = 86_400 - seconds - into_day;
    if offset > 43_200 {
        offset -= 86_400;
    }
    let offset = Offset::from_seconds(i32::try_from(offset).unwrap()).unwrap();
    world.queue = world.queue.clone().in_zone(offset.to_time_zone());
    world
}

async fn budget(world: &World) -> Budget {
    world.queue.budget().await.unwrap()
}

async fn tenant(world: &World, name: &str) -> TenantMoney {
    budget(world).await.tenants.into_iter().find(|money| money.tenant == name).unwrap()
}

async fn held_word(world: &World, batch: &str) -> Option<String> {
    world.queue.batch(&id(batch)).await.unwrap().unwrap().held
}

async fn reasons(world: &World, batch: &str) -> Vec<Why> {
    let overview = world.queue.overview(Which::These(&[id(batch)])).await.unwrap();
    why(&overview.batches[0], &overview)
}

fn money(counter: &Counter) -> (u64, u64) {
    (counter.spent.0, counter.reserved.0)
}

async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "it did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_cap_of_a_day_begins_anew_at_midnight_and_each_day_pays_for_its_own() {
    let world = day_ends_in(3).await;
    let yesterday = budget(&world).await.day;
    world.cap(CapOf::Day, Some(MicroUsd(2 * CEILING))).await;
    world.submit("b", "shop", 0..10).await;
    let claimed = world.claim(10).await;
    assert_eq!((claimed.grants.len(), claimed.why.as_str()), (2, "budget"));
    settle(&world, &claimed.grants[0], CEILING).await;
    let told = reasons(&world, "b").await;
    let resets_at = budget(&world).await.resets_at;
    let day =
        |why: &Why| matches!(why, Why::Budget { of: CapOf::Day, until: Some(at), .. } if *at == resets_at);
    assert!(told.iter().any(day), "{told:?}");

    let next = until(async || Some(world.claim(10).await.grants).filter(|grants| !grants.is_empty())).await;
    assert_eq!(next.len(), 2, "as much as the new day allows");
    // Set aside yesterday: it is yesterday's money, whenever it is settled.
    settle(&world, &claimed.grants[1], 15_000).await;
    settle(&world, &next[0], 8_000).await;
    world.queue.release(&[(next[1].key.clone(), next[1].token.clone())]).await.unwrap();
    let now = budget(&world).await;
    assert_ne!(now.day, yesterday);
    assert_eq!((money(&now.money.today), money(&now.money.total)), ((8_000, 0), (43_000, 0)));
    let days: Vec<_> = now.money.days.iter().map(|day| (day.day.clone(), day.spent.0)).collect();
    assert_eq!(days, [(yesterday, 35_000), (now.day.clone(), 8_000)]);
    assert_eq!(tenant(&world, "shop").await.money.days, now.money.days);
}

#[tokio::test]
async fn a_tenant_over_its_cap_is_held_and_goes_on_when_money_comes_back() {
    let world = World::new().await;
    world.cap(CapOf::Tenant("shop".into()), Some(MicroUsd(2 * CEILING))).await;
    world.submit("first", "shop", 0..3).await;
    world.submit("second", "shop", 10..13).await;
    world.submit("other", "rival", 20..25).await;
    let grants = world.claim(20).await.grants;
    let of = |payer: &str| grants.iter().filter(|grant| grant.payer == payer).collect::<Vec<_>>();
    assert_eq!((of("first").len(), of("second").len(), of("other").len()), (2, 0, 5), "nobody else is kept");
    assert_eq!(held_word(&world, "first").await.as_deref(), Some("tenant_cap"));
    assert_eq!(held_word(&world, "second").await.as_deref(), Some("tenant_cap"));
    let told = &reasons(&world, "second").await[0];
    let reserved = MicroUsd(2 * CEILING);
    let shop = CapOf::Tenant("shop".into());
    assert_eq!(
        *told,
        Why::Budget { of: shop.clone(), until: None, cap: reserved, spent: MicroUsd::ZERO, reserved }
    );

    // What is set aside may be sent though its flow is held.
    assert!(matches!(world.begin(of("first")[0]).await, pictor_common::queue::Begun::Go { .. }));
    settle(&world, of("first")[0], 10_000).await;
    assert!(world.claim(20).await.grants.is_empty(), "half a ceiling came back");
    settle(&world, of("first")[1], 10_000).await;
    let next = world.claim(20).await.grants;
    assert_eq!(
        next.iter().map(|grant| grant.payer.as_str()).collect::<Vec<_>>(),
        ["first"],
        "the elder first"
    );
    settle(&world, &next[0], CEILING).await;
    assert!(world.claim(20).await.grants.is_empty());
    assert_eq!(money(&tenant(&world, "shop").await.money.total), (2 * CEILING, 0));

    world.cap(shop, Some(MicroUsd(10 * CEILING))).await;
    assert_eq!(world.claim(20).await.grants.len(), 3, "raising it finishes the rest");
}

#[tokio::test]
async fn a_tenant_held_for_the_day_goes_on_after_midnight_by_itself() {
    let world = day_ends_in(3).await;
    world.cap(CapOf::TenantDay("shop".into()), Some(MicroUsd(CEILING))).await;
    world.submit("b", "shop", 0..2).await;
    let grants = world.claim(5).await.grants;
    assert_eq!(grants.len(), 1);
    settle(&world, &grants[0], CEILING).await;
    assert_eq!(held_word(&world, "b").await.as_deref(), Some("tenant_day_cap"));
    let told = reasons(&world, "b").await;
    assert!(
        matches!(&told[..], [.., Why::Budget { of: CapOf::TenantDay(_), until: Some(_), .. }]),
        "{told:?}"
    );
    let next = until(async || {
        world.queue.reap(100).await.unwrap();
        world.claim(5).await.grants.pop()
    })
    .await;
    settle(&world, &next, 1).await;
    assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().state, "complete");
}

#[tokio::test]
async fn many_held_flows_of_a_tenant_all_go_on() {
    let world = World::new().await;
    world.cap(CapOf::Tenant("shop".into()), Some(MicroUsd::ZERO)).await;
    for n in 0..150 {
        world.submit(&format!("b{n}"), "shop", n..n + 1).await;
    }
    until(async || (world.claim(100).await.why != "stale").then_some(())).await;
    assert_eq!(held_word(&world, "b149").await.as_deref(), Some("tenant_cap"));
    world.cap(CapOf::Tenant("shop".into()), None).await;
    // A claim passes eight emptied flows at most.
    let mut first = Vec::new();
    until(async || {
        let claimed = world.claim(200).await;
        first.extend(claimed.grants.into_iter().map(|grant| grant.payer));
        (claimed.why != "stale").then_some(())
    })
    .await;
    assert_eq!(first.len(), 100, "no call resumes more");
    assert_eq!(first[0], "b0");
    let mut rest = 0;
    until(async || {
        world.queue.reap(10).await.unwrap();
        rest += world.claim(200).await.grants.len();
        (rest == 50).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_flow_whose_dearest_asset_went_elsewhere_is_looked_at_again() {
    let world = World::new().await;
    world.cap(CapOf::Tenant("shop".into()), Some(MicroUsd(30_000))).await;
    let mut dear = crate::world::asset(0);
    dear.ceiling = MicroUsd(40_000);
    let assets = [(0, dear.clone()), (1, crate::world::asset(1))];
    world.queue.submit(&head("mine", "shop"), &assets, &[], false).await.unwrap();
    assert!(world.claim(5).await.grants.is_empty());
    assert_eq!(held_word(&world, "mine").await.as_deref(), Some("tenant_cap"));
    world.queue.submit(&head("theirs", "rival"), &[(0, dear)], &[], false).await.unwrap();
    assert_eq!(world.one().await.payer, "theirs");
    let grant = until(async || {
        world.queue.reap(100).await.unwrap();
        world.claim(5).await.grants.pop()
    })
    .await;
    assert_eq!((grant.payer.as_str(), grant.ceiling.0), ("mine", CEILING));
}

#[tokio::test]
async fn the_cap_of_a_batch_is_raised_by_hand() {
    let world = World::new().await;
    let mut capped = head("b", "shop");
    capped.cap = Some(MicroUsd(CEILING));
    let assets: Vec<_> = (0..3).map(|n| (n, crate::world::asset(n))).collect();
    world.queue.submit(&capped, &assets, &[], false).await.unwrap();
    let grants = world.claim(5).await.grants;
    assert_eq!(grants.len(), 1);
    settle(&world, &grants[0], 1_000).await;
    assert!(world.claim(5).await.grants.is_empty(), "there is no room for a ceiling");
    assert_eq!(budget(&world).await.batches[0].1.left(), Some(MicroUsd(19_000)));
    world.cap(CapOf::Batch("b".into()), Some(MicroUsd(21_000))).await;
    assert_eq!(world.claim(5).await.grants.len(), 1);
    let nobody = [(CapOf::Batch("nobody".into()), None)];
    assert_eq!(world.queue.set_caps(Setter::Person, "a@b", "", &nobody).await.unwrap(), [WasSet::Missing]);
}

#[tokio::test]
async fn what_nobody_knows_counts_where_it_was_set_aside_until_it_turns_out() {
    let world = day_ends_in(2).await;
    let yesterday = budget(&world).await.day;
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    ending::unknown(&world, &grant).await;
    let counted = tenant(&world, "shop").await.money;
    assert_eq!((counted.total.unknown.0, counted.today.unknown.0), (CEILING, CEILING));
    let of_batch = async || world.queue.batch(&id("b")).await.unwrap().unwrap().unknown.0;
    assert_eq!(of_batch().await, CEILING);
    assert_eq!(money(&counted.today), (CEILING, 0));
    until(async || (budget(&world).await.day != yesterday).then_some(())).await;
    // The owner's word comes a day late.
    settle(&world, &grant, 16_000).await;
    let all = budget(&world).await.money;
    assert_eq!((all.days[0].spent.0, all.total.spent.0, all.total.unknown.0), (16_000, 16_000, 0));
    assert_eq!((money(&all.today), all.days.len()), ((0, 0), 1));
    assert_eq!(of_batch().await, 0);
    assert_eq!(tenant(&world, "shop").await.money.total.unknown, MicroUsd::ZERO);
}

#[tokio::test]
async fn who_was_away_for_minutes_claims_again_under_the_cap() {
    let world = World::new().await;
    world.cap(CapOf::Total, Some(MicroUsd(CEILING))).await;
    world.submit("b", "shop", 0..2).await;
    let late = world.one().await;
    world.expire_leases().await;
    assert_eq!(world.queue.reap(10).await.unwrap().requeued, 1);
    // That its token has ended is forgotten after two minutes.
    let ended = format!("{}ended:{}", world.queue.keys().prefix(), late.token);
    redis::cmd("DEL").arg(ended).exec_async(&mut world.redis.clone()).await.unwrap();
    assert_eq!(world.queue.extend(&[held(&late, HeldPhase::Claimed)], LEASE).await.unwrap(), [Hold::Lost]);
    let grants = world.claim(2).await.grants;
    assert_eq!((grants.len(), &grants[0].key), (1, &late.key), "it waits in its queue");
    assert_eq!(world.queue.totals().await.unwrap().reserved, MicroUsd(CEILING));
}

#[tokio::test]
async fn who_comes_back_to_what_is_counted_as_unknown_sets_nothing_aside() {
    let world = World::new().await;
    world.cap(CapOf::Total, Some(MicroUsd(CEILING))).await;
    world.submit("b", "shop", 0..1).await;
    let late = world.sent().await;
    ending::unknown(&world, &late).await;
    let ended = format!("{}ended:{}", world.queue.keys().prefix(), late.token);
    redis::cmd("DEL").arg(ended).exec_async(&mut world.redis.clone()).await.unwrap();
    let sent = [held(&late, HeldPhase::Sent)];
    assert_eq!(world.queue.extend(&sent, LEASE).await.unwrap(), [Hold::Restored]);
    assert_eq!(money(&budget(&world).await.money.total), (CEILING, 0));
    settle(&world, &late, 16_000).await;
    assert_eq!(money(&budget(&world).await.money.total), (16_000, 0));
    assert_eq!(money(&tenant(&world, "shop").await.money.today), (16_000, 0));
}

#[tokio::test]
async fn a_doubt_after_a_wipe_is_of_the_tenant_whose_money_it_is() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let late = world.sent().await;
    world.wipe().await;
    world.nothing_spent_before().await;
    world.queue.extend(&[held(&late, HeldPhase::Sent)], LEASE).await.unwrap();
    world.expire_leases().await;
    let orphans = world.queue.reap(10).await.unwrap().orphans;
    let orphan = orphans.iter().find(|orphan| orphan.last).expect("its deadline has passed");
    assert_eq!(orphan.attempt.tenant, "shop");
    ending::doubt(&world, orphan).await;
    let counted = async || tenant(&world, "shop").await.money.total;
    assert_eq!((counted().await.spent.0, counted().await.unknown.0), (CEILING, CEILING));
    settle(&world, &late, 16_000).await;
    assert_eq!((counted().await.spent.0, counted().await.unknown.0), (16_000, 0));
    let entries = world.queue.ledger("-", 10).await.unwrap();
    assert!(entries.iter().all(|(_, entry)| entry.tenant == "shop"), "{entries:?}");
}

#[tokio::test]
async fn what_redis_forgot_is_todays() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    world.wipe().await;
    world.queue.declare_lane(LANE, &LaneLimits::default()).await.unwrap();
    assert_eq!(world.queue.extend(&[held(&grant, HeldPhase::Sent)], LEASE).await.unwrap(), [Hold::Restored]);
    assert_eq!(money(&budget(&world).await.money.today), (0, CEILING));
    world.submit("b", "shop", 0..1).await;
    settle(&world, &grant, 5).await;
    assert_eq!(money(&budget(&world).await.money.today), (5, 0));
    assert_eq!(money(&tenant(&world, "shop").await.money.total), (5, 0));
}

#[tokio::test]
async fn a_reservation_of_an_earlier_version_is_given_back_where_it_was_counted() {
    let world = World::new().await;
    world.submit("b", "shop", 0..2).await;
    let grant = world.sent().await;
    let mut redis = world.redis.clone();
    let (reservations, budget_key) =
        (format!("{}reservations", world.queue.keys().prefix()), world.queue.keys().budget());
    let old = format!(r#"{{"amount":"{CEILING}","payer":"b","lane":"{LANE}"}}"#);
    redis::cmd("HSET").arg(&reservations).arg(&grant.token).arg(old).exec_async(&mut redis).await.unwrap();
    let day = budget(&world).await.day;
    redis::cmd("HDEL").arg(&budget_key).arg(format!("reserved:{day}")).exec_async(&mut redis).await.unwrap();
    redis::cmd("DEL").arg(world.queue.keys().tenant("shop")).exec_async(&mut redis).await.unwrap();
    settle(&world, &grant, 7_000).await;
    let all = budget(&world).await;
    assert_eq!((money(&all.money.total), money(&all.money.today)), ((7_000, 0), (7_000, 0)));
    assert_eq!(money(&all.tenants[0].money.total), (7_000, 0));
}

fn percents(alerts: &mut UnboundedReceiver<Alert>) -> Vec<(CapOf, u8)> {
    let mut told = Vec::new();
    while let Ok(alert) = alerts.try_recv() {
        told.push((alert.of, alert.percent));
    }
    told.sort();
    told
}

#[tokio::test]
async fn each_part_of_each_cap_is_told_once() {
    let mut world = World::new().await;
    let (speaker, mut alerts) = unbounded_channel();
    world.queue = world.queue.clone().with_alerts(speaker);
    let shop = || CapOf::Tenant("shop".into());
    world.cap(CapOf::Total, Some(MicroUsd(5 * CEILING))).await;
    world.cap(CapOf::Day, Some(MicroUsd(50 * CEILING))).await;
    world.cap(shop(), Some(MicroUsd(4 * CEILING))).await;
    world.submit("b", "shop", 0..8).await;
    let grants = world.claim(8).await.grants;
    assert_eq!(grants.len(), 4);
    settle(&world, &grants[0], CEILING).await;
    assert_eq!(percents(&mut alerts), [], "a quarter");
    settle(&world, &grants[1], CEILING).await;
    settle(&world, &grants[1], CEILING).await;
    assert_eq!(percents(&mut alerts), [(shop(), 50)]);
    for grant in &grants[2..] {
        settle(&world, grant, CEILING).await;
    }
    assert_eq!(percents(&mut alerts), [(CapOf::Total, 50), (CapOf::Total, 80), (shop(), 80), (shop(), 100)]);
    world.cap(shop(), Some(MicroUsd(5 * CEILING))).await;
    let last = world.one().await;
    ending::unknown(&world, &last).await;
    assert_eq!(
        percents(&mut alerts),
        [(CapOf::Total, 100), (shop(), 100)],
        "80 % of it was spent when it was set"
    );
    // It turns out free, and is spent again: that was told.
    world.cap(shop(), Some(MicroUsd(6 * CEILING))).await;
    ending::refuse(&world, &last).await;
    let again = world.one().await;
    settle(&world, &again, CEILING).await;
    assert_eq!(percents(&mut alerts), []);
    let mut redis = world.redis.clone();
    let events: Vec<(String, std::collections::HashMap<String, String>)> = redis::cmd("XRANGE")
        .arg(world.queue.keys().events())
        .arg("-")
        .arg("+")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(events.iter().filter(|(_, fields)| fields["kind"] == "budget").count(), 7);
}

#[tokio::test]
async fn what_a_person_has_set_stands_until_it_is_given_back() {
    let world = World::new().await;
    let cap = |dollars: u64| [(CapOf::Total, Some(MicroUsd(dollars * 1_000_000)))];
    let set = async |by, who: &str, why: &str, dollars| {
        world.queue.set_caps(by, who, why, &cap(dollars)).await.unwrap()[0]
    };
    assert_eq!(set(Setter::Settings, "pictor@a", "its settings", 100).await, WasSet::Set);
    assert_eq!(set(Setter::Settings, "pictor@b", "its settings", 100).await, WasSet::Same);
    assert_eq!(set(Setter::Person, "ann@desk", "black friday", 150).await, WasSet::Set);
    assert_eq!(set(Setter::Settings, "pictor@c", "its settings", 100).await, WasSet::Kept);
    assert_eq!(budget(&world).await.money.total.cap, Some(MicroUsd(150_000_000)));
    assert!(budget(&world).await.money.total.by_person);
    assert_eq!(set(Setter::Reset, "ann@desk", "over", 100).await, WasSet::Set);
    assert_eq!(set(Setter::Settings, "pictor@d", "its settings", 90).await, WasSet::Set);
    let audit = world.queue.audit(10).await.unwrap();
    let told: Vec<_> =
        audit.iter().rev().map(|a| (a.who.as_str(), a.by.as_str(), a.from, a.to.unwrap().0)).collect();
    let usd = |dollars: u64| Some(MicroUsd(dollars * 1_000_000));
    assert_eq!(
        told,
        [
            ("pictor@a", "settings", None, 100_000_000),
            ("ann@desk", "person", usd(100), 150_000_000),
            ("ann@desk", "reset", usd(150), 100_000_000),
            ("pictor@d", "settings", usd(100), 90_000_000),
        ]
    );
    assert_eq!((audit[2].of.clone(), audit[2].why.as_str()), (CapOf::Total, "black friday"));
    assert!(audit[2].at > 1_700_000_000_000_000);
}

/// Many at once claim, settle, give up and do not know; nobody ever sees more than the cap.
async fn storm(of: CapOf, cap: u64) -> u64 {
    let world = Arc::new(World::alone().await);
    let mut batch = head("b", "shop");
    if of == CapOf::Batch("b".into()) {
        batch.cap = Some(MicroUsd(cap));
    }
    let assets: Vec<_> = (0..300).map(|n| (n, crate::world::asset(n))).collect();
    world.queue.submit(&batch, &assets, &[], false).await.unwrap();
    world.cap(of.clone(), Some(MicroUsd(cap))).await;
    let (over, seed, done) = (AtomicU64::new(0), AtomicU64::new(1), AtomicBool::new(false));
    let counter = async || {
        let budget = budget(&world).await;
        match &of {
            CapOf::Total => budget.money.total,
            CapOf::Day => budget.money.today,
            CapOf::Tenant(_) => budget.tenants[0].money.total,
            CapOf::TenantDay(_) => budget.tenants[0].money.today,
            CapOf::Batch(_) => budget.batches[0].1,
        }
    };
    let work = async || {
        let mut idle = 0;
        while idle < 40 {
            let grants = world.claim(3).await.grants;
            idle = if grants.is_empty() { idle + 1 } else { 0 };
            for grant in grants {
                let roll = seed.fetch_add(7_919, Ordering::Relaxed) * 2_654_435_761 % 1_000;
                match roll {
                    0..30 => drop(ending::refuse(&world, &grant).await),
                    30..60 => {
                        world.queue.release(&[(grant.key.clone(), grant.token.clone())]).await.unwrap();
                    }
                    _ => drop(settle(&world, &grant, CEILING * (500 + roll / 2) / 1_000).await),
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let watch = async {
        while !done.load(Ordering::Relaxed) {
            let now = counter().await;
            over.fetch_max(now.spent.0 + now.reserved.0, Ordering::Relaxed);
        }
    };
    let everybody = async {
        tokio::join!(work(), work(), work(), work(), work(), work(), work(), work());
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(everybody, watch);
    let end = counter().await;
    assert!(over.into_inner() <= cap, "more than the cap was spent or set aside for {of}");
    assert_eq!(end.reserved, MicroUsd::ZERO);
    end.spent.0
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cap_is_exceeded_and_each_is_used_up_by_many_at_once() {
    let cap = 2_000_000;
    let tenant = "shop".to_owned();
    for of in [
        CapOf::Total,
        CapOf::Day,
        CapOf::Tenant(tenant.clone()),
        CapOf::TenantDay(tenant),
        CapOf::Batch("b".into()),
    ] {
        let spent = Box::pin(storm(of.clone(), cap)).await;
        assert!(spent <= cap && spent + CEILING > cap, "{of}: {spent} of {cap}");
    }
}
