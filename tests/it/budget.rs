//! Many processes, one wallet: what was billed is under the cap and near it, and raising it finishes the rest.

use std::{
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use pictor_common::queue::Queue;
use pictor_simulator::Options;
use serde_json::Value;

use crate::world::{Worker, World, told};

/// How large a run is.
pub(crate) struct Size {
    pub(crate) processes: usize,
    pub(crate) assets: u64,
    /// Assets that the cap is for.
    pub(crate) capped: u64,
    pub(crate) patience: Duration,
}

pub(crate) const SMALL: Size =
    Size { processes: 4, assets: 200, capped: 60, patience: Duration::from_secs(90) };
pub(crate) const FULL: Size =
    Size { processes: 16, assets: 5_000, capped: 1_000, patience: Duration::from_secs(600) };

/// What is capped, as `budget set` names it.
pub(crate) const CAPS: [&[&str]; 4] = [&["total"], &["per-day"], &["tenant", "default"], &["batch", "b"]];

/// 625 tokens of $8 a million and a short prompt; the price list is rounded, so the ceiling allows a tenth more.
const EXPECTED: u64 = 5_010;

/// What a run came to, in micro-USD by the invoice.
pub(crate) struct Spent {
    pub(crate) cap: u64,
    pub(crate) ceiling: u64,
    pub(crate) billed: u64,
    pub(crate) images: u64,
    pub(crate) elapsed: Duration,
}

fn catalogue(world: &World, assets: u64) {
    let mut text = String::from("id,prompt,model,size,quality\n");
    for n in 0..assets {
        writeln!(text, "row-{n},thing number {n},gpt-image-1-mini,1024x1024,low").unwrap();
    }
    fs::write(world.path("c.csv"), text).unwrap();
}

fn amount(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} in {value}"))
}

/// What one asset of a batch sets aside.
async fn ceiling(queue: &Queue, batch: &str) -> u64 {
    let overview =
        queue.overview(pictor_common::queue::Which::These(&[batch.parse().unwrap()])).await.unwrap();
    overview.batches[0].routes[0].head.unwrap().ceiling.0
}

/// Waits until a ceiling does not fit any more and nothing is on its way; what is billed then.
async fn used_up(
    world: &World,
    queue: &Queue,
    workers: &[Worker],
    cap: u64,
    ceiling: u64,
    patience: Duration,
) -> Value {
    let deadline = Instant::now() + patience;
    loop {
        let totals = queue.totals().await.unwrap();
        let within = totals.spent.0 + totals.reserved.0 <= cap;
        assert!(within, "{totals:?} of {cap}\n{}", warnings(workers));
        if totals.reserved.0 == 0 && totals.spent.0 + ceiling > cap {
            return world.sim.totals().await;
        }
        assert!(Instant::now() < deadline, "{totals:?} of {cap}, one takes {ceiling}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What went wrong, as workers tell it.
fn warnings(workers: &[Worker]) -> String {
    let told: Vec<String> = workers.iter().map(|worker| worker.proc.stderr()).collect();
    told.iter()
        .flat_map(|text| text.lines())
        .filter(|line| line.contains("WARN"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Works until a cap is used up, judges by the invoice, and raises it.
pub(crate) async fn capped(size: &Size, cap_of: &[&str], seed: u64) -> Spent {
    let world = World::start(Options {
        latency_ms_p50: Some(100),
        output_tokens_vary_percent: 9.0,
        one_picture: true,
        seed,
        ..Options::default()
    });
    let queue = world.queue().await;
    catalogue(&world, size.assets);
    let begun = Instant::now();
    world.json(&["submit", "c.csv", "--run-id", "b"]);
    let (cap, ceiling) = (size.capped * EXPECTED, ceiling(&queue, "b").await);
    let dollars = format!("{}.{:06}", cap / 1_000_000, cap % 1_000_000);
    let set = |amount: &str| {
        let output = world.run(&[&["budget", "set"], cap_of, &[amount, "--reason", "a proof"]].concat());
        assert!(output.status.success(), "{}", told(&output));
    };
    set(&dollars);
    let workers: Vec<_> =
        (0..size.processes).map(|n| world.worker(&format!("worker-{n}"), 12, &[])).collect();
    let invoice = used_up(&world, &queue, &workers, cap, ceiling, size.patience).await;
    let (billed, images) = (amount(&invoice, "cost_micro_usd"), amount(&invoice, "images"));
    assert!(billed <= cap, "{billed} was billed, {cap} was allowed");
    assert!(billed + ceiling >= cap, "{billed} was billed of {cap}, though one takes {ceiling} at most");
    let why = world.json(&["status"])["batches"][0]["why"].to_string();
    assert!(why.contains("is reached"), "{why}");
    // Each part of the cap is told by one of them, once.
    for part in ["50 %", "80 %"] {
        let line = format!("budget: {part} of");
        let told: usize = workers.iter().map(|worker| worker.proc.stderr().matches(&line).count()).sum();
        assert_eq!(told, 1, "{line}");
    }
    set("none");
    let state = world.ended("b", size.patience).await;
    assert_eq!((state.counts.done, state.state.as_str()), (size.assets, "complete"), "{state:?}");
    let all = world.sim.totals().await;
    let totals = queue.totals().await.unwrap();
    assert_eq!(amount(&all, "images"), size.assets);
    assert_eq!(
        (amount(&all, "cost_micro_usd"), totals.reserved.0),
        (totals.spent.0, 0),
        "the books are the invoice"
    );
    Spent { cap, ceiling, billed, images, elapsed: begun.elapsed() }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_spend_a_budget_to_its_end_and_not_beyond() {
    capped(&SMALL, CAPS[0], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_tenant_spends_its_budget_to_its_end_and_goes_on_when_it_is_raised() {
    capped(&SMALL, CAPS[2], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_stops_at_its_cap_and_goes_on_when_submitted_with_more() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    let file = world.catalogue("c.csv", 0..5);
    let file = file.to_str().unwrap();
    fs::write(world.path("bell"), "#!/bin/sh\ncat >> heard; echo >> heard\n").unwrap();
    let settings = fs::read_to_string(world.path("pictor.toml")).unwrap();
    let bell = world.path("bell");
    let alerts = format!("{settings}\n[budget]\nper_day = \"1\"\nalert_command = [\"sh\", {bell:?}]\n");
    fs::write(world.path("pictor.toml"), alerts).unwrap();
    world.json(&["submit", file, "--run-id", "b", "--cap", "0.04"]);
    let _worker = world.worker("worker", 3, &[]);
    let deadline = Instant::now() + Duration::from_secs(40);
    while world.json(&["status"])["batches"][0]["spent"] != 32_000 {
        assert!(Instant::now() < deadline, "{}", world.json(&["status"]));
    }
    let shown = world.json(&["budget", "show"]);
    let caps = shown["caps"].as_array().unwrap();
    let batch = caps.iter().find(|cap| cap["scope"] == "batch").unwrap();
    assert_eq!(
        (amount(batch, "spent"), amount(batch, "left"), amount(batch, "percent")),
        (32_000, 8_000, 80)
    );
    let day = caps.iter().find(|cap| cap["scope"] == "day").unwrap();
    assert_eq!((amount(day, "spent"), amount(day, "cap")), (32_000, 1_000_000));
    let said = String::from_utf8(world.run(&["budget", "show"]).stdout).unwrap();
    assert!(said.contains("batch b") && said.contains("the day ends at"), "{said}");
    let heard = || fs::read_to_string(world.path("heard")).unwrap_or_default();
    while heard().lines().count() < 2 {
        assert!(Instant::now() < deadline, "{}", heard());
    }
    let percents: Vec<Value> =
        heard().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["percent"].clone()).collect();
    assert_eq!(percents, [50, 80]);

    world.json(&["submit", file, "--run-id", "b", "--cap", "1"]);
    assert_eq!(world.ended("b", Duration::from_secs(40)).await.counts.done, 5);
    assert_eq!(world.sim.billed().await, 5);
    let audit = world.json(&["budget", "audit"]);
    let changes: Vec<_> =
        audit.as_array().unwrap().iter().map(|c| (c["scope"].clone(), c["to"].clone())).collect();
    assert_eq!(changes, [("batch".into(), 1_000_000.into()), ("day".into(), 1_000_000.into())]);
    assert_eq!(audit[0]["why"], "submitted with --cap");
    assert!(audit[0]["who"].as_str().unwrap().contains('@'), "{audit}");
}
