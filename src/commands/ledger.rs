//! `pictor ledger`: what was paid, or may have been.

use std::collections::BTreeMap;

use clap::{Subcommand, ValueEnum};
use pictor_common::{
    MicroUsd,
    queue::{LedgerEntry, Queue},
};
use serde::Serialize;

use super::Context;
use crate::{exit::Exit, table::table};

const PAGE: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Sums, to compare with an invoice
    Totals {
        /// One line for each
        #[arg(long, default_value = "model")]
        by: By,
    },
    /// Every entry, one JSON object a line
    List,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Day,
    Tenant,
    Batch,
    Model,
    Lane,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Sum {
    settled: u64,
    settled_cost: MicroUsd,
    unknown: u64,
    unknown_cost: MicroUsd,
}

#[derive(Debug, Default, Serialize)]
struct Sums {
    by: BTreeMap<String, Sum>,
    total: Sum,
}

pub(crate) async fn run(command: LedgerCommand, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let done = Box::pin(perform(&command, context, &opened.queue)).await;
    opened.close().await?;
    done
}

async fn perform(command: &LedgerCommand, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let mut sums = Sums::default();
    let mut after = "-".to_owned();
    loop {
        let page = queue.ledger(&after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after.clone_from(last);
        for (_, entry) in &page {
            match command {
                LedgerCommand::Totals { by } => sums.add(entry, *by),
                LedgerCommand::List => context.output.line(&serde_json::to_string(entry)?)?,
            }
        }
    }
    if let LedgerCommand::Totals { by } = command {
        context.output.result(&sums, || told(&sums, *by))?;
    }
    Ok(Exit::Done)
}

/// All entries after one.
pub(crate) async fn entries_after(queue: &Queue, after: &str) -> anyhow::Result<Vec<LedgerEntry>> {
    let (mut after, mut entries) = (after.to_owned(), Vec::new());
    loop {
        let page = queue.ledger(&after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(entries) };
        after.clone_from(last);
        entries.extend(page.into_iter().map(|(_, entry)| entry));
    }
}

impl Sum {
    /// A resolved entry turns the unknown of the same attempt into what it was.
    fn add(&mut self, entry: &LedgerEntry) {
        let cost = MicroUsd(entry.cost.parse().unwrap_or(0));
        match entry.kind.as_str() {
            "unknown" => {
                self.unknown += 1;
                self.unknown_cost = self.unknown_cost + cost;
            }
            kind => {
                if kind == "resolved" {
                    self.unknown = self.unknown.saturating_sub(1);
                }
                self.settled += 1;
                self.settled_cost = self.settled_cost + cost;
            }
        }
    }
}

impl Sums {
    fn add(&mut self, entry: &LedgerEntry, by: By) {
        let name = match by {
            By::Day => day(&entry.at),
            By::Tenant => entry.tenant.clone(),
            By::Batch => entry.batch.clone(),
            By::Model => entry.model.clone(),
            By::Lane => entry.lane.clone(),
        };
        self.by.entry(name).or_default().add(entry);
        self.total.add(entry);
    }
}

fn day(at: &str) -> String {
    let moment = at.parse().ok().and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    moment.map_or_else(String::new, |moment| moment.to_zoned(jiff::tz::TimeZone::UTC).date().to_string())
}

fn told(sums: &Sums, by: By) -> String {
    let row = |name: &str, sum: &Sum| {
        vec![
            name.to_owned(),
            sum.settled.to_string(),
            sum.settled_cost.to_string(),
            sum.unknown.to_string(),
            sum.unknown_cost.to_string(),
        ]
    };
    let mut rows: Vec<_> = sums.by.iter().map(|(name, sum)| row(name, sum)).collect();
    rows.push(row("total", &sums.total));
    let title = match by {
        By::Day => "day",
        By::Tenant => "tenant",
        By::Batch => "batch",
        By::Model => "model",
        By::Lane => "lane",
    };
    table(&[title, "paid", "cost", "unknown", "perhaps"], &[1, 2, 3, 4], &rows)
}
