//! What a submission costs: rows a second, memory of the process, bytes in Redis for each asset.

use std::{
    fmt::Write as _,
    fs::File,
    io::{BufWriter, Write as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{Band, BatchHead, Line, Made, NewAsset, Route},
    keys::Keys,
    ledger::Spend,
    queue::{Attempt, Begun, CHUNK, Claim, Grant, LaneLimits, LaneOffer, Queue},
    spec::Operation,
};
use pictor_simulator::Options;

use crate::{
    support::{process::Proc, redis_server::RedisServer},
    world::World,
};

const TEMPLATE: &str = "A studio photograph of {{ title }} made of {{ material }} in {{ colour }}, \
    on a seamless white background, soft shadow, three quarter view, no text, no people";
const LANE: &str = "sim.gpt-image";

/// How a submission went.
pub(crate) struct Submission {
    pub(crate) elapsed: Duration,
    /// Processor time of the process and of Redis.
    pub(crate) cpu: [f64; 2],
    pub(crate) peak_mib: u64,
    pub(crate) rows: u64,
}

impl Submission {
    pub(crate) fn rate(&self) -> f64 {
        self.rows as f64 / self.elapsed.as_secs_f64()
    }
}

fn cells(row: u64) -> [String; 4] {
    let of = |words: [&str; 4]| words[(row % 4) as usize].to_owned();
    [
        format!("SKU-{row:07}"),
        format!("{} number {row}", of(["mug", "tall vase", "desk lamp", "folding chair"])),
        of(["stoneware", "blown glass", "brushed steel", "solid oak"]),
        of(["cobalt blue", "moss green", "black", "natural"]),
    ]
}

fn shop_export(world: &World, rows: u64) -> PathBuf {
    let path = world.path("export.csv");
    let mut file = BufWriter::new(File::create(&path).unwrap());
    writeln!(file, "id,title,material,colour").unwrap();
    for row in 1..=rows {
        writeln!(file, "{}", cells(row).join(",")).unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
    path
}

/// Processor seconds of a process so far; none when it is gone.
fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks: Vec<f64> =
        stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2).filter_map(|n| n.parse().ok()).collect();
    // Linux shows hundredths of a second, whatever it counts in.
    Some(ticks.iter().sum::<f64>() / 100.0)
}

/// Submits a CSV with a template by the real binary; whole process, start to exit.
pub(crate) fn submission(world: &World, rows: u64, dry_run: bool) -> Submission {
    let path = shop_export(world, rows);
    let mut args = vec!["submit", path.to_str().unwrap(), "--template", TEMPLATE, "--run-id", "speed"];
    args.extend(["--size", "1024x1024", "--quality", "medium", "--json"]);
    if dry_run {
        args.push("--dry-run");
    }
    let redis_before = cpu_seconds(world.redis.pid()).unwrap();
    let begun = Instant::now();
    let mut proc = Proc::spawn("submit", &mut world.command(&args), world.dir.path());
    let (mut most, mut cpu) = (0, 0.0);
    while proc.exited().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", proc.pid())).unwrap_or_default();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
        most = most.max(peak.unwrap_or(0));
        cpu = cpu_seconds(proc.pid()).unwrap_or(cpu);
        std::thread::sleep(Duration::from_millis(5));
    }
    let elapsed = begun.elapsed();
    assert!(proc.wait(Duration::from_secs(1)).success(), "{}", proc.told());
    let redis = cpu_seconds(world.redis.pid()).unwrap() - redis_before;
    Submission { elapsed, cpu: [cpu, redis], peak_mib: most / 1024, rows }
}

async fn all_wait(world: &World, rows: u64) {
    let batch = world.queue().await.batch(&"speed".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((batch.sealed, batch.assets, batch.open_assets()), (Some(rows), rows, rows));
}

/// First submission, the same again, and a plan of what is there.
pub(crate) async fn submissions(rows: u64) -> [Submission; 3] {
    let world = World::start(Options::default());
    let first = submission(&world, rows, false);
    all_wait(&world, rows).await;
    let again = submission(&world, rows, false);
    all_wait(&world, rows).await;
    [first, again, submission(&world, rows, true)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_is_submitted_fast_and_twice_without_harm() {
    let [first, again, _] = submissions(20_000).await;
    // Other tests run beside this one; `make prove-submit` measures on a quiet machine.
    assert!(first.rate() >= 4_000.0, "{:.0} rows/s", first.rate());
    assert!(first.peak_mib.max(again.peak_mib) <= 120, "{} and {} MiB", first.peak_mib, again.peak_mib);
}

/// Makes the first rows of a catalogue, forgets all in Redis, and submits more of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_holds_is_not_paid_again_when_redis_is_empty() {
    let world = World::start(Options { latency_ms_p50: Some(1), ..Options::default() });
    let submit = |prompts: std::ops::Range<u64>| {
        let file = world.catalogue("catalogue.csv", prompts.clone());
        world.json(&["submit", file.to_str().unwrap(), "--run-id", &format!("upto-{}", prompts.end)])
    };
    submit(0..20);
    let _worker = world.worker("worker", 16, &[]);
    world.ended("upto-20", Duration::from_secs(60)).await;
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    // First few rows, each looked at; then many, for which the store is listed.
    for (rows, images) in [(30, 30), (200, 200)] {
        redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
        let told = submit(0..rows);
        let there = if rows == 30 { 20 } else { 30 };
        assert_eq!(told["plan"]["already_made"], there, "{told}");
        assert_eq!(
            (&told["submitted"]["made"], &told["submitted"]["new"]),
            (&there.into(), &(rows - there).into())
        );
        world.ended(&format!("upto-{rows}"), Duration::from_secs(60)).await;
        assert_eq!(world.sim.billed().await, images);
    }
}

fn asset(row: u64, prompt_bytes: usize) -> NewAsset {
    let mut prompt = cells(row)[1..].join(" ");
    while prompt.len() < prompt_bytes {
        write!(prompt, " seamless background {row}").unwrap();
    }
    prompt.truncate(prompt_bytes);
    // Kept apart by its first words, which are never cut.
    let spec = Spec {
        model: "gpt-image-2".to_owned(),
        prompt: Some(prompt),
        size: Some("1024x1024".to_owned()),
        quality: Some("medium".to_owned()),
        ..Spec::default()
    };
    let route = Route::new("gpt-image", Operation::Generate);
    NewAsset { key: AssetKey::of(&spec), spec, route, ceiling: MicroUsd(53_000), tokens: 0, made: None }
}

/// Bytes an asset takes in Redis, its line and, while it waits, its prompt included.
#[derive(Debug)]
pub(crate) struct Bytes {
    pub(crate) waiting: f64,
    pub(crate) done: f64,
    /// The ledger's entry of one paid request, which is not counted in `done`.
    pub(crate) ledger: f64,
    /// Bytes of one kind of key for each asset, waiting and done.
    pub(crate) kinds: Vec<(String, f64, f64)>,
}

/// A server without an append-only file, whose buffers would count as memory.
struct Measured {
    _redis: RedisServer,
    queue: Queue,
    connection: redis::aio::MultiplexedConnection,
}

impl Measured {
    async fn start() -> Self {
        let redis = RedisServer::start_with(&["--appendonly", "no"]);
        let client = redis::Client::open(redis.url()).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        let queue = Queue::connect(client, Keys::new("pictor").unwrap()).await.unwrap();
        let queue = queue.with_grace(Duration::ZERO);
        queue.declare_lane(LANE, &LaneLimits::default()).await.unwrap();
        Self { _redis: redis, queue, connection }
    }

    /// Memory of data, without the buffers of clients.
    async fn used(&self) -> f64 {
        let mut connection = self.connection.clone();
        redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await.unwrap();
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await.unwrap();
        let field = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').trim().parse::<f64>().unwrap()
        };
        field("used_memory:") - field("mem_clients_normal:") - field("used_memory_vm_total:")
    }

    /// Bytes below each kind of key, by sampling those of which there are many.
    async fn kinds(&self, assets: u64) -> Vec<(String, f64)> {
        let mut sums: std::collections::BTreeMap<String, (u64, u64, u64)> = Default::default();
        let mut connection = self.connection.clone();
        let mut cursor = 0_u64;
        loop {
            let (next, names): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("COUNT")
                .arg(1_000)
                .query_async(&mut connection)
                .await
                .unwrap();
            for name in names {
                let text = String::from_utf8_lossy(&name).into_owned();
                let kind = text.split(':').nth(1).unwrap_or_default().to_owned();
                let sum = sums.entry(kind).or_default();
                sum.0 += 1;
                if sum.0 <= 200 || sum.0.is_multiple_of(50) {
                    let bytes: Option<u64> = redis::cmd("MEMORY")
                        .arg("USAGE")
                        .arg(&name)
                        .arg("SAMPLES")
                        .arg(200)
                        .query_async(&mut connection)
                        .await
                        .unwrap();
                    sum.1 += 1;
                    sum.2 += bytes.unwrap_or(0);
                }
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        sums.into_iter()
            .map(|(kind, (count, seen, bytes))| {
                (kind, bytes as f64 / seen as f64 * count as f64 / assets as f64)
            })
            .collect()
    }

    async fn submit(&self, assets: u64, prompt_bytes: usize) {
        let head = BatchHead {
            id: "b-0123456789abcdef".parse().unwrap(),
            tenant: "shop".to_owned(),
            band: Band::Normal,
            content: "c".repeat(64),
            source: "export.csv".to_owned(),
            columns: ["id", "title", "material", "colour"].map(str::to_owned).to_vec(),
            cap: None,
            fallback: None,
            on_unknown: None,
            deadline: None,
            derive: None,
        };
        for from in (1..=assets).step_by(CHUNK) {
            let rows = from..=assets.min(from + CHUNK as u64 - 1);
            let chunk: Vec<_> = rows.map(|row| (row, asset(row, prompt_bytes))).collect();
            let lines: Vec<_> = chunk.iter().map(|(row, asset)| line(*row, asset)).collect();
            self.queue.submit(&head, &chunk, &lines, false).await.unwrap();
        }
        self.queue.seal(&head.id, assets).await.unwrap();
    }

    async fn make_all(&self, assets: u64) {
        let begun = self.queue.begun().await.unwrap();
        self.queue.restore_spend(&begun, &Spend::default()).await.unwrap();
        let (mut made, mut call) = (0, 0);
        while made < assets {
            let claim = Claim {
                request: format!("01JD3Y1ZQ4V8M2T7N5R6W9X0AB-{call}"),
                incarnation: "01JD3Y1ZQ4V8M2T7N5R6W9X0AB".to_owned(),
                sequence: call * CHUNK as u64,
                lease: Duration::from_secs(600),
                horizon: Duration::from_secs(1),
                free: 100,
                lanes: vec![LaneOffer {
                    lane: LANE.to_owned(),
                    routes: vec!["gpt-image.generate".to_owned()],
                }],
            };
            call += 1;
            let grants = self.queue.claim(&claim).await.unwrap().grants;
            assert!(!grants.is_empty(), "{made} of {assets}");
            made += grants.len() as u64;
            futures::future::join_all(grants.iter().map(|grant| self.make(grant))).await;
        }
    }

    async fn make(&self, grant: &Grant) {
        let (allowance, lease) = (Duration::from_secs(600), Duration::from_secs(600));
        let begun = self.queue.begin(&grant.key, &grant.token, allowance, lease).await.unwrap();
        assert!(matches!(begun, Begun::Go { .. }), "{begun:?}");
        let request_id = Some(format!("req_{}", &grant.key.as_str()[..32]));
        let attempt = Attempt {
            key: grant.key.clone(),
            token: grant.token.clone(),
            attempt: 1,
            payer: grant.payer.clone(),
            tenant: grant.tenant.clone(),
            lane: grant.lane.clone(),
            model: grant.spec.model.clone(),
            request_id: request_id.clone(),
        };
        let made = Made {
            object: pictor_common::store::image_name(&grant.key, &grant.spec),
            digest: grant.key.as_str().chars().rev().collect(),
            content_type: "image/png".to_owned(),
            bytes: 1_843_221,
            width: 1024,
            height: 1024,
            cost: MicroUsd(41_234),
            request_id,
            at_ms: 1_795_244_400_123,
            ..Made::default()
        };
        self.queue.settle(&attempt, &made).await.unwrap();
    }

    /// Takes away what goes by itself within minutes: answers to claims, tokens that ended.
    async fn forget_the_short_lived(&self) {
        let mut connection = self.connection.clone();
        for kind in ["ended", "answer"] {
            let names: Vec<String> =
                redis::cmd("KEYS").arg(format!("*:{kind}:*")).query_async(&mut connection).await.unwrap();
            for names in names.chunks(1_000) {
                redis::cmd("DEL").arg(names).exec_async(&mut connection).await.unwrap();
            }
        }
    }
}

fn line(row: u64, asset: &NewAsset) -> Line {
    let cells = cells(row).to_vec();
    Line { row, id: cells[0].clone(), keys: vec![asset.key.clone()], cells }
}

/// Bytes of each waiting and each done asset, by the growth of a server's memory.
pub(crate) async fn bytes_per_asset(assets: u64, prompt: usize) -> Bytes {
    let server = Measured::start().await;
    let empty = server.used().await;
    server.submit(assets, prompt).await;
    let waiting = (server.used().await - empty) / assets as f64;
    let kinds_waiting = server.kinds(assets).await;
    server.make_all(assets).await;
    server.forget_the_short_lived().await;
    let done = (server.used().await - empty) / assets as f64;
    let kinds_done = server.kinds(assets).await;
    let of = |kinds: &[(String, f64)], kind: &str| kinds.iter().find(|(k, _)| k == kind).map_or(0.0, |k| k.1);
    let ledger = of(&kinds_done, "ledger");
    let mut names: Vec<String> =
        kinds_waiting.iter().chain(&kinds_done).map(|(kind, _)| kind.clone()).collect();
    names.sort();
    names.dedup();
    let kinds = names
        .into_iter()
        .map(|kind| (of(&kinds_waiting, &kind), of(&kinds_done, &kind), kind))
        .filter(|(waiting, done, _)| waiting.max(*done) >= 1.0)
        .map(|(waiting, done, kind)| (kind, waiting, done))
        .collect();
    // Of events a namespace keeps ten thousand, however many assets it has.
    Bytes { waiting, done: done - ledger - of(&kinds_done, "events"), ledger, kinds }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_takes_few_bytes_and_fewer_when_made() {
    // Enough that what a server needs anyway, and tables that have not shrunk yet, weigh little on each.
    let bytes = bytes_per_asset(20_000, 400).await;
    assert!(bytes.waiting <= 400.0 + 850.0 && bytes.done <= 450.0, "{bytes:?}");
}
