//! Tells workers to end, or to go on, and waits for them.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use pictor_common::queue::{Drain, Drained, Note, Queue, WorkerState, Workers};
use serde::Serialize;

use super::list::{place, short, state};
use crate::{
    commands::Context,
    config::who,
    exit::{Exit, refused},
};

/// Between two looks at who has left.
const LOOK: Duration = Duration::from_millis(500);
/// A word is heard within the time between two beats, and some.
const HEARD: Duration = Duration::from_secs(12);

#[derive(Debug, Serialize)]
struct Became {
    worker: String,
    place: String,
    became: &'static str,
}

/// An order to end.
pub(super) struct Order<'a> {
    /// Whom; empty for all.
    pub(super) wanted: &'a [String],
    pub(super) wait: bool,
    pub(super) reason: String,
    pub(super) dry_run: bool,
    pub(super) yes: bool,
}

impl Order<'_> {
    pub(super) async fn carry_out(self, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
        let all = queue.workers().await?;
        let (chosen, deaf): (Vec<&WorkerState>, Vec<&WorkerState>) =
            self.chosen(&all)?.into_iter().partition(|worker| worker.beat.heeds_drain);
        let of_old = deaf.iter().map(|worker| cannot_hear(worker)).collect::<Vec<_>>().join("\n");
        if !deaf.is_empty() && !self.wanted.is_empty() {
            return Err(refused(format!("{of_old}\nno worker was told anything")));
        }
        if !deaf.is_empty() {
            context.output.note(&of_old);
        }
        let names: Vec<String> = chosen.iter().map(|worker| worker.incarnation.clone()).collect();
        if self.dry_run {
            told(context, &chosen, "would be told to end")?;
            return Ok(Exit::Done);
        }
        if self.wanted.is_empty() && !self.is_wanted(context, &chosen)? {
            return Err(refused("no worker was told anything"));
        }
        let order = Drain { by: who(), why: self.reason.clone() };
        let became = queue.drain(&names, Some(&order)).await?;
        note("drained", &chosen, &became, &self.reason, queue).await?;
        if self.wait {
            return wait(&names, context, queue).await;
        }
        let rows: Vec<Became> = chosen
            .iter()
            .zip(became)
            .map(|(worker, became)| Became {
                worker: worker.incarnation.clone(),
                place: place(worker),
                became: match became {
                    Drained::Told => "is told to end",
                    Drained::AsBefore => "was told before",
                    Drained::Gone => "has left",
                },
            })
            .collect();
        say(context, &rows)?;
        Ok(Exit::Done)
    }

    fn chosen<'w>(&self, all: &'w Workers) -> anyhow::Result<Vec<&'w WorkerState>> {
        if !self.wanted.is_empty() {
            return find(self.wanted, all);
        }
        let alive: Vec<_> = all.workers.iter().filter(|worker| !all.is_silent(worker)).collect();
        if alive.is_empty() { Err(refused("no worker is alive")) } else { Ok(alive) }
    }

    fn is_wanted(&self, context: &Context, chosen: &[&WorkerState]) -> anyhow::Result<bool> {
        let output = &context.output;
        let held: usize = chosen.iter().map(|worker| worker.beat.held).sum();
        let words =
            format!("{} workers take nothing new and end; {held} images are in their hands", chosen.len());
        if self.yes {
            return Ok(true);
        }
        if !output.terminal || !io::stdin().is_terminal() {
            return Err(refused(format!("{words}: say --yes if that is wanted; nobody was told")));
        }
        output.note(&format!("{words}. Do it? [y/N]"));
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        Ok(matches!(line.trim(), "y" | "Y" | "yes"))
    }
}

fn cannot_hear(worker: &WorkerState) -> String {
    let version = if worker.beat.version.is_empty() { "an older version" } else { &worker.beat.version };
    format!(
        "{} is of {version}, which hears no such order: send SIGTERM to process {} on {}",
        short(worker),
        worker.beat.pid,
        worker.beat.host
    )
}

/// Tells workers to go on; says which of them had ended.
pub(super) async fn undrain(wanted: &[String], context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let all = queue.workers().await?;
    let chosen: Vec<&WorkerState> = if wanted.is_empty() {
        all.workers.iter().filter(|worker| all.drains.contains_key(&worker.incarnation)).collect()
    } else {
        find(wanted, &all)?
    };
    let names: Vec<String> = chosen.iter().map(|worker| worker.incarnation.clone()).collect();
    let became = queue.drain(&names, None).await?;
    note("undrained", &chosen, &became, "", queue).await?;
    // One whose hands were empty is leaving: what becomes of each is known once it has heard.
    let deadline = tokio::time::Instant::now() + HEARD;
    let mut now = queue.workers().await?;
    while still_ending(&names, &now) && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
        now = queue.workers().await?;
    }
    let rows: Vec<Became> = chosen
        .iter()
        .zip(became)
        .map(|(worker, became)| Became {
            worker: worker.incarnation.clone(),
            place: place(worker),
            became: match now.workers.iter().find(|left| left.incarnation == worker.incarnation) {
                None => "has ended already",
                Some(alive) if alive.beat.draining => "is ending, and cannot go on",
                Some(_) if became == Drained::AsBefore => "was not told to end",
                Some(_) => "goes on",
            },
        })
        .collect();
    let lost = rows.iter().any(|row| row.became.contains("end") && row.became != "was not told to end");
    if rows.is_empty() {
        context.output.result(&rows, || "no worker was told to end".to_owned())?;
    } else {
        say(context, &rows)?;
    }
    Ok(if lost { Exit::SomeFailed } else { Exit::Done })
}

/// Notes which workers were told something, for whoever asks later.
async fn note(
    what: &str,
    chosen: &[&WorkerState],
    became: &[Drained],
    why: &str,
    queue: &Queue,
) -> anyhow::Result<()> {
    let told = chosen.iter().zip(became).filter(|(_, became)| **became == Drained::Told);
    let places: Vec<String> = told.map(|(worker, _)| place(worker)).collect();
    if places.is_empty() {
        return Ok(());
    }
    let of = format!("workers {}", places.join(", "));
    let count = places.len() as u64;
    Ok(queue.note(&Note { who: &who(), what, of: &of, count, why }).await?)
}

fn still_ending(names: &[String], now: &Workers) -> bool {
    now.workers.iter().any(|worker| names.contains(&worker.incarnation) && worker.beat.draining)
}

async fn wait(names: &[String], context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let mut said = String::new();
    loop {
        let all = queue.workers().await?;
        let left: Vec<&WorkerState> =
            all.workers.iter().filter(|worker| names.contains(&worker.incarnation)).collect();
        if left.is_empty() {
            let value = serde_json::json!({ "left": names });
            context
                .output
                .result(&value, || format!("{} of {} workers have left", names.len(), names.len()))?;
            return Ok(Exit::Done);
        }
        if let Some(on) = left.iter().find(|worker| !all.drains.contains_key(&worker.incarnation)) {
            let words = format!("{} at {} was told to go on by somebody else", short(on), place(on));
            context.output.note(&words);
            return Ok(Exit::SomeFailed);
        }
        let held: usize = left.iter().map(|worker| worker.beat.held).sum();
        let silent = left.iter().filter(|worker| all.is_silent(worker)).map(|worker| state(worker, &all));
        let silent = silent.map(|state| format!("; one is {state}")).next().unwrap_or_default();
        let words =
            format!("{} of {} still there, {held} images in their hands{silent}", left.len(), names.len());
        if context.output.terminal && words != said {
            context.output.note(&words);
            said = words;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = context.signals.stop.cancelled() => {
                context.output.note("not waited for to the end; the order stands: pictor workers list");
                return Ok(Exit::SomeFailed);
            }
        }
    }
}

/// The workers that some words name; each must name some, and one alone unless it names a host.
fn find<'w>(wanted: &[String], all: &'w Workers) -> anyhow::Result<Vec<&'w WorkerState>> {
    let mut chosen: Vec<&WorkerState> = Vec::new();
    for text in wanted {
        let ends = text.to_ascii_uppercase();
        let by_name = |worker: &&WorkerState| text.len() >= 4 && worker.incarnation.ends_with(&ends);
        let mut fits: Vec<&WorkerState> = all.workers.iter().filter(by_name).collect();
        if fits.len() > 1 {
            let names: Vec<&str> = fits.iter().map(|worker| worker.incarnation.as_str()).collect();
            return Err(refused(format!("{text} fits {}: give more of the name", names.join(", "))));
        }
        if fits.is_empty() {
            fits = all
                .workers
                .iter()
                .filter(|worker| place(worker) == *text || worker.beat.host == *text)
                .collect();
        }
        if fits.is_empty() {
            return Err(refused(format!("no worker is called {text}; pictor workers list names them all")));
        }
        for worker in fits {
            if !chosen.iter().any(|other| other.incarnation == worker.incarnation) {
                chosen.push(worker);
            }
        }
    }
    Ok(chosen)
}

fn told(context: &Context, chosen: &[&WorkerState], became: &'static str) -> anyhow::Result<()> {
    let row =
        |worker: &&WorkerState| Became { worker: worker.incarnation.clone(), place: place(worker), became };
    say(context, &chosen.iter().map(row).collect::<Vec<_>>())
}

fn say(context: &Context, rows: &[Became]) -> anyhow::Result<()> {
    context.output.result(&rows, || {
        rows.iter().map(|row| format!("{} at {} {}\n", row.worker, row.place, row.became)).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use pictor_common::queue::Beat;

    use super::*;

    fn all() -> Workers {
        let worker = |name: &str, host: &str, pid| WorkerState {
            incarnation: name.into(),
            seen: 0,
            beat: Beat { host: host.into(), pid, ..Beat::default() },
        };
        let workers =
            vec![worker("01AAAA", "one", 1), worker("01BBBB", "one", 2), worker("02AAAA", "two", 1)];
        Workers { now: 0, workers, drains: HashMap::new() }
    }

    fn found(text: &str) -> Result<Vec<String>, String> {
        let all = all();
        let found = find(&[text.to_owned()], &all).map_err(|error| error.to_string())?;
        Ok(found.iter().map(|worker| worker.incarnation.clone()).collect())
    }

    #[test]
    fn a_worker_goes_by_its_name_its_process_or_its_host() {
        assert_eq!(found("1bbbb"), Ok(vec!["01BBBB".to_owned()]));
        assert_eq!(found("two:1"), Ok(vec!["02AAAA".to_owned()]));
        assert_eq!(found("one"), Ok(vec!["01AAAA".to_owned(), "01BBBB".to_owned()]));
        assert!(found("aaaa").unwrap_err().contains("give more of the name"));
        assert!(found("three").unwrap_err().contains("no worker is called three"));
    }
}
