//! `pictor bench drain`: worker processes drain a backlog against the simulator, which judges their pace.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::{
    case::{Case, Headers, Kind},
    judge::Pace,
    redis_load::{self, Counters},
    report::{Report, Run},
    stage::Stage,
};
use crate::{
    commands::Context,
    exit::{Exit, refused},
};

const LOOK_EVERY: Duration = Duration::from_millis(100);
const TELL_EVERY: Duration = Duration::from_secs(15);
/// Minutes of a run that is not told otherwise.
const MINUTES: f64 = 2.0;

#[derive(Debug, Args)]
#[command(after_help = "\
What is measured begins --settle-windows after the first request; the rest is told from the simulator's own books.
  utilisation  images that were let in, of those that the policy could have let in from an empty bucket
  refused      share of all requests, from the first one on, that were refused for the limit
  wait         how long the next permit, at the pace of the limit, had lain unused when a request took it
  redis cmds   commands that clients sent for each asset settled, a script being one; commands within scripts are apart
  redis us     microseconds that Redis spent in those commands; processor time of its main thread is apart
With several lanes, utilisation and wait are those of the lanes that are neither paused nor broken.")]
pub(crate) struct DrainArgs {
    /// Worker processes
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    processes: usize,
    /// Images a window that the simulator lets in
    #[arg(long, value_name = "IMAGES", default_value_t = 250)]
    limit: u64,
    /// Length of the window; the real one is 60 s
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    window: f64,
    /// Share of the limit that others take, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    foreign_load: f64,
    /// The limit that lanes are told [default: the true one]
    #[arg(long, value_name = "IMAGES")]
    believed: Option<u64>,
    /// Whether lanes know their limit or guess it
    #[arg(long, value_enum, default_value = "fixed")]
    kind: Kind,
    /// Enforce the limit over this shorter period
    #[arg(long, value_name = "SECONDS")]
    quantised: Option<f64>,
    /// Charge refused requests against the limit
    #[arg(long)]
    charge_refusals: bool,
    /// What answers say of the limit in headers
    #[arg(long, value_enum, default_value = "late", conflicts_with = "late_headers")]
    headers: Headers,
    /// The same as --headers late, which is the default
    #[arg(long)]
    late_headers: bool,
    /// Other limits from a window on
    #[arg(long, value_name = "WINDOW:LIMIT", value_delimiter = ',', value_parser = change)]
    change: Vec<(f64, u64)>,
    /// How long to measure and settle, from the first request [default: 2, unless --requests is given]
    #[arg(long)]
    minutes: Option<f64>,
    /// End when so many requests were let in while measuring
    #[arg(long, value_name = "COUNT")]
    requests: Option<u64>,
    /// API keys, each with a limit and a lane of its own, on one route
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    lanes: usize,
    /// Pause this lane, counted from 1
    #[arg(long, value_name = "LANE")]
    pause_lane: Option<usize>,
    /// Answer every request of this lane with an HTTP 500
    #[arg(long, value_name = "LANE")]
    break_lane: Option<usize>,
    /// Median latency of the simulator
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    latency_ms: u64,
    /// Windows from the first request on that are not measured
    #[arg(long, value_name = "WINDOWS", default_value_t = 1.0)]
    settle_windows: f64,
    /// Windows after each change that are not measured
    #[arg(long, value_name = "WINDOWS", default_value_t = 2.0)]
    settle_after_change: f64,
    /// Requests at once in each process [default: twice what the pace needs]
    #[arg(long, value_name = "COUNT")]
    concurrency: Option<usize>,
    /// Model that is asked for
    #[arg(long, default_value = "dall-e-2")]
    model: String,
    /// Size of the images [default: the model's first]
    #[arg(long)]
    size: Option<String>,
    /// Settings of the workers, laid over those of the bench
    #[arg(long, value_name = "FILE")]
    worker_settings: Option<PathBuf>,
    /// How often to run, each time from nothing
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    runs: u64,
    /// Decides latencies; each further run has the next
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn change(text: &str) -> Result<(f64, u64), String> {
    let read = text.split_once(':').and_then(|(at, limit)| Some((at.parse().ok()?, limit.parse().ok()?)));
    read.filter(|(at, _): &(f64, u64)| at.is_finite())
        .ok_or_else(|| "write it as WINDOW:LIMIT, such as 5:100".to_owned())
}

impl DrainArgs {
    fn case(&self, context: &Context) -> anyhow::Result<Case> {
        let model = context.settings.catalogue.model(&self.model);
        let model =
            model.ok_or_else(|| refused(format!("there is no model {}; see pictor models", self.model)))?;
        let smallest = || model.sizes().first().map_or("1024x1024".to_owned(), ToString::to_string);
        let case = Case {
            processes: self.processes,
            limit: self.limit,
            window: self.window,
            foreign_load: self.foreign_load,
            believed: self.believed.unwrap_or(self.limit),
            kind: self.kind,
            quantised: self.quantised,
            charge_refusals: self.charge_refusals,
            headers: if self.late_headers { Headers::Late } else { self.headers },
            change: self.change.clone(),
            minutes: self.minutes.or(self.requests.is_none().then_some(MINUTES)),
            requests: self.requests,
            lanes: self.lanes,
            pause_lane: self.pause_lane,
            break_lane: self.break_lane,
            latency_ms: self.latency_ms,
            settle_windows: self.settle_windows,
            settle_after_change: self.settle_after_change,
            model: self.model.clone(),
            family: model.family.clone(),
            size: self.size.clone().unwrap_or_else(smallest),
            concurrency: self.concurrency,
        };
        case.check().map_err(|error| refused(error.to_string()))?;
        Ok(case)
    }

    fn laid_over(&self) -> anyhow::Result<Value> {
        let Some(path) = &self.worker_settings else { return Ok(json!({})) };
        let told = |error: &dyn std::fmt::Display| refused(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
        toml::from_str(&text).map_err(|error| told(&error))
    }
}

pub(crate) async fn run(args: DrainArgs, context: &Context) -> anyhow::Result<Exit> {
    let (case, over) = (args.case(context)?, args.laid_over()?);
    let mut report = Report::new(case, args.seed);
    for number in 0..args.runs.max(1) {
        context.output.note(&format!("run {} of {}: starting", number + 1, args.runs.max(1)));
        match Box::pin(one(&report.case, args.seed + number, &over, context)).await? {
            Some(run) => report.runs.push(run),
            None => return Ok(Exit::SomeFailed),
        }
    }
    context.output.result(&report.value(), || report.text())?;
    Ok(Exit::Done)
}

/// One run from nothing; none when a stop was asked for.
async fn one(case: &Case, seed: u64, over: &Value, context: &Context) -> anyhow::Result<Option<Run>> {
    let log = context.settings.log.as_deref().unwrap_or("warn");
    let stop = context.signals.stop.clone();
    let mut stage = tokio::select! {
        stage = Box::pin(Stage::set(case, seed, over, log, &context.signals)) => stage?,
        () = stop.cancelled() => return Ok(None),
    };
    let measured = tokio::select! {
        measured = Box::pin(measure(case, seed, &mut stage, context)) => Some(measured),
        () = stop.cancelled() => None,
    };
    stage.strike().await?;
    measured.transpose()
}

/// Looks at the simulator until there is enough.
async fn measure(case: &Case, seed: u64, stage: &mut Stage, context: &Context) -> anyhow::Result<Run> {
    let mut connection = redis_load::connect(&stage.redis.client()?).await?;
    let began = Instant::now();
    let mut told = Instant::now();
    let mut before: Option<(Counters, u64)> = None;
    let ends_ms = case.minutes.map(|minutes| (minutes * 60e3) as u64);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        stage.workers.check()?;
        let now = stage.judge.pace(&[]).await?.now_ms;
        ensure!(
            now.is_some() || began.elapsed() < Duration::from_secs(60),
            "no request came to the simulator within a minute; try --log info"
        );
        let Some(now) = now else { continue };
        let spans = case.spans(now);
        if spans.is_empty() {
            continue;
        }
        if before.is_none() {
            before = Some((redis_load::read(&mut connection).await?, settled(stage).await?));
        }
        let pace = stage.judge.pace(&spans).await?;
        if told.elapsed() > TELL_EVERY {
            told = Instant::now();
            context.output.note(&progress(case, &pace, now));
        }
        let enough = case.requests.is_some_and(|wanted| healthy_requests(case, &pace) >= wanted);
        if enough || ends_ms.is_some_and(|ends| now >= ends) {
            let (counters, settled_before) = before.context("nothing was measured")?;
            let assets = settled(stage).await?.saturating_sub(settled_before);
            let load = redis_load::read(&mut connection).await?.since(&counters, assets);
            return Run::new(case, seed, &pace, load, assets);
        }
        ensure!(
            began.elapsed() < case.patience(),
            "given up after {:.0} s: {}",
            began.elapsed().as_secs_f64(),
            progress(case, &pace, now)
        );
    }
}

fn healthy_requests(case: &Case, pace: &Pace) -> u64 {
    let healthy = pace.lanes.iter().filter(|lane| case.healthy(lane.key + 1));
    healthy.map(|lane| lane.measured.counts.requests).sum()
}

fn progress(case: &Case, pace: &Pace, now_ms: u64) -> String {
    let healthy = pace.lanes.iter().filter(|lane| case.healthy(lane.key + 1));
    let (taken, possible) = healthy.fold((0, 0.0), |(taken, possible), lane| {
        (taken + lane.measured.used.taken, possible + lane.measured.used.possible)
    });
    let refused: u64 = pace.lanes.iter().map(|lane| lane.total.refused).sum();
    let share = taken as f64 / f64::max(possible, f64::MIN_POSITIVE) * 100.0;
    format!(
        "{:>5.0} s: {taken} of {possible:.0} images let in ({share:.2} %), {refused} requests refused",
        now_ms as f64 / 1e3
    )
}

async fn settled(stage: &Stage) -> anyhow::Result<u64> {
    let batch = stage.queue.batch(&stage.batch).await?.context("the batch is gone")?;
    Ok(batch.counts.done)
}
