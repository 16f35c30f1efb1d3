//! Clocks of workers' hosts and of Redis' host are wrong by ten minutes, and jump by as much under work.

use std::time::{Duration, Instant};

use super::{
    Dice, Played,
    stage::{Size, Stage, leases, secs},
};
use crate::{
    support::{clock::Clock, redis_server::RedisServer, seaweed::Seaweed},
    world::Images,
};

/// Ten minutes; a store refuses what is signed a quarter of an hour before or after its own time.
const WRONG: i64 = 600;

pub(crate) const SMALL: Size = Size {
    assets: 160,
    workers: 3,
    concurrency: 24,
    faults: 2,
    gap: secs(0, 1),
    lasts: secs(3, 5),
    in_flight: 40,
    bodies: 4,
    latency_ms: 1_500,
    timeout: Duration::from_secs(300),
    // When its clock goes back, a lane waits out a whole window: of a minute.
    recovers: Duration::from_secs(120),
    patience: Duration::from_secs(240),
};
pub(crate) const FULL: Size = Size {
    assets: 2_000,
    workers: 4,
    concurrency: 90,
    faults: 5,
    gap: secs(1, 5),
    lasts: secs(20, 40),
    in_flight: 200,
    bodies: 20,
    latency_ms: 4_000,
    patience: Duration::from_secs(900),
    ..SMALL
};

/// One worker ahead, one behind, and the others' clocks jump; their store judges the time of every request.
pub(crate) async fn of_workers(size: &Size) -> Played {
    let mut dice = Dice::of("clocks of workers");
    let mut stage = Stage::new(size, Images::S3(Seaweed::shared()));
    stage.submit(size.assets);
    let clocks: Vec<Clock> = [WRONG, -WRONG]
        .into_iter()
        .chain([0].repeat(size.workers))
        .take(size.workers)
        .map(Clock::ahead)
        .collect();
    for clock in &clocks {
        let variables = clock.variables();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let worker = stage.worker(&variables).await;
        stage.crew.push(worker);
    }
    let mut played = Played::new(&dice, size);
    for _ in 0..size.faults {
        tokio::time::sleep(dice.time(&size.gap)).await;
        played.saw(stage.busy().await);
        for clock in &clocks[2..] {
            clock.turn([-WRONG, 0, WRONG][dice.one_of(3)]);
        }
        tokio::time::sleep(dice.time(&size.lasts)).await;
        stage.all_work();
    }
    played.end(&mut stage).await;
    assert_eq!(played.judgement.twice, 0, "no worker died: nothing is paid twice");
    assert_eq!(played.judgement.unknown, 0, "nobody doubts what its owner still waits for");
    played
}

/// Redis' clock jumps ahead, so that all leases end at once, and back again; limits are for so many seconds.
pub(crate) async fn of_redis(size: &Size, window: u64) -> Played {
    let mut dice = Dice::of("clock of redis");
    let clock = Clock::ahead(0);
    let mut stage = Stage::new(size, Images::Directory);
    stage.world.redis = RedisServer::start_in(&[], clock.variables());
    // All but a few of the places: who forgets what is on its way lets more go out.
    let most = (size.workers * size.concurrency) as u64 * 4 / 5;
    stage.world.limits = format!("requests = 1000000\nwindow_seconds = {window}\nin_flight = {most}");
    stage.world.write_settings();
    stage.begin().await;
    let mut played = Played::new(&dice, size);
    let turns = if dice.one_of(2) == 0 { [WRONG, 0, -WRONG, 0] } else { [-WRONG, 0, WRONG, 0] };
    for turn in turns.iter().cycle().take(size.faults) {
        tokio::time::sleep(dice.time(&size.gap)).await;
        played.saw(stage.busy().await);
        clock.turn(*turn);
        let turned = Instant::now();
        let claimed = claimed_within(&mut stage, most, size.patience).await;
        played.recoveries.push(claimed - turned);
        stage.all_work();
    }
    played.end(&mut stage).await;
    let judged = played.judgement;
    assert_eq!((judged.twice, judged.unknown), (0, 0), "no worker died: nothing is paid twice, nor doubted");
    played
}

/// Waits for a claim, and looks meanwhile and for a while after that whether more is on its way than may be.
async fn claimed_within(stage: &mut Stage, most: u64, patience: Duration) -> Instant {
    let mut redis = stage.redis().await;
    let known = leases(&mut redis).await;
    let begun = Instant::now();
    let mut claimed = None;
    while claimed.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(2)) {
        let in_flight = stage.in_flight().await;
        assert!(in_flight <= most, "{in_flight} of at most {most} are on their way; {}", stage.told());
        if claimed.is_none() && leases(&mut redis).await.iter().any(|lease| !known.contains(lease)) {
            claimed = Some(Instant::now());
        }
        assert!(begun.elapsed() < patience, "nothing is claimed after {patience:?}; {}", stage.told());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    claimed.unwrap_or(begun)
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_wrong_or_jump_lose_nothing_and_pay_nothing_twice() {
    let (_workers, redis) = tokio::join!(of_workers(&SMALL), of_redis(&SMALL, 10));
    redis.in_time();
}
