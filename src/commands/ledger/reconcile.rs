//! `pictor ledger reconcile`: whether an invoice charges what the ledger has.

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use pictor_common::MicroUsd;

use super::{
    Ledger, Period,
    invoice::{Columns, Invoice},
    matching::{Case, Cases, Matching, Report, Tally},
};
use crate::{commands::Context, exit::Exit, table::table};

#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// The invoice, a CSV file
    #[arg(value_name = "INVOICE.csv")]
    invoice: PathBuf,
    /// Its column with the provider's request id
    #[arg(long, value_name = "NAME", default_value = "request_id")]
    request_column: String,
    /// Its column with the amount [default: one that is called amount or cost, or `cost_micro_usd`]
    #[arg(long, value_name = "NAME")]
    amount_column: Option<String>,
    /// Its column with the id that Pictor gave the request, if it has one
    #[arg(long, value_name = "NAME", default_value = "client_request_id")]
    client_column: String,
    /// Name so many cases of each sort
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    cases: usize,
    #[command(flatten)]
    period: Period,
}

pub(super) async fn run(
    args: &ReconcileArgs,
    ledger: &Ledger<'_>,
    context: &Context,
) -> anyhow::Result<Exit> {
    let span = args.period.span()?;
    let columns = Columns {
        request: args.request_column.clone(),
        amount: args.amount_column.clone(),
        client: args.client_column.clone(),
    };
    let invoice = Invoice::open(&args.invoice, &columns)?;
    let mut matching = Matching::new(&invoice, span.clone(), args.cases);
    ledger
        .each(span.from, |entry| {
            matching.add(entry);
            Ok(())
        })
        .await?;
    let mut report = matching.finish();
    name(&mut report, args, &columns)?;
    context.output.result(&report, || told(&report))?;
    Ok(if report.agrees { Exit::Done } else { Exit::SomeFailed })
}

/// Gives cases that are known by their row the id that stands there.
fn name(report: &mut Report, args: &ReconcileArgs, columns: &Columns) -> anyhow::Result<()> {
    let sorts = [&mut report.differs, &mut report.not_in_ledger, &mut report.repeated];
    let mut cases: Vec<&mut Case> = sorts
        .into_iter()
        .flat_map(|sort| &mut sort.cases)
        .filter(|case| case.request_id.is_empty())
        .collect();
    let rows: BTreeSet<u64> = cases.iter().filter_map(|case| case.row).collect();
    let mut ids = Invoice::ids(&args.invoice, columns, &rows)?;
    for case in &mut cases {
        if let Some(id) = case.row.and_then(|row| ids.remove(&row)) {
            case.request_id = id;
        }
    }
    Ok(())
}

fn told(report: &Report) -> String {
    let both = |name: &str, tally: Tally, ledger: bool, invoice: bool| {
        let amount = |told: bool| if told { tally.amount.to_string() } else { String::new() };
        vec![name.to_owned(), tally.count.to_string(), amount(ledger), amount(invoice)]
    };
    let cases = |name: &str, cases: &Cases| {
        let amount =
            |amount: MicroUsd| if amount == MicroUsd::ZERO { String::new() } else { amount.to_string() };
        vec![name.to_owned(), cases.count.to_string(), amount(cases.ledger), amount(cases.invoice)]
    };
    let mut rows = vec![
        both("matched", report.matched, true, true),
        cases("amount differs", &report.differs),
        cases("in the ledger, not on the invoice", &report.not_invoiced),
        cases("on the invoice, not in the ledger", &report.not_in_ledger),
        cases("on the invoice more than once", &report.repeated),
        both("unknown, found on the invoice", report.unknown_found, false, true),
        both("unknown, not on the invoice", report.unknown_not_found, true, false),
    ];
    if report.unknown_without_id.count + report.by_amount.count > 0 {
        rows.push(both("unknown, without an id to find it by", report.unknown_without_id, true, false));
        rows.push(both("matched by amount alone", report.by_amount, false, true));
    }
    rows.push(both("settled in the ledger", report.settled, true, false));
    rows.push(both("lines of the invoice", report.lines, false, true));
    let mut text = table(&["", "requests", "ledger", "invoice"], &[1, 2, 3], &rows);
    for (what, cases) in [
        ("amount differs", &report.differs),
        ("not on the invoice", &report.not_invoiced),
        ("not in the ledger", &report.not_in_ledger),
        ("more than once", &report.repeated),
    ] {
        for case in &cases.cases {
            text += &line(what, case);
        }
        let more = cases.count.saturating_sub(cases.cases.len() as u64);
        if more > 0 {
            text += &format!("{what}: and {more} more (--cases {})\n", cases.count);
        }
    }
    if report.by_amount.count > 0 {
        text += &format!(
            "{} lines belong to entries without an id, as far as number and amount tell\n",
            report.by_amount.count
        );
    }
    text + if report.agrees {
        "the invoice and the ledger agree\n"
    } else {
        "THE INVOICE AND THE LEDGER DIFFER\n"
    }
}

fn line(what: &str, case: &Case) -> String {
    let mut parts = vec![format!(
        "{what}: {}",
        if case.request_id.is_empty() { "without a request id" } else { &case.request_id }
    )];
    parts.extend(case.row.map(|row| format!("row {row}")));
    parts.extend(case.ledger.map(|amount| format!("ledger {amount}")));
    parts.extend(case.invoice.map(|amount| format!("invoice {amount}")));
    parts.extend(case.token.as_ref().map(|token| format!("token {token}")));
    parts.join(", ") + "\n"
}
