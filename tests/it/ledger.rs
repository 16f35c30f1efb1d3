//! The ledger: it agrees with the invoice by request id, outlives Redis, and says what was spent before.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{Band, BatchHead, NewAsset, Route},
    spec::Operation,
};
use pictor_simulator::Options;
use rustix::process::Signal;
use serde_json::Value;

use crate::world::{MODEL, Worker, World, told};

const PATIENCE: Duration = Duration::from_secs(180);
const PRICE: u64 = 16_000;

async fn until(what: &str, mut met: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met().await {
        assert!(Instant::now() < deadline, "not {what} after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn drain(mut worker: Worker) {
    worker.proc.signal(Signal::TERM);
    assert!(worker.proc.wait(Duration::from_secs(60)).success(), "{}", worker.proc.told());
}

async fn wipe(world: &World) {
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
}

/// Segments of the ledger in the store.
fn segments(world: &World) -> Vec<PathBuf> {
    let days = fs::read_dir(world.path("images/ledger/it")).into_iter().flatten();
    let files = days.flat_map(|day| fs::read_dir(day.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

/// Puts assets into the queue without a look at the store.
async fn submit(world: &World, batch: &str, prompts: std::ops::Range<u64>) {
    let asset = |n: u64| {
        let spec = Spec {
            model: MODEL.to_owned(),
            prompt: Some(format!("thing {n}")),
            size: Some("256x256".to_owned()),
            ..Spec::default()
        };
        let route = Route::new(MODEL, Operation::Generate);
        (
            n,
            NewAsset {
                key: AssetKey::of(&spec),
                spec,
                route,
                ceiling: MicroUsd(PRICE),
                tokens: 0,
                made: None,
            },
        )
    };
    let head = BatchHead {
        id: batch.parse().unwrap(),
        tenant: "shop".to_owned(),
        band: Band::Normal,
        content: batch.to_owned(),
        source: "-".to_owned(),
        columns: vec![],
        cap: None,
        fallback: None,
        on_unknown: None,
        deadline: None,
        derive: None,
    };
    let assets: Vec<_> = prompts.map(asset).collect();
    world.queue().await.submit(&head, &assets, &[], false).await.unwrap();
}

async fn invoice(world: &World) -> String {
    let url = world.sim.base_url().replace("/v1", "/_simulator/invoice.csv");
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// The comparison with an invoice, and the exit code.
fn reconciled(world: &World, text: &str) -> (Value, Option<i32>) {
    let file = world.path("invoice.csv");
    fs::write(&file, text).unwrap();
    let output = world.run(&["ledger", "reconcile", file.to_str().unwrap(), "--json"]);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
    (report, output.status.code())
}

fn number(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer} in {report}"))
}

/// Without the ids that Pictor gave, as a provider's own invoice is.
fn without_our_ids(text: &str) -> String {
    let cut = |line: &str| {
        let mut cells: Vec<&str> = line.split(',').collect();
        cells.remove(1);
        cells.join(",") + "\n"
    };
    text.lines().map(cut).collect()
}

fn faults() -> Options {
    // Not so many that the lane rests for long.
    let faults = [
        ("server_error", 0.02),
        ("rate_limit_exceeded", 0.01),
        ("bad_gateway_html", 0.01),
        ("bad_gateway_billed", 0.02),
        ("cut_mid_body", 0.01),
        ("reset_after_headers", 0.01),
        ("undecodable_image", 0.01),
        ("hang", 0.01),
    ];
    Options {
        latency_ms_p50: Some(300),
        seed: 4,
        faults: faults.map(|(name, share)| (name.to_owned(), share)).into_iter().collect(),
        ..Options::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_agrees_with_the_invoice_through_errors_retries_and_a_kill() {
    let world = World::start(faults());
    let quick = world.path("quick.toml");
    fs::write(&quick, "[models.dall-e-2]\ntimeout_seconds = 3\n").unwrap();
    let settings = [("PICTOR_CATALOGUE__FILE", quick.to_str().unwrap())];
    let file = world.catalogue("rows.csv", 0..300);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "b"]);
    let mut killed = world.worker("killed", 24, &settings);
    let other = world.worker("other", 24, &settings);
    until("under way", async || world.sim.billed().await >= 80).await;
    killed.proc.kill();
    let batch = world.ended("b", PATIENCE).await;
    assert!(batch.counts.done >= 285, "{:?}", batch.counts);
    drain(other);

    let text = invoice(&world).await;
    let (report, code) = reconciled(&world, &text);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["matched"], report["settled"], "each settled entry has a line of its amount: {report}");
    let (settled, lines) = (number(&report, "/settled/count"), number(&report, "/lines/count"));
    let found = number(&report, "/unknown_found/count");
    assert_eq!(settled + found, lines, "each line has one entry: {report}");
    assert!(found > 0 && settled >= 285, "{report}");
    assert_eq!(number(&report, "/unknown_without_id/count"), 0);

    // A provider's invoice has only the provider's ids.
    let (theirs, code) = reconciled(&world, &without_our_ids(&text));
    assert_eq!((code, &theirs["settled"]), (Some(0), &report["settled"]), "{theirs}");
    assert_eq!(
        theirs["matched"], report["settled"],
        "also what the dead had received has the provider's id: {theirs}"
    );
    assert_eq!(
        number(&theirs, "/unknown_found/count") + number(&theirs, "/by_amount/count"),
        found,
        "{theirs}"
    );

    // One line more, one less, another amount: each is found.
    let line = text.lines().nth(1).unwrap();
    let stranger = format!("{text}{}\n", line.replacen("req_", "req_x", 1).replace(':', "-"));
    let (more, code) = reconciled(&world, &stranger);
    assert_eq!((code, number(&more, "/not_in_ledger/count")), (Some(1), 1), "{more}");
    let (less, code) = reconciled(&world, &text.replacen(&format!("{line}\n"), "", 1));
    let lost = number(&less, "/not_invoiced/count") + number(&less, "/unknown_not_found/count");
    assert!(code == Some(1) && lost >= 1, "{less}");
    let (twice, code) = reconciled(&world, &format!("{text}{line}\n"));
    assert_eq!((code, number(&twice, "/repeated/count")), (Some(1), 1), "{twice}");

    // The archive alone says the same.
    let totals = world.json(&["ledger", "totals", "--by", "account"]);
    assert_eq!(number(&totals, "/by/sim/settled"), settled);
    wipe(&world).await;
    assert_eq!(world.json(&["ledger", "totals", "--by", "account"]), totals);
    assert_eq!(reconciled(&world, &text), (report, Some(0)));
    assert_eq!(number(&world.json(&["ledger", "totals", "--no-archive"]), "/total/settled"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_total_cap_holds_when_redis_is_wiped_in_the_midst() {
    let world = World::start(Options { latency_ms_p50: Some(250), ..Options::default() });
    let cap = 40 * PRICE;
    let settings = [("PICTOR_BUDGET__TOTAL", "0.64")];
    submit(&world, "b", 0..100).await;
    let workers = [world.worker("one", 3, &settings), world.worker("two", 3, &settings)];
    until("half spent", async || world.sim.billed().await >= 20).await;
    wipe(&world).await;
    submit(&world, "again", 0..200).await;
    until("spent", async || {
        let totals = world.queue().await.totals().await.unwrap();
        totals.cap == Some(MicroUsd(cap)) && totals.reserved.0 == 0 && totals.spent.0 + PRICE > cap
    })
    .await;
    workers.into_iter().for_each(drain);
    let billed = world.sim.totals().await;
    assert_eq!(number(&billed, "/cost_micro_usd"), cap, "to the last image, and no further: {billed}");
    let totals = world.json(&["ledger", "totals", "--by", "day"]);
    assert_eq!(number(&totals, "/total/settled_cost"), cap, "nothing is lost or counted twice: {totals}");
    let tenants = world.json(&["ledger", "totals", "--by", "tenant"]);
    assert_eq!(number(&tenants, "/by/shop/settled_cost"), cap, "whose it is outlives the batch: {tenants}");
    let (report, code) = reconciled(&world, &invoice(&world).await);
    assert_eq!((code, number(&report, "/matched/count")), (Some(0), 40), "{report}");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paid_since_is_told_to_a_redis_that_is_started_from_an_older_file() {
    let mut world = World::start(Options { latency_ms_p50: Some(200), ..Options::default() });
    let file = world.catalogue("rows.csv", 0..40);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "b"]);
    let worker = world.worker("worker", 2, &[]);
    until("under way", async || world.sim.billed().await >= 5).await;
    let (data, older) = (world.redis.folder().join("appendonlydir"), world.path("older"));
    copy(&data, &older);
    world.ended("b", PATIENCE).await;
    world.redis.kill();
    fs::remove_dir_all(&data).unwrap();
    copy(&older, &data);
    world.redis.restart();

    assert_eq!(world.ended("b", PATIENCE).await.counts.done, 40);
    drain(worker);
    assert_eq!(world.sim.billed().await, 40, "nothing is bought again");
    assert_eq!(world.queue().await.totals().await.unwrap().spent, MicroUsd(40 * PRICE));
    let (report, code) = reconciled(&world, &invoice(&world).await);
    assert_eq!((code, number(&report, "/matched/count")), (Some(0), 40), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_redis_waits_for_the_archive_and_then_goes_on() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    let file = world.catalogue("rows.csv", 0..10);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "b"]);
    let worker = world.worker("first", 4, &[]);
    world.ended("b", PATIENCE).await;
    until("archived while it works", async || !segments(&world).is_empty()).await;
    drain(worker);

    // Somebody cut a segment short: what was spent cannot be known.
    let all = segments(&world);
    let whole = fs::read(&all[0]).unwrap();
    fs::write(&all[0], &whole[..whole.len() / 2]).unwrap();
    wipe(&world).await;
    let mut worker = world.worker("second", 4, &[]);
    submit(&world, "more", 0..5).await;
    worker
        .proc
        .wait_until("waiting for the store", PATIENCE, |proc| proc.stderr().contains("nothing is sent"));
    assert_eq!(world.sim.billed().await, 10);
    let status = world.run(&["batch", "show", "more"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("what was spent before"), "{}", told(&status));

    // The store itself is away.
    fs::rename(world.path("images"), world.path("away")).unwrap();
    wipe(&world).await;
    submit(&world, "more", 0..5).await;
    until("looking again", async || world.queue().await.reap(1).await.unwrap().begun.is_some()).await;
    fs::rename(world.path("away"), world.path("images")).unwrap();
    fs::write(&all[0], &whole).unwrap();
    until("all made", async || world.sim.billed().await == 15).await;
    until("settled", async || world.queue().await.totals().await.unwrap().spent.0 == 15 * PRICE).await;
    drain(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_shown_summed_up_and_exported() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    let file = world.catalogue("rows.csv", 0..12);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "b", "--tenant", "shop"]);
    let worker = world.worker("worker", 4, &[]);
    world.ended("b", PATIENCE).await;
    drain(worker);
    let entry = world.ledger().await.remove(3);
    for id in [&entry.key, &entry.token, &entry.request_id, &entry.key[..12].to_owned()] {
        let shown = world.json(&["ledger", "show", id]);
        assert_eq!(shown["entries"], serde_json::json!([entry]), "{id}");
    }
    let unknown = world.run(&["ledger", "show", "req_of-nobody"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", told(&unknown));
    for (by, name) in [("account", "sim"), ("lane", "sim.dall-e-2"), ("tenant", "shop"), ("batch", "b")] {
        let totals = world.json(&["ledger", "totals", "--by", by]);
        assert_eq!(number(&totals["by"], &format!("/{name}/settled")), 12, "{by}");
    }
    let before = world.json(&["ledger", "totals", "--until", "2020-01-01", "--time-zone", "Europe/Berlin"]);
    assert_eq!(number(&before, "/total/settled"), 0);

    let file = world.path("ledger.csv");
    let told = world.json(&["ledger", "export", "--to", file.to_str().unwrap(), "--since", "2020-01-01"]);
    assert_eq!(number(&told, "/entries"), 12);
    let table = fs::read_to_string(&file).unwrap();
    assert_eq!(table.lines().count(), 13);
    assert!(table.contains(&format!(",settled,0.016,16000,{},{},", entry.key, entry.token)), "{table}");
    let lines = world.run(&["ledger", "export", "--format", "jsonl"]);
    assert_eq!(String::from_utf8_lossy(&lines.stdout).lines().count(), 12);
    assert_eq!(world.run(&["ledger", "list"]).stdout, lines.stdout);
}
