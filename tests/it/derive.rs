//! Derivatives: made beside paid work and afterwards, whatever happens in between, and never paid for.

use std::{
    fs,
    time::{Duration, Instant},
};

use pictor_simulator::Options;
use serde_json::Value;

use crate::{
    support::seaweed::Seaweed,
    world::{Images, World, told},
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
const TWO: [&str; 4] = ["--derive", "64x64 cover webp q80", "--derive", "32w jpeg"];

pub(crate) fn quick() -> Options {
    Options { latency_ms_p50: Some(20), ..Options::default() }
}

/// Derivatives of a batch that are in the store, and that are missing.
pub(crate) fn there(world: &World, batch: &str) -> (u64, u64) {
    let told = world.json(&["derive", batch, "--dry-run"]);
    (told["there"].as_u64().unwrap(), told["made"].as_u64().unwrap())
}

/// Waits until all derivatives are there, by themselves.
pub(crate) async fn all_there(world: &World, batch: &str, all: u64) {
    let deadline = Instant::now() + PATIENCE;
    while there(world, batch) != (all, 0) {
        assert!(Instant::now() < deadline, "{:?} of {all}", there(world, batch));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn through_the_real_binary(images: Images) {
    let world = World::with(quick(), images);
    let mut rows = fs::read_to_string(world.catalogue("shop.csv", 0..5)).unwrap();
    rows = rows.replacen("size\n", "size,derive\n", 1).replace("256x256\n", "256x256,\n");
    rows.push_str("own,a lamp,dall-e-2,256x256,16h png | 64x64 cover webp\n");
    fs::write(world.path("shop.csv"), rows).unwrap();
    world.json(&[&["submit", "shop.csv", "--run-id", "b"], &TWO[..]].concat());
    let mut worker = world.worker("w", 4, &[]);
    world.ended("b", PATIENCE).await;
    all_there(&world, "b", 13).await;
    worker.proc.kill();

    // Once all is there, nothing is done again.
    let again = world.json(&["derive", "b"]);
    assert_eq!((&again["made"], &again["there"]), (&Value::from(0), &Value::from(13)), "{again}");
    let new = world.json(&["derive", "b", "--derive", "20x10 cover png"]);
    assert_eq!((&new["made"], &new["there"]), (&Value::from(6), &Value::from(13)), "{new}");
    assert_eq!(there(&world, "b"), (19, 0));

    let asset = world.json(&["asset", "show", "own"]);
    assert_eq!(asset["derivatives"].as_array().unwrap().len(), 4, "{asset}");
    let layout = ["results", "b", "--layout", "{id}.{ext}", "--to", "out", "--derivative", "20x10 cover png"];
    let laid = world.run(&layout);
    assert!(laid.status.success(), "{}", told(&laid));
    let image = image::open(world.path("out/row-3.png")).unwrap();
    assert_eq!((image.width(), image.height()), (20, 10));
    let missing = world.run(&["results", "b", "--derivative", "21x10 cover png"]);
    assert!(String::from_utf8_lossy(&missing.stdout).contains("not derived: 21x10 cover png"));

    let verified = world.run(&["verify", "b", "--deep"]);
    assert!(verified.status.success(), "{}", told(&verified));
    assert_eq!(world.sim.billed().await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_gets_its_derivatives_in_a_directory() {
    through_the_real_binary(Images::Directory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_gets_its_derivatives_in_a_bucket() {
    through_the_real_binary(Images::S3(Seaweed::shared())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_did_not_derive_is_made_afterwards() {
    let world = World::start(quick());
    world.catalogue("shop.csv", 0..30);
    // More than one thread derives from before the last image is stored.
    let words = ["--derive", "300x300 contain png upscale", "--derive", "280w webp upscale"];
    world.json(&[&["submit", "shop.csv", "--run-id", "b"], &words[..]].concat());
    let mut worker = world.worker("w", 16, &[]);
    world.ended("b", PATIENCE).await;
    worker.proc.kill();
    let (made, missing) = there(&world, "b");
    assert!(missing > 0 && made + missing == 60, "{made} were made before the kill");
    let rest = world.json(&["derive", "b"]);
    assert_eq!(rest["made"], missing, "{rest}");
    assert_eq!(there(&world, "b"), (60, 0));
    assert_eq!(world.sim.billed().await, 30);
    // Nothing waits any more.
    let gauges = world.queue().await.gauges(&[]).await.unwrap();
    assert_eq!((gauges.derive, gauges.underived), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_were_there_before_get_theirs_without_being_paid_again() {
    let world = World::start(quick());
    world.catalogue("shop.csv", 0..4);
    let ran = world.run(&["run", "shop.csv", "--run-id", "first"]);
    assert!(ran.status.success(), "{}", told(&ran));
    let refused = world.run(&["derive", "first"]);
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    // By a run, which has nothing to make; and by a worker, for who does not wait.
    let ran = world.run(&[&["run", "shop.csv", "--run-id", "second"], &TWO[..]].concat());
    assert!(ran.status.success(), "{}", told(&ran));
    assert_eq!(there(&world, "second"), (8, 0));
    world.json(&["submit", "shop.csv", "--run-id", "third", "--derive", "10w"]);
    let _worker = world.worker("w", 4, &[]);
    all_there(&world, "third", 4).await;
    assert_eq!(world.sim.billed().await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_for_an_image_is_derived_from_in_its_place() {
    let world = World::start(quick());
    let rows = "id,prompt,model,size\nplain,a mug,dall-e-2,1024x1024\n\
        gone,a cup [[sim:model_not_found*1]],dall-e-2,1024x1024\n";
    fs::write(world.path("shop.csv"), rows).unwrap();
    let run = ["run", "shop.csv", "--run-id", "b", "--fallback", "dall-e-3", "--derive", "10w"];
    let ran = world.run(&run);
    assert!(ran.status.success(), "{}", told(&ran));
    assert_eq!(there(&world, "b"), (2, 0));
    let results = world.run(&["results", "b", "--derivative", "10w"]);
    assert!(!String::from_utf8_lossy(&results.stdout).contains("not derived"), "{}", told(&results));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_derived_from_is_told_once_and_harms_nobody() {
    let world = World::start(quick());
    world.catalogue("shop.csv", 0..3);
    let ran = world.run(&["run", "shop.csv", "--run-id", "first"]);
    assert!(ran.status.success(), "{}", told(&ran));
    let key = world.json(&["asset", "show", "row-1"])["key"].as_str().unwrap().to_owned();
    let image = world.path("images").join(format!("assets/{}/{key}.png", &key[..2]));
    fs::write(&image, b"no image at all").unwrap();

    let mut worker = world.worker("w", 4, &[]);
    world.json(&["submit", "shop.csv", "--run-id", "b", "--derive", "10w"]);
    let warned = |log: &str| log.matches("derivatives cannot be made").count();
    worker.proc.wait_until("the warning", PATIENCE, |proc| warned(&proc.stderr()) > 0);
    let queue = world.queue().await;
    let deadline = Instant::now() + PATIENCE;
    while queue.gauges(&[]).await.unwrap().underived != 1 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The others are there, and nobody tries again by himself.
    assert_eq!(there(&world, "b"), (2, 1));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(warned(&worker.proc.stderr()), 1);

    let tried = world.run(&["derive", "b"]);
    assert_eq!(tried.status.code(), Some(1), "{}", told(&tried));
    let text = String::from_utf8_lossy(&tried.stdout);
    assert!(text.contains("1 cannot be made") && text.contains(&key[..8]), "{text}");
    let given_up = world.run(&["derive", "b", "--give-up"]);
    assert!(given_up.status.success(), "{}", told(&given_up));
    assert_eq!(queue.gauges(&[]).await.unwrap().underived, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_told_to_stop_in_the_midst_gives_back_its_turn() {
    let world = World::start(quick());
    world.catalogue("shop.csv", 0..4);
    let ran = world.run(&["run", "shop.csv", "--run-id", "first"]);
    assert!(ran.status.success(), "{}", told(&ran));
    // Each takes a second or more, and there is one thread.
    let words = ["--derive", "4096 contain #ffffff png", "--derive", "4095 contain #ffffff png"];
    world.json(&[&["submit", "shop.csv", "--run-id", "b"], &words[..]].concat());
    let mut worker = world.worker("w", 4, &[("PICTOR_WORKER__DERIVE_THREADS", "1")]);
    let queue = world.queue().await;
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let mut tries = redis::cmd("HGET");
    tries.arg(queue.keys().batch_named("b")).arg("derive_tries");
    let deadline = Instant::now() + PATIENCE;
    while tries.query_async::<Option<u32>>(&mut redis).await.unwrap() != Some(1) {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    worker.proc.signal(rustix::process::Signal::TERM);
    let status = worker.proc.wait(PATIENCE);
    assert!(status.success(), "{}", worker.proc.told());
    let (_, missing) = there(&world, "b");
    assert!(missing > 0, "all was made before the signal");
    // Three who stopped are no three who died.
    assert_eq!(tries.query_async::<Option<u32>>(&mut redis).await.unwrap(), None);
    let lease = Duration::from_secs(1);
    assert_eq!(queue.take_underived(lease, false).await.unwrap(), Some("b".parse().unwrap()));
}

#[test]
fn words_that_mean_nothing_are_refused_before_anything_is_queued() {
    let world = World::start(quick());
    world.catalogue("shop.csv", 0..1);
    let refused = world.run(&["submit", "shop.csv", "--derive", "256x256 crop"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("\"crop\" is none of a size"));
    fs::write(world.path("own.csv"), "id,prompt,derive\na,a mug,1200w png q9\n").unwrap();
    let refused = world.run(&["submit", "own.csv"]);
    assert_eq!(refused.status.code(), Some(2));
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(
        told.contains("row 1") && told.contains("derive") && told.contains("png loses nothing"),
        "{told}"
    );
    let list = r#"{"id": "a", "prompt": "a mug", "derive": ["256 cover", "1200w jpeg"]}"#;
    fs::write(world.path("own.jsonl"), list).unwrap();
    let plan = world.json(&["submit", "own.jsonl", "--dry-run"]);
    assert_eq!(plan["plan"]["lines"], 1, "a list of derivatives is no list of variants: {plan}");
}
