//! `pictor asset remove`: a picture that must go is gone, its cost is not, and nothing is paid again by itself.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use pictor_common::{
    batch::Made,
    derivative::folder,
    store::{Body, NewObject, Store},
};
use pictor_simulator::Options;
use pictor_worker::derive::{Pass, Pool, Tally, Wanted};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    derive::all_there,
    support::seaweed::Seaweed,
    world::{Images, World, told},
};

const PATIENCE: Duration = Duration::from_secs(90);

fn quick() -> Options {
    Options { latency_ms_p50: Some(20), ..Options::default() }
}

fn submit(world: &World, file: &Path, batch: &str) -> Value {
    let derive = ["--derive", "64x64 cover webp q80", "--derive", "32w jpeg"];
    world.json(&[&["submit", file.to_str().unwrap(), "--run-id", batch], &derive[..]].concat())
}

/// Lets a worker make what there is to make, with its derivatives.
async fn work(world: &World, batch: &str) {
    let _worker = world.worker("w", 4, &[]);
    world.ended(batch, PATIENCE).await;
    drop(_worker);
    world.json(&["derive", batch]);
}

/// What Redis knows of an image.
async fn made(world: &World, key: &str) -> Made {
    let state = world.queue().await.assets(&[key.parse().unwrap()]).await.unwrap().pop().flatten().unwrap();
    state.made.unwrap()
}

/// Derives once more from an image as it was found; tells what it leaves, each with what the directory keeps of it, and how
/// many problems there were.
async fn derived(world: &World, key: &str, found: &Made) -> (usize, usize) {
    let store: Arc<dyn Store> =
        Arc::new(pictor_store::DirectoryStore::open(&world.path("images")).await.unwrap());
    let (pool, stop) = (Pool::new(1), CancellationToken::new());
    let pass = Pass { store: &store, pool: &pool, stop: &stop, again: false, dry_run: false };
    let wanted = Wanted {
        key: key.parse().unwrap(),
        made: found.clone(),
        derivatives: vec!["17x17 cover png".parse().unwrap()],
    };
    let mut tally = Tally::default();
    pass.images(&world.queue().await, vec![wanted], &mut tally, |_| ()).await.unwrap();
    let left = files_of(&world.path("images"), key).iter().filter(|name| name.contains("17x17")).count();
    (left, tally.problems.len())
}

/// Files below a folder whose names have something in them.
fn files_of(folder: &Path, part: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if path.is_dir() {
            found.extend(files_of(&path, part));
        } else if name.contains(part) {
            found.push(name);
        }
    }
    found
}

fn refused(world: &World, args: &[&str], why: &str) {
    let output = world.run(args);
    let told = told(&output);
    assert!(output.status.code() == Some(2) && told.contains(why), "{why}: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_picture_is_gone_with_its_derivatives_and_paid_again_only_when_submitted() {
    let world = World::start(quick());
    let file = world.catalogue("rows.csv", 0..3);
    submit(&world, &file, "b");
    let remove = ["asset", "remove", "row-1", "--batch", "b"];
    refused(&world, &[&remove[..], &["--yes"]].concat(), "waits to be made");
    work(&world, "b").await;
    submit(&world, &file, "other");
    let key = world.json(&["asset", "show", "row-1", "--batch", "b"])["key"].as_str().unwrap().to_owned();
    let images = world.path("images");
    let first = made(&world, &key).await;
    let before = files_of(&images, &key);
    // The image, the JSON beside it and two derivatives, each with what the directory keeps of it.
    assert_eq!(before.len(), 8, "{before:?}");

    let plan = world.json(&[&remove[..], &["--dry-run"]].concat());
    assert_eq!((&plan["did"], &plan["derivatives"]), (&"would be removed".into(), &2.into()), "{plan}");
    let lines = plan["lines"].as_array().unwrap();
    assert!(
        lines.len() == 2 && lines.iter().all(|line| line["id"] == "row-1" && line["stands"] == true),
        "{plan}"
    );
    assert_eq!(plan["prompt"], "thing number 1", "{plan}");
    refused(&world, &remove, "WOULD PAY FOR IT AGAIN");
    assert_eq!(files_of(&images, &key), before, "nobody said yes");

    // Some who asked have not counted it yet.
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let asset = format!("{{it}}:a:{key}");
    redis::cmd("HSET").arg(&asset).arg(&["parting", "1"]).exec_async(&mut redis).await.unwrap();
    refused(&world, &[&remove[..], &["--yes"]].concat(), "try again in a minute");
    assert_eq!(files_of(&images, &key), before, "nothing was removed");
    assert!(!told(&world.run(&["audit"])).contains("removed"));
    redis::cmd("HDEL").arg(&asset).arg("parting").exec_async(&mut redis).await.unwrap();

    let done = world.json(&[&remove[..], &["--yes", "--reason", "shows a trademark"]].concat());
    assert_eq!((&done["did"], &done["key"]), (&"removed".into(), &Value::from(key.clone())), "{done}");
    assert_eq!(files_of(&images, &key), Vec::<String>::new());
    assert_eq!(
        files_of(&images, "").iter().filter(|name| name.contains("/derivatives/")).count(),
        8,
        "others stay"
    );
    let entries: Vec<_> = world.ledger().await.into_iter().filter(|entry| entry.key == key).collect();
    let kinds: Vec<&str> = entries.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!((kinds.as_slice(), entries[0].cost.as_str()), (&["settled", "removed"][..], "16000"));

    is_told(&world, &key);
    let again = world.json(&[&remove[..], &["--yes"]].concat());
    assert_eq!(again["did"], "nothing", "{again}");
    let redo = world.json(&["asset", "redo", "row-1", "--batch", "other", "--dry-run"]);
    assert_eq!((&redo["did"], &redo["made"]), (&"would be redone".into(), &false.into()), "{redo}");
    assert_eq!(world.sim.billed().await, 3);

    submit(&world, &file, "b");
    let worker = world.worker("w", 4, &[]);
    world.ended("b", PATIENCE).await;
    all_there(&world, "b", 6).await;
    drop(worker);
    assert_eq!(world.sim.billed().await, 4, "one more, since somebody asked");
    assert_eq!(files_of(&images, &key).len(), 8);
    // Who still derives from the first does not leave what passes for the other's.
    assert_eq!(derived(&world, &key, &first).await, (0, 1));
    assert_eq!(derived(&world, &key, &made(&world, &key).await).await, (2, 0));
    let verified = world.json(&["verify", "b", "--deep"]);
    assert_eq!((&verified["in_store"], &verified["removed"]), (&3.into(), &0.into()), "{verified}");
    let counts = world.ended("other", PATIENCE).await.counts;
    assert_eq!((counts.done, counts.failed), (3, 0));
}

/// What every view says of it.
fn is_told(world: &World, key: &str) {
    let verified = world.json(&["verify", "b"]);
    assert_eq!((&verified["removed"], &verified["in_store"]), (&1.into(), &2.into()), "{verified}");
    let shown = world.json(&["batch", "show", "b"]);
    assert!(shown.to_string().contains("complete"), "{shown}");
    let says = |args: &[&str], words: &str| {
        let output = world.run(args);
        assert!(String::from_utf8_lossy(&output.stdout).contains(words), "{args:?}: {}", told(&output));
    };
    says(&["results", "b"], "removed by somebody");
    says(&["asset", "show", key], "removed");
    says(&["ledger", "show", "b"], "removed on purpose");
    says(&["audit"], "shows a trademark");
    let gallery = world.json(&["gallery", "b", "--out", "page.html"]);
    assert_eq!((&gallery["made"], &gallery["removed"]), (&2.into(), &1.into()), "{gallery}");
    assert!(world.run(&["status"]).status.success());
    let derived = world.json(&["derive", "b"]);
    assert_eq!((&derived["made"], &derived["failed"]), (&0.into(), &0.into()), "{derived}");
}

/// Everything the store has, by name.
async fn all(store: &dyn Store) -> Vec<String> {
    store.list("", None, 1_000).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_remove_left_in_a_bucket_is_told_and_finished() {
    let world = World::with(quick(), Images::S3(Seaweed::shared()));
    let Images::S3(seaweed) = &world.images else { unreachable!() };
    let store = pictor_store::open(&seaweed.url(&world.prefix()), &seaweed.settings()).await.unwrap();
    let file = world.catalogue("rows.csv", 0..2);
    submit(&world, &file, "b");
    work(&world, "b").await;
    let shown = world.json(&["asset", "show", "row-0"]);
    let (key, name) = (shown["key"].as_str().unwrap(), shown["asset"]["made"]["object"].as_str().unwrap());
    let object = store.head(name).await.unwrap().unwrap();
    let bytes = store.get(name).await.unwrap().unwrap();
    let put_back = async || {
        let (name, metadata) = (object.name.clone(), object.metadata.clone());
        let content_type = object.content_type.clone().unwrap_or_default();
        store
            .put(NewObject { name, body: Body::Bytes(bytes.clone()), content_type, metadata })
            .await
            .unwrap();
    };
    let remove = ["asset", "remove", key, "--yes"];
    world.json(&remove);
    assert!(!all(&*store).await.iter().any(|name| name.contains(key)));

    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    // As if the store had failed when the image was gone: what was derived would pass for what is derived from the next.
    let derivative = NewObject {
        name: format!("{}64w-webp.v1.webp", folder(&key.parse().unwrap())),
        body: Body::Bytes("old".into()),
        content_type: "image/webp".into(),
        metadata: BTreeMap::new(),
    };
    store.put(derivative).await.unwrap();
    redis::cmd("HSET").arg("{it}:removing").arg(key).arg(1).exec_async(&mut redis).await.unwrap();
    let unfinished = world.run(&["submit", file.to_str().unwrap(), "--run-id", "new"]);
    assert_eq!(unfinished.status.code(), Some(3), "{}", told(&unfinished));
    assert!(
        told(&unfinished).contains(&format!("pictor asset remove {key} finishes that")),
        "{}",
        told(&unfinished)
    );
    assert_eq!(world.json(&remove)["did"], "removed");
    assert!(!all(&*store).await.iter().any(|name| name.contains(key)));

    // As if it had been killed behind Redis.
    put_back().await;
    let output = world.run(&["verify", "b", "--remake", "--yes", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let verified: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&verified["counts"]["not_removed"], &verified["remade"]["settled"]), (&1.into(), &0.into()));
    let submitted = world.run(&["submit", file.to_str().unwrap(), "--run-id", "new"]);
    assert_eq!(submitted.status.code(), Some(3), "it is not believed yet: {}", told(&submitted));
    assert_eq!(world.json(&remove)["did"], "removed");
    assert!(!all(&*store).await.iter().any(|name| name.contains(key)));

    // Redis knows nothing of it any more.
    put_back().await;
    redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
    assert_eq!(world.json(&remove)["did"], "removed");
    assert!(!all(&*store).await.iter().any(|name| name.contains(key)));
    refused(&world, &["asset", "remove", &"0".repeat(64), "--yes"], "the store has nothing of it");
    assert_eq!(world.sim.billed().await, 2);
}
