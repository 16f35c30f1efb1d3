//! `pictor lane`: what may send, how fast, and why one waits.

use std::fmt::Write as _;

use clap::Subcommand;
use pictor_common::queue::{Dimension, LaneState, LimitKind, Note, Queue};
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
    /// One lane: its limits, what was learnt of them, and why it waits
    Show {
        /// The lane, `ACCOUNT.FAMILY`
        lane: String,
    },
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
    /// Set a limit for all workers at once, whatever their settings say
    Limit {
        /// The lane, `ACCOUNT.FAMILY`
        lane: String,
        /// `images=400`, or `images=settings` for what the settings say
        #[arg(required = true, value_name = "LIMIT=NUMBER", value_parser = order)]
        limits: Vec<Order>,
    },
}

/// A limit that a person sets; `None` leaves it to the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    dimension: String,
    limit: Option<u64>,
}

fn order(text: &str) -> Result<Order, String> {
    let (dimension, limit) = text.split_once('=').ok_or("write LIMIT=NUMBER, such as images=400")?;
    let limit = match limit {
        "settings" => None,
        number => Some(
            number
                .parse()
                .ok()
                .filter(|n| *n > 0)
                .ok_or("a limit is a whole number from 1, or `settings`")?,
        ),
    };
    Ok(Order { dimension: dimension.to_owned(), limit })
}

pub(crate) async fn run(command: LaneCommand, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let done = Box::pin(perform(command, context, &opened.queue)).await;
    opened.close().await?;
    done
}

async fn perform(command: LaneCommand, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let lanes = queue.lanes().await?;
    let mut why = String::new();
    let (name, did) = match command {
        LaneCommand::List => {
            context.output.result(&lanes, || list(&lanes))?;
            return Ok(Exit::Done);
        }
        LaneCommand::Show { lane } => {
            let lane = known(&lanes, &lane)?;
            context.output.result(lane, || shown(lane, now()))?;
            return Ok(Exit::Done);
        }
        LaneCommand::Pause { lane, reason } => {
            queue.pause_lane(&known(&lanes, &lane)?.name, Some(&reason)).await?;
            why = reason;
            (lane, "paused".to_owned())
        }
        LaneCommand::Resume { lane } => {
            queue.pause_lane(&known(&lanes, &lane)?.name, None).await?;
            (lane, "resumed".to_owned())
        }
        LaneCommand::Limit { lane, limits } => {
            let did = set(queue, known(&lanes, &lane)?, &limits).await?;
            (lane, did)
        }
    };
    let (who, of) = (crate::config::who(), format!("lane {name}"));
    queue.note(&Note { who: &who, what: &did, of: &of, count: 1, why: &why }).await?;
    context.output.result(&json!({ "lane": name, "did": did }), || format!("lane {name} is {did}"))?;
    Ok(Exit::Done)
}

fn known<'l>(lanes: &'l [LaneState], name: &str) -> anyhow::Result<&'l LaneState> {
    let names = || lanes.iter().map(|lane| lane.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = lanes.iter().find(|lane| lane.name == name);
    found.ok_or_else(|| refused(format!("lane {name} is unknown; there are {}", names())))
}

async fn set(queue: &Queue, lane: &LaneState, orders: &[Order]) -> anyhow::Result<String> {
    for order in orders {
        if !lane.limits.iter().any(|(name, _)| *name == order.dimension) {
            let names: Vec<_> = lane.limits.iter().map(|(name, _)| name.as_str()).collect();
            return Err(refused(format!(
                "lane {} has no limit of {}; it has {}",
                lane.name,
                order.dimension,
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            )));
        }
    }
    let mut said = Vec::new();
    for Order { dimension, limit } in orders {
        let now = queue.order_limit(&lane.name, dimension, *limit).await?;
        said.push(match (limit, now) {
            (Some(limit), _) => format!("limited to {limit} {dimension}"),
            (None, Some(told)) => format!("limited to {told} {dimension}, as the settings say"),
            (None, None) => format!("limited in {dimension} by what the API says"),
        });
    }
    Ok(said.join(", "))
}

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0)
}

/// Why a lane waits and until when, or that it does not.
fn state(lane: &LaneState, now: u64) -> String {
    if let Some(reason) = &lane.paused {
        return format!("paused: {reason}");
    }
    if let Some(until) = lane.pause_until.filter(|until| *until > now) {
        let reason = lane.pause_reason.as_deref().unwrap_or("no reason");
        return format!("waits until {}: {reason}", when(until));
    }
    if lane.probing {
        return format!(
            "failed {} times in a row; one request finds out whether it works again",
            lane.faults
        );
    }
    match lane.next_permit(now, 1) {
        Some((dimension, at)) if at > now + 1_000_000 => {
            format!("at its limit of {}: next permit at {}", dimension.name, when(at))
        }
        _ => "open".to_owned(),
    }
}

pub(crate) fn list(lanes: &[LaneState]) -> String {
    if lanes.is_empty() {
        return "no lanes: no worker has run yet\n".to_owned();
    }
    let now = now();
    let rows: Vec<Vec<String>> = lanes
        .iter()
        .map(|lane| {
            let limits: Vec<String> =
                lane.limits.iter().map(|(name, limit)| format!("{limit} {name}")).collect();
            vec![lane.name.clone(), lane.in_flight.to_string(), limits.join(", "), state(lane, now)]
        })
        .collect();
    table(&["lane", "in flight", "limits", "state"], &[1], &rows)
}

fn shown(lane: &LaneState, now: u64) -> String {
    let mut text = format!("{}\n{}\n", lane.name, state(lane, now));
    let at_once = lane.in_flight_limit.map_or_else(String::new, |most| format!(" of {most}"));
    let _written = writeln!(text, "{}{at_once} requests on their way", lane.in_flight);
    let kind = if lane.kind == LimitKind::Guess { "guessed, and exceeded to find out" } else { "known" };
    let _written = writeln!(text, "limits are {kind}\n");
    let rows: Vec<Vec<String>> = lane
        .pace
        .iter()
        .map(|d| {
            let each = d.window as f64 / 1e6;
            let told =
                d.told.filter(|told| *told > 0).map_or_else(|| "the API alone".to_owned(), |n| n.to_string());
            let pace = d.per_second(1).map_or_else(String::new, |rate| format!("{:.3}/s", rate));
            vec![d.name.clone(), format!("{} in {each} s", d.limit), told, pace, source(d)]
        })
        .collect();
    text + &table(&["limit", "now", "told", "our pace", "how it is known"], &[], &rows)
}

fn source(d: &Dimension) -> String {
    match (d.ordered, d.stated, d.full_at) {
        (Some(_), ..) => "set by hand".to_owned(),
        (None, true, _) => "stated in headers".to_owned(),
        (None, false, Some(at)) => format!("a refusal at {}", when(at)),
        (None, false, None) => "the settings or the model catalogue".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000_000;

    fn lane() -> LaneState {
        let images = Dimension {
            name: "images".to_owned(),
            limit: 5,
            window: 60_000_000,
            burst: 500_000,
            given_until: NOW + 12_000_000,
            told: Some(5),
            part: 1.0,
            ..Dimension::default()
        };
        LaneState {
            name: "openai.gpt-image".to_owned(),
            limits: vec![("images".to_owned(), 5)],
            pace: vec![images],
            ..LaneState::default()
        }
    }

    #[test]
    fn an_order_is_a_limit_and_a_number() {
        assert_eq!(order("images=400"), Ok(Order { dimension: "images".to_owned(), limit: Some(400) }));
        assert_eq!(order("images=settings"), Ok(Order { dimension: "images".to_owned(), limit: None }));
        for wrong in ["images", "images=", "images=0", "images=many", "images=-1"] {
            assert!(order(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_reason_to_wait_is_said() {
        let mut lane = lane();
        assert!(
            state(&lane, NOW).starts_with("at its limit of images: next permit at "),
            "{}",
            state(&lane, NOW)
        );
        assert_eq!(state(&lane, NOW + 12_000_000), "open");
        lane.probing = true;
        lane.faults = 7;
        assert!(state(&lane, NOW).starts_with("failed 7 times in a row"));
        lane.pause_until = Some(NOW + 1);
        lane.pause_reason = Some("slow down".to_owned());
        assert!(state(&lane, NOW).ends_with(": slow down"));
        lane.paused = Some("no money".to_owned());
        assert_eq!(state(&lane, NOW), "paused: no money");
    }

    #[test]
    fn a_lane_is_shown_with_where_its_limit_comes_from() {
        let mut lane = lane();
        let text = shown(&lane, NOW);
        assert!(text.contains("5 in 60 s") && text.contains("0.083/s"), "{text}");
        assert!(text.contains("the settings or the model catalogue"), "{text}");
        lane.pace[0].stated = true;
        assert!(shown(&lane, NOW).contains("stated in headers"));
        lane.pace[0].ordered = Some(5);
        assert!(shown(&lane, NOW).contains("set by hand"));
    }
}
