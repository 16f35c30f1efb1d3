//! The limiter's own scripts at work in made-up time, against a provider's bucket: the cases of a working day in
//! milliseconds. `prove-pacing` does the same with processes, sockets and the simulator.

use std::{collections::BTreeMap, time::Duration};

use pictor_common::queue::{LaneLimits, LaneState, LimitKind, Refusal};
use proptest::test_runner::{Config, TestRunner};
use serde::{Deserialize, Serialize};

use crate::world::{LANE, World};

const DRIVE: &str = concat!(
    "#!lua flags=allow-oom\n",
    include_str!("../../src/queue/lua/prelude.lua"),
    include_str!("../../src/queue/lua/limiter.lua"),
    include_str!("../../src/queue/lua/learning.lua"),
    include_str!("limiter/drive.lua")
);

#[derive(Clone, Debug, Serialize)]
struct Case {
    told: u64,
    kind: LimitKind,
    window: f64,
    changes: Vec<(f64, u64)>,
    foreign: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantum: Option<f64>,
    charge_refusals: bool,
    headers: bool,
    /// Refusals name no numbers, only when to try again.
    silent: bool,
    windows: f64,
    measure: Vec<(f64, f64)>,
    late: f64,
    round_trip: f64,
    seed: u64,
}

#[derive(Debug, Deserialize)]
struct Found {
    utilisation: Vec<f64>,
    refused: f64,
    requests: u64,
    most: u64,
}

/// A limit that is known and kept, for so many windows.
fn known(limit: u64, windows: f64) -> Case {
    Case {
        told: limit,
        kind: LimitKind::Fixed,
        window: 10.0,
        changes: vec![(0.0, limit)],
        foreign: 0.0,
        quantum: None,
        charge_refusals: false,
        headers: false,
        silent: false,
        windows,
        measure: vec![(1.0, windows)],
        late: 0.02,
        round_trip: 0.005,
        seed: 1,
    }
}

/// A connection that waits for a whole day's work.
async fn patient(world: &World) -> redis::aio::MultiplexedConnection {
    let patience = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(60)));
    world.client().get_multiplexed_async_connection_with_config(&patience).await.unwrap()
}

async fn drive(case: &Case) -> Found {
    let world = World::alone().await;
    let limits = LaneLimits {
        images: Some(case.told),
        kind: Some(case.kind),
        window_seconds: Some(case.window),
        ..LaneLimits::default()
    };
    world.queue.declare_lane("drive", &limits).await.unwrap();
    let answer: String = redis::Script::new(DRIVE)
        .key(world.queue.keys().prefix())
        .arg("{}")
        .arg(serde_json::to_string(case).unwrap())
        .invoke_async(&mut patient(&world).await)
        .await
        .unwrap();
    serde_json::from_str(&answer).unwrap()
}

/// Three runs of a case, each of which must reach the utilisation in every span and stay below the refusals.
async fn must(case: Case, utilisation: f64, refused: f64) {
    for seed in 1..=3 {
        let found = drive(&Case { seed, ..case.clone() }).await;
        assert!(found.requests >= 100, "{found:?}");
        assert!(found.utilisation.iter().all(|used| *used >= utilisation), "{found:?} of {case:?}");
        assert!(found.refused <= refused, "{found:?} of {case:?}");
    }
}

#[tokio::test]
async fn a_known_limit_is_used_whole_and_hardly_ever_refuses() {
    must(known(250, 10.0), 0.99, 0.001).await;
    must(known(3_000, 3.0), 0.99, 0.001).await;
    must(Case { window: 5.0, ..known(5, 60.0) }, 0.98, 0.01).await;
}

#[tokio::test]
async fn a_guess_is_set_right_in_both_directions() {
    let guess = |told| Case { told, kind: LimitKind::Guess, ..known(250, 14.0) };
    must(guess(500), 0.97, 0.005).await;
    must(Case { measure: vec![(5.0, 14.0)], ..guess(125) }, 0.97, 0.005).await;
}

#[tokio::test]
async fn what_others_use_of_the_account_is_left_to_them() {
    for foreign in [0.1, 0.3] {
        for kind in [LimitKind::Fixed, LimitKind::Guess] {
            must(Case { foreign, kind, ..known(250, 14.0) }, 0.97, 0.005).await;
        }
    }
    must(Case { foreign: 0.3, charge_refusals: true, ..known(250, 14.0) }, 0.93, 0.01).await;
}

#[tokio::test]
async fn a_limit_enforced_by_the_second_is_used_by_the_second() {
    let quantised = Case { window: 60.0, quantum: Some(1.0), ..known(600, 5.0) };
    must(quantised.clone(), 0.95, 0.01).await;
    must(Case { kind: LimitKind::Guess, ..quantised }, 0.95, 0.01).await;
}

#[tokio::test]
async fn a_limit_that_changes_is_followed() {
    let changing = Case {
        kind: LimitKind::Guess,
        changes: vec![(0.0, 250), (5.0, 100), (10.0, 400)],
        measure: vec![(1.0, 5.0), (7.0, 10.0), (12.0, 15.0)],
        ..known(250, 15.0)
    };
    must(changing.clone(), 0.95, 0.01).await;
    must(Case { headers: true, ..changing }, 0.95, 0.01).await;
}

#[tokio::test]
async fn refusals_without_numbers_are_enough_to_find_the_pace() {
    let guess = Case { told: 500, kind: LimitKind::Guess, silent: true, ..known(250, 14.0) };
    must(guess.clone(), 0.9, 0.02).await;
    must(Case { told: 125, measure: vec![(6.0, 14.0)], ..guess }, 0.9, 0.02).await;
}

/// Whatever the schedule: never more in a window than the limit, the burst and one request.
#[tokio::test(flavor = "multi_thread")]
async fn no_window_ever_holds_more_than_limit_and_burst() {
    use proptest::prelude::*;
    let cases = (1_u64..2_000, 1_u64..60, 0.0..0.5_f64, 1_u64..1_000);
    let handle = tokio::runtime::Handle::current();
    let run = move || {
        TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() })
            .run(&cases, |(limit, window, late, seed)| {
                let windows = (1_000.0 / limit as f64).clamp(2.0, 20.0);
                let case = Case { window: window as f64, late, seed, ..known(limit, windows) };
                let found = handle.block_on(drive(&case));
                // Who is late falls into the window of those behind it.
                let moved = late * limit as f64 / window as f64;
                let most = limit as f64 * (1.0 + 1.0 / 120.0) + 1.0 + moved.ceil() + 1.0;
                prop_assert!(found.most as f64 <= most, "{found:?}, at most {most}, of {case:?}");
                Ok(())
            })
            .unwrap();
    };
    tokio::task::spawn_blocking(run).await.unwrap();
}

const SCHEDULE: &str = concat!(
    "#!lua flags=allow-oom\n",
    include_str!("../../src/queue/lua/prelude.lua"),
    include_str!("../../src/queue/lua/limiter.lua"),
    include_str!("limiter/schedule.lua")
);

/// The largest sum of tokens with slots in any stretch as long as this.
fn most_within(window: u64, granted: &[(u64, u64)]) -> u64 {
    let mut sorted = granted.to_vec();
    sorted.sort_unstable();
    let (mut sum, mut most, mut first) = (0, 0, 0);
    for (slot, tokens) in &sorted {
        sum += tokens;
        while slot - sorted[first].0 >= window {
            sum -= sorted[first].1;
            first += 1;
        }
        most = most.max(sum);
    }
    most
}

async fn granted(
    world: &World,
    limit: u64,
    window: u64,
    horizon: u64,
    steps: &[(u64, u64, bool)],
) -> Vec<(u64, u64)> {
    let mut redis = world.redis.clone();
    redis::cmd("DEL").arg(world.queue.keys().lane("schedule")).exec_async(&mut redis).await.unwrap();
    let limits = LaneLimits {
        tokens: Some(limit),
        kind: Some(LimitKind::Fixed),
        window_seconds: Some(window as f64),
        ..LaneLimits::default()
    };
    world.queue.declare_lane("schedule", &limits).await.unwrap();
    let answer: String = redis::Script::new(SCHEDULE)
        .key(world.queue.keys().prefix())
        .arg("{}")
        .arg(serde_json::json!({ "horizon": horizon, "steps": steps }).to_string())
        .invoke_async(&mut redis)
        .await
        .unwrap();
    let slots: Vec<(String, String)> = serde_json::from_str(&answer).unwrap();
    slots.iter().map(|(slot, tokens)| (slot.parse().unwrap(), tokens.parse().unwrap())).collect()
}

/// Requests of any size, also larger than the burst and than the limit, at any times, some given back at once.
#[tokio::test(flavor = "multi_thread")]
async fn requests_of_any_size_never_exceed_limit_burst_and_the_largest_of_them() {
    use proptest::prelude::*;
    let step = (
        prop_oneof![0_u64..1_000, 0_u64..2_000_000, 0_u64..120_000_000],
        1_u64..400,
        prop::bool::weighted(0.1),
    );
    let cases = (1_u64..2_000, 1_u64..90, 0_u64..3_000_000, prop::collection::vec(step, 1..400));
    let world = World::new().await;
    let handle = tokio::runtime::Handle::current();
    let run = move || {
        let config = Config { cases: 128, failure_persistence: None, ..Config::default() };
        TestRunner::new(config).run(&cases, |(limit, window, horizon, steps)| {
            let kept = handle.block_on(granted(&world, limit, window, horizon, &steps));
            let largest = kept.iter().map(|(_, tokens)| *tokens).max().unwrap_or(0);
            let most = most_within(window * 1_000_000, &kept);
            let allowed = limit as f64 * (1.0 + 1.0 / 120.0) + largest as f64 + 1.0;
            prop_assert!(most as f64 <= allowed, "{most} of {allowed}");
            Ok(())
        })
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap();
}

fn refusal(dimension: Option<&'static str>, limit: u64, used: u64, wait: Duration) -> Refusal {
    Refusal {
        dimension,
        limit: Some(limit),
        used: Some(used),
        requested: Some(1),
        wait: Some(wait.as_micros() as u64),
        message: "too much".to_owned(),
        ..Refusal::default()
    }
}

/// Claims, sends and is refused; the lane as it stands then.
async fn refuse(world: &World, refusal: &Refusal) -> LaneState {
    let grant = world.sent().await;
    crate::ending::refused(world, &grant, refusal).await;
    world.queue.lanes().await.unwrap().into_iter().find(|lane| lane.name == LANE).unwrap()
}

#[tokio::test]
async fn a_day_that_is_used_up_is_waited_out() {
    let limits = LaneLimits { requests_per_day: Some(200), ..LaneLimits::default() };
    let world = World::with(Duration::ZERO, &limits).await;
    world.submit("b", "shop", 0..3).await;
    refuse(&world, &refusal(Some("requests_per_day"), 200, 200, Duration::from_secs(432))).await;
    let claimed = world.claim(3).await;
    assert_eq!((claimed.grants.len(), claimed.why.as_str()), (0, "limit"));
    let lane = &world.queue.lanes().await.unwrap()[0];
    let (now, next) = (world.now().await, lane.next_permit(world.now().await, 0).unwrap().1);
    assert!((425_000_000..=433_000_000).contains(&(next - now)), "{} µs", next - now);
}

#[tokio::test]
async fn a_number_of_nothing_is_no_limit_of_images() {
    let limits = LaneLimits { images: Some(250), kind: Some(LimitKind::Guess), ..LaneLimits::default() };
    let world = World::with(Duration::ZERO, &limits).await;
    world.submit("b", "shop", 0..3).await;
    let lane = refuse(&world, &refusal(None, 30_000, 29_937, Duration::from_millis(500))).await;
    assert_eq!(lane.limits, [("images".to_owned(), 250)]);
}

#[tokio::test]
async fn a_limit_that_only_the_api_names_is_taken_up_and_waited_for() {
    let limits = LaneLimits { images: Some(250), ..LaneLimits::default() };
    let world = World::with(Duration::ZERO, &limits).await;
    world.submit("b", "shop", 0..3).await;
    let lane = refuse(&world, &refusal(Some("requests"), 5, 5, Duration::from_secs(12))).await;
    assert_eq!(lane.limits, [("images".to_owned(), 250), ("requests".to_owned(), 5)]);
    assert_eq!(world.claim(3).await.grants.len(), 0, "twelve seconds and more");
}

#[tokio::test]
async fn a_lane_without_limits_rests_longer_each_time() {
    let world = World::new().await;
    world.submit("b", "shop", 0..3).await;
    let unnamed = Refusal { message: "slow".to_owned(), ..Refusal::default() };
    let first = refuse(&world, &unnamed).await;
    assert_eq!(first.pause_reason.as_deref(), Some("slow"));
    world.queue.pause_lane(LANE, None).await.unwrap();
    let now = world.now().await;
    let second = refuse(&world, &unnamed).await.pause_until.unwrap();
    assert!(second >= now + 2_000_000, "twice as long");
}

#[tokio::test]
async fn limits_that_are_known_stand_against_a_guess() {
    let world = World::new().await;
    let known = LaneLimits { images: Some(250), in_flight: Some(50), ..LaneLimits::default() };
    let guess = LaneLimits { images: Some(5), kind: Some(LimitKind::Guess), ..LaneLimits::default() };
    assert!(world.queue.declare_lane("a.x", &guess).await.unwrap());
    assert!(world.queue.declare_lane("a.x", &known).await.unwrap());
    assert!(!world.queue.declare_lane("a.x", &guess).await.unwrap());
    let lanes = world.queue.lanes().await.unwrap();
    let lane = lanes.iter().find(|lane| lane.name == "a.x").unwrap();
    assert_eq!((lane.limits[0].1, lane.in_flight_limit), (250, Some(50)));
}

#[tokio::test]
async fn a_lane_that_was_hardly_used_is_not_taken_for_a_fast_one() {
    let limits = LaneLimits {
        images: Some(60),
        kind: Some(LimitKind::Guess),
        window_seconds: Some(1.0),
        ..LaneLimits::default()
    };
    let world = World::with(Duration::ZERO, &limits).await;
    let lane = world.queue.keys().lane(LANE);
    let long_ago = (world.now().await - 60_000_000).to_string();
    let now = world.now().await.to_string();
    let fields = [("since:images", long_ago.as_str()), ("tat:images", now.as_str()), ("given:images", "12")];
    redis::cmd("HSET").arg(&lane).arg(&fields).exec_async(&mut world.redis.clone()).await.unwrap();
    world.submit("b", "shop", 0..200).await;
    let granted = world.claim(200).await.grants.len();
    assert!((40..=80).contains(&granted), "a second's worth and a burst, not {granted}");
}

#[tokio::test]
async fn a_broken_lane_is_tried_by_one_and_heals() {
    let world = World::new().await;
    world.submit("b", "shop", 0..9).await;
    let lane = world.queue.keys().lane(LANE);
    let fields = [("broken", "1"), ("faults", "9"), ("breaks", "3")];
    redis::cmd("HSET").arg(&lane).arg(&fields).exec_async(&mut world.redis.clone()).await.unwrap();
    let probe = world.claim(5).await;
    assert_eq!((probe.grants.len(), probe.troubled), (1, vec![LANE.to_owned()]));
    assert_eq!(world.claim(5).await.grants.len(), 0, "one finds out for all");
    world.queue.learn(LANE, 0, &BTreeMap::new()).await.unwrap();
    assert_eq!(world.claim(5).await.grants.len(), 5);
}

#[tokio::test]
async fn faults_break_a_lane_after_a_while_and_those_sent_before_do_not_count_again() {
    let world = World::new().await;
    world.submit("b", "shop", 0..20).await;
    let grants = world.claim(8).await.grants;
    let lane = world.queue.keys().lane(LANE);
    for grant in &grants {
        world.begin(grant).await;
    }
    let state = || async { world.queue.lanes().await.unwrap().into_iter().find(|l| l.name == LANE).unwrap() };
    for grant in &grants[..4] {
        crate::ending::fault(&world, grant, 0).await;
    }
    assert_eq!(state().await.pause_until, None, "four are not many");
    let since = (world.now().await - 6_000_000).to_string();
    redis::cmd("HSET")
        .arg(&lane)
        .arg("fault_since")
        .arg(since)
        .exec_async(&mut world.redis.clone())
        .await
        .unwrap();
    crate::ending::fault(&world, &grants[4], 0).await;
    let broken = state().await;
    assert!(
        broken.pause_until.is_some() && broken.pause_reason.unwrap().starts_with("failed 5 times in a row")
    );
    for grant in &grants[5..] {
        crate::ending::fault(&world, grant, 0).await;
    }
    assert_eq!(state().await.pause_until, broken.pause_until, "sent before: they say nothing new");
}

#[tokio::test]
async fn a_limit_set_by_hand_stands_until_it_is_left_to_the_settings() {
    let world = World::new().await;
    let told = LaneLimits { images: Some(250), ..LaneLimits::default() };
    world.queue.declare_lane("a.x", &told).await.unwrap();
    let limit = || async {
        let lanes = world.queue.lanes().await.unwrap();
        let lane = lanes.into_iter().find(|lane| lane.name == "a.x").unwrap();
        (lane.pace[0].limit, lane.pace[0].ordered)
    };
    world.queue.order_limit("a.x", "images", Some(400)).await.unwrap();
    world.queue.declare_lane("a.x", &told).await.unwrap();
    assert_eq!(limit().await, (400, Some(400)), "another worker starts");
    world.queue.order_limit("a.x", "images", None).await.unwrap();
    assert_eq!(limit().await, (250, None));
    world.queue.declare_lane("a.x", &told).await.unwrap();
    assert_eq!(limit().await, (250, None));
}

/// Permits that are given in some seconds to who asks again and again.
async fn given(world: &World, seconds: u64) -> usize {
    let (begun, mut given) = (std::time::Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(seconds) {
        given += world.claim(64).await.grants.len();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    given
}

#[tokio::test]
async fn a_limit_set_by_hand_is_not_exceeded_to_find_out_and_nor_is_a_known_one_after_it() {
    for kind in [LimitKind::Guess, LimitKind::Fixed] {
        let told = LaneLimits {
            images: Some(100),
            window_seconds: Some(1.0),
            kind: Some(kind),
            ..LaneLimits::default()
        };
        let world = World::with(Duration::ZERO, &told).await;
        world.submit("b", "shop", 0..2_000).await;
        world.queue.order_limit(LANE, "images", Some(100)).await.unwrap();
        if kind == LimitKind::Fixed {
            world.queue.order_limit(LANE, "images", None).await.unwrap();
        }
        // Claims give the permits of the second to come, too.
        let given = given(&world, 4).await;
        assert!((400..=510).contains(&given), "{given} of 100 a second in 4 seconds, {kind:?}");
    }
}

#[tokio::test]
async fn a_limit_that_only_the_api_named_can_be_set_by_hand() {
    let world = World::with(Duration::ZERO, &LaneLimits { images: Some(250), ..LaneLimits::default() }).await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    let refusal = Refusal {
        epoch: 0,
        dimension: Some("requests"),
        limit: Some(50),
        used: Some(50),
        requested: Some(1),
        wait: None,
        slow_down: false,
        message: "Limit 50".to_owned(),
    };
    crate::ending::refused(&world, &grant, &refusal).await;
    let requests = || async {
        let lanes = world.queue.lanes().await.unwrap();
        let of_requests = |d: &pictor_common::queue::Dimension| d.name == "requests";
        lanes[0].pace.iter().find(|d| of_requests(d)).map(|d| (d.limit, d.ordered))
    };
    let told = LaneLimits { images: Some(250), ..LaneLimits::default() };
    world.queue.declare_lane(LANE, &told).await.unwrap();
    assert_eq!(requests().await, Some((50, None)), "learnt");
    world.queue.order_limit(LANE, "requests", Some(30)).await.unwrap();
    world.queue.declare_lane(LANE, &told).await.unwrap();
    assert_eq!(requests().await, Some((30, Some(30))), "settings that do not tell of it leave it alone");
    world.queue.order_limit(LANE, "requests", None).await.unwrap();
    world.queue.declare_lane(LANE, &told).await.unwrap();
    assert_eq!(requests().await, Some((30, None)), "until the API names another");
}
