//! The command line as people and cron use it.

use std::{fs, process::Output, time::Duration};

use pictor_simulator::Options;
use redis::AsyncCommands as _;

use crate::world::{API_KEY, World, told};

fn quick() -> Options {
    Options { latency_ms_p50: Some(20), ..Options::default() }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", told(output)))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_id_is_one_batch_and_never_two_contents() {
    let world = World::start(quick());
    let file = world.catalogue("a.csv", 0..20);
    let file = file.to_str().unwrap();
    let submit = ["submit", file, "--run-id", "nightly-1"];
    let both = std::thread::scope(|scope| {
        let one = scope.spawn(|| world.run(&submit));
        let two = scope.spawn(|| world.run(&submit));
        [one.join().unwrap(), two.join().unwrap()]
    });
    for output in &both {
        assert_eq!(code(output), 0, "{}", told(output));
    }
    let queue = world.queue().await;
    assert_eq!(queue.batches(10).await.unwrap().len(), 1);
    assert_eq!(queue.batch(&"nightly-1".parse().unwrap()).await.unwrap().unwrap().assets, 20);

    let other = world.catalogue("b.csv", 0..21);
    let refused = world.run(&["submit", other.to_str().unwrap(), "--run-id", "nightly-1"]);
    assert_eq!(code(&refused), 2, "{}", told(&refused));
    assert!(stderr(&refused).contains("nightly-1"), "{}", stderr(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_queues_nothing_and_ends_with_2() {
    let world = World::start(quick());
    fs::write(
        world.path("bad.csv"),
        "id,prompt,model,size,qualty\na,a lamp,dall-e-2,512x512,hd\nb,,dall-e-3,512x512,\nc,a cup,dall-e-4,,\n",
    )
    .unwrap();
    let refused = world.run(&["submit", "bad.csv"]);
    assert_eq!(code(&refused), 2, "{}", told(&refused));
    let text = stderr(&refused);
    for part in ["bad.csv", "qualty", "quality"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let ignoring = world.run(&["submit", "bad.csv", "--ignore-columns", "qualty"]);
    assert_eq!(code(&ignoring), 2, "{}", told(&ignoring));
    let text = stderr(&ignoring);
    for part in ["row 2", "row 3", "prompt", "512x512", "dall-e-4"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(world.queue().await.batches(10).await.unwrap().is_empty());
    for missing in [&["submit", "nowhere.csv"][..], &["run", "nowhere.csv"]] {
        assert_eq!(code(&world.run(missing)), 2, "{missing:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_costs_nothing_and_a_ceiling_above_the_most_is_refused_whole() {
    let world = World::start(quick());
    let file = world.catalogue("a.csv", 0..10);
    let file = file.to_str().unwrap();
    let plan = world.run(&["submit", file, "--dry-run"]);
    assert_eq!(code(&plan), 0, "{}", told(&plan));
    assert!(String::from_utf8_lossy(&plan.stdout).contains("$0.16"), "{}", told(&plan));
    let refused = world.run(&["submit", file, "--max-cost", "0.15"]);
    assert_eq!(code(&refused), 2, "{}", told(&refused));
    assert!(world.queue().await.batches(10).await.unwrap().is_empty());
    assert_eq!(code(&world.run(&["submit", file, "--max-cost", "0.16", "--run-id", "first"])), 0);
    let next = |most| world.run(&["submit", file, "--max-cost", most, "--run-id", "next"]);
    // No worker is alive to take what was cancelled off the queue: whoever asks next pays for it.
    assert_eq!(code(&world.run(&["batch", "cancel", "first"])), 0);
    let refused = next("0.15");
    assert_eq!(code(&refused), 2, "{}", told(&refused));
    assert_eq!(code(&next("0.16")), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_api_key_is_said_before_anything_is_queued() {
    let world = World::start(quick());
    let file = world.catalogue("a.csv", 0..3);
    let output = world.command(&["run", file.to_str().unwrap()]).env_remove("SIM_API_KEY").output().unwrap();
    assert_eq!(code(&output), 3, "{}", told(&output));
    assert!(stderr(&output).contains("SIM_API_KEY"), "{}", told(&output));
    assert!(world.queue().await.batches(10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn run_makes_resumes_and_pays_nothing_again() {
    let world = World::start(quick());
    fs::write(
        world.path("shop.csv"),
        "sku,id,prompt,n,model,size\nS1,lamp,=a lamp,3,dall-e-2,256x256\nS2,cup,a cup,1,dall-e-2,256x256\n",
    )
    .unwrap();
    let run = ["run", "shop.csv", "--ignore-columns", "sku", "--out", "out"];
    let first = world.run(&run);
    assert_eq!(code(&first), 0, "{}", told(&first));
    assert_eq!(world.sim.billed().await, 4);
    let again = world.run(&run);
    assert_eq!(code(&again), 0, "{}", told(&again));
    assert_eq!(world.sim.billed().await, 4, "what is made is not paid again");

    let table = fs::read_to_string(world.path("out/results.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let headers = reader.headers().unwrap().clone();
    assert_eq!(
        &headers.iter().take(6).collect::<Vec<_>>(),
        &["sku", "id", "prompt", "n", "model_original", "size"]
    );
    let at = |name: &str| {
        headers.iter().position(|h| h == name).unwrap_or_else(|| panic!("{name} in {headers:?}"))
    };
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4, "a row a take");
    for row in &rows {
        let file = world.path(&row[at("file")]);
        assert_eq!(image::open(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).width(), 256);
    }
    assert_eq!(&rows[0][at("prompt")], "'=a lamp", "a cell is no formula");

    // Another batch takes the place of this one's table, and this one's is kept.
    let batch = world.json(&[&run[..], &["--dry-run"]].concat())["batch"].clone();
    fs::write(world.path("out/results.csv.4711.part"), "half a table").unwrap();
    let other =
        world.run(&["run", "--prompt", "a jug", "--model", "dall-e-2", "--out", "out", "--run-id", "jug"]);
    assert_eq!(code(&other), 0, "{}", told(&other));
    let kept = |name: &str| fs::read_to_string(world.path("out").join(name)).unwrap();
    assert_eq!(kept(&format!("results/{}.csv", batch.as_str().unwrap())), table);
    assert_eq!(kept("results/jug.csv"), kept("results.csv"));
    assert_eq!(kept("results/jug.jsonl"), kept("results.jsonl"));
    assert!(!world.path("out/results.csv.4711.part").exists(), "what a killed run left is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_listed_shown_retried_and_discarded() {
    let world = World::start(quick());
    fs::write(
        world.path("a.csv"),
        "id,prompt,model,size\ngood,a lamp,dall-e-2,256x256\nbad,[[sim:moderation_blocked]] x,dall-e-2,256x256\n\
         odd,[[sim:invalid_value*1]] y,dall-e-2,256x256\n",
    )
    .unwrap();
    let output = world.run(&["run", "a.csv"]);
    assert_eq!(code(&output), 1, "{}", told(&output));
    let listed = world.run(&["failed", "list"]);
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(text.contains("moderation") && text.contains("bad_spec"), "{text}");
    let queue = world.queue().await;
    let odd = queue
        .failures(0, 10)
        .await
        .unwrap()
        .into_iter()
        .find(|(_, a)| a.failure.as_ref().is_some_and(|f| f.class == "bad_spec"));
    let odd = odd.unwrap().0.to_string();
    let shown = world.run(&["failed", "show", &odd]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("bad_spec"), "{}", told(&shown));
    assert_eq!(code(&world.run(&["failed", "retry", &odd])), 0);
    let output = world.run(&["run", "a.csv"]);
    assert_eq!(code(&output), 1, "one is still refused: {}", told(&output));
    assert_eq!(queue.failure_count().await.unwrap(), 1);
    let bad = queue.failures(0, 1).await.unwrap().remove(0).0.to_string();
    assert_eq!(code(&world.run(&["failed", "discard", &bad])), 0);
    assert_eq!(queue.failure_count().await.unwrap(), 0);
    assert_eq!(world.sim.billed().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_seen() {
    let world = World::start(quick());
    fs::write(
        world.path("a.csv"),
        "id,prompt,model,size\ngood,a lamp,dall-e-2,256x256\nbad,[[sim:invalid_value]] x,dall-e-2,256x256\n",
    )
    .unwrap();
    let submit = world.run(&["submit", "a.csv", "--run-id", "s", "--log", "trace"]);
    assert_eq!(code(&submit), 0, "{}", told(&submit));
    let worker = world.worker("worker", 2, &[("PICTOR_LOG", "trace,pictor=trace")]);
    world.ended("s", Duration::from_secs(60)).await;
    let arguments = fs::read(format!("/proc/{}/cmdline", worker.proc.pid())).unwrap();
    let mut seen = vec![
        ("the worker's log", worker.proc.stderr() + &worker.proc.stdout()),
        ("submit", told(&submit)),
        ("argv", String::from_utf8_lossy(&arguments).into_owned()),
        (
            "errors",
            told(
                &world
                    .command(&["run", "a.csv"])
                    .env("SIM_API_KEY", format!("{API_KEY}\u{7f}"))
                    .output()
                    .unwrap(),
            ),
        ),
    ];
    assert!(seen[0].1.contains("TRACE"), "the log is at trace level");
    seen.extend(kept(&world, |_| true).await);
    for (place, text) in seen {
        assert!(!text.contains(API_KEY), "the API key stands in {place}");
    }
}

/// All that is in Redis, and in those files of the world's directory that are wanted.
pub(crate) async fn kept(
    world: &World,
    wanted: impl Fn(&std::path::Path) -> bool,
) -> Vec<(&'static str, String)> {
    let mut kept = Vec::new();
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = connection.keys("*").await.unwrap();
    assert!(keys.len() > 5);
    for key in keys {
        let dumped: Vec<u8> = redis::cmd("DUMP").arg(&key).query_async(&mut connection).await.unwrap();
        kept.push(("Redis", key + &String::from_utf8_lossy(&dumped)));
    }
    for entry in walk(world.dir.path()).into_iter().filter(|path| wanted(path)) {
        kept.push(("files", String::from_utf8_lossy(&fs::read(entry).unwrap()).into_owned()));
    }
    kept
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path))
        } else if path.is_file() {
            files.push(path)
        }
    }
    files
}
