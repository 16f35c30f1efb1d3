//! Done assets go from Redis when they are old, no batch asks for them and the store has them; whoever asks meanwhile keeps them.

use std::{collections::BTreeMap, io::Read as _, sync::Arc, time::Duration};

use pictor_common::{
    AssetKey, MicroUsd,
    batch::{Made, NewAsset},
    queue::{Begun, Billed, Grant, HeldPhase, Hold, Outcome, QueueError, Redo, Redone},
    retention::{Gone, Retention, RetentionError, Retiring, Round},
    stamp::Stamp,
    store::{Body, NewObject, Store, image_name},
};
use redis::AsyncCommands as _;

use crate::{
    ending::{fail, unknown},
    memory::MemoryStore,
    world::{LEASE, World, asset, attempt, head, held, id, key, line, spec},
};

const AGED: Duration = Duration::from_micros(1);

fn of_assets() -> Retention {
    Retention { assets: Some(AGED), ..Retention::default() }
}

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::default())
}

fn made(n: u64, at_ms: u64) -> Made {
    let object = image_name(&key(n), &spec(n));
    Made { object, digest: format!("digest-{n}"), cost: MicroUsd(16_000), at_ms, ..Made::default() }
}

/// The number of a prompt.
fn number(grant: &Grant) -> u64 {
    grant.spec.prompt.as_ref().unwrap().trim_start_matches("thing ").parse().unwrap()
}

/// Makes what waits, stored a long time ago in the order of the prompts; returns what was claimed.
async fn make(world: &World, store: &Arc<dyn Store>, count: usize) {
    for _ in 0..count {
        let grant = world.sent().await;
        let n = number(&grant);
        let stamp = Stamp { attempt: attempt(&grant), made: made(n, n) };
        let object = NewObject {
            name: stamp.made.object.clone(),
            body: Body::Bytes("png".into()),
            content_type: "image/png".into(),
            metadata: stamp.to_metadata(),
        };
        store.put_if_absent(object).await.unwrap();
        world.queue.settle(&stamp.attempt, &stamp.made).await.unwrap();
    }
}

/// One who lets go.
struct Keeper<'a> {
    world: &'a World,
    store: &'a Arc<dyn Store>,
    keep: Retention,
    owner: &'static str,
    folder: tempfile::TempDir,
}

impl<'a> Keeper<'a> {
    fn new(world: &'a World, store: &'a Arc<dyn Store>, keep: Retention) -> Self {
        Self { world, store, keep, owner: "w1", folder: tempfile::tempdir().unwrap() }
    }

    fn retiring(&self) -> Retiring<'_> {
        let (queue, folder) = (&self.world.queue, self.folder.path());
        Retiring { queue, store: self.store, keep: &self.keep, owner: self.owner, folder }
    }

    /// Goes on to the end; tells how many assets went.
    async fn end(&self, round: &mut Round) -> Result<u64, RetentionError> {
        let mut assets = 0;
        loop {
            let gone = self.retiring().step(round).await?;
            assets += gone.assets;
            if gone.is_empty() && !round.is_under_way() {
                return Ok(assets);
            }
        }
    }

    async fn all(&self) -> u64 {
        self.end(&mut Round::now()).await.unwrap()
    }

    /// Goes on until what may go is marked, an asset among it, and what is asked for was read after that.
    async fn marked(&self, key: &AssetKey) -> Round {
        let mut round = Round::now();
        while !is_leaving(self.world, key).await {
            assert_eq!(self.retiring().step(&mut round).await.unwrap(), Gone::default());
            assert!(round.is_under_way());
        }
        round
    }
}

async fn is_leaving(world: &World, key: &AssetKey) -> bool {
    world.queue.known(&[key]).await.unwrap()[0].as_ref().is_some_and(|known| known.leaving)
}

/// Keys of Redis that have to do with some assets.
async fn left_of(world: &World, keys: &[AssetKey]) -> Vec<String> {
    let pattern = format!("{}*", world.queue.keys().prefix());
    let names: Vec<String> =
        redis::cmd("KEYS").arg(pattern).query_async(&mut world.redis.clone()).await.unwrap();
    names.into_iter().filter(|name| keys.iter().any(|key| name.contains(key.as_str()))).collect()
}

/// Lets a batch be forgotten as if it had been archived long ago.
async fn archive(world: &World, batch: &str) {
    let state = world.queue.batch(&id(batch)).await.unwrap().unwrap();
    assert!(world.queue.take_retiring_turn("archivist").await.unwrap());
    world.queue.retire_batch("archivist", &state, &[]).await.unwrap();
    world.queue.end_retiring_turn("archivist").await.unwrap();
    assert!(world.queue.batch(&id(batch)).await.unwrap().is_none());
}

/// Submits one prompt as a plan found it, which relied on Redis or had it from the store.
pub(crate) async fn submit_as(
    world: &World,
    batch: &str,
    n: u64,
    made: Option<Made>,
    relied: bool,
) -> Result<u64, QueueError> {
    let assets = [(1, NewAsset { made, ..asset(n) })];
    let lines = [line(1, &assets[0].1)];
    let chunk = world.queue.chunk(&head(batch, "shop"), &assets, &lines, false, None, &[relied])?;
    Ok(world.queue.send(&chunk).await?.made)
}

#[tokio::test]
async fn what_no_batch_asks_for_goes_and_is_not_paid_again() {
    let (world, store) = (World::new().await, store());
    world.submit("b", "shop", 1..4).await;
    make(&world, &store, 3).await;
    world.submit("other", "shop", 2..3).await;
    let keeper = Keeper::new(&world, &store, of_assets());
    assert_eq!(keeper.all().await, 0, "a batch that is kept asks for all of it");
    archive(&world, "b").await;
    assert_eq!(keeper.retiring().plan(10).await.unwrap().assets, 2);
    assert_eq!(left_of(&world, &[key(1), key(3)]).await.len(), 2, "a plan changes nothing");
    assert_eq!(keeper.all().await, 2);
    assert_eq!(left_of(&world, &[key(1), key(3)]).await, Vec::<String>::new());
    assert_eq!(world.phase(&key(2)).await, "done");

    let names = store.list("archive/", None, 10).await.unwrap();
    let packed = store.get(&names[0]).await.unwrap().unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*packed).read_to_string(&mut text).unwrap();
    assert!(names.len() == 1 && text.lines().count() == 2, "{names:?} {text}");
    assert!(text.contains("\"digest\":\"digest-3\"") && text.contains(key(1).as_str()), "{text}");

    // A plan from before must be made again: it did not look into the store.
    let relied = submit_as(&world, "late", 1, None, true).await;
    assert!(matches!(relied, Err(QueueError::Forgot)), "{relied:?}");
    assert!(world.queue.batch(&id("late")).await.unwrap().is_none(), "nothing was written");
    assert_eq!(submit_as(&world, "late", 1, Some(made(1, 1)), false).await.unwrap(), 1);
    assert_eq!(submit_as(&world, "late", 1, None, true).await.unwrap(), 1, "it is known again");
    world.queue.seal(&id("late"), 1).await.unwrap();
    assert_eq!(world.queue.batch(&id("late")).await.unwrap().unwrap().state, "complete");
    assert!(world.claim(5).await.grants.is_empty());
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 3 * 16_000);
}

#[tokio::test]
async fn whoever_asks_before_it_is_forgotten_keeps_it() {
    let (world, store) = (World::new().await, store());
    world.submit("live", "shop", 9..10).await;
    world.submit("b", "shop", 1..5).await;
    make(&world, &store, 5).await;
    archive(&world, "b").await;
    let keeper = Keeper::new(&world, &store, of_assets());
    let mut round = keeper.marked(&key(1)).await;
    assert!(!is_leaving(&world, &key(9)).await, "a line has it");

    // By a submission that relied on it, and by a line that has it in the place of another.
    assert_eq!(submit_as(&world, "late", 1, None, true).await.unwrap(), 1);
    let to = NewAsset { made: None, ..asset(2) };
    let redo = Redo { asked: key(9), row: 9, from: key(9), to, most: 8, back: false, free: false };
    assert_eq!(world.queue.redo(&id("live"), &redo).await.unwrap(), Redone::Ok);
    assert_eq!(keeper.end(&mut round).await.unwrap(), 2, "the other two");
    let phases = [world.phase(&key(1)).await, world.phase(&key(2)).await, world.phase(&key(3)).await];
    assert_eq!(phases, ["done", "done", "none"]);
    assert_eq!(keeper.all().await, 0, "they are asked for by batches now");
}

#[tokio::test]
async fn a_round_that_is_broken_off_is_done_by_the_next() {
    let (world, store) = (World::new().await, store());
    world.submit("b", "shop", 1..4).await;
    make(&world, &store, 3).await;
    archive(&world, "b").await;
    let killed = Keeper::new(&world, &store, of_assets());
    let mut broken = killed.marked(&key(1)).await;
    let next = Keeper { owner: "w2", ..Keeper::new(&world, &store, of_assets()) };
    let waits = next.end(&mut Round::now()).await;
    assert!(matches!(waits, Err(RetentionError::Other)), "{waits:?}");
    // The turn of who was killed ends.
    let _ended: u64 = world.redis.clone().del(world.queue.keys().retiring()).await.unwrap();
    assert_eq!(next.all().await, 3);
    assert_eq!(left_of(&world, &[key(1), key(2), key(3)]).await, Vec::<String>::new());
    assert_eq!(killed.end(&mut broken).await.unwrap(), 0, "who was only frozen finds nothing more");

    let by_itself = next.end(&mut Round::default()).await.unwrap();
    assert_eq!(by_itself, 0);
    world.submit("c", "shop", 5..6).await;
    make(&world, &store, 1).await;
    archive(&world, "c").await;
    assert_eq!(next.end(&mut Round::default()).await.unwrap(), 0, "workers look a few times a day");
    assert_eq!(next.all().await, 1);
}

#[tokio::test]
async fn who_was_frozen_with_it_in_hand_does_not_send_it_when_it_is_made_and_forgotten() {
    let (world, store) = (World::new().await, store());
    world.submit("b", "shop", 1..2).await;
    let frozen = world.one().await;
    world.expire_leases().await;
    world.queue.reap(10).await.unwrap();
    make(&world, &store, 1).await;
    archive(&world, "b").await;
    assert_eq!(Keeper::new(&world, &store, of_assets()).all().await, 1);
    // After two minutes nobody knows that token any more.
    let ended = format!("{}ended:{}", world.queue.keys().prefix(), frozen.token);
    assert_eq!(world.redis.clone().del::<_, u64>(ended).await.unwrap(), 1);
    let answers = world.queue.extend(&[held(&frozen, HeldPhase::Claimed)], LEASE).await.unwrap();
    assert_eq!(answers, [Hold::Lost]);
    assert!(!matches!(world.begin(&frozen).await, Begun::Go { .. }));
    assert_eq!(left_of(&world, &[key(1)]).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_made_or_perhaps_paid_twice_stays() {
    let (world, store) = (World::new().await, store());
    // Failed; parked; made after an attempt of which nobody knows; waiting.
    world.submit("failed", "shop", 1..2).await;
    fail(&world, &world.sent().await, Billed::No, Outcome::Failed).await;
    world.submit("parked", "shop", 2..3).await;
    for _ in 0..2 {
        unknown(&world, &world.sent().await).await;
    }
    world.submit("doubt", "shop", 3..4).await;
    unknown(&world, &world.sent().await).await;
    make(&world, &store, 1).await;
    archive(&world, "doubt").await;
    world.submit("waits", "shop", 4..5).await;
    assert_eq!(Keeper::new(&world, &store, of_assets()).all().await, 0);
    let phases = [1, 2, 3, 4].map(key);
    let mut found = Vec::new();
    for key in &phases {
        found.push(world.phase(key).await);
    }
    assert_eq!(found, ["failed", "parked", "done", "ready"]);
}

#[tokio::test]
async fn what_stands_in_for_a_failure_stays_as_long_as_that() {
    let (world, store) = (World::new().await, store());
    world.submit("b", "shop", 1..3).await;
    fail(&world, &world.sent().await, Billed::No, Outcome::Failed).await;
    make(&world, &store, 1).await;
    let name = world.queue.keys().asset(&key(1));
    let _stands: u64 = world.redis.clone().hset(&name, "sub:other", key(2).as_str()).await.unwrap();
    let state = world.queue.batch(&id("b")).await.unwrap().unwrap();
    assert!(world.queue.take_retiring_turn("archivist").await.unwrap());
    world.queue.retire_batch("archivist", &state, &[key(1)]).await.unwrap();
    world.queue.end_retiring_turn("archivist").await.unwrap();
    let keeper = Keeper::new(&world, &store, of_assets());
    assert_eq!(keeper.all().await, 0);
    let _gone: u64 = world.redis.clone().hdel(&name, "sub:other").await.unwrap();
    assert_eq!(keeper.all().await, 1);
}

#[tokio::test]
async fn what_the_store_has_not_or_a_request_may_be_out_for_stays() {
    let (world, store) = (World::new().await, store());
    world.submit("b", "shop", 1..4).await;
    make(&world, &store, 3).await;
    archive(&world, "b").await;
    store.delete(&image_name(&key(1), &spec(1))).await.unwrap();
    let foreign = image_name(&key(2), &spec(2));
    store.delete(&foreign).await.unwrap();
    let (body, metadata) = (Body::Bytes("mine".into()), BTreeMap::new());
    let object = NewObject { name: foreign, body, content_type: "image/png".into(), metadata };
    store.put_if_absent(object).await.unwrap();
    let member = format!("rival {}", key(3));
    let leases = world.queue.keys().leases();
    let _out: u64 = world.redis.clone().zadd(&leases, &member, u64::MAX >> 12).await.unwrap();
    let keeper = Keeper::new(&world, &store, of_assets());
    assert_eq!(keeper.all().await, 0);
    for n in [1, 2] {
        assert!(!is_leaving(&world, &key(n)).await, "it is relied on as before");
    }
    let _back: u64 = world.redis.clone().zrem(&leases, &member).await.unwrap();
    assert_eq!(keeper.all().await, 1);
    assert_eq!(world.phase(&key(3)).await, "none");
}

#[tokio::test]
async fn the_oldest_go_where_there_are_too_many() {
    let (world, store) = (World::new().await, store());
    world.submit("b", "shop", 1..7).await;
    make(&world, &store, 6).await;
    archive(&world, "b").await;
    world.submit("live", "shop", 1..2).await;
    let keep = Retention { max_assets: Some(2), ..Retention::default() };
    let keeper = Keeper::new(&world, &store, keep);
    assert_eq!(keeper.all().await, 4);
    let mut left = Vec::new();
    for n in 1..7 {
        left.push(world.phase(&key(n)).await == "done");
    }
    assert_eq!(left, [true, false, false, false, false, true]);
    assert_eq!(keeper.all().await, 0);
}

#[tokio::test]
async fn nothing_is_forgotten_while_an_older_version_may_rely_on_it() {
    let (world, store) = (World::new().await, store());
    world.submit("b", "shop", 1..2).await;
    make(&world, &store, 1).await;
    archive(&world, "b").await;
    let keys = world.queue.keys();
    let _older: u64 = world.redis.clone().hset(keys.meta(), "layout", 4).await.unwrap();
    let () = world.redis.clone().set(keys.schema(), 4).await.unwrap();
    let keeper = Keeper::new(&world, &store, of_assets());
    let refused = keeper.end(&mut Round::now()).await;
    assert!(matches!(refused, Err(RetentionError::Older)), "{refused:?}");
    assert_eq!(world.phase(&key(1)).await, "done");
}
