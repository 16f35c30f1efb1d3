//! What Pictor needs is away or in a bad mood: names that do not resolve, a store that is busy, in conflict, closed to
//! us or slow, an API that does not answer. Workers stay, say what they wait for, and go on by themselves.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use pictor_simulator::Options;

use crate::{
    support::{
        busy_front::{BusyFront, Mood},
        ports,
        proxy::{Fault, Proxy},
        seaweed::Seaweed,
    },
    world::{Images, Worker, World},
};

const PATIENCE: Duration = Duration::from_secs(90);

/// Polls until it is so.
async fn until(what: &str, told: impl Fn() -> String, mut met: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met().await {
        assert!(Instant::now() < deadline, "never {what}: {}", told());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Images in the spool of a worker.
fn spooled(world: &World, worker: &Worker) -> usize {
    let spool = world.path("spool").join(&worker.incarnation);
    let names = fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path: &PathBuf| path.extension().is_some_and(|extension| extension == "img")).count()
}

/// Whether a worker is ready, by its own word.
async fn readiness(port: u16) -> (u16, String) {
    let Ok(answer) = reqwest::get(format!("http://127.0.0.1:{port}/readyz")).await else {
        return (0, String::new());
    };
    (answer.status().as_u16(), answer.text().await.unwrap_or_default())
}

fn submit(world: &World, batch: &str, prompts: std::ops::Range<u64>) {
    let file = world.catalogue(&format!("{batch}.csv"), prompts);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", batch]);
}

fn short_answers() -> Options {
    Options { latency_ms_p50: Some(200), ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_any_mood_gets_every_image_in_the_end() {
    let seaweed = Seaweed::shared();
    let front = BusyFront::start(seaweed.address()).await;
    let world = World::with(short_answers(), Images::S3(seaweed));
    let (endpoint, port) = (format!("http://{}", front.address()), ports::free());
    let listen = format!("127.0.0.1:{port}");
    let through = [("PICTOR_STORE__ENDPOINT", endpoint.as_str()), ("PICTOR_WORKER__LISTEN", listen.as_str())];
    let mut worker = world.worker("worker", 6, &through);
    let mut assets = 0;
    for (mood, percent) in
        [(Mood::Busy, 30), (Mood::Conflict, 40), (Mood::Slow(Duration::from_millis(700)), 100)]
    {
        let (batch, refused) = (format!("{mood:?}-{percent}").replace(['(', ')', '.'], "-"), front.refused());
        front.be(mood, percent);
        submit(&world, &batch, assets..assets + 24);
        assets += 24;
        assert_eq!(world.ended(&batch, PATIENCE).await.counts.done, 24, "{mood:?}");
        assert!(front.refused() > refused + 5, "{mood:?}: it was in no mood");
    }
    // Its credentials were changed: everything is refused until somebody mends it.
    front.be(Mood::Denied, 100);
    submit(&world, "denied", assets..assets + 24);
    assets += 24;
    let told = || worker.proc.stderr();
    until("unready", told, async || {
        let (status, text) = readiness(port).await;
        status == 503 && text.contains("store: denied for")
    })
    .await;
    until("hands full", told, async || spooled(&world, &worker) == 6).await;
    let billed = world.sim.billed().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.sim.billed().await, billed, "paid for what cannot be stored");
    assert!(billed < assets && spooled(&world, &worker) == 6, "{}", told());
    let said = told().matches("the store refuses images").count();
    assert!((1..=6).contains(&said), "said {said} times for six images: {}", told());
    front.be(Mood::Denied, 0);
    assert_eq!(world.ended("denied", PATIENCE).await.counts.done, 24);
    assert_eq!(world.sim.billed().await, assets, "each is paid for once");
    until("ready again", told, async || readiness(port).await.0 == 200).await;
    assert!(worker.proc.exited().is_none(), "{}", worker.proc.told());
    assert!(world.ledger().await.iter().all(|entry| entry.kind == "settled"));
}

#[cfg(target_os = "linux")]
mod names {
    use super::*;
    use crate::support::names::Names;

    fn given<'v>(variables: &'v [(String, String)], more: &[(&'v str, &'v str)]) -> Vec<(&'v str, &'v str)> {
        variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(more.iter().copied())
            .collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_api_whose_name_does_not_resolve_is_waited_for() {
        let world = World::start(short_answers());
        // One request a connection, so that each needs the name.
        let front = BusyFront::start(world.sim.address()).await;
        let names = Names::known(&["api.test"]);
        let variables = names.variables();
        let base = format!("http://api.test:{}/v1", front.address().port());
        let settings = given(
            &variables,
            &[("PICTOR_ACCOUNTS__SIM__BASE_URL", &base), ("PICTOR_ACCOUNTS__SIM__ALLOW_HTTP", "true")],
        );
        let mut worker = world.worker("worker", 4, &settings);
        submit(&world, "b", 0..40);
        let told = || worker.proc.stderr();
        until("at work", told, async || world.sim.billed().await >= 4).await;
        names.know(&[]);
        until("told", told, async || {
            let lanes = world.json(&["lane", "list"]).to_string();
            lanes.contains("times in a row") && told().contains("transport")
        })
        .await;
        let billed = world.sim.billed().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(world.sim.billed().await, billed);
        let status = world.json(&["status"]).to_string();
        assert!(status.contains("times in a row"), "people are told: {status}");
        assert!(worker.proc.exited().is_none(), "{}", worker.proc.told());
        names.know(&["api.test"]);
        let state = world.ended("b", PATIENCE * 2).await;
        assert_eq!((state.counts.done, world.sim.billed().await), (40, 40));
        assert!(world.ledger().await.iter().all(|entry| entry.kind == "settled"), "nothing was in doubt");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_whose_name_does_not_resolve_is_waited_for() {
        let seaweed = Seaweed::shared();
        let front = BusyFront::start(seaweed.address()).await;
        let world = World::with(short_answers(), Images::S3(seaweed));
        let names = Names::known(&["s3.test"]);
        let variables = names.variables();
        let (endpoint, port) = (format!("http://s3.test:{}", front.address().port()), ports::free());
        let listen = format!("127.0.0.1:{port}");
        let settings =
            given(&variables, &[("PICTOR_STORE__ENDPOINT", &endpoint), ("PICTOR_WORKER__LISTEN", &listen)]);
        let mut worker = world.worker("worker", 4, &settings);
        submit(&world, "b", 0..30);
        let told = || worker.proc.stderr();
        until("at work", told, async || world.sim.billed().await >= 6).await;
        names.know(&[]);
        until("hands full", told, async || spooled(&world, &worker) == 4).await;
        until("unready", told, async || {
            let (status, text) = readiness(port).await;
            status == 503 && text.contains("store: unavailable for")
        })
        .await;
        // A connection that was there when the name went may carry one more image, and make room for one.
        let mut counts = [(0, 0); 2];
        until("standing still", told, async || {
            tokio::time::sleep(Duration::from_secs(2)).await;
            counts = [counts[1], (world.sim.billed().await, spooled(&world, &worker))];
            counts[0] == counts[1]
        })
        .await;
        assert!(counts[1].0 < 30 && counts[1].1 == 4, "{counts:?}: {}", told());
        assert!(told().contains("the store is away: images wait in the spool"), "{}", told());
        assert!(worker.proc.exited().is_none(), "{}", worker.proc.told());
        names.know(&["s3.test"]);
        let state = world.ended("b", PATIENCE).await;
        assert_eq!((state.counts.done, world.sim.billed().await), (30, 30));
        until("ready again", || worker.proc.stderr(), async || readiness(port).await.0 == 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_hangs_is_given_up_when_the_catalogue_says() {
    let world = World::start(short_answers());
    let api = Proxy::start(world.sim.address()).await;
    api.set(Fault::BlackHole);
    let times = "[models.dall-e-2]\ntimeout_seconds = 3\n[models.dall-e-3]\ntimeout_seconds = 12\n";
    fs::write(world.path("times.toml"), times).unwrap();
    let rows = "id,prompt,model,size\na,one,dall-e-2,256x256\nb,two,dall-e-3,1024x1024\n";
    fs::write(world.path("c.csv"), rows).unwrap();
    let (base, file) = (format!("http://{}/v1", api.address()), world.path("times.toml"));
    let settings = [
        ("PICTOR_ACCOUNTS__SIM__BASE_URL", base.as_str()),
        ("PICTOR_CATALOGUE__FILE", file.to_str().unwrap()),
        ("PICTOR_WORKER__MAX_UNKNOWN", "0"),
    ];
    let worker = world.worker("worker", 4, &settings);
    world.json(&["submit", "c.csv", "--run-id", "b"]);
    let queue = world.queue().await;
    let mut parked = Vec::new();
    until(
        "both given up",
        || worker.proc.stderr(),
        async || {
            let state = queue.batch(&"b".parse().unwrap()).await.unwrap().unwrap();
            while (parked.len() as u64) < state.counts.parked {
                parked.push(Instant::now());
            }
            parked.len() == 2
        },
    )
    .await;
    let apart = parked[1] - parked[0];
    assert!((7.0..20.0).contains(&apart.as_secs_f64()), "{apart:?} apart, not nine seconds");
    let unknown = world.ledger().await.into_iter().filter(|entry| entry.kind == "unknown");
    assert_eq!(unknown.map(|entry| entry.model).collect::<Vec<_>>(), ["dall-e-2", "dall-e-3"]);
}
