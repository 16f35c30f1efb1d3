//! One file a command.

pub(crate) mod asset;
pub(crate) mod audit;
pub(crate) mod batch;
pub(crate) mod bench;
pub(crate) mod budget;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod derive;
pub(crate) mod doctor;
pub(crate) mod failed;
pub(crate) mod gallery;
pub(crate) mod lane;
pub(crate) mod ledger;
pub(crate) mod man;
pub(crate) mod models;
pub(crate) mod price;
pub(crate) mod results;
pub(crate) mod retention;
pub(crate) mod run;
pub(crate) mod schedule;
pub(crate) mod simulate;
pub(crate) mod status;
pub(crate) mod submit;
pub(crate) mod template;
pub(crate) mod verify;
pub(crate) mod watch;
pub(crate) mod webhooks;
pub(crate) mod worker;
pub(crate) mod workers;

use pictor_common::{
    batch::BatchId,
    queue::{Queue, TENANT_CAP, TENANT_DAY_CAP},
};

use crate::{
    cli::Command,
    config::{Flags, Settings, load},
    exit::{Exit, refused},
    output::Output,
    parts::{self, OpenQueue},
    private_redis::{self, Use},
    signals::Signals,
    table,
};

/// What every command gets.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) output: Output,
    pub(crate) signals: Signals,
}

impl Context {
    /// Connects to look at the queue or to steer it.
    pub(crate) async fn look(&self) -> anyhow::Result<OpenQueue> {
        Box::pin(parts::open_queue(&self.settings, &self.signals, Use::Look)).await
    }
}

/// Does what the command line asks.
pub(crate) async fn perform(command: Command, flags: &Flags, output: &Output) -> anyhow::Result<Exit> {
    let mut settings = load(flags)?;
    if settings.redis.url.is_none() && settings.store.url.is_none() {
        settings.store.url = private_redis::known_store(&settings.data_dir);
    }
    let loud = match &command {
        Command::Worker(_) | Command::Simulate(_) => true,
        Command::Schedule(command) => command.serves(),
        _ => false,
    };
    let silent = matches!(&command, Command::Submit(args) if args.quiet);
    let output = &output.clone().quietly(silent);
    let usual = if silent { "error" } else { "warn" };
    let level = settings.log.as_deref().unwrap_or(if loud { "info" } else { usual });
    let logs = output.log_to_stderr(level, settings.log_format)?;
    let signals = Signals::listen()?;
    let context = Context { settings, output: output.clone(), signals };
    let ended = Box::pin(act(command, flags, context)).await;
    logs.finish().await;
    ended
}

async fn act(command: Command, flags: &Flags, context: Context) -> anyhow::Result<Exit> {
    match command {
        Command::Run(args) => Box::pin(run::run(*args, &context)).await,
        Command::Demo(args) => Box::pin(demo::run(*args, context)).await,
        Command::Submit(args) => Box::pin(submit::run(*args, &context)).await,
        Command::Worker(args) => Box::pin(worker::run(args, &context)).await,
        Command::Workers(command) => Box::pin(workers::run(command, &context)).await,
        Command::Status(args) => Box::pin(status::run(args, &context)).await,
        Command::Schedule(command) => Box::pin(schedule::run(*command, &context)).await,
        Command::Watch(args) => Box::pin(watch::run(args, &context)).await,
        Command::Failed(args) => Box::pin(failed::run(*args, &context)).await,
        Command::Audit(args) => Box::pin(audit::run(&args, &context)).await,
        Command::Batch(command) => Box::pin(batch::run(command, &context)).await,
        Command::Results(args) => Box::pin(results::run(args, &context)).await,
        Command::Retention(command) => Box::pin(retention::run(command, &context)).await,
        Command::Derive(args) => Box::pin(derive::run(args, &context)).await,
        Command::Gallery(args) => Box::pin(gallery::run(args, &context)).await,
        Command::Verify(args) => Box::pin(verify::run(args, &context)).await,
        Command::Price(command) => Box::pin(price::run(command, &context)).await,
        Command::Template(command) => template::run(command, &context),
        Command::Models => models::run(&context),
        Command::Ledger(command) => Box::pin(ledger::run(command, &context)).await,
        Command::Budget(command) => Box::pin(budget::run(command, &context)).await,
        Command::Lane(command) => Box::pin(lane::run(command, &context)).await,
        Command::Webhooks(command) => Box::pin(webhooks::run(command, &context)).await,
        Command::Asset(command) => Box::pin(asset::run(command, &context)).await,
        Command::Doctor(args) => Box::pin(doctor::run(args, &context)).await,
        Command::Config(command) => config::run(&command, flags, &context),
        Command::Bench(command) => Box::pin(bench::run(command, &context)).await,
        Command::Simulate(args) => Box::pin(simulate::run(*args, &context)).await,
    }
}

/// Reads the name of a batch.
pub(crate) fn batch_id(text: &str) -> anyhow::Result<BatchId> {
    text.parse().map_err(|error| refused(format!("{error}")))
}

/// Reads a reason that others will see.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why, in a few words".to_owned()),
        // Pictor's own words for a batch that reached a cap, and lets go on.
        "cap" | TENANT_CAP | TENANT_DAY_CAP => Err("say more than this one word".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// Finds a batch; one that is unknown is bad input.
pub(crate) async fn known_batch(
    queue: &Queue,
    text: &str,
) -> anyhow::Result<pictor_common::queue::BatchState> {
    let id = batch_id(text)?;
    match queue.batch(&id).await? {
        Some(batch) => Ok(batch),
        None => Err(refused(format!("batch {id} is unknown{}", newest(queue).await?))),
    }
}

/// Names the newest batches, behind what was wrong.
pub(crate) async fn newest(queue: &Queue) -> anyhow::Result<String> {
    const NAMED: usize = 5;
    let batches = queue.batches(NAMED).await?;
    if batches.is_empty() {
        return Ok("; there is none yet: pictor run FILE or pictor submit FILE makes one".to_owned());
    }
    let rows: Vec<Vec<String>> = batches
        .iter()
        .map(|batch| {
            let done = format!("{} of {} made", batch.counts.done, batch.assets);
            vec![format!("  {}", batch.id), done, when(batch.created), table::shortened(&batch.source, 40)]
        })
        .collect();
    let listed = table::table(&["  the newest", "", "created", "source"], &[], &rows);
    Ok(format!("; pictor batch list names all\n{}", listed.trim_end()))
}

/// Local time of a moment in µs since 1970, for people.
pub(crate) fn when(micros: u64) -> String {
    let moment = i64::try_from(micros).ok().and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    moment.map_or_else(String::new, |moment| {
        moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    })
}
