//! Tries failures again, or takes them off the list.

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
};

use pictor_common::{
    AssetKey,
    queue::{FailureAction, Note, Queue},
};
use serde_json::json;

use super::{PARKED, which::Which};
use crate::{
    commands::{Context, when},
    config::who,
    exit::{Exit, refused},
    output::Output,
};

/// What is done, and how.
#[derive(Debug)]
pub(super) struct How<'a> {
    pub(super) action: FailureAction,
    /// When they are tried again, µs since 1970.
    pub(super) due: Option<u64>,
    pub(super) dry_run: bool,
    pub(super) yes: bool,
    pub(super) reason: &'a str,
}

pub(super) async fn run(
    which: &Which,
    how: &How<'_>,
    context: &Context,
    queue: &Queue,
) -> anyhow::Result<Exit> {
    let selection = which.select(false, &context.output, queue).await?;
    let found = selection.chosen.len();
    let parked = selection.chosen.iter().filter(|(_, state)| state.phase == PARKED).count();
    let words = plan_told(how, found, parked);
    let value = |changed: Option<usize>| {
        json!({
            "found": found, "changed": changed, "parked": parked, "left_out": {
                "parked": selection.parked, "content": selection.content, "perhaps_paid": selection.paid,
            },
        })
    };
    if how.dry_run || found == 0 {
        let told = || format!("{words}; nothing was changed\n{}", selection.left_told());
        context.output.result(&value(how.dry_run.then_some(0)), told)?;
        return Ok(Exit::Done);
    }
    let asks = !which.of_keys() && !how.yes;
    if asks && !is_wanted(&context.output, &words, how.action == FailureAction::Discard)? {
        return Err(refused("nothing was changed"));
    }
    let changed = act(&selection.seen(), how, queue).await?.len();
    note(which, how, changed, queue).await?;
    context.output.result(&value(Some(changed)), || {
        let text = done_told(how, changed, parked) + &meanwhile(found, changed);
        format!("{text}\n{}", selection.left_told())
    })?;
    Ok(Exit::Done)
}

/// Failures of a cause as somebody sees them, to be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    group: String,
    failures: Arc<[(AssetKey, u64)]>,
    /// A request for each may have been billed.
    parked: bool,
}

impl Seen {
    /// Those of a cause, before anybody looked.
    pub(crate) fn none_of(group: &str, parked: bool) -> Self {
        Self { group: group.to_owned(), failures: Arc::default(), parked }
    }

    /// The same, as they are now.
    pub(crate) async fn look(mut self, queue: &Queue) -> anyhow::Result<Self> {
        let silent = Output::new(false).quietly(true);
        let selection = self.which().select(false, &silent, queue).await?;
        self.failures = selection.seen().into();
        Ok(self)
    }

    fn which(&self) -> Which {
        Which::of_group(&self.group, self.parked)
    }

    pub(crate) fn count(&self) -> usize {
        self.failures.len()
    }

    pub(crate) const fn is_parked(&self) -> bool {
        self.parked
    }

    /// What names them on the command line.
    pub(crate) fn arguments(&self) -> String {
        self.which().told()
    }

    /// Tries again what has not changed since it was seen, and notes it; says what became of it.
    pub(crate) async fn retry(&self, queue: &Queue) -> anyhow::Result<String> {
        let how = How { action: FailureAction::Retry, due: None, dry_run: false, yes: true, reason: "" };
        let changed = act(&self.failures, &how, queue).await?.len();
        note(&self.which(), &how, changed, queue).await?;
        let parked = if self.parked { changed } else { 0 };
        Ok(done_told(&how, changed, parked) + &meanwhile(self.count(), changed))
    }
}

/// What to say of failures that changed between look and act.
fn meanwhile(found: usize, changed: usize) -> String {
    if changed == found {
        return String::new();
    }
    format!("; {} had changed meanwhile, and were left alone", found.saturating_sub(changed))
}

async fn act(seen: &[(AssetKey, u64)], how: &How<'_>, queue: &Queue) -> anyhow::Result<Vec<AssetKey>> {
    Ok(queue.act_on_seen(seen, how.action, how.due).await?)
}

async fn note(which: &Which, how: &How<'_>, changed: usize, queue: &Queue) -> anyhow::Result<()> {
    if changed == 0 {
        return Ok(());
    }
    let what = match how.action {
        FailureAction::Retry => "retried",
        FailureAction::Discard => "discarded",
    };
    let of = format!("failures {}", which.told());
    let who = who();
    queue.note(&Note { who: &who, what, of: &of, count: changed as u64, why: how.reason }).await?;
    Ok(())
}

fn plan_told(how: &How<'_>, found: usize, parked: usize) -> String {
    let what = match (how.action, how.due) {
        (FailureAction::Retry, None) => "would be tried again".to_owned(),
        (FailureAction::Retry, Some(due)) => format!("would be tried again at {}", when(due)),
        (FailureAction::Discard, _) => "would be discarded".to_owned(),
    };
    let risk = match (how.action, parked) {
        (FailureAction::Retry, 1..) => {
            format!("; {parked} of them may have been billed, and may be paid twice")
        }
        _ => String::new(),
    };
    format!("{found} {what}{risk}")
}

fn done_told(how: &How<'_>, changed: usize, parked: usize) -> String {
    match (how.action, how.due) {
        (FailureAction::Retry, due) => {
            let then = due.map(|due| format!(" at {}", when(due))).unwrap_or_default();
            let risk = if parked > 0 {
                format!("; {parked} of them may have been billed already, and may be paid twice now")
            } else {
                String::new()
            };
            format!("{changed} to be tried again{then}{risk}")
        }
        (FailureAction::Discard, _) => format!("{changed} discarded"),
    }
}

/// Says what it comes to, and asks where somebody is there. Where nobody is, what cannot be taken back needs --yes.
pub(crate) fn is_wanted(output: &Output, words: &str, needs_yes: bool) -> anyhow::Result<bool> {
    if !output.terminal || !io::stdin().is_terminal() {
        if needs_yes {
            return Err(refused(format!("{words}: say --yes if that is wanted; nothing was changed")));
        }
        return Ok(true);
    }
    output.note(&format!("{words}. Do it? [y/N]"));
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
