//! The limiter's own scripts at work in made-up time, against a provider's bucket: the cases of a working day in
//! milliseconds. `prove-pacing` does the same with processes, sockets and the simulator.

use std::time::Duration;

use pictor_common::queue::{LaneLimits, LimitKind};
use proptest::test_runner::{Config, TestRunner};
use serde::{Deserialize, Serialize};

use crate::world::World;

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
        println!("{found:?}");
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
