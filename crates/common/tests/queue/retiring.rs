//! What is archived is forgotten, once and only as it was archived; what was made or failed stays known.

use std::{io::Read as _, sync::Arc, time::Duration};

use pictor_common::{
    queue::{Billed, FailureAction, Outcome, Retired},
    retention::{Gone, Retention, RetentionError, Retiring, Round, archived},
    store::Store,
};
use redis::AsyncCommands as _;

use crate::{
    ending::{fail, settle, unknown},
    memory::MemoryStore,
    world::{World, asset, head, id, key, line},
};

const AGED: Duration = Duration::from_micros(1);

fn old_batches() -> Retention {
    Retention { batches: Some(AGED), ..Retention::default() }
}

/// A step of somebody, in a store.
async fn step(
    world: &World,
    store: &Arc<dyn Store>,
    keep: &Retention,
    owner: &str,
) -> Result<Gone, RetentionError> {
    let folder = tempfile::tempdir().unwrap();
    Retiring { queue: &world.queue, store, keep, owner, folder: folder.path() }.step(&mut Round::now()).await
}

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::default())
}

async fn text(store: &Arc<dyn Store>, name: &str) -> String {
    let packed = store.get(name).await.unwrap().unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*packed).read_to_string(&mut text).unwrap();
    text
}

/// A batch whose first picture is made and whose second failed; a second batch asks for the same.
async fn two_ended() -> World {
    let world = World::new().await;
    world.submit("b", "shop", 1..3).await;
    settle(&world, &world.sent().await, 16_000).await;
    fail(&world, &world.sent().await, Billed::No, Outcome::Failed).await;
    world.submit("other", "shop", 1..4).await;
    world
}

/// What Redis has of a batch.
async fn left_of(world: &World, batch: &str) -> Vec<String> {
    let pattern = format!("{}*:{batch}", world.queue.keys().prefix());
    let names: Vec<String> =
        redis::cmd("KEYS").arg(pattern).query_async(&mut world.redis.clone()).await.unwrap();
    names
}

#[tokio::test]
async fn a_complete_batch_is_in_the_store_before_it_is_gone_and_submitted_again_pays_nothing() {
    let (world, store) = (two_ended().await, store());
    let gone = step(&world, &store, &old_batches(), "w1").await.unwrap();
    assert_eq!(gone.batches, ["b"]);
    assert_eq!(
        step(&world, &store, &old_batches(), "w1").await.unwrap(),
        Gone::default(),
        "the other is open"
    );
    assert!(world.queue.batch(&id("b")).await.unwrap().is_none());
    assert_eq!(left_of(&world, "b").await, Vec::<String>::new());

    let kept = archived(&*store, world.queue.keys().namespace(), &id("b")).await.unwrap();
    let lines = text(&store, &kept[0].name).await;
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((kept.len(), lines.len(), lines[0]["id"].as_str()), (1, 3, Some("b")));
    assert_eq!(lines[1]["images"][0]["made"]["cost"], 16_000);
    assert_eq!((&lines[2]["id"], &lines[2]["images"][0]["phase"]), (&"2".into(), &"failed".into()));
    assert_eq!(lines[2]["images"][0]["failure"]["class"], "server_error");
    assert!(archived(&*store, world.queue.keys().namespace(), &id("bb")).await.unwrap().is_empty());

    assert_eq!((world.phase(&key(1)).await, world.phase(&key(2)).await), ("done".into(), "failed".into()));
    let other = world.queue.batch(&id("other")).await.unwrap().unwrap();
    assert_eq!(
        (other.counts.done, other.counts.failed, other.open_assets()),
        (1, 1, 1),
        "who is kept keeps all"
    );
    let again = world.submit("b", "shop", 1..3).await;
    assert_eq!((again.new, again.made, again.failed), (0, 1, 1));
    // Whoever still asks may retry what failed, and is told how it ended.
    world.queue.act_on_failures(&[key(2)], FailureAction::Retry).await.unwrap();
    for _ in 0..2 {
        settle(&world, &world.sent().await, 16_000).await;
    }
    assert_eq!(world.queue.batch(&id("other")).await.unwrap().unwrap().state, "complete");
    assert!(world.claim(5).await.grants.is_empty());
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 3 * 16_000);
}

#[tokio::test]
async fn one_at_a_time_archives_and_a_batch_that_has_changed_since_stays() {
    let (world, store) = (two_ended().await, store());
    let (one, two) = (old_batches(), old_batches());
    let (first, second) = tokio::join!(step(&world, &store, &one, "w1"), step(&world, &store, &two, "w2"));
    let went = [first, second].into_iter().flatten().flat_map(|gone| gone.batches);
    assert_eq!(
        went.collect::<Vec<_>>(),
        ["b"],
        "whoever comes second finds nothing to do, or is told to wait"
    );
    // Killed between the two: the turn ends by itself, and the next worker does it again.
    let world = two_ended().await;
    let batch = world.queue.batch(&id("b")).await.unwrap().unwrap();
    assert!(world.queue.take_retiring_turn("dead").await.unwrap());
    assert!(!world.queue.take_retiring_turn("w1").await.unwrap());
    let _ended: u64 = world.redis.clone().del(world.queue.keys().retiring()).await.unwrap();
    let late = world.queue.retire_batch("dead", &batch, &[key(2)]).await.unwrap();
    assert_eq!(late, Retired::Other, "without a turn nothing goes");
    assert!(world.queue.take_retiring_turn("w1").await.unwrap());
    world.queue.act_on_failures(&[key(2)], FailureAction::Retry).await.unwrap();
    assert_eq!(world.queue.retire_batch("w1", &batch, &[key(2)]).await.unwrap(), Retired::Changed);
    settle(&world, &world.sent().await, 16_000).await;
    assert_eq!(world.queue.retire_batch("w1", &batch, &[]).await.unwrap(), Retired::Changed);
    assert_eq!(step(&world, &store, &old_batches(), "w1").await.unwrap().batches, ["b"]);
}

#[tokio::test]
async fn what_may_have_been_paid_stays_and_so_does_what_is_not_too_many() {
    let (world, store) = (World::new().await, store());
    world.submit("b", "shop", 1..2).await;
    for _ in 0..2 {
        unknown(&world, &world.sent().await).await;
    }
    assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().counts.parked, 1);
    let keep = Retention { failures: Some(AGED), max_batches: Some(0), ..old_batches() };
    assert_eq!(step(&world, &store, &keep, "w1").await.unwrap(), Gone::default());
    assert_eq!(world.queue.act_on_failures(&[key(1)], FailureAction::Retry).await.unwrap(), 1);
    settle(&world, &world.sent().await, 16_000).await;
    let many = Retention { max_batches: Some(0), ..Retention::default() };
    assert!(step(&world, &store, &many, "w1").await.unwrap().is_empty(), "it has just ended");
    let name = world.queue.keys().batch(&id("b"));
    let _old: u64 = world.redis.clone().hset(&name, "completed", 1).await.unwrap();
    let one = Retention { max_batches: Some(1), ..Retention::default() };
    assert!(step(&world, &store, &one, "w1").await.unwrap().is_empty());
    assert_eq!(step(&world, &store, &many, "w1").await.unwrap().batches, ["b"]);
}

#[tokio::test]
async fn an_old_failure_leaves_the_list_and_is_not_made_again_by_itself() {
    let (world, store) = (two_ended().await, store());
    let keep = Retention { failures: Some(AGED), ..Retention::default() };
    let gone = step(&world, &store, &keep, "w1").await.unwrap();
    assert_eq!((gone.failures, gone.batches.len()), (1, 0));
    assert!(step(&world, &store, &keep, "w1").await.unwrap().is_empty());
    let names = store.list("archive/", None, 10).await.unwrap();
    assert!(text(&store, &names[0]).await.contains(key(2).as_str()), "{names:?}");
    let listed: u64 = world.redis.clone().zcard(world.queue.keys().failures()).await.unwrap();
    assert_eq!((listed, world.phase(&key(2)).await), (0, "failed".to_owned()));
    let assets = [(1, asset(2))];
    let lines = [line(1, &assets[0].1)];
    let sums = world.queue.submit(&head("next", "shop"), &assets, &lines, false).await.unwrap();
    assert_eq!((sums.failed, sums.new), (1, 0));
}

#[tokio::test]
async fn old_events_go_to_the_store() {
    let (world, store) = (two_ended().await, store());
    let keep = Retention { events: Some(AGED), ..Retention::default() };
    let before: u64 = world.redis.clone().xlen(world.queue.keys().events()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(step(&world, &store, &keep, "w1").await.unwrap().events, before);
    let after: u64 = world.redis.clone().xlen(world.queue.keys().events()).await.unwrap();
    let names = store.list("archive/", None, 10).await.unwrap();
    assert_eq!((after, text(&store, &names[0]).await.lines().count() as u64), (0, before));
}

#[tokio::test]
async fn what_is_still_derived_or_to_be_told_stays_and_holds_up_no_other() {
    let (world, store) = (World::new().await, store());
    let mut redis = world.redis.clone();
    let keys = world.queue.keys();
    for (n, batch) in (1_u64..).zip(["derived", "told", "free"]) {
        world.submit(batch, "shop", n..n + 1).await;
        settle(&world, &world.sent().await, 16_000).await;
    }
    let _pending: u64 = redis.zadd(keys.derive(), "derived", 1).await.unwrap();
    let told = world.queue.batch(&id("told")).await.unwrap().unwrap().completed.unwrap();
    let _hook: u64 = redis.hset(keys.hooks(), "shop", "{}").await.unwrap();
    let news = format!("completed|{told}|told");
    let _news: u64 = redis.zadd(keys.news(), &news, told).await.unwrap();
    let _free: u64 = redis.hset(keys.batch(&id("free")), "told", u64::MAX >> 12).await.unwrap();
    let plan = {
        let (folder, keep) = (tempfile::tempdir().unwrap(), old_batches());
        let retiring =
            Retiring { queue: &world.queue, store: &store, keep: &keep, owner: "w", folder: folder.path() };
        retiring.plan(10).await.unwrap()
    };
    assert_eq!(plan.batches, ["free"]);
    assert_eq!(step(&world, &store, &old_batches(), "w1").await.unwrap().batches, ["free"]);
    assert!(step(&world, &store, &old_batches(), "w1").await.unwrap().is_empty());
    let _gone: u64 = redis.zrem(keys.derive(), "derived").await.unwrap();
    let _sent: u64 = redis.zrem(keys.news(), &news).await.unwrap();
    let _told: u64 = redis.hset(keys.batch(&id("told")), "told", told).await.unwrap();
    let _told: u64 = redis.hset(keys.batch(&id("derived")), "told", u64::MAX >> 12).await.unwrap();
    for batch in ["derived", "told"] {
        assert_eq!(step(&world, &store, &old_batches(), "w1").await.unwrap().batches, [batch]);
    }
}

#[tokio::test]
async fn a_failure_that_only_an_archived_batch_had_is_listed_again_for_whoever_asks_next() {
    let (world, store) = (World::new().await, store());
    world.submit("b", "shop", 1..2).await;
    fail(&world, &world.sent().await, Billed::No, Outcome::Failed).await;
    assert_eq!(step(&world, &store, &old_batches(), "w1").await.unwrap().batches, ["b"]);
    assert_eq!(left_of(&world, "b").await, Vec::<String>::new());
    assert_eq!(world.queue.act_on_failures(&[key(1)], FailureAction::Retry).await.unwrap(), 0);
    let again = world.submit("b", "shop", 1..2).await;
    assert_eq!((again.new, again.failed), (0, 1));
    assert_eq!(world.queue.act_on_failures(&[key(1)], FailureAction::Retry).await.unwrap(), 1);
    let grant = world.sent().await;
    assert_eq!((grant.key.clone(), grant.payer.as_str()), (key(1), "b"));
    settle(&world, &grant, 16_000).await;
    assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().state, "complete");
}

#[tokio::test]
async fn a_batch_whose_lines_are_missing_is_not_forgotten() {
    let (world, store) = (two_ended().await, store());
    let name = world.queue.keys().batch(&id("b"));
    let _short: u64 = world.redis.clone().hset(&name, "sealed", 3).await.unwrap();
    let became = step(&world, &store, &old_batches(), "w1").await;
    assert!(matches!(became, Err(RetentionError::Short(_))), "{became:?}");
    assert!(world.queue.batch(&id("b")).await.unwrap().is_some());
    assert!(store.list("archive/", None, 10).await.unwrap().is_empty());
}
