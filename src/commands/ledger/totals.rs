//! `pictor ledger totals`: sums by what is asked for.
//!
//! Memory: the sums, and about 150 bytes for each outcome that is unknown still.

use std::collections::{BTreeMap, HashMap};

use clap::{Args, ValueEnum};
use pictor_common::{MicroUsd, ledger::Kind, queue::LedgerEntry};
use serde::Serialize;

use super::{Ledger, Period, period::Span};
use crate::{commands::Context, exit::Exit, table::table};

#[derive(Debug, Args)]
pub(crate) struct TotalsArgs {
    /// One line for each
    #[arg(long, default_value = "model")]
    by: By,
    #[command(flatten)]
    period: Period,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    Day,
    Tenant,
    Batch,
    Model,
    Account,
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
    /// Requests whose outcome is unknown still, by token: where they were counted, and at what.
    #[serde(skip)]
    open: HashMap<String, (String, MicroUsd)>,
}

pub(super) async fn run(args: &TotalsArgs, ledger: &Ledger<'_>, context: &Context) -> anyhow::Result<Exit> {
    let span = args.period.span()?;
    let mut sums = Sums::default();
    ledger
        .each(span.from, |entry| {
            sums.add(&entry, args.by, &span);
            Ok(())
        })
        .await?;
    context.output.result(&sums, || told(&sums, args.by))?;
    Ok(Exit::Done)
}

impl Sum {
    fn each(sums: &mut Sums, name: &str, change: impl Fn(&mut Self)) {
        change(sums.by.entry(name.to_owned()).or_default());
        change(&mut sums.total);
    }
}

impl Sums {
    fn add(&mut self, entry: &LedgerEntry, by: By, span: &Span) {
        let (cost, inside) = (entry.amount(), span.has(entry));
        match entry.meaning() {
            Some(Kind::Unknown) if inside => {
                let name = name(entry, by, span);
                Sum::each(self, &name, |sum| {
                    sum.unknown += 1;
                    sum.unknown_cost = sum.unknown_cost + cost;
                });
                self.open.insert(entry.token.clone(), (name, cost));
            }
            Some(Kind::Settled) => {
                self.take_off(&entry.token);
                if inside {
                    Sum::each(self, &name(entry, by, span), |sum| {
                        sum.settled += 1;
                        sum.settled_cost = sum.settled_cost + cost;
                    });
                }
            }
            Some(Kind::Resolved) => self.take_off(&entry.token),
            Some(Kind::Unknown) | None => {}
        }
    }

    /// An unknown that turned out is taken from where it was counted, whenever that becomes known.
    fn take_off(&mut self, token: &str) {
        let Some((name, cost)) = self.open.remove(token) else { return };
        Sum::each(self, &name, |sum| {
            sum.unknown -= 1;
            sum.unknown_cost = sum.unknown_cost.saturating_sub(cost);
        });
    }
}

fn name(entry: &LedgerEntry, by: By, span: &Span) -> String {
    match by {
        By::Day => span.day(entry),
        By::Tenant => entry.tenant.clone(),
        By::Batch => entry.batch.clone(),
        By::Model => entry.model.clone(),
        By::Account => entry.account().to_owned(),
        By::Lane => entry.lane.clone(),
    }
}

fn told(sums: &Sums, by: By) -> String {
    let row = |name: &str, sum: &Sum| {
        vec![
            if name.is_empty() { "(not known)".to_owned() } else { name.to_owned() },
            sum.settled.to_string(),
            sum.settled_cost.to_string(),
            sum.unknown.to_string(),
            sum.unknown_cost.to_string(),
        ]
    };
    let named = sums.by.iter().filter(|(_, sum)| **sum != Sum::default());
    let mut rows: Vec<_> = named.map(|(name, sum)| row(name, sum)).collect();
    rows.push(row("total", &sums.total));
    let title = match by {
        By::Day => "day",
        By::Tenant => "tenant",
        By::Batch => "batch",
        By::Model => "model",
        By::Account => "account",
        By::Lane => "lane",
    };
    table(&[title, "paid", "cost", "unknown", "perhaps"], &[1, 2, 3, 4], &rows)
}

#[cfg(test)]
mod tests {
    use super::super::matching::tests::entry;
    use super::*;

    fn span(since: &str, until: &str) -> Span {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            period: Period,
        }
        Line::try_parse_from(["x", "--since", since, "--until", until]).unwrap().period.span().unwrap()
    }

    #[test]
    fn an_unknown_that_turned_out_counts_once() {
        let (from, to) = ("1970-01-01", "1970-01-01");
        let mut sums = Sums::default();
        let day = 86_400_000_000_u64;
        let at = |at: u64, entry: LedgerEntry| LedgerEntry { at: at.to_string(), ..entry };
        for entry in [
            entry("settled", "a", "req-a", 10),
            entry("unknown", "b", "", 20),
            entry("unknown", "c", "", 20),
            entry("unknown", "d", "", 20),
            // Settled the day after: not of this day, and no longer unknown on it.
            at(day + 1, entry("resolved", "b", "", 20)),
            at(day + 2, entry("settled", "b", "req-b", 15)),
            // Not billed after all.
            entry("resolved", "c", "", 20),
        ] {
            sums.add(&entry, By::Account, &span(from, to));
        }
        let expected = Sum { settled: 1, settled_cost: MicroUsd(10), unknown: 1, unknown_cost: MicroUsd(20) };
        assert_eq!(sums.total, expected);
        assert_eq!(sums.by.into_iter().collect::<Vec<_>>(), [("acme".to_owned(), expected)]);
    }
}
