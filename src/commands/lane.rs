//! `pictor lane`: what may send, how fast, and why one waits.

use clap::Subcommand;
use pictor_common::queue::{LaneState, Queue};
use serde_json::json;

use super::{Context, when};
use crate::{
    exit::{Exit, refused},
    table::table,
};

#[derive(Debug, Subcommand)]
pub(crate) enum LaneCommand {
    /// All lanes
    List,
    /// Let a lane send nothing until it is resumed
    Pause {
        /// The lane, `ACCOUNT.FAMILY`
        lane: String,
        /// Why, for others to read
        #[arg(long, value_parser = super::reason, default_value = "paused by hand")]
        reason: String,
    },
    /// Lift a pause, whoever set it
    Resume {
        /// The lane, `ACCOUNT.FAMILY`
        lane: String,
    },
}

pub(crate) async fn run(command: LaneCommand, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let done = Box::pin(perform(command, context, &opened.queue)).await;
    opened.close().await?;
    done
}

async fn perform(command: LaneCommand, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let lanes = queue.lanes().await?;
    let (name, reason) = match command {
        LaneCommand::List => {
            context.output.result(&lanes, || list(&lanes))?;
            return Ok(Exit::Done);
        }
        LaneCommand::Pause { lane, reason } => (lane, Some(reason)),
        LaneCommand::Resume { lane } => (lane, None),
    };
    if !lanes.iter().any(|lane| lane.name == name) {
        let known: Vec<_> = lanes.iter().map(|lane| lane.name.as_str()).collect();
        return Err(refused(format!("lane {name} is unknown; there are {}", known.join(", "))));
    }
    queue.pause_lane(&name, reason.as_deref()).await?;
    let did = if reason.is_some() { "paused" } else { "resumed" };
    context.output.result(&json!({ "lane": name, "did": did }), || format!("lane {name} is {did}"))?;
    Ok(Exit::Done)
}

pub(crate) fn list(lanes: &[LaneState]) -> String {
    if lanes.is_empty() {
        return "no lanes: no worker has run yet\n".to_owned();
    }
    let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0);
    let rows: Vec<Vec<String>> = lanes
        .iter()
        .map(|lane| {
            let limits: Vec<String> =
                lane.limits.iter().map(|(name, limit)| format!("{limit} {name}")).collect();
            let state = match (&lane.paused, lane.pause_until.filter(|until| *until > now)) {
                (Some(reason), _) => format!("paused: {reason}"),
                (None, Some(until)) => {
                    format!(
                        "waits until {}: {}",
                        when(until),
                        lane.pause_reason.as_deref().unwrap_or("no reason")
                    )
                }
                (None, None) => "open".to_owned(),
            };
            vec![lane.name.clone(), lane.in_flight.to_string(), limits.join(", "), state]
        })
        .collect();
    table(&["lane", "in flight", "limits", "state"], &[1], &rows)
}
