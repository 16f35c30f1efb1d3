//! Profiles: what is selected together stays together, and a namespace keeps to one of them.

use std::{
    fs,
    process::Output,
    time::{Duration, Instant},
};

use pictor_common::{keys::Keys, queue::Queue};
use pictor_simulator::Options;

use crate::world::{World, told};

fn quick() -> Options {
    Options { latency_ms_p50: Some(20), ..Options::default() }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", told(output)))
}

fn refused(output: &Output, parts: &[&str]) {
    assert_eq!(code(output), 3, "{}", told(output));
    let text = String::from_utf8_lossy(&output.stderr);
    for part in parts {
        assert!(text.contains(part), "{part} in {text}");
    }
}

fn add_settings(world: &World, more: &str) {
    let path = world.path("pictor.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text + more).unwrap();
}

async fn queue(world: &World, namespace: &str) -> Queue {
    let client = redis::Client::open(world.redis.url()).unwrap();
    Queue::connect(client, Keys::new(namespace).unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_refuses_any_profile_but_its_own() {
    let world = World::start(quick());
    add_settings(
        &world,
        "[profiles.dev]\nredis.namespace = \"it\"\n[profiles.prod]\nredis.namespace = \"it\"\n",
    );
    let file = world.catalogue("a.csv", 0..3);
    let file = file.to_str().unwrap();
    // In use before anybody selected a profile: the first one adopts it.
    assert_eq!(code(&world.run(&["submit", file, "--run-id", "old"])), 0);
    let adopted = world.run(&["--profile", "dev", "submit", file, "--run-id", "b"]);
    assert_eq!(code(&adopted), 0, "{}", told(&adopted));

    let told_of_prod = ["namespace it belongs to profile dev", "profile prod is selected", "--profile dev"];
    for command in [&["submit", file, "--run-id", "c"][..], &["worker"], &["status"], &["failed", "list"]] {
        refused(&world.run(&[&["--profile", "prod"], command].concat()), &told_of_prod);
    }
    refused(&world.run(&["status"]), &["belongs to profile dev", "no profile is selected", "--profile dev"]);
    assert_eq!(code(&world.run(&["status", "--profile", "dev"])), 0);
    let shown = world.command(&["config", "show"]).env("PICTOR_PROFILE", "prod").output().unwrap();
    assert_eq!(code(&shown), 0, "what is set can always be looked at: {}", told(&shown));
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(text.contains("prod (environment PICTOR_PROFILE)"), "{text}");
    assert_eq!(world.queue().await.batches(10).await.unwrap().len(), 2, "nothing was queued by the refused");

    let misspelt = world.run(&["--profile", "prd", "status"]);
    assert_eq!(code(&misspelt), 2);
    assert!(told(&misspelt).contains("did you mean \"prod\"?"), "{}", told(&misspelt));
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_without_tables_share_nothing() {
    let world = World::start(quick());
    let file = world.catalogue("a.csv", 0..3);
    let file = file.to_str().unwrap();
    for profile in ["dev", "staging"] {
        let run = world.run(&["--profile", profile, "run", file]);
        assert_eq!(code(&run), 0, "{}", told(&run));
        let made = queue(&world, &format!("it-{profile}")).await.totals().await.unwrap();
        assert_eq!(made.spent.0, 3 * 16_000);
        assert!(world.path(&format!("images/{profile}")).is_dir());
    }
    assert_eq!(world.sim.billed().await, 6, "each has its own images");
    assert!(world.queue().await.batches(10).await.unwrap().is_empty());
    let shown = world.json(&["--profile", "dev", "config", "show"]);
    let rows = shown["settings"].as_array().unwrap();
    let namespace = rows.iter().find(|row| row["section"] == "redis" && row["name"] == "namespace").unwrap();
    assert_eq!((&namespace["value"], &namespace["origin"]["kind"]), (&"it-dev".into(), &"profile".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_redis_remembers_too() {
    let world = World::start(quick());
    let settings = format!(
        "[accounts.sim]\nbase_url = {:?}\napi_key_env = \"SIM_API_KEY\"\nlimits.dall-e-2.requests = 100000\n\
         [profiles.dev]\nredis.namespace = \"n\"\n[profiles.prod]\nredis.namespace = \"n\"\n",
        world.sim.base_url()
    );
    fs::write(world.path("pictor.toml"), settings).unwrap();
    let file = world.catalogue("a.csv", 0..3);
    let file = file.to_str().unwrap();
    let run =
        |profile: &str| world.run(&["--profile", profile, "--data-dir", "data", "run", file, "--out", "out"]);
    let first = run("dev");
    assert_eq!(code(&first), 0, "{}", told(&first));
    refused(&run("prod"), &["namespace n belongs to profile dev", "profile prod is selected"]);
    let look = world.run(&["--profile", "prod", "--data-dir", "data", "status"]);
    refused(&look, &["namespace n belongs to profile dev"]);
    assert_eq!(code(&run("dev")), 0);
    assert_eq!(world.sim.billed().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_leaves_a_wiped_namespace_that_became_anothers() {
    let world = World::start(quick());
    add_settings(
        &world,
        "[profiles.dev]\nredis.namespace = \"it\"\n[profiles.prod]\nredis.namespace = \"it\"\n",
    );
    let prod = world.worker("prod", 2, &[("PICTOR_PROFILE", "prod")]);
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let mut wipe = redis::pipe();
    wipe.atomic().cmd("FLUSHALL").set("{it}:profile", "dev").exec_async(&mut redis).await.unwrap();
    let dev = world.worker("dev", 2, &[("PICTOR_PROFILE", "dev")]);
    let file = world.catalogue("a.csv", 0..20);
    let queued = world.run(&["--profile", "dev", "submit", file.to_str().unwrap(), "--run-id", "b"]);
    assert_eq!(code(&queued), 0, "{}", told(&queued));
    assert_eq!(world.ended("b", Duration::from_secs(60)).await.counts.done, 20);
    let ledger = world.ledger().await;
    assert_eq!(ledger.len(), 20);
    assert!(ledger.iter().all(|entry| entry.token.starts_with(&dev.incarnation)), "prod worked for dev");
    let log = prod.proc.stderr();
    assert_eq!(log.matches("belongs to another profile by now").count(), 1, "{log}");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let shown = told(&world.run(&["--profile", "dev", "status"]));
        if shown.contains("takes nothing: the namespace belongs to profile dev") {
            break;
        }
        assert!(Instant::now() < deadline, "{shown}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
