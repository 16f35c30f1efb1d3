//! Workers are killed outright, with their disk kept or lost with them.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;

use super::{
    Dice, Judgement, Played,
    stage::{Size, Stage, leases, secs},
};
use crate::{support::seaweed::Seaweed, world::Images};

/// What the send deadline allows beyond the timeout of the model.
const SEND_MARGIN: Duration = Duration::from_secs(30);

pub(crate) const KEPT: Size = Size {
    assets: 300,
    workers: 4,
    concurrency: 24,
    faults: 3,
    gap: secs(1, 2),
    lasts: secs(0, 0),
    in_flight: 60,
    bodies: 4,
    latency_ms: 2_000,
    timeout: Duration::from_secs(300),
    recovers: Duration::from_secs(20),
    patience: Duration::from_secs(120),
};
/// Latencies like those of life: killed requests are made again, and still work goes on.
pub(crate) const KEPT_FULL: Size = Size {
    assets: 10_000,
    concurrency: 90,
    faults: 100,
    gap: secs(5, 15),
    in_flight: 200,
    bodies: 20,
    latency_ms: 16_000,
    recovers: Duration::from_secs(20),
    patience: Duration::from_secs(900),
    ..KEPT
};
pub(crate) const LOST: Size = Size {
    assets: 120,
    faults: 1,
    latency_ms: 1_000,
    timeout: Duration::from_secs(10),
    patience: Duration::from_secs(180),
    ..KEPT
};
pub(crate) const LOST_FULL: Size = Size {
    faults: 20,
    timeout: Duration::from_secs(90),
    recovers: Duration::from_secs(15),
    gap: secs(5, 15),
    ..KEPT_FULL
};

/// What an incarnation has claimed.
async fn held(redis: &mut MultiplexedConnection, incarnation: &str) -> BTreeSet<String> {
    let all = leases(redis).await;
    all.into_iter().filter(|(token, _)| token.starts_with(incarnation)).map(|(_, key)| key).collect()
}

/// Waits until each of a dead worker's assets is claimed by another one, or done; how long after the death that was.
async fn taken_over(
    mut redis: MultiplexedConnection,
    dead: String,
    mut orphans: Vec<String>,
    death: Instant,
    patience: Duration,
) -> Duration {
    loop {
        let mut pipe = redis::pipe();
        for key in &orphans {
            pipe.hmget(format!("{{it}}:a:{key}"), &["phase", "token"]);
        }
        let seen: Vec<(Option<String>, Option<String>)> = pipe.query_async(&mut redis).await.unwrap();
        let mut waiting = Vec::new();
        for (key, (phase, token)) in orphans.into_iter().zip(seen) {
            let by_another = token.is_some_and(|token| !token.starts_with(&dead));
            if phase.as_deref() != Some("done") && !by_another {
                waiting.push(key);
            }
        }
        if waiting.is_empty() {
            return death.elapsed();
        }
        assert!(death.elapsed() < patience, "{} of a dead worker's assets still wait", waiting.len());
        orphans = waiting;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn killed(size: &Size, disk_kept: bool) -> Played {
    let mut dice = Dice::of(if disk_kept { "kill" } else { "disk" });
    let mut stage = Stage::new(size, Images::S3(Seaweed::shared()));
    stage.submit(size.assets);
    // A disk that can be lost is a worker's own; one that is kept can be taken up by the others.
    let disk = |stage: &Stage, life: usize| {
        let name = if disk_kept { "spool".to_owned() } else { format!("spool-{life}") };
        stage.world.path(&name).to_str().unwrap().to_owned()
    };
    let mut disks: Vec<String> = (0..size.workers).map(|life| disk(&stage, life)).collect();
    for own in &disks {
        let worker = stage.worker(&[("PICTOR_WORKER__SPOOL", own)]).await;
        stage.crew.push(worker);
    }
    let mut redis = stage.redis().await;
    let mut recoveries = JoinSet::new();
    let mut played = Played::new(&dice, size);
    for fault in 0..size.faults {
        tokio::time::sleep(dice.time(&size.gap)).await;
        played.saw(stage.busy().await);
        let victim = dice.one_of(size.workers);
        let incarnation = stage.crew[victim].incarnation.clone();
        let mut orphans = held(&mut redis, &incarnation).await;
        stage.crew[victim].proc.kill();
        let death = Instant::now();
        if !disk_kept {
            fs::remove_dir_all(&disks[victim]).unwrap();
        }
        orphans.extend(held(&mut redis, &incarnation).await);
        let orphans = orphans.into_iter().collect();
        recoveries.spawn(taken_over(redis.clone(), incarnation, orphans, death, size.patience));
        disks[victim] = disk(&stage, size.workers + fault);
        let own = disks[victim].clone();
        stage.replace(victim, &[("PICTOR_WORKER__SPOOL", &own)]).await;
    }
    while let Some(recovery) = recoveries.join_next().await {
        played.recoveries.push(recovery.unwrap());
    }
    played.end(&mut stage).await;
    if !disk_kept {
        played.bound += size.timeout + SEND_MARGIN;
    }
    let Judgement { twice, unknown, .. } = played.judgement;
    assert!(twice <= unknown, "{twice} bills too many, {unknown} unknown");
    played
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_at_random_with_and_without_their_disks_lose_nothing() {
    // Mostly waiting for a send deadline: they do it together.
    let (kept, lost) = tokio::join!(killed(&KEPT, true), killed(&LOST, false));
    [kept, lost].iter().for_each(Played::in_time);
}
