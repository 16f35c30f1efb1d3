//! `pictor ledger export`: every entry of a time, as CSV or JSON.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use pictor_common::queue::LedgerEntry;
use pictor_producer::results::{defused, dollars};

use super::{Ledger, Period, period::moment};
use crate::{commands::Context, exit::Exit, output::heard};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// How entries are written
    #[arg(long, default_value = "csv")]
    format: Format,
    #[command(flatten)]
    period: Period,
    /// Into this file, whole or not at all [default: stdout]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Jsonl,
}

const COLUMNS: &[&str] = &[
    "at",
    "kind",
    "cost",
    "cost_micro_usd",
    "key",
    "token",
    "attempt",
    "client_request_id",
    "request_id",
    "batch",
    "tenant",
    "account",
    "lane",
    "model",
];

pub(super) async fn run(args: &ExportArgs, ledger: &Ledger<'_>, context: &Context) -> anyhow::Result<Exit> {
    let Some(file) = &args.to else {
        let mut out = context.output.stream();
        ended(write(args, ledger, &mut out).await.map(|_count| ()))?;
        flush(&mut out)?;
        return Ok(Exit::Done);
    };
    let told = || format!("cannot write {}", file.display());
    let part = part_of(file);
    let mut out = BufWriter::new(File::create(&part).with_context(told)?);
    let written = match write(args, ledger, &mut out).await {
        Ok(count) => finished(out, &part, file).with_context(told).map(|()| count),
        Err(error) => Err(error),
    };
    if written.is_err() {
        // What is half written is of no use; that it cannot be removed changes nothing.
        let _gone = fs::remove_file(&part);
    }
    let count = written?;
    let value = serde_json::json!({ "entries": count, "file": file });
    context.output.result(&value, || format!("{count} entries in {}", file.display()))?;
    Ok(Exit::Done)
}

fn part_of(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    file.with_file_name(name)
}

fn finished(out: BufWriter<File>, part: &Path, file: &Path) -> io::Result<()> {
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(part, file)
}

async fn write(args: &ExportArgs, ledger: &Ledger<'_>, out: &mut impl Write) -> anyhow::Result<u64> {
    let span = args.period.span()?;
    let mut count = 0;
    match args.format {
        Format::Csv => {
            let mut table = csv::Writer::from_writer(out);
            table.write_record(COLUMNS).map_err(io::Error::from)?;
            let each = |entry: LedgerEntry| {
                if span.has(&entry) {
                    count += 1;
                    row(&mut table, &entry)?;
                }
                Ok(())
            };
            ledger.each(span.from, each).await?;
            table.flush()?;
        }
        Format::Jsonl => {
            let each = |entry: LedgerEntry| {
                if span.has(&entry) {
                    count += 1;
                    json_line(out, &entry)?;
                }
                Ok(())
            };
            ledger.each(span.from, each).await?;
        }
    }
    Ok(count)
}

/// One row; an entry that takes something off the books has a negative amount.
fn row(table: &mut csv::Writer<impl Write>, entry: &LedgerEntry) -> io::Result<()> {
    let sign = if entry.spent() < 0 { "-" } else { "" };
    let cells = [
        moment(entry).map(|moment| moment.to_string()).unwrap_or_default(),
        entry.kind.clone(),
        format!("{sign}{}", dollars(entry.amount())),
        format!("{sign}{}", entry.amount().0),
        entry.key.clone(),
        entry.token.clone(),
        entry.attempt.clone(),
        entry.client_request_id(),
        entry.request_id.clone(),
        entry.batch.clone(),
        entry.tenant.clone(),
        entry.account().to_owned(),
        entry.lane.clone(),
        entry.model.clone(),
    ];
    Ok(table.write_record(cells.iter().map(|cell| defused(cell).into_owned()))?)
}

/// One entry as JSON.
pub(super) fn json_line(out: &mut impl Write, entry: &LedgerEntry) -> io::Result<()> {
    serde_json::to_writer(&mut *out, entry)?;
    out.write_all(b"\n")
}

/// A reader that went away has heard enough.
pub(super) fn ended(written: anyhow::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.chain().any(is_broken_pipe) => Ok(()),
        other => other,
    }
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

pub(super) fn flush(out: &mut impl Write) -> anyhow::Result<()> {
    Ok(heard(out.flush())?)
}

#[cfg(test)]
mod tests {
    use super::super::matching::tests::entry;
    use super::*;

    #[test]
    fn a_row_is_safe_in_a_spreadsheet_and_adds_up() {
        let mut table = csv::Writer::from_writer(Vec::new());
        let entry = LedgerEntry { tenant: "=cmd()".to_owned(), ..entry("resolved", "T-1", "req-1", 40_000) };
        row(&mut table, &entry).unwrap();
        assert_eq!(
            String::from_utf8(table.into_inner().unwrap()).unwrap(),
            "1970-01-01T00:00:00.000005Z,resolved,-0.04,-40000,k,T-1,1,T-1:1,req-1,b,'=cmd(),acme,acme.dall-e-2,dall-e-2\n"
        );
        assert_eq!(COLUMNS.len(), 14);
    }
}
