//! How a command ends: exit codes, and errors told once.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
};

use pictor_common::queue::QueueError;
use pictor_producer::{
    manifest::{BadInput, RowError},
    submit::SubmitError,
};
use serde_json::json;

use crate::{output::Output, table::shortened};

/// So many rows with one cause are told one by one, more of them together.
const ONE_BY_ONE: usize = 5;
/// So many columns with one cause are told one by one, more of them together.
const COLUMNS_ONE_BY_ONE: usize = 2;
/// Leaves out columns that nothing uses: without names, all of them.
const IGNORE: &str = " --ignore-columns";

/// How a command that was carried out ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for was made or done.
    Done,
    /// Some of it failed.
    SomeFailed,
}

/// What was asked cannot be done as it was asked; nothing was queued.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

/// Refuses with words.
pub(crate) fn refused(message: impl Into<String>) -> anyhow::Error {
    Refused(message.into()).into()
}

/// Tells an error once and names the exit code.
pub(crate) fn report(ended: anyhow::Result<Exit>, output: &Output) -> ExitCode {
    match ended {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::SomeFailed) => ExitCode::from(1),
        Err(error) => {
            let code = code_of(&error);
            let bad = error.chain().find_map(bad_input);
            let message = bad.map_or_else(|| told(&error), ToString::to_string);
            let value = json!({ "error": message, "exit": code, "input": bad });
            output.error(&bad.map_or(message, grouped), &value);
            ExitCode::from(code)
        }
    }
}

fn bad_input<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e BadInput> {
    match cause.downcast_ref::<SubmitError>() {
        Some(SubmitError::BadInput(bad)) => Some(bad),
        _ => cause.downcast_ref(),
    }
}

/// What is wrong with a file; a cause that many rows share is told once, with the first of them.
fn grouped(bad: &BadInput) -> String {
    fn cause(error: &RowError) -> (Option<&str>, Option<&str>, &str) {
        (error.column.as_deref(), error.field.as_deref(), &error.message)
    }
    let mut rows: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
    for error in &bad.errors {
        rows.entry(cause(error)).or_default().extend(error.row);
    }
    let mut lines = Vec::new();
    let columns = columns(bad);
    for error in &bad.errors {
        if let Some(alike) = columns.get(of_columns(error)).filter(|alike| alike.len() > COLUMNS_ONE_BY_ONE) {
            if alike.first() == error.column.as_ref() {
                lines.push(format!("{}: {}", bad.source_name, columns_together(error, alike)));
            }
            continue;
        }
        let alike = rows.get(&cause(error)).filter(|rows| error.row.is_some() && rows.len() > ONE_BY_ONE);
        match alike {
            None => lines.push(format!("{}: {}", bad.source_name, error.told())),
            Some(rows) if rows.first() == error.row.as_ref() => {
                lines.push(format!("{}: {}", bad.source_name, together(error, rows)));
            }
            Some(_) => {}
        }
    }
    let more = bad.total.saturating_sub(bad.errors.len() as u64);
    if more > 0 {
        lines.push(format!("{}: and {more} more errors", bad.source_name));
    }
    lines.join("\n")
}

/// Columns of a file, by what is wrong with each as a whole.
fn columns(bad: &BadInput) -> BTreeMap<&str, Vec<String>> {
    let mut columns: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for error in bad.errors.iter().filter(|error| !of_columns(error).is_empty()) {
        columns.entry(of_columns(error)).or_default().extend(error.column.clone());
    }
    columns
}

/// What is said of a column that nothing uses, without its name; empty of all else.
fn of_columns(error: &RowError) -> &str {
    let whole = error.row.is_none() && error.column.is_some();
    let cause = whole.then(|| error.message.rfind(IGNORE)).flatten();
    cause.map_or("", |at| &error.message[..at + IGNORE.len()])
}

/// The error of the first of some columns, in the name of all.
fn columns_together(error: &RowError, columns: &[String]) -> String {
    const NAMED: usize = 20;
    let mut names: Vec<String> =
        columns.iter().take(NAMED).map(|name| shortened(&format!("{name:?}"), 60)).collect();
    if columns.len() > NAMED {
        names.push(format!("and {} more", columns.len() - NAMED));
    }
    format!("columns {}: {}", names.join(", "), of_columns(error))
}

/// The error of the first of some rows, in the name of all.
fn together(error: &RowError, rows: &BTreeSet<u64>) -> String {
    let alone = RowError { cell: None, ..error.clone() }.to_string();
    let rest = alone.trim_start_matches(|c: char| c != ',' && c != ':');
    let first: Vec<String> = rows.iter().take(3).map(ToString::to_string).collect();
    format!("rows {} … ({} rows){rest}", first.join(", "), rows.len())
}

/// The causes in one line; a cause that its effect already tells is left out.
pub(crate) fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| {
        if told.is_empty() {
            cause
        } else if told.ends_with(&cause) {
            told
        } else {
            format!("{told}: {cause}")
        }
    })
}

/// The exit code of an error.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    let of_input = error.chain().any(|cause| {
        let queue = match cause.downcast_ref::<SubmitError>() {
            Some(SubmitError::BadInput(_) | SubmitError::Changed(_) | SubmitError::Read { .. }) => {
                return true;
            }
            Some(SubmitError::Queue(error)) => Some(error),
            _ => cause.downcast_ref::<QueueError>(),
        };
        bad_input(cause).is_some()
            || cause.is::<Refused>()
            || matches!(
                queue,
                Some(QueueError::OtherContent(_) | QueueError::Cancelled(_) | QueueError::PastDeadline(_))
            )
    });
    if of_input { 2 } else { 3 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn what_the_asker_can_mend_is_2_and_the_rest_is_3() {
        let other: anyhow::Error = SubmitError::Queue(QueueError::OtherContent("b".into())).into();
        for (error, code) in [
            (refused("no"), 2),
            (Err::<(), _>(refused("no")).context("cannot go on").unwrap_err(), 2),
            (other, 2),
            (QueueError::TooOld { found: "6.2".into() }.into(), 3),
            (anyhow::anyhow!("no bucket"), 3),
        ] {
            assert_eq!(code_of(&error), code, "{error:#}");
        }
    }

    #[test]
    fn a_cause_of_many_rows_is_told_once() {
        let error = |row: u64, message: &str| RowError {
            row: Some(row),
            column: Some("size".to_owned()),
            message: message.into(),
            ..RowError::default()
        };
        let mut errors: Vec<_> = (2..=7).map(|row| error(row, "too large")).collect();
        errors.extend([error(7, "and odd"), error(8, "and odd")]);
        let bad = BadInput { source_name: "a.csv".to_owned(), errors, total: 9 };
        let told = "a.csv: rows 2, 3, 4 … (6 rows), column \"size\": too large\n\
            a.csv: row 7, column \"size\": and odd\na.csv: row 8, column \"size\": and odd\n\
            a.csv: and 1 more errors";
        assert_eq!(grouped(&bad), told);
        let few = BadInput { errors: bad.errors[1..].to_vec(), ..bad };
        assert!(grouped(&few).starts_with("a.csv: row 3, column \"size\": too large\na.csv: row 4"));
    }

    #[test]
    fn columns_that_nothing_uses_are_told_together() {
        let error = |title: &str, why: &str| RowError {
            column: Some(title.to_owned()),
            message: why.into(),
            ..RowError::default()
        };
        let unused = |title: &str| {
            error(title, &format!("not a spec field; leave it out with --ignore-columns {title:?}"))
        };
        let errors = vec![
            unused("Tags"),
            error("qualty", "did you mean \"quality\"?"),
            unused("Say \"Hi\""),
            unused("Type"),
        ];
        let bad = BadInput { source_name: "a.csv".to_owned(), errors, total: 4 };
        let told = "a.csv: columns \"Tags\", \"Say \\\"Hi\\\"\", \"Type\": not a spec field; leave it out with --ignore-columns\n\
            a.csv: column \"qualty\": did you mean \"quality\"?";
        assert_eq!(grouped(&bad), told);
        let few = BadInput { errors: bad.errors[..2].to_vec(), total: 2, ..bad };
        assert!(grouped(&few).starts_with(
            "a.csv: column \"Tags\": not a spec field; leave it out with --ignore-columns \"Tags\"\n"
        ));
    }

    #[test]
    fn causes_are_told_once() {
        let inner = std::io::Error::other("disk is full");
        let error = anyhow::Error::from(inner).context("cannot write: disk is full").context("no results");
        assert_eq!(told(&error), "no results: cannot write: disk is full");
    }
}
