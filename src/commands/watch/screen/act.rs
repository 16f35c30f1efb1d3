//! What can be done from the screen: how the command line says it, what it touches, and doing it.

use pictor_common::{
    batch::Band,
    queue::{FailureAction, Queue},
};

use super::{
    groups::Group,
    panes::counted as counted_as,
    view::View,
    words::{quoted, shown},
};
use crate::commands::{
    batch::steer::{self, Change},
    failed, lane,
};

/// Batches with more open assets than this are cancelled by typing their name.
const MANY: u64 = 100;
const BY_HAND: &str = "paused by hand";

/// Something to do, to what was chosen when the key was pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Pause(String),
    Resume(String),
    Cancel(String),
    Move(String, Band),
    PauseLane(String),
    ResumeLane(String),
    Retry(Group),
}

/// Failures that an act would touch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) found: u64,
    pub(super) parked: u64,
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
    /// The command that does the same.
    pub(super) fn command(&self) -> String {
        match self {
            Self::Pause(batch) => format!("batch pause {}", quoted(batch)),
            Self::Resume(batch) => format!("batch resume {}", quoted(batch)),
            Self::Cancel(batch) => format!("batch cancel {}", quoted(batch)),
            Self::Move(batch, band) => format!("batch priority {} {}", quoted(batch), band.as_str()),
            Self::PauseLane(lane) => format!("lane pause {}", quoted(lane)),
            Self::ResumeLane(lane) => format!("lane resume {}", quoted(lane)),
            Self::Retry(group) => format!("failed retry {}", group.arguments()),
        }
    }

    /// Asks, with what it touches.
    pub(super) fn question(self, view: &View, counted: Option<Counted>) -> Question {
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
            Self::Retry(group) => {
                let title = format!("Try {} of {} again?", group.class, group.model);
                (title, retried(counted.unwrap_or_default()))
            }
        };
        let open = |batch: &String| {
            let frame = view.moment.batches.iter().find(|frame| frame.batch == *batch);
            frame.map_or(0, |frame| frame.open)
        };
        let wanted = match &self {
            Self::Cancel(batch) if open(batch) > MANY => batch.clone(),
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
            Self::Retry(group) => {
                let did = failed::acted(&group.which(), FailureAction::Retry, queue).await?;
                return Ok(format!("{} of {} to be tried again", did.changed, did.found));
            }
        };
        let changed = steer::changed(&[batch], &change, queue).await?;
        Ok(changed.iter().map(steer::told).collect::<String>().trim_end().to_owned())
    }

    /// Counts what only a look at the queue tells.
    pub(super) async fn count(&self, queue: &Queue) -> anyhow::Result<Option<Counted>> {
        let Self::Retry(group) = self else { return Ok(None) };
        let (keys, parked) = failed::chosen(&group.which(), queue).await?;
        Ok(Some(Counted { found: keys.len() as u64, parked }))
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

fn retried(counted: Counted) -> Vec<String> {
    let Counted { found, parked } = counted;
    let failures = counted_as(found, "failure", "failures");
    let mut lines = vec![format!("{failures}, of all batches, made ready again; each request costs money")];
    if parked > 0 {
        lines.push(format!(
            "{parked} of them are parked: they may have been billed, and may be paid twice now"
        ));
    }
    lines
}
