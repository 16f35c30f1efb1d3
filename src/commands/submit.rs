//! `pictor submit`: queues a file for workers.

use clap::Args;
use jiff::{Timestamp, tz::TimeZone};
use pictor_common::{
    batch::BatchId,
    queue::{BatchState, Queue, QueueError},
};
use pictor_producer::{
    schedule::{self, Deadline},
    submit::SubmitError,
};
use serde_json::json;

use super::{
    Context,
    batch::BandName,
    failed::{self, Group},
};
use crate::{
    exit::{Exit, refused},
    parts,
    private_redis::Use,
    progress::{Watch, Watched},
    rehearsal::Rehearsal,
    rejected::{self, Rejected},
    submission::{self, BatchArgs, RejectedArgs, manifest},
    table::harmless,
};

/// Causes that are told where few lines are wanted.
const MOST_CAUSES: usize = 3;

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
    /// Send nothing after this: the next such time of day (06:00), a moment (2026-11-23T06:00:00+01:00) or a length of
    /// time (6h). What was sent by then is finished, the rest is given up. A batch keeps its deadline when it is submitted
    /// again, unless a later moment is given: then it goes on
    #[arg(long, value_name = "TIME")]
    deadline: Option<Deadline>,
    /// Where --deadline and the {date} of --run-id are read off the clock [default: this machine's]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Say only what went wrong
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    rejected: RejectedArgs,
    #[command(flatten)]
    batch: BatchArgs,
}

pub(crate) async fn run(mut args: SubmitArgs, context: &Context) -> anyhow::Result<Exit> {
    let settings = &context.settings;
    let now = Timestamp::now();
    let zone =
        schedule::zone(args.time_zone.as_deref()).map_err(|odd| refused(format!("--time-zone {odd}")))?;
    if let Some(name) = &args.batch.run_id {
        let filled = schedule::filled(name, &now.to_zoned(zone.clone()));
        args.batch.run_id = Some(filled.map_err(|odd| refused(format!("--run-id {name}: {odd}")))?.0);
    }
    let deadline = args.deadline.as_ref().map(|deadline| until(deadline, now, &zone)).transpose()?;
    let manifest = manifest(&args.file, &args.batch.read)?;
    let prepared = args
        .batch
        .prepare(manifest, args.band.into(), settings, &parts::today())?
        .keeping(&args.rejected)?
        .until(deadline);
    let rules = prepared.rules(settings)?;
    let request = prepared.request(&rules);
    let (mut checked, rejected) = prepared.check(&request, &context.output)?;
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
        if let Some(stands) = standing(args.deadline.as_ref(), queue, &checked.head.id).await? {
            checked.head.deadline = Some(stands);
        }
        let planned = prepared.plan(&request, &checked, queue, &*store).await?;
        if args.batch.dry_run {
            let (value, text) = submission::plan_told(&checked, &planned.plan, rejected);
            context.output.result(&value, || text)?;
            return Ok(Rejected::exit(rejected, Exit::Done));
        }
        let id = &checked.head.id;
        let submitted =
            submission::submit(&prepared, &request, &checked, planned, queue, &*store, context).await;
        let (planned, sums) = match submitted {
            Err(error) if deadline.is_some() && is_late(&error) => {
                context.output.problem(&format!(
                    "{error}. What came in before its deadline counts; a later moment lets it go on: --deadline 2026-11-23T06:00:00Z"
                ));
                return Ok(Exit::SomeFailed);
            }
            submitted => submitted?,
        };
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
        if !args.quiet {
            context.output.result(&value, || format!("batch {id}\n{}", planned.plan.text()))?;
        }
        Ok(Rejected::exit(rejected, Exit::Done))
    };
    let ended = Box::pin(done).await;
    opened.close().await?;
    ended
}

async fn waited(context: &Context, queue: &Queue, watched: Watched) -> anyhow::Result<Exit> {
    let id = super::batch_id(&watched.batch.id)?;
    let batch = queue.batch(&id).await?.unwrap_or(watched.batch);
    let all = batch.state == "complete" && batch.counts.failed + batch.counts.parked == 0;
    if !context.output.quiet {
        context.output.result(&batch, || super::batch::told(&batch))?;
    } else if !all {
        let (groups, _bounded) = failed::of_batch(&id, queue).await?;
        context.output.problem(&in_short(&batch, &groups));
    }
    Ok(if all { Exit::Done } else { Exit::SomeFailed })
}

/// What went wrong with a batch, in few lines.
pub(crate) fn in_short(batch: &BatchState, groups: &[Group]) -> String {
    let mut parts = vec![format!("{} of {} made", batch.counts.done, batch.assets)];
    let failed = batch.counts.failed + batch.counts.parked;
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    match (batch.past_deadline(), batch.deadline) {
        (Some(late), Some(deadline)) => {
            parts.push(format!("{late} not sent: past its deadline, {}", super::when(deadline)));
        }
        _ if !batch.ended() => parts.push(format!("{} still open", batch.open_assets())),
        _ if batch.state == "cancelled" => parts.push(super::batch::state_of(batch)),
        _ => {}
    }
    let mut text = format!("batch {}: {}", batch.id, parts.join(", "));
    for group in groups.iter().take(MOST_CAUSES) {
        text += &format!("\n  {}", group.in_short());
    }
    if groups.len() > MOST_CAUSES {
        text += &format!("\n  and {} more causes", groups.len() - MOST_CAUSES);
    }
    harmless(&text) + &format!("\npictor batch show {} says more", batch.id)
}

/// The deadline that a batch has. Only a moment moves it: 06:00 is tomorrow's for whoever starts again a minute later.
async fn standing(said: Option<&Deadline>, queue: &Queue, id: &BatchId) -> Result<Option<u64>, QueueError> {
    match said {
        None | Some(Deadline::At(_)) => Ok(None),
        Some(_) => Ok(queue.batch(id).await?.and_then(|batch| batch.deadline)),
    }
}

/// A deadline as a moment that is still to come, µs since 1970.
fn until(deadline: &Deadline, now: Timestamp, zone: &TimeZone) -> anyhow::Result<u64> {
    let moment = deadline.moment(now, zone);
    if moment <= now {
        return Err(refused(format!("--deadline {deadline} is past")));
    }
    Ok(u64::try_from(moment.as_microsecond()).unwrap_or(0))
}

/// Whether a batch passed its deadline while it was submitted.
fn is_late(error: &anyhow::Error) -> bool {
    let late = |cause: &SubmitError| matches!(cause, SubmitError::Queue(QueueError::PastDeadline(_)));
    error.downcast_ref().is_some_and(late)
}
