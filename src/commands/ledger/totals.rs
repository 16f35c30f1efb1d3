//! `pictor ledger totals`: sums by what is asked for.
//!
//! Memory: the sums, and about 300 bytes for each outcome that is unknown still.

use std::collections::{BTreeMap, HashMap, HashSet};

use clap::{Args, ValueEnum};
use pictor_common::{MicroUsd, ledger::Kind, queue::LedgerEntry};
use serde::Serialize;

use super::{Ledger, Period, period::Span};
use crate::{commands::Context, exit::Exit, table::table};

/// A request that was paid may have been written down so much before the one of which nobody knows, µs.
const EARLIER: u64 = 3_600_000_000;

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
    /// The part of `unknown` whose image another request was, or may have been, charged for.
    perhaps_twice: u64,
    perhaps_twice_cost: MicroUsd,
}

/// An outcome that is unknown still.
#[derive(Debug)]
struct Open {
    /// Where it was counted.
    name: String,
    cost: MicroUsd,
    key: String,
}

#[derive(Debug, Default, Serialize)]
struct Sums {
    by: BTreeMap<String, Sum>,
    total: Sum,
    /// Requests whose outcome is unknown still, by token.
    #[serde(skip)]
    open: HashMap<String, Open>,
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
    if !sums.open.is_empty() {
        let doubtful: HashSet<String> = sums.open.values().map(|open| open.key.clone()).collect();
        let mut settled = HashSet::new();
        ledger
            .each(span.from.map(|from| from.saturating_sub(EARLIER)), |entry| {
                if entry.meaning() == Some(Kind::Settled) && doubtful.contains(&entry.key) {
                    settled.insert(entry.key);
                }
                Ok(())
            })
            .await?;
        sums.note_twice(&settled);
    }
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
                let key = entry.key.clone();
                self.open.insert(entry.token.clone(), Open { name, cost, key });
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
        let Some(Open { name, cost, .. }) = self.open.remove(token) else { return };
        Sum::each(self, &name, |sum| {
            sum.unknown -= 1;
            sum.unknown_cost = sum.unknown_cost.saturating_sub(cost);
        });
    }

    /// Counts unknown outcomes of images that were paid for too, or may have been by another one.
    fn note_twice(&mut self, settled: &HashSet<String>) {
        let mut open: Vec<(String, Open)> = std::mem::take(&mut self.open).into_iter().collect();
        open.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut excused = HashSet::new();
        for (_, Open { name, cost, key }) in open {
            // Of those that nothing is settled for, one is the request that was to be paid.
            if settled.contains(&key) || !excused.insert(key) {
                Sum::each(self, &name, |sum| {
                    sum.perhaps_twice += 1;
                    sum.perhaps_twice_cost = sum.perhaps_twice_cost + cost;
                });
            }
        }
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
            sum.perhaps_twice.to_string(),
            sum.perhaps_twice_cost.to_string(),
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
    let titles = [title, "paid", "cost", "unknown", "perhaps", "twice?", "of it"];
    let mut text = table(&titles, &[1, 2, 3, 4, 5, 6], &rows);
    if sums.total.perhaps_twice > 0 {
        text += &format!(
            "{} requests, {}, may have been a second bill for their image: pictor ledger show BATCH lists them\n",
            sums.total.perhaps_twice, sums.total.perhaps_twice_cost
        );
    }
    text
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
        let expected = Sum {
            settled: 1,
            settled_cost: MicroUsd(10),
            unknown: 1,
            unknown_cost: MicroUsd(20),
            ..Sum::default()
        };
        assert_eq!(sums.total, expected);
        assert_eq!(sums.by.into_iter().collect::<Vec<_>>(), [("acme".to_owned(), expected)]);
    }

    #[test]
    fn a_second_bill_is_counted_where_it_is_unknown() {
        let mut sums = Sums::default();
        let of = |kind: &str, token: &str, key: &str| LedgerEntry {
            key: key.to_owned(),
            batch: "b".to_owned(),
            ..entry(kind, token, "", 20)
        };
        for entry in [
            of("unknown", "a1", "made"),
            of("settled", "a2", "made"),
            of("unknown", "b1", "parked"),
            of("unknown", "c1", "tried"),
            of("unknown", "c2", "tried"),
        ] {
            sums.add(&entry, By::Batch, &span("1970-01-01", "1970-01-01"));
        }
        sums.note_twice(&HashSet::from(["made".to_owned()]));
        let total = sums.total;
        assert_eq!((total.unknown, total.perhaps_twice, total.perhaps_twice_cost.0), (4, 2, 40));
        assert_eq!(sums.by["b"], total);
    }
}
