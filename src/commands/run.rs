//! `pictor run`: the whole system on one machine.

mod report;

use anyhow::Context as _;
use clap::Args;
use pictor_common::{
    batch::{Band, BatchId},
    queue::Queue,
};
use pictor_producer::submit::Manifest;

use super::Context;
use crate::{
    accounts,
    exit::{Exit, refused},
    parts,
    private_redis::Use,
    progress::{Watch, Watched},
    rehearsal::Rehearsal,
    rejected::Rejected,
    submission::{self, BatchArgs, RejectedArgs, families, manifest, one_prompt},
};
pub(crate) use report::Ran;
use report::Report;

/// Batches that an earlier run may have left open.
const MOST_BATCHES: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// CSV, JSONL or XLSX; - is stdin
    file: Option<String>,
    /// Make an image of this prompt, without a file
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    prompt: Option<String>,
    /// Where images and results go: a directory or `s3://bucket/prefix` [default: the store of the settings, else pictor-out]
    #[arg(long, value_name = "DIR")]
    out: Option<String>,
    /// Requests at once
    #[arg(long, value_name = "COUNT")]
    concurrency: Option<usize>,
    #[command(flatten)]
    rejected: RejectedArgs,
    #[command(flatten)]
    batch: BatchArgs,
}

pub(crate) async fn run(args: RunArgs, context: &Context) -> anyhow::Result<Exit> {
    let manifest = match (&args.prompt, &args.file) {
        (Some(prompt), _) => one_prompt(prompt)?,
        (None, Some(file)) => manifest(file, &args.batch.read)?,
        (None, None) => match args.batch.swallowed() {
            Some(file) => return Err(submission::names_a_file(file)),
            None => {
                return Err(refused("name a FILE, or give --prompt TEXT; pictor run --help has examples"));
            }
        },
    };
    let concurrency = args.concurrency.unwrap_or(context.settings.worker.concurrency).max(1);
    let out = args.out.as_deref();
    let work = Work { manifest, out, concurrency, batch: &args.batch, rejected: &args.rejected };
    let ran = Box::pin(work.carry_out(context, async |_queue: &Queue| Ok(()))).await?;
    context.output.result(&ran.summary, || ran.text)?;
    Ok(ran.exit)
}

/// A run, as `run` and `demo` ask for it.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    pub(crate) manifest: Manifest,
    pub(crate) out: Option<&'a str>,
    pub(crate) concurrency: usize,
    pub(crate) batch: &'a BatchArgs,
    pub(crate) rejected: &'a RejectedArgs,
}

impl Work<'_> {
    /// Checks, plans, submits, works and reports; a dry run ends with the plan. `before` and the caller's
    /// own look at the queue happen while the server still runs.
    pub(crate) async fn carry_out(
        self,
        context: &Context,
        before: impl AsyncFnOnce(&Queue) -> anyhow::Result<()>,
    ) -> anyhow::Result<Ran> {
        let settings = &context.settings;
        let today = parts::today();
        let prepared = self.batch.prepare(self.manifest.clone(), Band::Normal, settings, &today)?;
        let prepared = prepared.keeping(self.rejected)?;
        let rules = prepared.rules(settings)?;
        let request = prepared.request(&rules);
        let (checked, rejected) = prepared.check(&request, &context.output)?;
        let rejected = rejected.as_ref();
        let lanes = match accounts::lanes(settings, Some(&families(&checked)), &today) {
            // A dry run sends nothing.
            Err(_lacking) if self.batch.dry_run => Vec::new(),
            lanes => lanes?,
        };
        let url = parts::store_url(settings, self.out);
        let rehearsal = self.batch.dry_run.then(|| Rehearsal::new(settings, url)).transpose()?;
        let (settings, url) = match &rehearsal {
            Some(rehearsal) => (&rehearsal.settings, rehearsal.url.as_str()),
            None => (settings, url),
        };
        let store = parts::open_answering_store(settings, url).await?;
        let opened = parts::open_queue(settings, &context.signals, Use::Work(&parts::absolute(url))).await?;
        let queue = &opened.queue;
        let done = async {
            parts::apply_budget(settings, queue).await?;
            before(queue).await?;
            let planned = prepared.plan(&request, &checked, queue, &*store).await?;
            if self.batch.dry_run {
                let (summary, text) = submission::plan_told(&checked, &planned.plan, rejected);
                return Ok(Ran { exit: Rejected::exit(rejected, Exit::Done), summary, text });
            }
            context.output.note(&outlook(&planned.plan));
            planned.plan.far_apart().iter().for_each(|why| context.output.note(why));
            let parts = parts::worker(settings, queue, &store, lanes, self.concurrency).await?;
            if settings.redis.url.is_none() {
                try_again(context, queue, &parts).await?;
                hold_others(queue, &checked.head.id).await?;
            }
            let (planned, sums) =
                submission::submit(&prepared, &request, &checked, planned, queue, &*store, context).await?;
            // An earlier run may have held it.
            queue.hold(&checked.head.id, None).await?;
            let before = queue.totals().await?.spent;
            let watched = work(context, queue, &checked.head.id, parts).await?;
            let spent = queue.totals().await?.spent.saturating_sub(before);
            super::derive::finish(context, queue, &store, &watched.batch).await?;
            let report = Report {
                context,
                queue,
                store: &store,
                url,
                checked: &checked,
                planned: &planned,
                sums,
                spent,
                rejected,
            };
            report.ran(watched).await
        };
        let ended = Box::pin(done).await;
        let closed = opened.close().await;
        let ran = ended?;
        closed?;
        Ok(ran)
    }
}

/// What is going to happen, in a line.
fn outlook(plan: &pictor_producer::plan::Plan) -> String {
    let rows = if plan.matrix.is_empty() {
        counted(plan.rows, "row")
    } else {
        plan.matrix.told(plan.rows, plan.lines)
    };
    let mut text = format!("{rows} for {}", counted(plan.takes, "image"));
    let mut part = |count: u64, words: &str| {
        if count > 0 {
            text += &format!("; {count} {words}");
        }
    };
    part(plan.duplicates, "repeating others");
    part(plan.already_made, "there already");
    part(plan.already_queued, "queued before");
    if !plan.retry_failed {
        part(plan.failed_before, "failed before and are left alone (--retry-failed)");
    }
    text += &format!("; {} new for about {}", plan.to_make, plan.expected);
    if plan.ceiling > plan.expected {
        text += &format!(", {} at most", plan.ceiling);
    }
    text
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Lifts the pauses of an earlier run, such as one for an empty account: whoever runs this again
/// wants to know whether the reason still holds.
async fn try_again(context: &Context, queue: &Queue, parts: &pictor_worker::Parts) -> anyhow::Result<()> {
    for lane in queue.lanes().await? {
        let ours = parts.lanes.iter().any(|own| own.name == lane.name);
        if let Some(reason) = lane.paused.filter(|_| ours) {
            context.output.note(&format!("{} was paused, and is tried again: {reason}", lane.name));
            queue.pause_lane(&lane.name, None).await?;
        }
    }
    Ok(())
}

/// What another run left behind is not paid for by this one.
async fn hold_others(queue: &Queue, ours: &BatchId) -> anyhow::Result<()> {
    for batch in queue.batches(MOST_BATCHES).await? {
        if batch.id != ours.as_str() && !batch.ended() && batch.held.is_none() {
            queue
                .hold(&batch.id.parse()?, Some("its run was stopped; run it again, or: pictor batch resume"))
                .await?;
        }
    }
    Ok(())
}

/// Works in this process until the batch has ended or a stop is asked for.
async fn work(
    context: &Context,
    queue: &Queue,
    batch: &BatchId,
    parts: pictor_worker::Parts,
) -> anyhow::Result<Watched> {
    let stop = context.signals.stop.child_token();
    let names: Vec<String> = parts.lanes.iter().map(|lane| lane.name.clone()).collect();
    let mut worker = tokio::spawn(pictor_worker::run(parts, stop.clone()));
    let watch = Watch {
        queue,
        batch,
        output: &context.output,
        stop: &context.signals.stop,
        // With a Redis of ours nobody else can lift a pause.
        lanes: context.settings.redis.url.is_none().then_some(names.as_slice()),
    };
    let watched = tokio::select! {
        watched = watch.until_ended() => watched,
        ended = &mut worker => {
            stop.cancel();
            ended.context("the worker broke off")??;
            return Ok(Watched { batch: queue.batch(batch).await?.context("the batch is gone")?, stuck: None });
        }
    };
    if context.signals.stop.is_cancelled() {
        context.output.note("stopping: waiting for what was sent; a second signal ends at once");
    }
    stop.cancel();
    worker.await.context("the worker broke off")??;
    let watched = watched?;
    // What the drain still settled counts.
    let batch = queue.batch(batch).await?.context("the batch is gone")?;
    Ok(Watched { stuck: watched.stuck.filter(|_| !batch.ended()), batch })
}
