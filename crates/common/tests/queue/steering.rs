//! Priority, and why batches wait: what a person sees and does.

use std::time::Duration;

use pictor_common::{
    MicroUsd,
    batch::Band,
    queue::{Beat, Begun, CapOf, Hints, LaneLimits, LaneOffer, Moved, Overview, Which, Why, why},
};

use crate::{
    ending,
    world::{LANE, World, head, id, key, route},
};

fn beat(held: usize) -> Beat {
    let offer = LaneOffer { lane: LANE.to_owned(), routes: vec![route().to_string()] };
    Beat { host: "h".to_owned(), pid: 7, concurrency: 4, held, lanes: vec![offer], ..Beat::default() }
}

async fn look(world: &World, batch: &str) -> (Vec<Why>, Overview) {
    let overview = world.queue.overview(Which::These(&[id(batch)])).await.unwrap();
    (why(&overview.batches[0], &overview), overview)
}

async fn reasons(world: &World, batch: &str) -> Vec<Why> {
    look(world, batch).await.0
}

async fn payers(world: &World, count: usize) -> Vec<String> {
    let mut payers = Vec::new();
    while payers.len() < count {
        let grants = world.claim(1).await.grants;
        assert!(!grants.is_empty(), "only {payers:?}");
        payers.extend(grants.into_iter().map(|g| g.payer));
    }
    payers
}

#[tokio::test]
async fn a_batch_that_is_moved_up_overtakes_its_elder() {
    let world = World::new().await;
    world.submit("first", "shop", 0..30).await;
    world.submit("second", "shop", 100..130).await;
    assert_eq!(payers(&world, 2).await, ["first", "first"]);
    let moved = world.queue.prioritise(&id("second"), Band::Interactive, "a customer waits").await.unwrap();
    assert_eq!(moved, Moved::From("normal".to_owned()));
    let served = payers(&world, 20).await;
    assert!(served.iter().filter(|p| *p == "second").count() >= 15, "16 to 4: {served:?}");
    let batch = world.queue.batch(&id("second")).await.unwrap().unwrap();
    assert_eq!(
        (batch.band.as_str(), batch.band_reason.as_deref()),
        ("interactive", Some("a customer waits"))
    );
    // Down again: behind, but not for ever.
    let moved = world.queue.prioritise(&id("second"), Band::Bulk, "x").await.unwrap();
    assert_eq!(moved, Moved::From("interactive".to_owned()));
    let served = payers(&world, 10).await;
    assert!(served.iter().filter(|p| *p == "first").count() >= 7, "{served:?}");
    assert_eq!(payers(&world, 28).await.len(), 28, "every asset of both is claimed once");
    assert!(world.claim(5).await.grants.is_empty());
}

#[tokio::test]
async fn moving_is_safe_to_repeat_and_refused_when_nothing_waits() {
    let world = World::new().await;
    world.submit("b", "shop", 0..3).await;
    let to = async |batch: &str, band| world.queue.prioritise(&id(batch), band, "x").await.unwrap();
    assert_eq!(to("b", Band::Normal).await, Moved::Same);
    assert_eq!(to("b", Band::Bulk).await, Moved::From("normal".to_owned()));
    assert_eq!(to("b", Band::Bulk).await, Moved::Same);
    assert_eq!(to("none", Band::Bulk).await, Moved::Missing);
    world.queue.cancel(&id("b"), "x").await.unwrap();
    assert_eq!(to("b", Band::Normal).await, Moved::Ended);
    assert!(world.claim(5).await.grants.is_empty(), "a cancelled flow does not come back");
}

#[tokio::test]
async fn a_paused_batch_stays_paused_where_it_is_moved_to() {
    let world = World::new().await;
    world.submit("b", "shop", 0..3).await;
    world.queue.hold(&id("b"), Some("wait")).await.unwrap();
    world.queue.prioritise(&id("b"), Band::Interactive, "x").await.unwrap();
    assert!(world.claim(5).await.grants.is_empty());
    world.queue.hold(&id("b"), None).await.unwrap();
    assert_eq!(payers(&world, 3).await.len(), 3);
}

#[tokio::test]
async fn a_worker_is_alive_while_it_says_so() {
    let world = World::new().await;
    world.submit("b", "shop", 0..3).await;
    assert_eq!(reasons(&world, "b").await, [Why::NoWorker]);
    world.queue.beat("w1", &beat(0)).await.unwrap();
    assert_eq!(reasons(&world, "b").await, []);
    world.queue.beat("w1", &beat(4)).await.unwrap();
    assert_eq!(reasons(&world, "b").await, [Why::WorkersBusy { places: 4 }]);
    world.queue.beat("w1", &Beat { draining: true, ..beat(0) }).await.unwrap();
    assert_eq!(reasons(&world, "b").await, [Why::Stopping]);
    let elsewhere = LaneOffer { lane: "x".to_owned(), routes: vec!["dall-e-3.generate".to_owned()] };
    world.queue.beat("w1", &Beat { lanes: vec![elsewhere], ..beat(0) }).await.unwrap();
    assert_eq!(reasons(&world, "b").await, [Why::NotServed { route: route().to_string() }]);
    world.queue.depart("w1").await.unwrap();
    assert_eq!(reasons(&world, "b").await, [Why::NoWorker]);
    // Silent for longer than a lease: gone for people, and soon forgotten.
    let mut redis = world.redis.clone();
    let old = format!("1 {}", serde_json::to_string(&beat(0)).unwrap());
    let workers = world.queue.keys().workers();
    redis::cmd("HSET").arg(&workers).arg("w0").arg(old).exec_async(&mut redis).await.unwrap();
    assert_eq!(reasons(&world, "b").await, [Why::NoWorker]);
    world.queue.beat("w2", &beat(0)).await.unwrap();
    let known: Vec<String> = redis::cmd("HKEYS").arg(&workers).query_async(&mut redis).await.unwrap();
    assert_eq!(known, ["w2"]);
}

#[tokio::test]
async fn a_worker_whose_key_was_refused_takes_nothing_and_says_so() {
    let world = World::new().await;
    world.submit("b", "shop", 0..3).await;
    let refused = Beat { refused: vec![LANE.to_owned()], ..beat(0) };
    world.queue.beat("w1", &refused).await.unwrap();
    let (found, overview) = look(&world, "b").await;
    assert_eq!(found, [Why::KeyRefused { lane: LANE.to_owned() }]);
    assert!(found[0].wants_a_person());
    assert_eq!(overview.workers[0].beat.refused, [LANE]);
    // The pause of the lane has the provider's words.
    world.queue.pause_lane(LANE, Some("Incorrect API key")).await.unwrap();
    let found = reasons(&world, "b").await;
    assert!(
        matches!(&found[..], [Why::LanePaused { reason, .. }] if reason == "Incorrect API key"),
        "{found:?}"
    );
    let before = world.queue.resumed_lanes(&[LANE]).await.unwrap();
    world.queue.pause_lane(LANE, None).await.unwrap();
    assert_eq!(world.queue.resumed_lanes(&[LANE]).await.unwrap(), [before[0] + 1]);
    // Another worker has a good one.
    world.queue.beat("w2", &beat(0)).await.unwrap();
    assert_eq!(reasons(&world, "b").await, []);
}

#[tokio::test]
async fn pauses_limits_and_caps_are_the_reasons_that_claim_goes_by() {
    let limits = LaneLimits { requests: Some(60), ..LaneLimits::default() };
    let world = World::with(Duration::ZERO, &limits).await;
    world.queue.beat("w", &beat(0)).await.unwrap();
    world.submit("b", "shop", 0..10).await;
    while !world.claim(5).await.grants.is_empty() {}
    let (found, overview) = look(&world, "b").await;
    let [Why::Limit { limit: 60, window_seconds: 60, next, .. }] = &found[..] else { panic!("{found:?}") };
    let wait = next - overview.now;
    assert!((900_000..=1_600_000).contains(&wait), "half a second of burst, a second of horizon: {wait} µs");

    world.queue.pause_lane(LANE, Some("no money")).await.unwrap();
    let [Why::LanePaused { reason, until: None, others: false, .. }] = &reasons(&world, "b").await[..] else {
        panic!("not paused")
    };
    assert_eq!(reason, "no money");
    world.queue.pause_lane(LANE, None).await.unwrap();

    world.cap(CapOf::Total, Some(MicroUsd(40_000))).await;
    let [Why::Budget { cap: MicroUsd(40_000), .. }, ..] = &reasons(&world, "b").await[..] else {
        panic!("no cap")
    };
    world.cap(CapOf::Total, None).await;

    world.queue.hold(&id("b"), Some("proofs first")).await.unwrap();
    assert_eq!(reasons(&world, "b").await[0], Why::Paused { reason: "proofs first".to_owned() });
    world.queue.hold(&id("b"), None).await.unwrap();
    world.queue.cancel(&id("b"), "x").await.unwrap();
    assert_eq!(reasons(&world, "b").await, [], "what has ended waits for nothing");
}

#[tokio::test]
async fn in_flight_and_batch_caps_are_told() {
    let limits = LaneLimits { in_flight: Some(2), ..LaneLimits::default() };
    let world = World::with(Duration::ZERO, &limits).await;
    world.queue.beat("w", &beat(0)).await.unwrap();
    let mut capped = head("capped", "shop");
    capped.cap = Some(MicroUsd(20_000));
    let assets: Vec<_> = (0..3).map(|n| (n, crate::world::asset(n))).collect();
    world.queue.submit(&capped, &assets, &[], false).await.unwrap();
    world.queue.seal(&capped.id, 0).await.unwrap();
    assert_eq!(world.claim(5).await.grants.len(), 1);
    let cap = Why::BatchCap { cap: MicroUsd(20_000), spent: MicroUsd::ZERO, reserved: MicroUsd(20_000) };
    assert_eq!(reasons(&world, "capped").await, [cap]);
    world.submit("free", "other", 10..13).await;
    assert_eq!(world.claim(5).await.grants.len(), 1);
    assert_eq!(reasons(&world, "free").await, [Why::InFlightCap { lane: LANE.to_owned(), cap: 2 }]);
}

#[tokio::test]
async fn elders_and_other_tenants_are_counted() {
    let world = World::new().await;
    world.queue.beat("w", &beat(0)).await.unwrap();
    world.submit("elder", "shop", 0..6).await;
    world.submit("mine", "shop", 100..104).await;
    world.submit("other", "rival", 200..209).await;
    let (found, overview) = look(&world, "mine").await;
    assert_eq!(
        found,
        [Why::Behind { batch: "elder".to_owned(), waiting: 6 }, Why::Turns { sharers: 2, percent: 50 }]
    );
    let place = &overview.batches[0].routes[0];
    assert_eq!((place.waiting, place.ahead, place.rivals), (4, 6, 9));
    assert_eq!(place.head.unwrap().ceiling, MicroUsd(20_000));
    world.queue.prioritise(&id("mine"), Band::Interactive, "x").await.unwrap();
    assert_eq!(reasons(&world, "mine").await, [Why::Turns { sharers: 3, percent: 67 }]);
}

#[tokio::test]
async fn retries_doubts_and_what_is_on_its_way_are_told_apart() {
    let world = World::new().await;
    world.queue.beat("w", &beat(0)).await.unwrap();
    world.submit("b", "shop", 0..3).await;
    let retried = world.sent().await;
    let orphan = world.sent().await;
    let out = world.sent().await;
    assert_eq!(reasons(&world, "b").await, [Why::InFlight { count: 3 }]);
    ending::later(&world, &retried, Duration::from_secs(60)).await;
    world.expire_leases().await;
    // Only one of the two owners is gone.
    world
        .queue
        .extend(&[crate::world::held(&out, pictor_common::queue::HeldPhase::Sent)], crate::world::LEASE)
        .await
        .unwrap();
    assert_eq!(world.queue.reap(100).await.unwrap().orphaned, 1);
    let (found, overview) = look(&world, "b").await;
    let [
        Why::Retry { count: 1, more: false, next },
        Why::Doubt { count: 1, more: false, until },
        Why::InFlight { count: 1 },
    ] = found[..]
    else {
        panic!("{found:?}")
    };
    assert!((55_000_000..=60_000_000).contains(&(next - overview.now)));
    assert!((50_000_000..=60_000_000).contains(&(until - overview.now)), "the send deadline");
    assert_eq!(world.phase(&orphan.key).await, "orphan");
    let detail = world.queue.asset_detail(&retried.key).await.unwrap().unwrap();
    assert_eq!(detail.retry_at, Some(next));
}

#[tokio::test]
async fn every_attempt_of_an_asset_is_found_in_the_ledger() {
    let world = World::new().await;
    world.submit("noise", "shop", 100..140).await;
    for _ in 0..40 {
        let grant = world.sent().await;
        ending::settle(&world, &grant, 1).await;
    }
    world.submit("b", "shop", 0..2).await;
    world.submit("also", "shop", 0..1).await;
    let first = world.sent().await;
    assert_eq!(first.key, key(0));
    ending::unknown(&world, &first).await;
    let second = world.sent().await;
    assert_eq!(
        (second.key.clone(), matches!(world.begin(&second).await, Begun::Go { attempt: 2, .. })),
        (key(0), true)
    );
    let detail = world.queue.asset_detail(&key(0)).await.unwrap().unwrap();
    assert_eq!(detail.batches, ["b", "also"]);
    let asked = world.queue.asked(&key(0), &detail.batches).await.unwrap();
    let rows: Vec<_> =
        asked.iter().map(|a| (a.batch.as_str(), a.line.as_ref().unwrap().id.as_str())).collect();
    assert_eq!(rows, [("b", "0"), ("also", "0")]);
    ending::settle(&world, &second, 16_000).await;
    let detail = world.queue.asset_detail(&key(0)).await.unwrap().unwrap();
    assert_eq!(detail.state.phase, "done");
    let hints = Hints { tokens: &detail.paid_tokens, ..Hints::default() };
    let attempts = world.queue.attempts(&key(0), &hints).await.unwrap();
    let told: Vec<_> =
        attempts.entries.iter().map(|e| (e.kind.as_str(), e.attempt.as_str(), e.token.as_str())).collect();
    assert_eq!(told, [("unknown", "1", first.token.as_str()), ("settled", "2", second.token.as_str())]);
    assert!(!attempts.bounded);
    // Without knowing what to look for, the whole ledger is looked through.
    let blind = world.queue.attempts(&key(0), &Hints::default()).await.unwrap();
    assert_eq!((blind.entries.len(), blind.looked_at, blind.bounded), (2, 42, false));
}

#[tokio::test]
async fn keys_and_lines_are_found_within_bounds() {
    let world = World::new().await;
    world.submit("old", "shop", 0..2_500).await;
    world.submit("new", "shop", 5_000..5_010).await;
    let batches = [id("new"), id("old")];
    let wanted = key(2_400);
    let found = world.queue.keys_starting(&wanted.as_str()[..16], &batches, 100_000).await.unwrap();
    assert_eq!((found.found, found.bounded), (vec![wanted.clone()], false));
    let found = world.queue.keys_starting(&wanted.as_str()[..16], &batches, 1_000).await.unwrap();
    assert!(found.bounded, "what was not looked through is said: {found:?}");
    let lines = world.queue.lines_named("2400", &batches, usize::MAX).await.unwrap();
    assert_eq!(
        lines.found.iter().map(|l| (l.batch.as_str(), l.line.row)).collect::<Vec<_>>(),
        [("old", 2_400)]
    );
    assert!(!lines.bounded);
    let lines = world.queue.lines_named("nobody", &batches, 100).await.unwrap();
    assert!(lines.found.is_empty() && lines.bounded);
}

#[tokio::test]
async fn what_ended_lately_tells_pace_and_price() {
    let world = World::new().await;
    world.submit("b", "shop", 0..20).await;
    for _ in 0..10 {
        let grant = world.sent().await;
        ending::settle(&world, &grant, 15_000).await;
    }
    let overview = world.queue.overview(Which::Newest(10)).await.unwrap();
    let recent = world.queue.recent(overview.now).await.unwrap();
    assert_eq!((recent["b"].ended, recent["b"].mean_cost), (10, Some(MicroUsd(15_000))));
    let projected = pictor_common::queue::pace::projected(&overview.batches[0], recent.get("b")).unwrap();
    assert_eq!(projected.expected, Some(MicroUsd(20 * 15_000)));
    assert_eq!(projected.ceiling, MicroUsd(10 * 15_000 + 10 * 20_000));
}
