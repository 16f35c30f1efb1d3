//! `pictor schedule`: files that are submitted by the clock.

mod alive;
mod by_hand;
mod definition;
mod fire;
mod runs;
mod serve;
mod show;
mod source;
mod take;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use pictor_common::{
    batch::check_name,
    queue::{Note, Queue, ScheduleState, Steer},
};
use pictor_producer::schedule::{Deadline, Misfire, Overlap, zone};
use serde_json::json;

use super::{Context, batch::BandName};
use crate::{
    config::who,
    exit::{Exit, refused},
    parts,
    private_redis::Use,
    submission::BatchArgs,
    templates,
};
use definition::{Definition, Plan, micros};
use show::Told;

/// A batch has the name of its schedule and the time.
const LONGEST: usize = 80;

const CLOCKS: &str = "\
The line says what a clock on the wall shows in --time-zone. Where the clock leaps over a time, it is due at the first \
instant after the leap (02:30 becomes 03:00); where the clock shows a time twice, it is due once, at the first. What is \
submitted is a batch named after the schedule and the time, such as nightly-2026-11-22T0300: whoever fires it again \
submits the same one, and images that were made before cost nothing.";

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Keep a schedule; `pictor schedule serve` fires it
    #[command(after_help = CLOCKS)]
    Add(Box<AddArgs>),
    /// All schedules: when they are due, and what became of the last time; ends with 1 when one failed
    List,
    /// One schedule, with its past times
    Show {
        /// The schedule
        schedule: String,
    },
    /// Submit its file now, whatever the clock says
    Run {
        /// The schedule
        schedule: String,
        /// Why, for others to read
        #[arg(long, value_parser = super::reason, default_value = "submitted by hand")]
        reason: String,
    },
    /// Fire nothing until it is resumed; times that pass meanwhile are not made up for
    Pause {
        /// The schedule
        schedule: String,
        /// Why, for others to read
        #[arg(long, value_parser = super::reason, default_value = "paused by hand")]
        reason: String,
    },
    /// Let it go on
    Resume {
        /// The schedule
        schedule: String,
    },
    /// Forget it; batches stay
    Remove {
        /// The schedule
        schedule: String,
        /// Why, for others to read
        #[arg(long, value_parser = super::reason, default_value = "removed by hand")]
        reason: String,
    },
    /// Fire what is due, until stopped; any number of processes may serve, and each time is fired by one
    #[command(after_help = "Only files below a place of the setting schedule.read_from are read.")]
    Serve,
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Its name
    name: String,
    /// CSV, JSONL or XLSX: a path, or `s3://BUCKET/KEY`; read each time
    file: String,
    /// Five fields: minute, hour, day of the month, month, day of the week
    #[arg(long, value_name = "LINE")]
    cron: String,
    /// Where the clock hangs [default: this machine's zone]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// What becomes of times at which nobody served: the newest is made up for once, each is (100 at most), or none
    #[arg(long, default_value = "once")]
    misfire: MisfireName,
    /// What becomes of a time at which the run before goes on; one that is paused goes on
    #[arg(long, default_value = "skip")]
    overlap: OverlapName,
    /// Send nothing after this: the next such time of day (06:00) in that zone, or a length of time (6h) from when it is due
    #[arg(long, value_name = "TIME")]
    deadline: Option<String>,
    /// How urgent it is: a share of the workers, never an absolute order
    #[arg(long, default_value = "normal")]
    band: BandName,
    /// Take the place of the schedule of that name
    #[arg(long)]
    replace: bool,
    /// Why, for others to read
    #[arg(long, value_parser = super::reason, default_value = "added by hand")]
    reason: String,
    #[command(flatten)]
    batch: BatchArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MisfireName {
    Skip,
    Once,
    All,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OverlapName {
    Skip,
    Queue,
    Allow,
}

impl ScheduleCommand {
    /// Whether it goes on until it is stopped.
    pub(crate) const fn serves(&self) -> bool {
        matches!(self, Self::Serve)
    }
}

pub(crate) async fn run(command: ScheduleCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        ScheduleCommand::Serve => return Box::pin(serve::serve(context)).await,
        ScheduleCommand::Add(args) => return add(*args, context).await,
        _ => {}
    }
    let works = matches!(command, ScheduleCommand::Run { .. });
    let store = parts::absolute(parts::store_url(&context.settings, None));
    let how = if works { Use::Work(&store) } else { Use::Look };
    let opened = Box::pin(parts::open_queue(&context.settings, &context.signals, how)).await?;
    let done = Box::pin(perform(command, context, &opened.queue)).await;
    opened.close().await?;
    done
}

async fn perform(command: ScheduleCommand, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    match command {
        ScheduleCommand::List => list(context, queue).await,
        ScheduleCommand::Show { schedule } => show(&schedule, context, queue).await,
        ScheduleCommand::Run { schedule, reason } => by_hand::run(&schedule, &reason, context, queue).await,
        ScheduleCommand::Pause { schedule, reason } => {
            known(&schedule, queue).await?;
            steer(&schedule, Steer::Pause(&reason), queue).await?;
            noted(&schedule, "paused", &reason, queue).await?;
            said(context, &schedule, "paused")
        }
        ScheduleCommand::Resume { schedule } => {
            let state = known(&schedule, queue).await?;
            let next = Plan::of(&state)?.next(queue.clock().await?);
            steer(&schedule, Steer::Resume(next), queue).await?;
            if state.paused.is_some() {
                noted(&schedule, "resumed", "", queue).await?;
            }
            said(context, &schedule, "goes on")
        }
        ScheduleCommand::Remove { schedule, reason } => {
            known(&schedule, queue).await?;
            steer(&schedule, Steer::Remove, queue).await?;
            noted(&schedule, "removed", &reason, queue).await?;
            said(context, &schedule, "removed; its batches stay")
        }
        ScheduleCommand::Add(_) | ScheduleCommand::Serve => Ok(Exit::Done),
    }
}

async fn steer(name: &str, steer: Steer<'_>, queue: &Queue) -> anyhow::Result<()> {
    if queue.steer_schedule(name, steer, None).await? {
        return Ok(());
    }
    Err(refused(format!("schedule {name} was removed meanwhile")))
}

/// Notes what was done to a schedule, for the audit.
async fn noted(name: &str, what: &str, why: &str, queue: &Queue) -> anyhow::Result<()> {
    let (who, of) = (who(), format!("schedule {name}"));
    queue.note(&Note { who: &who, what, of: &of, count: 1, why }).await?;
    Ok(())
}

fn said(context: &Context, name: &str, what: &str) -> anyhow::Result<Exit> {
    context
        .output
        .result(&json!({ "schedule": name, "now": what }), || format!("schedule {name}: {what}"))?;
    Ok(Exit::Done)
}

/// Finds a schedule; one that is unknown is bad input.
async fn known(name: &str, queue: &Queue) -> anyhow::Result<ScheduleState> {
    if let Some(found) = queue.schedule(name).await? {
        return Ok(found);
    }
    let names: Vec<String> = queue.schedules().await?.into_iter().map(|state| state.name).collect();
    let there = if names.is_empty() {
        "there is none yet".to_owned()
    } else {
        format!("there are {}", names.join(", "))
    };
    Err(refused(format!("schedule {name:?} is unknown; {there}")))
}

async fn add(args: AddArgs, context: &Context) -> anyhow::Result<Exit> {
    let (name, replace, dry_run) = (args.name.clone(), args.replace, args.batch.dry_run);
    let reason = args.reason.clone();
    let read_from = &context.settings.schedule.read_from;
    check_name(&name).map_err(|odd| refused(format!("the schedule's name: {odd}")))?;
    if name.len() > LONGEST {
        return Err(refused(format!(
            "the schedule's name has more than {LONGEST} letters: its batches carry it"
        )));
    }
    let plan = defined(args)?;
    let next = show::next(&plan, micros(Timestamp::now()));
    if next.is_empty() {
        return Err(refused(format!("--cron {:?} never comes", plan.definition.cron)));
    }
    let told = || {
        let mut text = format!("schedule {name}: {} ({})", plan.cron.words(), plan.definition.time_zone);
        text += &next.iter().map(|next| format!("\n  next  {next}")).collect::<String>();
        if !source::is_allowed(&plan.definition.file, read_from) {
            text +=
                &format!("\nservers read {} only where schedule.read_from allows it", plan.definition.file);
        }
        text
    };
    let value = json!({ "schedule": name, "definition": plan.definition, "next": next });
    if !dry_run {
        let opened = context.look().await?;
        let kept = keep(&name, &plan, replace, &reason, &opened.queue).await;
        opened.close().await?;
        kept?;
    }
    context.output.result(&value, told)?;
    Ok(Exit::Done)
}

async fn keep(name: &str, plan: &Plan, replace: bool, reason: &str, queue: &Queue) -> anyhow::Result<()> {
    let definition = serde_json::to_string(&plan.definition)?;
    let next = plan.next(queue.clock().await?);
    let there = queue.schedule(name).await?.is_some();
    if queue.keep_schedule(name, &definition, &who(), next, replace, None).await? {
        return noted(name, if there { "replaced" } else { "added" }, reason, queue).await;
    }
    let by = queue.schedule(name).await?.map(|state| state.by).unwrap_or_default();
    Err(refused(format!("schedule {name} was added by {by}; --replace takes its place")))
}

/// What is asked for, checked as far as that is possible now.
fn defined(args: AddArgs) -> anyhow::Result<Plan> {
    let AddArgs { file, cron, time_zone, misfire, overlap, deadline, band, mut batch, .. } = args;
    if batch.run_id.is_some() {
        return Err(refused("--run-id: the batches of a schedule are named after it and the time"));
    }
    check_name(&batch.tenant).map_err(|error| refused(format!("--tenant {error}")))?;
    let file = if file.contains("://") { file } else { parts::absolute(&file) };
    source::allowed_name(&file)?;
    batch.template = templates::kept(batch.template.as_deref(), batch.template_file.take().as_deref())?;
    batch.dry_run = false;
    let zone = zone(time_zone.as_deref()).map_err(|odd| refused(format!("--time-zone {odd}")))?;
    let definition = Definition {
        cron,
        time_zone: zone.iana_name().filter(|name| *name != "Etc/Unknown").unwrap_or("UTC").to_owned(),
        file,
        misfire: match misfire {
            MisfireName::Skip => Misfire::Skip,
            MisfireName::Once => Misfire::Once,
            MisfireName::All => Misfire::All,
        },
        overlap: match overlap {
            OverlapName::Skip => Overlap::Skip,
            OverlapName::Queue => Overlap::Queue,
            OverlapName::Allow => Overlap::Allow,
        },
        deadline,
        band: band.into(),
        batch,
    };
    let plan = definition.understood()?;
    if let Some(Deadline::At(_)) = plan.deadline {
        return Err(refused(
            "--deadline: a moment suits one night only; write a time of day (06:00) or a length of time (6h)",
        ));
    }
    Ok(plan)
}

async fn list(context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let now = queue.clock().await?;
    let mut all = Vec::new();
    for state in queue.schedules().await? {
        all.push(Told::of(&state, now, queue).await?);
    }
    context.output.result(&all, || match all.is_empty() {
        true => "no schedules; pictor schedule add --help says how to make one".to_owned(),
        false => all.iter().map(Told::text).collect::<Vec<_>>().join("\n"),
    })?;
    Ok(if all.iter().any(Told::is_bad) { Exit::SomeFailed } else { Exit::Done })
}

async fn show(name: &str, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let told = Told::of(&known(name, queue).await?, queue.clock().await?, queue).await?;
    context.output.result(&told, || told.whole(&context.settings.schedule.read_from))?;
    Ok(Exit::Done)
}
