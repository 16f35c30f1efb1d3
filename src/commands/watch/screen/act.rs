//! What can be done from the screen: how the command line says it, what it touches, and doing it.

use pictor_common::{
    batch::Band,
    queue::{FailureGroup, Queue},
};

use super::{
    panes::counted,
    view::View,
    words::{quoted, shown},
};
use crate::commands::{
    batch::steer::{self, Change},
    failed::act::Seen,
    lane,
};

/// Batches with more open assets than this are cancelled by typing their name.
const MANY: u64 = 100;
const BY_HAND: &str = "paused by hand";
/// What is typed before something parked is sent again.
const TWICE: &str = "may be paid twice";

/// Something to do, to what was chosen when the key was pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Pause(String),
    Resume(String),
    Cancel(String),
    Move(String, Band),
    PauseLane(String),
    ResumeLane(String),
    /// Failures of a cause, and what they are called.
    Retry(String, Seen),
}

/// What has to be said before it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) act: Act,
    pub(super) title: String,
    pub(super) touches: Vec<String>,
    /// What is to be typed.
    pub(super) wanted: String,
    pub(super) typed: String,
}

impl Act {
    /// Tries a cause again; what that touches is [counted](Self::count) later.
    pub(super) fn retry(group: &FailureGroup) -> Self {
        let name = format!("{} of {}", group.failure.class, group.failure.model);
        Self::Retry(name, Seen::none_of(&group.group, group.parked))
    }

    /// The command that does the same.
    pub(super) fn command(&self) -> String {
        match self {
            Self::Pause(batch) => format!("batch pause {}", quoted(batch)),
            Self::Resume(batch) => format!("batch resume {}", quoted(batch)),
            Self::Cancel(batch) => format!("batch cancel {}", quoted(batch)),
            Self::Move(batch, band) => format!("batch priority {} {}", quoted(batch), band.as_str()),
            Self::PauseLane(lane) => format!("lane pause {}", quoted(lane)),
            Self::ResumeLane(lane) => format!("lane resume {}", quoted(lane)),
            Self::Retry(_, seen) => format!("failed retry {}", seen.arguments()),
        }
    }

    /// Asks, with what it touches.
    pub(super) fn question(self, view: &View) -> Question {
        let (title, touches) = match &self {
            Self::Pause(batch) => {
                (format!("Pause batch {batch}?"), of_batch(view, batch, "wait until it is resumed"))
            }
            Self::Resume(batch) => {
                (format!("Resume batch {batch}?"), of_batch(view, batch, "go on, and cost money"))
            }
            Self::Cancel(batch) => (format!("Cancel batch {batch}?"), cancelled(view, batch)),
            Self::Move(batch, band) => {
                let frame = view.moment.batches.iter().find(|frame| frame.batch == *batch);
                let from = frame.map_or("", |frame| frame.band.as_str());
                let title = format!("Move batch {batch} from {from} to {}?", band.as_str());
                (title, of_batch(view, batch, "are sent in their new share of the workers"))
            }
            Self::PauseLane(lane) => {
                (format!("Pause lane {lane}?"), of_lane(view, lane, "wait, unless another lane sends them"))
            }
            Self::ResumeLane(lane) => {
                (format!("Resume lane {lane}?"), of_lane(view, lane, "go on, and cost money"))
            }
            Self::Retry(name, seen) if seen.is_parked() => {
                (format!("Send parked {name} again?"), retried(seen))
            }
            Self::Retry(name, seen) => (format!("Try {name} again?"), retried(seen)),
        };
        let open = |batch: &String| {
            let frame = view.moment.batches.iter().find(|frame| frame.batch == *batch);
            frame.map_or(0, |frame| frame.open)
        };
        let wanted = match &self {
            Self::Cancel(batch) if open(batch) > MANY => batch.clone(),
            Self::Retry(_, seen) if seen.is_parked() => TWICE.to_owned(),
            _ => "y".to_owned(),
        };
        let touches = touches.iter().map(|line| shown(line)).collect();
        Question { act: self, title: shown(&title), touches, wanted, typed: String::new() }
    }

    /// Does it; says what became of it.
    pub(super) async fn perform(self, queue: &Queue) -> anyhow::Result<String> {
        let (batch, change) = match self {
            Self::Pause(batch) => (batch, Change::Pause(BY_HAND.to_owned())),
            Self::Resume(batch) => (batch, Change::Resume),
            Self::Cancel(batch) => (batch, Change::Cancel("cancelled by hand".to_owned())),
            Self::Move(batch, band) => (batch, Change::Band(band, "moved by hand".to_owned())),
            Self::PauseLane(name) => return of_a_lane(queue, &name, Some(BY_HAND)).await,
            Self::ResumeLane(name) => return of_a_lane(queue, &name, None).await,
            Self::Retry(_, seen) => return seen.retry(queue).await,
        };
        let changed = steer::changed(&[batch], &change, queue).await?;
        Ok(changed.iter().map(steer::told).collect::<String>().trim_end().to_owned())
    }

    /// The same with what only a look at the queue tells.
    pub(super) async fn count(self, queue: &Queue) -> anyhow::Result<Self> {
        match self {
            Self::Retry(name, seen) => Ok(Self::Retry(name, seen.look(queue).await?)),
            other => Ok(other),
        }
    }
}

async fn of_a_lane(queue: &Queue, name: &str, reason: Option<&str>) -> anyhow::Result<String> {
    let did = lane::pause(queue, &queue.lanes().await?, name, reason).await?;
    Ok(format!("lane {name} is {did}"))
}

fn of_batch(view: &View, batch: &str, what: &str) -> Vec<String> {
    let Some(frame) = view.moment.batches.iter().find(|frame| frame.batch == batch) else {
        return vec!["it is not seen any more".to_owned()];
    };
    let sent = frame.open.saturating_sub(frame.waiting);
    vec![
        format!("{} of {} assets are open: {} wait and {what}", frame.open, frame.assets, frame.waiting),
        format!("{sent} are on their way or tried again; what is sent is finished and charged"),
    ]
}

fn cancelled(view: &View, batch: &str) -> Vec<String> {
    let Some(frame) = view.moment.batches.iter().find(|frame| frame.batch == batch) else {
        return vec!["it is not seen any more".to_owned()];
    };
    vec![
        format!(
            "{} of {} assets are open and given up; {} are made and stay",
            frame.open, frame.assets, frame.done
        ),
        "what is sent is finished, stored and charged; other batches keep what they ask for".to_owned(),
        "it cannot be taken back: its file has to be submitted again".to_owned(),
    ]
}

fn of_lane(view: &View, name: &str, what: &str) -> Vec<String> {
    let served = view.routes.iter().filter(|route| route.lanes.iter().any(|lane| lane == name));
    let waiting: u64 = served.map(|route| route.waiting).sum();
    let in_flight = view.moment.lanes.iter().find(|lane| lane.name == name).map_or(0, |lane| lane.in_flight);
    vec![
        format!("{waiting} assets that it may send {what}"),
        format!("{in_flight} requests are on their way; they are finished and charged"),
    ]
}

fn retried(seen: &Seen) -> Vec<String> {
    let failures = counted(seen.count() as u64, "failure", "failures");
    let mut lines = vec![format!("{failures}, of all batches, made ready again; each request costs money")];
    if seen.is_parked() {
        lines.push("a request for each was sent and may have been billed: each may be paid twice".to_owned());
    }
    lines
}
