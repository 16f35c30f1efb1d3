//! `pictor verify`: what went wrong behind Pictor's back is found, and only what somebody asks for is paid again.

use std::{fs, process::Output, sync::Arc, time::Duration};

use pictor_common::store::{Body, NewObject, Store, StoredObject};
use pictor_simulator::Options;
use redis::AsyncCommands as _;
use serde_json::Value;

use crate::{
    support::{
        proxy::{Fault, Proxy},
        seaweed::Seaweed,
    },
    world::{Images, World, told},
};

const SECOND: Duration = Duration::from_secs(1);

/// A world with a batch of so many images, all made; no worker is left.
async fn made(images: Images, count: u64) -> World {
    let world = World::with(Options { latency_ms_p50: Some(20), ..Options::default() }, images);
    submit(&world, count);
    work(&world, count).await;
    world
}

fn submit(world: &World, count: u64) {
    let file = world.catalogue("rows.csv", 0..count);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "b"]);
}

/// Lets a worker make what there is to make.
async fn work(world: &World, count: u64) {
    let _worker = world.worker("worker", 16, &[]);
    assert_eq!(world.ended("b", 60 * SECOND).await.counts.done, count);
}

async fn store(world: &World) -> Arc<dyn Store> {
    match &world.images {
        Images::Directory => {
            pictor_store::open(world.path("images").to_str().unwrap(), &Default::default()).await.unwrap()
        }
        Images::S3(seaweed) => {
            pictor_store::open(&seaweed.url(&world.prefix()), &seaweed.settings()).await.unwrap()
        }
    }
}

/// Name of the image of a row.
async fn image(world: &World, id: &str) -> String {
    world.json(&["asset", "show", id, "--batch", "b"])["asset"]["made"]["object"].as_str().unwrap().to_owned()
}

fn verify(world: &World, args: &[&str]) -> Output {
    world.run(&[&["verify", "b"], args].concat())
}

/// The exit code, and what is told.
fn told_by(world: &World, args: &[&str]) -> (i32, Value) {
    let output = verify(world, &[args, &["--json"]].concat());
    let value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", told(&output)));
    (output.status.code().unwrap(), value)
}

/// What was found, as `what id`.
fn found(value: &Value) -> Vec<String> {
    let mut found: Vec<String> = value["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            assert!(
                !finding["todo"].as_str().unwrap().is_empty() && finding["key"].as_str().unwrap().len() == 64
            );
            format!("{} {}", finding["what"].as_str().unwrap(), finding["id"].as_str().unwrap())
        })
        .collect();
    found.sort();
    found
}

fn all_fine(world: &World, args: &[&str], count: u64) {
    let (code, value) = told_by(world, args);
    assert_eq!((code, found(&value), &value["complete"]), (0, vec![], &Value::Bool(true)), "{value}");
    assert_eq!(
        (&value["checked"], &value["in_store"]),
        (&Value::from(count), &Value::from(count)),
        "{value}"
    );
}

async fn take_away(store: &dyn Store, name: &str) -> (StoredObject, Vec<u8>) {
    let object = store.head(name).await.unwrap().unwrap();
    let bytes = store.get(name).await.unwrap().unwrap().to_vec();
    store.delete(name).await.unwrap();
    (object, bytes)
}

async fn put(store: &dyn Store, object: StoredObject, bytes: Vec<u8>) {
    let StoredObject { name, content_type, metadata, .. } = object;
    let content_type = content_type.unwrap_or_default();
    store.put(NewObject { name, body: Body::Bytes(bytes.into()), content_type, metadata }).await.unwrap();
}

async fn gone_and_made_again(images: Images) {
    let world = made(images, 6).await;
    all_fine(&world, &[], 6);
    all_fine(&world, &["--deep"], 6);
    let store = store(&world).await;
    let name = image(&world, "row-2").await;
    take_away(&*store, &name).await;

    let (code, value) = told_by(&world, &[]);
    assert_eq!((code, found(&value)), (1, vec!["missing row-2".to_owned()]), "{value}");
    assert_eq!(
        (&value["findings"][0]["row"], &value["counts"]["missing"]),
        (&Value::from(3), &Value::from(1))
    );
    let output = verify(&world, &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("1 done, and gone from the store") && text.contains("row 3 (row-2)"), "{text}");
    assert!(text.contains("pictor verify b --remake"), "{text}");
    let unasked = verify(&world, &["--remake"]);
    assert_eq!(unasked.status.code(), Some(2), "{}", told(&unasked));
    assert!(String::from_utf8_lossy(&unasked.stderr).contains("--yes"), "{}", told(&unasked));
    assert_eq!(world.ended("b", SECOND).await.counts.done, 6, "nothing changed");

    let (code, value) = told_by(&world, &["--remake", "--yes"]);
    assert_eq!((code, &value["remade"]["queued"]), (1, &Value::from(1)), "{value}");
    let shown = world.json(&["batch", "show", "b"]);
    assert_eq!((&shown["state"], &shown["counts"]["done"]), (&"open".into(), &5.into()), "{shown}");
    assert_eq!(world.sim.billed().await, 6);
    work(&world, 6).await;
    assert_eq!(world.sim.billed().await, 7, "one is paid again, as asked");
    all_fine(&world, &["--deep"], 6);
    assert!(store.head(&name).await.unwrap().is_some());
    let results = world.run(&["results", "b", "--format", "csv"]);
    assert_eq!(
        (results.status.code(), String::from_utf8_lossy(&results.stdout).lines().count()),
        (Some(0), 7)
    );
    let ledger = world.json(&["ledger", "show", "b"]);
    assert_eq!((&ledger["total"]["settled"], &ledger["total"]["remade"]), (&7.into(), &1.into()), "{ledger}");
    let key = ledger["odd"][0]["key"].as_str().unwrap();
    let text = String::from_utf8(world.run(&["ledger", "show", key]).stdout).unwrap();
    assert!(text.contains("remade") && text.contains("on purpose") && !text.contains("twice"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_from_a_directory_is_made_again_only_when_asked() {
    gone_and_made_again(Images::Directory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_from_a_bucket_is_made_again_only_when_asked() {
    gone_and_made_again(Images::S3(Seaweed::shared())).await;
}

async fn damaged(images: Images) {
    let world = made(images, 4).await;
    let store = store(&world).await;
    let name = image(&world, "row-1").await;
    let (object, mut other) = take_away(&*store, &name).await;
    let middle = other.len() / 2;
    other[middle] ^= 0x55;
    put(&*store, object, other).await;
    let empty = image(&world, "row-3").await;
    let (object, _) = take_away(&*store, &empty).await;
    put(&*store, object, Vec::new()).await;

    let (code, value) = told_by(&world, &[]);
    assert_eq!((code, found(&value)), (1, vec!["damaged row-3".to_owned()]), "nobody read: {value}");
    let (code, value) = told_by(&world, &["--deep"]);
    assert_eq!(
        (code, found(&value)),
        (1, vec!["damaged row-1".to_owned(), "damaged row-3".to_owned()]),
        "{value}"
    );
    let (_, value) = told_by(&world, &["--deep", "--remake", "--yes"]);
    assert_eq!(value["remade"]["queued"], 2, "{value}");
    work(&world, 4).await;
    assert_eq!(world.sim.billed().await, 6);
    all_fine(&world, &["--deep"], 4);
    assert_eq!(store.list("rejected/", None, 10).await.unwrap().len(), 1, "the damaged bytes are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_found_by_reading_them() {
    damaged(Images::Directory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_objects_of_a_bucket_are_found_by_reading_them() {
    damaged(Images::S3(Seaweed::shared())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_says_as_much_as_a_look_at_each() {
    let world = made(Images::Directory, 90).await;
    all_fine(&world, &[], 90);
    let store = store(&world).await;
    for id in ["row-0", "row-89"] {
        take_away(&*store, &image(&world, id).await).await;
    }
    let (code, value) = told_by(&world, &[]);
    assert_eq!((code, found(&value)), (1, vec!["missing row-0".to_owned(), "missing row-89".to_owned()]));
    let text = String::from_utf8(verify(&world, &[]).stdout).unwrap();
    assert!(text.contains("2 done, and gone from the store"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ledger_lacks_or_has_otherwise_is_told() {
    let world = made(Images::Directory, 4).await;
    let queue = world.queue().await;
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let _archived = fs::remove_dir_all(world.path("images").join("ledger"));
    let entries = queue.ledger("-", 10).await.unwrap();
    let ledger = queue.keys().ledger();
    let key_of = async |id: &str| {
        world.json(&["asset", "show", id, "--batch", "b"])["key"].as_str().unwrap().to_owned()
    };
    let (wiped, changed) = (key_of("row-0").await, key_of("row-3").await);
    for (id, mut entry) in entries {
        if entry.key != wiped && entry.key != changed {
            continue;
        }
        let _gone: u64 = redis.xdel(&ledger, &[id]).await.unwrap();
        if entry.key == changed {
            entry.cost = "15999".to_owned();
            let text = serde_json::to_string(&entry).unwrap();
            let _added: String = redis.xadd(&ledger, "*", &[("entry", text)]).await.unwrap();
        }
    }
    let (code, value) = told_by(&world, &[]);
    let expected = vec!["cost_differs row-3".to_owned(), "unbooked row-0".to_owned()];
    assert_eq!((code, found(&value)), (1, expected), "{value}");
    let detail = value["findings"].as_array().unwrap().iter().find(|f| f["what"] == "cost_differs").unwrap();
    assert!(detail["detail"].as_str().unwrap().contains("$0.015999"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_came_back_is_taken_for_nothing() {
    let world = made(Images::Directory, 3).await;
    let store = store(&world).await;
    let name = image(&world, "row-1").await;
    let (object, bytes) = take_away(&*store, &name).await;
    told_by(&world, &["--remake", "--yes"]);
    put(&*store, object, bytes).await;
    let (code, value) = told_by(&world, &[]);
    assert_eq!((code, found(&value)), (1, vec!["not_done row-1".to_owned()]), "{value}");
    let (_, value) = told_by(&world, &["--remake"]);
    assert_eq!((&value["remade"]["settled"], &value["remade"]["queued"]), (&1.into(), &0.into()), "{value}");
    work(&world, 3).await;
    assert_eq!(world.sim.billed().await, 3, "nothing was paid");
    all_fine(&world, &["--deep"], 3);
    assert_eq!(world.queue().await.totals().await.unwrap().spent.0, 3 * 16_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_say_any_more_is_asked_of_the_file() {
    let world = made(Images::Directory, 3).await;
    let store = store(&world).await;
    let name = image(&world, "row-1").await;
    take_away(&*store, &name).await;
    store.delete(&name.replace(".png", ".json")).await.unwrap();
    let (_, value) = told_by(&world, &["--remake", "--yes"]);
    assert_eq!(
        (&value["remade"]["forgotten"], &value["remade"]["queued"]),
        (&1.into(), &0.into()),
        "{value}"
    );
    let (_, value) = told_by(&world, &[]);
    assert_eq!((&value["waiting"], found(&value)), (&1.into(), vec![]), "{value}");
    submit(&world, 3);
    work(&world, 3).await;
    assert_eq!(world.sim.billed().await, 4);
    all_fine(&world, &[], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_has_lost_nothing() {
    let seaweed = Seaweed::shared();
    let bucket = Proxy::start(seaweed.address()).await;
    let world = made(Images::S3(seaweed), 3).await;
    let endpoint = format!("http://{}", bucket.address());
    let through = |args: &[&str]| {
        let mut command = world.command(&[&["verify", "b"], args].concat());
        command.env("PICTOR_STORE__ENDPOINT", &endpoint).output().unwrap()
    };
    assert_eq!(through(&[]).status.code(), Some(0));
    bucket.set(Fault::Refuse);
    for args in [&["--json"][..], &["--remake", "--yes"]] {
        let output = through(args);
        assert_eq!(output.status.code(), Some(3), "{}", told(&output));
        assert!(!String::from_utf8_lossy(&output.stdout).contains("missing\",\"key"), "{}", told(&output));
    }
    assert_eq!(world.ended("b", SECOND).await.counts.done, 3);

    let world = made(Images::Directory, 3).await;
    fs::rename(world.path("images"), world.path("unmounted")).unwrap();
    let output = verify(&world, &["--remake", "--yes", "--even-all"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(!world.path("images").exists(), "looking makes no store");
    assert_eq!(world.ended("b", SECOND).await.counts.done, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_and_a_store_without_one_image_change_nothing() {
    let world = made(Images::Directory, 3).await;
    let output = world.run(&["verify", "nobody"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    let store = store(&world).await;
    for id in ["row-0", "row-1", "row-2"] {
        take_away(&*store, &image(&world, id).await).await;
    }
    let output = verify(&world, &["--remake", "--yes"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--even-all"), "{}", told(&output));
    assert_eq!(world.ended("b", SECOND).await.counts.done, 3);
    let (_, value) = told_by(&world, &["--remake", "--yes", "--even-all"]);
    assert_eq!(value["remade"]["queued"], 3, "{value}");
    work(&world, 3).await;
    all_fine(&world, &["--deep"], 3);
}
