//! `pictor submit`: queues a file for workers.

use clap::Args;
use pictor_common::queue::Queue;
use serde_json::json;

use super::{Context, batch::BandName};
use crate::{
    exit::Exit,
    parts,
    private_redis::Use,
    progress::{Watch, Watched},
    rehearsal::Rehearsal,
    rejected::{self, Rejected},
    submission::{self, BatchArgs, RejectedArgs, manifest},
};

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// CSV, JSONL or XLSX; - is stdin
    file: String,
    /// How urgent it is: a share of the workers, never an absolute order
    #[arg(long, default_value = "normal")]
    band: BandName,
    /// Wait until everything has ended
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    rejected: RejectedArgs,
    #[command(flatten)]
    batch: BatchArgs,
}

pub(crate) async fn run(args: SubmitArgs, context: &Context) -> anyhow::Result<Exit> {
    let settings = &context.settings;
    let manifest = manifest(&args.file, &args.batch.read)?;
    let prepared =
        args.batch.prepare(manifest, args.band.into(), settings, &parts::today())?.keeping(&args.rejected)?;
    let rules = prepared.rules(settings)?;
    let request = prepared.request(&rules);
    let (checked, rejected) = prepared.check(&request, &context.output)?;
    let rejected = rejected.as_ref();
    let rehearsal =
        args.batch.dry_run.then(|| Rehearsal::new(settings, parts::store_url(settings, None))).transpose()?;
    let (settings, url) = match &rehearsal {
        Some(rehearsal) => (&rehearsal.settings, rehearsal.url.as_str()),
        None => (settings, parts::store_url(settings, None)),
    };
    let store = parts::open_answering_store(settings, url).await?;
    let used = parts::absolute(url);
    let opened = parts::open_queue(settings, &context.signals, Use::Work(&used)).await?;
    let queue = &opened.queue;
    let done = async {
        parts::apply_budget(settings, queue).await?;
        let planned = prepared.plan(&request, &checked, queue, &*store).await?;
        if args.batch.dry_run {
            let (value, text) = submission::plan_told(&checked, &planned.plan, rejected);
            context.output.result(&value, || text)?;
            return Ok(Rejected::exit(rejected, Exit::Done));
        }
        let (planned, sums) =
            submission::submit(&prepared, &request, &checked, planned, queue, &*store, context).await?;
        let id = &checked.head.id;
        if args.wait {
            let watch =
                Watch { queue, batch: id, output: &context.output, stop: &context.signals.stop, lanes: None };
            let watched = watch.until_ended().await?;
            super::derive::finish(context, queue, &store, &watched.batch).await?;
            let ended = waited(context, queue, watched).await?;
            return Ok(Rejected::exit(rejected, ended));
        }
        let mut value = json!({ "batch": id, "rows": checked.rows, "plan": planned.plan, "submitted": sums });
        rejected::add_to(&mut value, rejected);
        context.output.result(&value, || format!("batch {id}\n{}", planned.plan.text()))?;
        Ok(Rejected::exit(rejected, Exit::Done))
    };
    let ended = Box::pin(done).await;
    opened.close().await?;
    ended
}

async fn waited(context: &Context, queue: &Queue, watched: Watched) -> anyhow::Result<Exit> {
    let id = super::batch_id(&watched.batch.id)?;
    let batch = queue.batch(&id).await?.unwrap_or(watched.batch);
    context.output.result(&batch, || super::batch::told(&batch))?;
    let all = batch.state == "complete" && batch.counts.failed + batch.counts.parked == 0;
    Ok(if all { Exit::Done } else { Exit::SomeFailed })
}
