//! `pictor status`: what is queued, running or paused, and why.

use clap::Args;
use pictor_common::queue::{BatchState, LaneState, Queue, Totals, Which, WorkerState, why};
use serde::Serialize;

use super::{Context, batch, lane, watch::NEWEST};
use crate::{
    exit::Exit,
    table::{shortened, table},
    waits::{self, Told},
};

/// Batches that are shown though they have ended.
const SHOWN: usize = 20;
/// Characters of a reason; batch show has all of it.
const WIDE: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// One batch; without it, everything
    batch: Option<String>,
}

#[derive(Debug, Serialize)]
struct Status {
    at: u64,
    batches: Vec<Standing>,
    lanes: Vec<LaneState>,
    workers: Vec<WorkerState>,
    failures: u64,
    retries: u64,
    money: Totals,
}

#[derive(Debug, Serialize)]
struct Standing {
    #[serde(flatten)]
    state: BatchState,
    waiting: u64,
    why: Vec<Told>,
}

pub(crate) async fn run(args: StatusArgs, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let told = Box::pin(tell(&args, context, &opened.queue)).await;
    opened.close().await?;
    told
}

async fn tell(args: &StatusArgs, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    if let Some(name) = &args.batch {
        Box::pin(batch::show(name, context, queue)).await?;
        return Ok(Exit::Done);
    }
    let overview = queue.overview(Which::Newest(NEWEST)).await?;
    let shown = overview.batches.iter().enumerate();
    let shown = shown.filter(|(at, view)| *at < SHOWN || !view.state.ended());
    let batches = shown
        .map(|(_, view)| Standing {
            state: view.state.clone(),
            waiting: view.waiting(),
            why: waits::told(why(view, &overview), &overview),
        })
        .collect();
    let status = Status {
        at: overview.now,
        batches,
        lanes: overview.lanes,
        workers: overview.workers,
        failures: overview.failures,
        retries: overview.retries,
        money: overview.money,
    };
    context.output.result(&status, || told(&status))?;
    Ok(Exit::Done)
}

fn told(status: &Status) -> String {
    let mut text = list(&status.batches) + "\n" + &lane::list(&status.lanes) + "\n";
    text += &workers(&status.workers);
    let Totals { spent, reserved, unknown, cap } = status.money;
    text += &format!("\n{spent} spent, of which {unknown} with unknown outcome; {reserved} set aside");
    text += &cap.map_or_else(String::new, |cap| format!("; {cap} at most"));
    if status.retries > 0 {
        text += &format!("\n{} wait for another try", status.retries);
    }
    if status.failures > 0 {
        text += &format!("\n{} failed: pictor failed", status.failures);
    }
    let parked: u64 = status.batches.iter().map(|batch| batch.state.counts.parked).sum();
    if parked > 0 {
        text += &format!(
            "\n{parked} of these batches' images are parked: each may have been billed, and nothing is sent again"
        );
    }
    text
}

fn list(batches: &[Standing]) -> String {
    if batches.is_empty() {
        return "no batches\n".to_owned();
    }
    let rows: Vec<Vec<String>> = batches
        .iter()
        .map(|standing| {
            let mut cells = batch::counted(&standing.state);
            let why = waits::first(&standing.why);
            cells.push(if why.is_empty() { batch::state_of(&standing.state) } else { shortened(&why, WIDE) });
            cells
        })
        .collect();
    table(&[&batch::COLUMNS[..], &["state, or why it waits"]].concat(), &batch::RIGHT, &rows)
}

fn state_of(worker: &WorkerState) -> String {
    if worker.beat.draining {
        return "stopping".to_owned();
    }
    waits::hindered(&worker.beat).unwrap_or_else(|| "working".to_owned())
}

fn workers(workers: &[WorkerState]) -> String {
    if workers.is_empty() {
        return "no worker is alive\n".to_owned();
    }
    let rows: Vec<Vec<String>> = workers
        .iter()
        .map(|worker| {
            let lanes: Vec<&str> = worker.beat.lanes.iter().map(|lane| lane.lane.as_str()).collect();
            vec![
                format!("{} {}", worker.beat.host, worker.beat.pid),
                format!("{} of {}", worker.beat.held, worker.beat.concurrency),
                lanes.join(", "),
                state_of(worker),
            ]
        })
        .collect();
    table(&["worker", "places taken", "lanes", "state"], &[1], &rows)
}
