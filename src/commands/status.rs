//! `pictor status`: what is queued, running or paused, and why.

use clap::Args;
use pictor_common::queue::{BatchState, LaneState, Queue, Totals};
use serde::Serialize;

use super::{Context, batch, known_batch, lane};
use crate::exit::Exit;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// One batch; without it, everything
    batch: Option<String>,
}

#[derive(Debug, Serialize)]
struct Status {
    batches: Vec<BatchState>,
    lanes: Vec<LaneState>,
    failures: u64,
    money: Totals,
}

pub(crate) async fn run(args: StatusArgs, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let told = Box::pin(tell(&args, context, &opened.queue)).await;
    opened.close().await?;
    told
}

async fn tell(args: &StatusArgs, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    if let Some(name) = &args.batch {
        let state = known_batch(queue, name).await?;
        context.output.result(&state, || batch::told(&state))?;
        return Ok(Exit::Done);
    }
    let status = Status {
        batches: queue.batches(20).await?,
        lanes: queue.lanes().await?,
        failures: queue.failure_count().await?,
        money: queue.totals().await?,
    };
    context.output.result(&status, || {
        let mut text = batch::list(&status.batches) + "\n" + &lane::list(&status.lanes) + "\n";
        let Totals { spent, reserved, unknown, cap } = status.money;
        text += &format!("{spent} spent, of which {unknown} with unknown outcome; {reserved} set aside");
        text += &cap.map_or_else(String::new, |cap| format!("; {cap} at most"));
        if status.failures > 0 {
            text += &format!("\n{} failed: pictor failed list", status.failures);
        }
        text
    })?;
    Ok(Exit::Done)
}
