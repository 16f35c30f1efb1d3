//! `pictor demo`: a sample catalogue, or a file of one's own, against a simulator in this process.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use clap::Args;
use pictor_common::{
    MicroUsd,
    queue::{LaneLimits, LedgerEntry, Queue},
};
use pictor_producer::{
    manifest::Format,
    submit::{Manifest, Source},
};
use pictor_simulator::{FamilyLimits, Limits, Options};
use pictor_worker::provider::openai_images::Account;
use serde::Deserialize;
use tokio::{net::TcpListener, sync::oneshot};

use super::{Context, ledger::entries_after, run::Work};
use crate::{
    config::{AccountSettings, Key},
    exit::Exit,
    parts::{self, OpenQueue},
    private_redis::Use,
    submission::{self, BatchArgs, RejectedArgs, manifest},
};

const CATALOGUE: &str = include_str!("../../examples/listings.csv");
const TEMPLATE: &str = include_str!("../../examples/listing.j2");
const KEY: &str = "sim-key";
/// Images a minute of every family, for the simulator and for us.
const PER_MINUTE: u64 = 3_000;
const CONCURRENCY: usize = 64;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// A file of yours, to rehearse with: CSV, XLSX or JSONL; - is stdin [default: the sample catalogue]
    file: Option<String>,
    /// Median latency of the simulator, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1_200)]
    latency: u64,
    #[command(flatten)]
    rejected: RejectedArgs,
    #[command(flatten)]
    batch: BatchArgs,
}

#[derive(Debug, Deserialize)]
struct Totals {
    images: u64,
    cost_micro_usd: u64,
}

pub(crate) async fn run(args: DemoArgs, mut context: Context) -> anyhow::Result<Exit> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1")?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let simulator = tokio::spawn(pictor_simulator::serve(listener, options(args.latency), async {
        let _dropped = stopped.await;
    }));
    configure(&mut context, &format!("http://{address}/v1"));
    let ended =
        Box::pin(against(&context, args, &format!("http://{address}/_simulator/invoice?totals=1"))).await;
    drop(stop);
    simulator.await.context("the simulator broke off")??;
    ended
}

fn options(latency: u64) -> Options {
    let family = FamilyLimits { images: Some(PER_MINUTE), ..FamilyLimits::default() };
    Options {
        api_keys: vec![KEY.into()],
        latency_ms_p50: Some(latency),
        limits: Limits {
            dall_e_2: family.clone(),
            dall_e_3: family.clone(),
            gpt_image: family,
            ..Limits::default()
        },
        ..Options::default()
    }
}

/// Everything of the demo's own: nothing that is set for real work is touched.
fn configure(context: &mut Context, base_url: &str) {
    let settings = &mut context.settings;
    let limits = LaneLimits { images: Some(PER_MINUTE), ..LaneLimits::default() };
    let families = ["dall-e-2", "dall-e-3", "gpt-image"];
    let account = AccountSettings {
        account: Account { base_url: base_url.to_owned(), api_key: Some(KEY.into()), ..Account::default() },
        key: Key::Settings,
        families: None,
        limits: families.map(|family| (family.to_owned(), limits.clone())).into_iter().collect(),
    };
    settings.accounts = BTreeMap::from([("demo".to_owned(), account)]);
    settings.profile = None;
    settings.redis.namespace = "pictor".to_owned();
    settings.redis.url = None;
    settings.budget = settings.budget.unlimited();
    settings.webhooks.clear();
    settings.store.url = None;
    settings.worker.spool = None;
    let usual = settings.data_dir == Path::new(".pictor");
    if usual || settings.data_dir.starts_with(".pictor/profiles") {
        settings.data_dir = PathBuf::from(".pictor/demo");
    }
}

/// The sample catalogue with its template, or the file that was named as it is asked for.
fn wanted(args: DemoArgs) -> anyhow::Result<(Manifest, BatchArgs)> {
    if let Some(file) = args.batch.swallowed().filter(|_| args.file.is_none()) {
        return Err(submission::names_a_file(file));
    }
    if let Some(file) = &args.file {
        return Ok((manifest(file, &args.batch.read)?, args.batch));
    }
    let batch = BatchArgs {
        template: Some(TEMPLATE.to_owned()),
        tenant: "demo".to_owned(),
        ignore_columns: Some(Vec::new()),
        ..args.batch
    };
    let manifest = Manifest {
        name: "examples/listings.csv".to_owned(),
        format: Format::Csv.into(),
        source: Source::Bytes(Arc::from(CATALOGUE.as_bytes())),
    };
    Ok((manifest, batch))
}

async fn against(context: &Context, args: DemoArgs, invoice: &str) -> anyhow::Result<Exit> {
    let out = context.settings.data_dir.join("images").display().to_string();
    let rejected = args.rejected.clone();
    let (manifest, batch) = wanted(args)?;
    let work =
        Work { manifest, out: Some(&out), concurrency: CONCURRENCY, batch: &batch, rejected: &rejected };
    let mut last = "-".to_owned();
    let mark = async |queue: &Queue| {
        while let Some((id, _)) = queue.ledger(&last, 1_000).await?.pop() {
            last = id;
        }
        Ok(())
    };
    let ran = Box::pin(work.carry_out(context, mark)).await?;
    if batch.dry_run {
        context.output.result(&ran.summary, || ran.text)?;
        return Ok(ran.exit);
    }
    let totals: Totals =
        serde_json::from_str(&reqwest::get(invoice).await?.error_for_status()?.text().await?)?;
    let ledger = own_ledger(context, &out, &last).await?;
    let paid: u64 = ledger.iter().filter_map(|entry| entry.cost.parse::<u64>().ok()).sum();
    let agrees = totals.images == ledger.len() as u64 && totals.cost_micro_usd == paid;
    let mut summary = ran.summary;
    summary["invoice"] = serde_json::json!({ "images": totals.images, "cost": totals.cost_micro_usd });
    summary["ledger"] = serde_json::json!({ "entries": ledger.len(), "cost": paid });
    let text = format!(
        "{}invoice  {} images, {} (by the simulator)\nledger   {} images, {} (by Pictor){}\n\n{}",
        ran.text,
        totals.images,
        MicroUsd(totals.cost_micro_usd),
        ledger.len(),
        MicroUsd(paid),
        if agrees { ": they agree" } else { ": THEY DIFFER" },
        look_around(&summary["batch"], &context.settings.data_dir),
    );
    context.output.result(&summary, || text)?;
    anyhow::ensure!(agrees || context.signals.stop.is_cancelled(), "the invoice and the ledger differ");
    Ok(ran.exit)
}

/// How to look at what was made.
fn look_around(batch: &serde_json::Value, data_dir: &Path) -> String {
    let (batch, at) = (batch.as_str().unwrap_or_default(), data_dir.display());
    format!(
        "look around\n  pictor status --data-dir {at}\n  pictor batch show {batch} --data-dir {at}\n  \
         pictor results {batch} --layout '{{id}}/{{take}}.{{ext}}' --to demo-images --table --data-dir {at}\n"
    )
}

async fn own_ledger(context: &Context, out: &str, after: &str) -> anyhow::Result<Vec<LedgerEntry>> {
    let used = parts::absolute(out);
    let opened: OpenQueue =
        Box::pin(parts::open_queue(&context.settings, &context.signals, Use::Work(&used))).await?;
    let entries = entries_after(&opened.queue, after).await;
    opened.close().await?;
    entries
}
