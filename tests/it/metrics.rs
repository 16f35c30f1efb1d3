//! Probes and metrics of a real worker, compared with what the simulator has seen and billed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use pictor_simulator::Options;
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    support::{
        ports,
        process::Proc,
        proxy::{Fault, Proxy},
    },
    world::{API_KEY, MODEL, Worker, World},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Of one picture of 256x256 by DALL·E 2, in micro-USD.
const PRICE: u64 = 16_000;
const LANE: &str = "sim.dall-e-2";

/// An address that nothing listens at.
fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], ports::free()))
}

fn worker(world: &World, name: &str, concurrency: usize, at: SocketAddr, more: &[(&str, &str)]) -> Worker {
    let address = at.to_string();
    world.worker(name, concurrency, &[&[("PICTOR_WORKER__LISTEN", address.as_str())], more].concat())
}

async fn get(at: SocketAddr, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("http://{at}{path}")).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Asks until the answer is as wanted.
async fn until(at: SocketAddr, path: &str, what: &str, met: impl Fn(u16, &str) -> bool) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, text) = get(at, path).await;
        if met(status, &text) {
            return text;
        }
        assert!(Instant::now() < deadline, "{path} is never {what}: {status} {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A page, read as strictly as Prometheus reads it.
struct Scrape {
    families: BTreeSet<String>,
    samples: BTreeMap<String, f64>,
    text: String,
}

impl Scrape {
    async fn of(at: SocketAddr) -> Self {
        let answer = reqwest::get(format!("http://{at}/metrics")).await.unwrap();
        assert_eq!(answer.status(), 200);
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        let text = answer.text().await.unwrap();
        assert!(text.ends_with('\n'));
        let (mut families, mut samples) = (BTreeSet::new(), BTreeMap::new());
        let mut family = String::new();
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                kind.split(' ').next().unwrap().clone_into(&mut family);
                assert!(families.insert(family.clone()), "{family} comes twice");
            } else if !line.starts_with("# HELP ") {
                let (series, number) = line.rsplit_once(' ').unwrap();
                assert!(series.starts_with(&family), "{series} below {family}");
                assert!(
                    samples.insert(series.to_owned(), number.parse().unwrap()).is_none(),
                    "{series} twice"
                );
            }
        }
        Self { families, samples, text }
    }

    /// The sum of the series of a family that have a label.
    fn sum(&self, family: &str, label: &str) -> u64 {
        let of = |series: &&String| {
            series.as_str() == family || series.starts_with(&format!("{family}{{")) && series.contains(label)
        };
        let sum: f64 = self.samples.iter().filter(|(series, _)| of(series)).map(|(_, number)| number).sum();
        sum as u64
    }

    /// One series.
    fn one(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("no {series} in\n{}", self.text))
    }
}

/// Names in the tables of the document.
fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `pictor_"));
    rows.map(|row| format!("pictor_{}", row.split('`').next().unwrap())).collect()
}

fn refusals(invoice: &Value, met: impl Fn(&Value) -> bool) -> u64 {
    invoice["refusals"].as_array().unwrap().iter().filter(|refusal| met(refusal)).count() as u64
}

/// Rows of a manifest and what strikes them; the first is refused for good.
const STRUCK: [(&str, u64); 6] = [
    ("[[sim:moderation_blocked]]", 1),
    ("[[sim:server_error*1]]", 3),
    ("[[sim:rate_limit_plain*1]]", 2),
    ("[[sim:bad_gateway_html*1]]", 1),
    ("[[sim:bad_base64*1]]", 1),
    ("", 20),
];

fn struck(world: &World) -> u64 {
    let mut text = String::from("id,prompt,model,size\n");
    let markers = STRUCK.iter().flat_map(|(marker, times)| (0..*times).map(move |_| marker));
    let mut rows = 0;
    for marker in markers {
        writeln!(text, "row-{rows},thing number {rows} {marker},{MODEL},256x256").unwrap();
        rows += 1;
    }
    fs::write(world.path("struck.csv"), text).unwrap();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_agrees_with_what_the_simulator_has_seen() {
    let world = World::start(Options { latency_ms_p50: Some(30), ..Options::default() });
    let rows = struck(&world);
    // As much as is charged in the end: an image for each row but one, one that is no image, and one that nobody knows of.
    let cap = (rows - 1 + 2) * PRICE;
    let at = address();
    world.json(&[
        "submit",
        "struck.csv",
        "--run-id",
        "b",
        "--cap",
        &format!("{}.{:06}", cap / 1_000_000, cap % 1_000_000),
    ]);
    let _worker = worker(&world, "worker", 4, at, &[]);
    let ended = world.ended("b", PATIENCE).await;
    assert_eq!((ended.counts.done, ended.counts.failed), (rows - 1, 1));

    // Redis is looked at every 3 s at most, and the last alert is told after the batch has ended.
    let hundred = "pictor_budget_alerts_total{scope=\"batch\",percent=\"100\"} 1\n";
    until(at, "/metrics", "whole", |_, text| {
        text.contains(hundred) && text.contains("pictor_queue_assets{phase=\"leased\"} 0\n")
    })
    .await;
    let scrape = Scrape::of(at).await;
    let (invoice, state) = (world.sim.invoice().await, world.sim.state().await);
    let images = invoice["images"].as_array().unwrap();
    let charged: u64 = images.iter().map(|image| image["cost_micro_usd"].as_u64().unwrap()).sum();
    let usable = images.iter().filter(|image| image["fault"].is_null()).count() as u64;

    assert_eq!(scrape.sum("pictor_requests_total", LANE), state["requests"].as_u64().unwrap());
    assert_eq!(scrape.sum("pictor_requests_total", "class=\"image\""), usable);
    assert_eq!(scrape.sum("pictor_images_total", MODEL), usable);
    assert_eq!(usable, rows - 1);
    assert_eq!(scrape.sum("pictor_charged_micro_usd_total", ""), charged);
    let refused = refusals(&invoice, |refusal| refusal["status"] == 429);
    assert_eq!((scrape.sum("pictor_refusals_total", LANE), refused), (2, 2));
    assert_eq!(scrape.sum("pictor_requests_total", "class=\"rate_limit\""), refused);
    let failed = refusals(&invoice, |refusal| refusal["status"] == 500);
    assert_eq!((scrape.sum("pictor_requests_total", "class=\"server_error\""), failed), (3, 3));
    assert_eq!(scrape.sum("pictor_retries_total", ""), 3 + 1 + 1);
    assert_eq!(scrape.sum("pictor_unknown_outcomes_total", LANE), 1);
    assert_eq!(scrape.sum("pictor_failures_total", "class=\"moderation\""), 1);
    assert_eq!(scrape.sum("pictor_failures_total", ""), 1);
    let seen = scrape.one(&format!("pictor_generation_seconds_count{{lane=\"{LANE}\",model=\"{MODEL}\"}}"));
    assert_eq!(seen as u64, usable);
    // The bytes that were no image were not received; no image is written twice.
    assert_eq!(scrape.one("pictor_store_put_seconds_count") as u64, usable);

    for (percent, told) in [(50, 1.0), (80, 1.0), (100, 1.0)] {
        let series = |scope: &str| {
            scrape.one(&format!("pictor_budget_alerts_total{{scope=\"{scope}\",percent=\"{percent}\"}}"))
        };
        assert_eq!((series("batch"), series("total"), series("tenant_day")), (told, 0.0, 0.0));
    }
    let money =
        |what: &str| scrape.one(&format!("pictor_budget_{what}_micro_usd{{scope=\"total\",name=\"\"}}"));
    assert_eq!((money("spent") as u64, money("reserved") as u64), (cap, 0));
    for (series, now) in [
        ("pictor_redis_up", 1.0),
        ("pictor_store_up", 1.0),
        ("pictor_concurrency", 4.0),
        ("pictor_draining", 0.0),
        ("pictor_unready{reason=\"redis\"}", 0.0),
        ("pictor_unready{reason=\"draining\"}", 0.0),
        ("pictor_held_assets{phase=\"sent\"}", 0.0),
        ("pictor_spool_files", 0.0),
        ("pictor_queue_assets{phase=\"failed\"}", 1.0),
        ("pictor_queue_ready_assets{route=\"dall-e-2.generate\"}", 0.0),
        ("pictor_lane_state{lane=\"sim.dall-e-2\",state=\"healthy\"}", 1.0),
        ("pictor_lane_state{lane=\"sim.dall-e-2\",state=\"broken\"}", 0.0),
        (concat!("pictor_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert_eq!(scrape.one(series), now, "{series}");
    }
    assert!(scrape.one("pictor_last_claim_age_seconds") < 60.0);
    assert!(scrape.one("pictor_spool_available_bytes") > 0.0);
    assert_eq!(scrape.families, documented());
    for private in [API_KEY, "thing number", "assets/", images[0]["request_id"].as_str().unwrap()] {
        assert!(!scrape.text.contains(private), "{private}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_redis_is_not_ready_and_alive() {
    let world = World::start(Options { latency_ms_p50: Some(4_000), ..Options::default() });
    let proxy = Proxy::start(world.redis.address()).await;
    let url = format!("redis://{}/", proxy.address());
    let at = address();
    let mut worker = worker(&world, "worker", 4, at, &[("PICTOR_REDIS__URL", &url)]);
    until(at, "/readyz", "ready", |status, text| (status, text) == (200, "ready\n")).await;
    for fault in [Fault::Refuse, Fault::BlackHole] {
        proxy.set(fault);
        let text = until(at, "/readyz", "unready", |status, _| status == 503).await;
        assert!(text.starts_with("redis: no answer for "), "{text}");
        assert_eq!(get(at, "/healthz").await, (200, "moving\n".to_owned()));
        until(at, "/metrics", "without Redis", |_, text| text.contains("pictor_redis_up 0\n")).await;
        let scrape = Scrape::of(at).await;
        assert!(!scrape.text.contains("pictor_queue_assets{"), "what is old is not told as new");
        assert_eq!(scrape.sum("pictor_unready", "reason=\"redis\""), 1);
        assert_eq!(scrape.sum("pictor_unready", "reason=\"store\""), 0);
        assert_eq!(scrape.families, documented());
        proxy.set(Fault::Pass);
        until(at, "/readyz", "ready again", |status, _| status == 200).await;
        until(at, "/metrics", "whole again", |_, text| text.contains("pictor_redis_up 1\n")).await;
    }

    let file = world.catalogue("c.csv", 0..3);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "b"]);
    let sent = "pictor_in_flight_requests{lane=\"sim.dall-e-2\"} 3\n";
    until(at, "/metrics", "busy", |_, text| text.contains(sent)).await;
    worker.proc.signal(Signal::TERM);
    let text = until(at, "/readyz", "unready", |status, _| status == 503).await;
    assert_eq!(text, "draining: nothing new is claimed, what was sent is waited for\n");
    assert_eq!(get(at, "/healthz").await.0, 200, "who drains must not be killed");
    assert_eq!(Scrape::of(at).await.one("pictor_draining"), 1.0);
    assert_eq!(Scrape::of(at).await.one("pictor_unready{reason=\"draining\"}"), 1.0);
    assert!(worker.proc.wait(PATIENCE).success(), "{}", worker.proc.told());
    assert_eq!(world.sim.billed().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_store_is_away_is_not_ready() {
    let world = World::start(Options { latency_ms_p50: Some(2_000), ..Options::default() });
    let at = address();
    let _worker = worker(&world, "worker", 4, at, &[]);
    until(at, "/readyz", "ready", |status, _| status == 200).await;
    let file = world.catalogue("c.csv", 0..2);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "b"]);
    until(at, "/metrics", "busy", |_, text| text.contains("pictor_held_assets{phase=\"sent\"} 2\n")).await;
    fs::rename(world.path("images"), world.path("away")).unwrap();
    fs::write(world.path("images"), "no directory").unwrap();
    let text = until(at, "/readyz", "unready", |status, _| status == 503).await;
    assert!(text.starts_with("store: ") && text.lines().count() == 1, "{text}");
    assert_eq!(get(at, "/healthz").await.0, 200);
    until(at, "/metrics", "stuck", |_, text| {
        text.contains("pictor_store_up 0\n") && text.contains("pictor_spool_files 2\n")
    })
    .await;
    assert!(Scrape::of(at).await.sum("pictor_store_errors_total", "") >= 2);
    fs::remove_file(world.path("images")).unwrap();
    fs::rename(world.path("away"), world.path("images")).unwrap();
    until(at, "/readyz", "ready again", |status, _| status == 200).await;
    assert_eq!(world.ended("b", PATIENCE).await.counts.done, 2);
}

/// Ports that a process listens at.
fn listens(pid: u32) -> Vec<u16> {
    let proc = Path::new("/proc").join(pid.to_string());
    let links = fs::read_dir(proc.join("fd")).unwrap().filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    let sockets: BTreeSet<String> = links.map(|link| link.display().to_string()).collect();
    let mut ports = Vec::new();
    for table in ["net/tcp", "net/tcp6"] {
        for line in fs::read_to_string(proc.join(table)).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // 0A: it listens.
            if fields[3] == "0A" && sockets.contains(&format!("socket:[{}]", fields[9])) {
                let (_, port) = fields[1].rsplit_once(':').unwrap();
                ports.push(u16::from_str_radix(port, 16).unwrap());
            }
        }
    }
    ports
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens_unless_asked_and_a_taken_port_is_told_at_once() {
    let world = World::start(Options::default());
    let silent = world.worker("silent", 1, &[]);
    assert_eq!(listens(silent.proc.pid()), [0; 0]);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let mut command: Command = world.command(&["worker", "--listen", &at]);
    let mut refused = Proc::spawn("refused", &mut command, world.dir.path());
    assert_eq!(refused.wait(PATIENCE).code(), Some(3));
    let told = refused.stderr();
    assert!(told.contains(&format!("cannot listen at {at}")) && told.contains("--listen"), "{told}");
    assert!(!told.contains("working"), "{told}");

    // The flag goes before the setting.
    let address = address();
    let mut command = world.command(&["worker", "--listen", &address.to_string()]);
    command.env("PICTOR_WORKER__LISTEN", &at);
    let mut proc = Proc::spawn("asked", &mut command, world.dir.path());
    proc.wait_until("working", PATIENCE, |proc| proc.stderr().contains("answers /healthz"));
    assert_eq!(listens(proc.pid()), [address.port()]);
    assert_eq!(get(address, "/").await.0, 404);
    let post = reqwest::Client::new().post(format!("http://{address}/healthz")).send().await.unwrap();
    assert_eq!(post.status(), 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_address_is_refused_with_what_would_be_right() {
    let world = World::start(Options::default());
    let output = world.command(&["worker"]).env("PICTOR_WORKER__LISTEN", "9464").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("settings: worker: listen \"9464\"") && told.contains("127.0.0.1:9464"), "{told}");
    assert!(matches!(output.status.code(), Some(2 | 3)), "{told}");
}
