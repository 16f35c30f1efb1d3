//! AVIF: words that every build knows, and files that some make.

use std::time::Duration;

use pictor_common::queue::Derived;

#[cfg(not(feature = "avif"))]
use crate::derive::{PATIENCE, there};
use crate::{
    derive::{all_there, quick},
    world::{World, told},
};

const WORDS: &str = "64x48 cover avif q60";

/// A batch whose images are made, and whose derivatives are asked for and put aside.
async fn put_aside(world: &World) {
    world.catalogue("shop.csv", 0..3);
    let ran = world.run(&["run", "shop.csv", "--run-id", "first"]);
    assert!(ran.status.success(), "{}", told(&ran));
    world.json(&["submit", "shop.csv", "--run-id", "b", "--derive", "10w webp"]);
    let (queue, id) = (world.queue().await, "b".parse().unwrap());
    let words = ["10w webp", WORDS].map(|words| words.parse().unwrap());
    queue.tell_derived(&id, Derived::Aside(0), Some(&words)).await.unwrap();
    assert_eq!(queue.take_underived(Duration::ZERO, false).await.unwrap(), None);
}

#[cfg(feature = "avif")]
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_gets_its_avif_files() {
    let world = World::start(quick());
    put_aside(&world).await;
    let _worker = world.worker("w", 4, &[]);
    all_there(&world, "b", 6).await;
    let layout = ["results", "b", "--layout", "{id}.{ext}", "--to", "out", "--derivative", WORDS];
    let laid = world.run(&layout);
    assert!(laid.status.success(), "{}", told(&laid));
    let file = std::fs::read(world.path("out/row-2.avif")).unwrap();
    assert_eq!(&file[4..12], b"ftypavif");
    assert_eq!(world.sim.billed().await, 3);
}

#[cfg(not(feature = "avif"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_an_encoder_makes_the_rest_and_leaves_avif_to_others() {
    let world = World::start(quick());
    put_aside(&world).await;
    let (queue, id) = (world.queue().await, "b".parse().unwrap());
    queue.tell_derived(&id, Derived::Later(Duration::ZERO), None).await.unwrap();
    let mut worker = world.worker("w", 4, &[]);
    let left = |log: &str| log.matches("this worker makes no AVIF").count();
    worker.proc.wait_until("the warning", PATIENCE, |proc| left(&proc.stderr()) > 0);
    assert_eq!(there(&world, "b"), (3, 0));
    // It is looked at no more by this one, which goes on with others: it waits for another, or for a person.
    world.json(&["submit", "shop.csv", "--run-id", "c", "--derive", "11w webp"]);
    all_there(&world, "c", 3).await;
    assert_eq!(left(&worker.proc.stderr()), 1);
    let gauges = queue.gauges(&[]).await.unwrap();
    assert_eq!((gauges.derive, gauges.underived), (1, 0));

    let tried = world.run(&["derive", "b"]);
    assert_eq!(tried.status.code(), Some(1), "{}", told(&tried));
    let text = String::from_utf8_lossy(&tried.stdout);
    assert!(text.contains("3 there already, 3 left to builds that make AVIF"), "{text}");
    assert_eq!(queue.take_underived(Duration::ZERO, true).await.unwrap(), Some(id));
    let given_up = world.run(&["derive", "b", "--give-up"]);
    assert!(given_up.status.success(), "{}", told(&given_up));
    assert_eq!(queue.gauges(&[]).await.unwrap().derive, 0);
}

#[cfg(not(feature = "avif"))]
#[test]
fn a_build_without_an_encoder_refuses_avif_before_anything_is_queued() {
    let world = World::start(quick());
    world.catalogue("shop.csv", 0..1);
    std::fs::write(world.path("own.csv"), "id,prompt,derive\na,a mug,1200w avif q9\n").unwrap();
    for (args, words) in [
        (["submit", "shop.csv", "--derive", "256 avif"].as_slice(), "--derive '256x256 contain avif q80'"),
        (&["run", "shop.csv", "--derive", "256 avif"], "--derive '256x256 contain avif q80'"),
        (&["derive", "b", "--derive", "256 avif"], "--derive '256x256 contain avif q80'"),
        (&["submit", "own.csv"], "'1200w avif q9'"),
    ] {
        let refused = world.run(args);
        assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
        let told = String::from_utf8_lossy(&refused.stderr);
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(words) && told.contains("build with --features avif"), "{told}");
    }
}
