//! Schedules for people: when, what, and what became of it.

use pictor_common::queue::{BatchState, Queue, ScheduleState, Trouble};
use serde::Serialize;

use super::{
    definition::{Definition, NEVER, Outcome, Plan, Run},
    runs,
    source::is_allowed,
};
use crate::{
    commands::batch::state_of,
    table::{harmless, shortened},
};

/// Times to come that are told.
const NEXT: usize = 3;
/// Past times that are told of one schedule.
const PAST: usize = 20;

/// One schedule as it is told.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    name: String,
    /// With it the schedule can be added again; as it is kept where this version does not understand it.
    definition: serde_json::Value,
    words: String,
    by: String,
    paused: Option<String>,
    /// The time that is being submitted, or tried again.
    firing: Option<u64>,
    /// Tries of it in vain: how many, since when, and why the last one was.
    trouble: Option<Trouble>,
    /// When it is tried again, if nobody submits it just now.
    again: Option<u64>,
    /// Times to come, as a clock there shows them.
    next: Vec<String>,
    last: Option<Run>,
    /// How the newest batch stands.
    batch: Option<String>,
    runs: Vec<Run>,
    #[serde(skip)]
    plan: Option<Plan>,
}

impl Told {
    pub(super) async fn of(state: &ScheduleState, now: u64, queue: &Queue) -> anyhow::Result<Self> {
        let plan = Plan::of(state).ok();
        let definition = plan.as_ref().and_then(|plan| serde_json::to_value(&plan.definition).ok());
        let kept =
            || serde_json::from_str(&state.definition).unwrap_or_else(|_odd| state.definition.clone().into());
        let newest = runs::newest(state, queue).await?;
        let batch = newest.map(|(id, batch)| stands(&id, batch.as_ref()));
        let runs = queue.schedule_runs(&state.name, PAST).await?;
        Ok(Self {
            name: state.name.clone(),
            words: plan.as_ref().map_or_else(|| "cannot be understood".to_owned(), |plan| plan.cron.words()),
            definition: definition.unwrap_or_else(kept),
            by: state.by.clone(),
            paused: state.paused.clone(),
            firing: state.firing,
            trouble: state.trouble.clone(),
            again: state.firing.filter(|_| !state.held).map(|_| state.lease),
            next: plan.as_ref().map(|plan| next(plan, now.max(state.cursor))).unwrap_or_default(),
            last: state.last.as_deref().and_then(Run::read),
            batch,
            runs: runs.iter().filter_map(|text| Run::read(text)).collect(),
            plan,
        })
    }

    /// Whether somebody should look.
    pub(super) fn is_bad(&self) -> bool {
        self.plan.is_none() || self.last.as_ref().is_some_and(|run| run.outcome == Outcome::Failed)
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!("{}  {}", self.name, self.words);
        if let Some(Plan { definition, .. }) = &self.plan {
            text += &format!("\n  cron    {} ({})", definition.cron, definition.time_zone);
            text += &format!("\n  file    {}", shortened(&definition.file, 68));
        }
        if let Some(reason) = &self.paused {
            text += &format!("\n  paused  {}", shortened(reason, 68));
        } else {
            let title = |at| if at == 0 { "next  " } else { "      " };
            text += &self
                .next
                .iter()
                .enumerate()
                .map(|(at, next)| format!("\n  {}  {next}", title(at)))
                .collect::<String>();
        }
        if let (Some(due), Some(plan)) = (self.firing, &self.plan) {
            text += &self.under_way(plan, due);
        }
        if let Some(run) = &self.last {
            text += &format!("\n  last    {}", self.run(run));
        }
        if let Some(batch) = &self.batch {
            text += &format!("\n  batch   {batch}");
        }
        harmless(&text) + "\n"
    }

    /// With policies and history.
    pub(super) fn whole(&self, read_from: &[String]) -> String {
        let mut text = self.text();
        if let Some(Plan { definition, .. }) = &self.plan {
            let Definition { misfire, overlap, deadline, band, batch, .. } = definition;
            text += &format!("  missed  {}\n  overlap {}\n", word(misfire), word(overlap));
            let mut more = vec![format!("tenant {}", batch.tenant), format!("band {}", band.as_str())];
            more.extend(deadline.as_ref().map(|deadline| format!("deadline {deadline}")));
            more.extend(batch.max_cost.as_ref().map(|most| format!("at most ${most}")));
            text += &format!("  submits {}\n", more.join(", "));
            if !is_allowed(&definition.file, read_from) {
                text +=
                    "  note    with the settings of this machine the file is not read: schedule.read_from\n";
            }
        }
        text += &format!("  added   by {}\n", self.by);
        for run in &self.runs {
            text += &format!("  past    {}\n", self.run(run));
        }
        harmless(&text)
    }

    /// The time that is being submitted, or that was tried in vain.
    fn under_way(&self, plan: &Plan, due: u64) -> String {
        let Some(Trouble { tries, since, why }) = &self.trouble else {
            return format!("\n  now     {} is being submitted", when(plan, due));
        };
        let word = if *tries == 1 { "try" } else { "tries" };
        let mut text = format!("\n  retried {}: {tries} {word} in vain", when(plan, due));
        text += &format!("\n  since   {}", when(plan, *since));
        text += &match self.again {
            Some(again) => format!("\n  again   {}", when(plan, again)),
            None => "\n  again   just now".to_owned(),
        };
        if why.is_empty() { text } else { text + &format!("\n  error   {}", shortened(why, 160)) }
    }

    fn run(&self, run: &Run) -> String {
        let due = |plan: &Plan| plan.shown(run.due).strftime("%Y-%m-%d %H:%M %:z").to_string();
        let due = self.plan.as_ref().map(due).unwrap_or_default();
        let what = match run.outcome {
            Outcome::Submitted => "",
            Outcome::Passed => "not fired: ",
            Outcome::Failed => "FAILED: ",
        };
        format!("{due}  {what}{}", shortened(&run.note, 160))
    }
}

fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn stands(id: &str, batch: Option<&BatchState>) -> String {
    let Some(batch) = batch else { return format!("{id} is not known any more") };
    let failed = match batch.counts.failed + batch.counts.parked {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let state = if batch.ended() { state_of(batch) } else { format!("goes on ({})", state_of(batch)) };
    format!("{id}: {} of {} made{failed}; {}", batch.counts.done, batch.assets, shortened(&state, 80))
}

fn when(plan: &Plan, at: u64) -> String {
    plan.shown(at).strftime("%a %Y-%m-%d %H:%M %:z %Z").to_string()
}

/// Times to come; with the offset, so that a change of the clocks shows.
pub(super) fn next(plan: &Plan, after: u64) -> Vec<String> {
    let mut at = after;
    let times = std::iter::from_fn(|| {
        at = plan.next(at);
        (at < NEVER).then(|| when(plan, at))
    });
    times.take(NEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000;

    fn told(trouble: Option<Trouble>, again: Option<u64>) -> String {
        let definition = r#"{"cron":"0 3 * * *","time_zone":"UTC","file":"/srv/a.csv","misfire":"once","overlap":"skip",
            "band":"normal","batch":{}}"#;
        let definition: Definition = serde_json::from_str(definition).unwrap();
        let told = Told {
            name: "nightly".to_owned(),
            definition: serde_json::Value::Null,
            words: String::new(),
            by: String::new(),
            paused: None,
            firing: Some(180 * MINUTE),
            trouble,
            again,
            next: Vec::new(),
            last: None,
            batch: None,
            runs: Vec::new(),
            plan: Some(definition.understood().unwrap()),
        };
        told.text()
    }

    #[test]
    fn what_is_tried_again_and_again_says_so_and_why() {
        let text = told(None, None);
        assert!(text.contains("now     Thu 1970-01-01 03:00 +00:00 UTC is being submitted"), "{text}");
        let trouble = |tries| Trouble { tries, since: 181 * MINUTE, why: "no\u{1b}[2J\nway ".repeat(90) };
        let text = told(Some(trouble(7)), Some(220 * MINUTE));
        for part in [
            "retried Thu 1970-01-01 03:00 +00:00 UTC: 7 tries in vain",
            "since   Thu 1970-01-01 03:01 +00:00 UTC",
            "again   Thu 1970-01-01 03:40 +00:00 UTC",
            "error   no",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("being submitted") && !text.contains('\u{1b}'), "{text}");
        let text = told(Some(trouble(1)), None);
        assert!(text.contains("1 try in vain") && text.contains("again   just now"), "{text}");
    }
}
