//! What a schedule says: when, what file, and how it is submitted.

use jiff::{Timestamp, tz::TimeZone};
use pictor_common::{batch::Band, queue::ScheduleState};
use pictor_producer::schedule::{Cron, Deadline, Misfire, Overlap, Policy, zone};
use serde::{Deserialize, Serialize};

use crate::{exit::refused, submission::BatchArgs};

/// As it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Definition {
    pub(super) cron: String,
    pub(super) time_zone: String,
    /// A path, or `s3://bucket/key`.
    pub(super) file: String,
    pub(super) misfire: Misfire,
    pub(super) overlap: Overlap,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deadline: Option<String>,
    pub(super) band: Band,
    /// The template is kept as text, or as the name of one that ships.
    pub(super) batch: BatchArgs,
}

/// The same, understood.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) definition: Definition,
    pub(super) cron: Cron,
    pub(super) zone: TimeZone,
    pub(super) deadline: Option<Deadline>,
}

impl Definition {
    pub(super) fn understood(self) -> anyhow::Result<Plan> {
        let cron = Cron::parse(&self.cron).map_err(|odd| refused(format!("--cron {odd}")))?;
        let zone = zone(Some(&self.time_zone)).map_err(|odd| refused(format!("--time-zone {odd}")))?;
        let deadline = self.deadline.as_deref().map(str::parse).transpose();
        let deadline = deadline.map_err(|odd| refused(format!("--deadline {odd}")))?;
        Ok(Plan { definition: self, cron, zone, deadline })
    }
}

impl Plan {
    /// Reads what Redis has.
    pub(super) fn of(state: &ScheduleState) -> anyhow::Result<Self> {
        let definition: Definition = serde_json::from_str(&state.definition)
            .map_err(|odd| refused(format!("schedule {} cannot be understood: {odd}", state.name)))?;
        definition.understood()
    }

    pub(super) const fn policy(&self) -> Policy {
        Policy { misfire: self.definition.misfire, overlap: self.definition.overlap }
    }

    /// The first time after a moment, µs since 1970; the end of days when none comes.
    pub(super) fn next(&self, after: u64) -> u64 {
        self.cron.after(moment(after), &self.zone).map_or(NEVER, micros)
    }

    /// A moment as a clock there shows it.
    pub(super) fn shown(&self, at: u64) -> jiff::Zoned {
        moment(at).to_zoned(self.zone.clone())
    }
}

/// Later than anything; a score of a sorted set holds it exactly.
pub(super) const NEVER: u64 = 9_000_000_000_000_000;

pub(super) fn moment(micros: u64) -> Timestamp {
    let micros = i64::try_from(micros).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

pub(super) fn micros(moment: Timestamp) -> u64 {
    u64::try_from(moment.as_microsecond()).unwrap_or(0)
}

/// What became of a due time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    /// The time, µs since 1970.
    pub(super) due: u64,
    pub(super) outcome: Outcome,
    /// The batch, where one was submitted, all or in part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) batch: Option<String>,
    /// More in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Submitted,
    /// Not fired, as the policies say.
    Passed,
    Failed,
}

impl Run {
    pub(super) fn passed(due: u64, note: String) -> Self {
        Self { due, outcome: Outcome::Passed, batch: None, note }
    }

    pub(super) fn failed(due: u64, note: String) -> Self {
        Self { due, outcome: Outcome::Failed, batch: None, note }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_and_told_is_enough_to_add_it_again() {
        let definition = Definition {
            cron: "0 3 * * *".to_owned(),
            time_zone: "UTC".to_owned(),
            file: "/srv/nightly.csv".to_owned(),
            misfire: Misfire::Once,
            overlap: Overlap::Skip,
            deadline: Some("06:00".to_owned()),
            band: Band::Normal,
            batch: BatchArgs::default(),
        };
        let told = serde_json::to_value(&definition).unwrap();
        let batch = &told["batch"];
        let has = |id: &str| {
            [&told, batch, &batch["read"], &batch["spec"]].iter().any(|part| part.get(id).is_some())
        };
        let whole = crate::cli::command();
        let add = whole.find_subcommand("schedule").and_then(|schedule| schedule.find_subcommand("add"));
        // The name stands beside it, a template is kept as its text, and the rest is said of adding it.
        let beside = ["name", "template_file", "replace", "reason"];
        for argument in add.unwrap().get_arguments().map(|argument| argument.get_id().as_str()) {
            assert!(beside.contains(&argument) || has(argument), "--{argument}: {told}");
        }
    }
}
