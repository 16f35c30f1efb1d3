//! Reads a whole manifest: hands its good rows over and says what is wrong with the others.

use std::{collections::BTreeMap, io::Read};

use super::{
    BadInput, BadRow, Findings, Format, Reading, RowError,
    rows::{RowSpecs, Rows},
    rules::Rules,
};
use crate::{
    content::{Content, without_rows},
    vary::{MOST_OF_FILE, Matrix},
};

/// A manifest of which everything, or all but what is [skipped](Skipped), can be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Titles of all columns that lines have, in order.
    pub columns: Vec<String>,
    /// Good rows.
    pub rows: u64,
    /// Lines they become.
    pub lines: u64,
    /// Digest of template, defaults, options and manifest.
    pub content: String,
    /// What multiplied the rows.
    pub matrix: Matrix,
    /// Rows left out.
    pub skipped: Skipped,
}

/// Rows that were left out because something is wrong with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Their numbers, in order.
    pub rows: Vec<u64>,
    /// What is wrong with them.
    pub errors: Option<BadInput>,
    /// Titles of the file's own columns.
    pub(crate) titles: Vec<String>,
    /// The column of their ids.
    pub(crate) id: Option<usize>,
    /// Our errors of an earlier submission.
    pub(crate) mended: Option<usize>,
    /// Cells of the longest of them.
    pub(crate) width: usize,
    /// Whether a spreadsheet must be told how the text is encoded.
    pub(crate) beyond_ascii: bool,
}

impl Skipped {
    fn add(&mut self, row: u64, bad: &BadRow) {
        self.rows.push(row);
        self.width = self.width.max(bad.cells.len());
        self.beyond_ascii |= !bad.cells.iter().all(|cell| cell.is_ascii())
            || !bad.errors.iter().all(|error| error.to_string().is_ascii());
    }
}

/// Reads a whole manifest, hands over its good lines and finds everything wrong with the others.
///
/// `source` names the file in errors. Fails when anything is wrong, or, where the rules skip bad rows, when that is
/// about the whole file. The lines handed over mean nothing then.
pub fn check(
    manifest: impl Read,
    source: &str,
    reading: impl Into<Reading>,
    rules: &Rules<'_>,
    options: &BTreeMap<String, String>,
    each: impl FnMut(RowSpecs),
) -> Result<Checked, BadInput> {
    let mut content = Content::new(rules.template_source(), rules.defaults(), options, manifest);
    let mut findings = Findings::default();
    let mut checked = Checked::default();
    let mut of_file = true;
    let reading = reading.into();
    let format = reading.format;
    match Rows::open(&mut content, reading, rules) {
        Err(errors) => findings.add(errors),
        Ok(mut rows) => {
            let last = walk(&mut rows, rules, &mut checked, &mut findings, each);
            of_file = last.of_file;
            if checked.rows == 0 && !last.found {
                of_file = true;
                findings.add([RowError::file(match format {
                    Format::Csv => "the file names columns and has no rows",
                    Format::Xlsx => "the sheet names columns and has no rows",
                    Format::Jsonl => "the file is empty; write one JSON object a line",
                })]);
            }
            checked.columns = rows.columns();
            checked.matrix = rows.matrix();
            checked.skipped.titles = rows.titles().to_vec();
            checked.skipped.id = rows.id();
            checked.skipped.mended = rows.mended();
            drop(rows);
            if last.broken && rules.skip_bad && format != Format::Xlsx && content.ends_open() {
                of_file = true;
                findings.add([RowError::file(
                    "the last row is not whole and no line end follows: the file seems cut off; get it again",
                )]);
            }
        }
    }
    let found = findings.into_result(source);
    if of_file || !rules.skip_bad {
        found?;
    } else {
        checked.skipped.errors = found.err();
    }
    let digest = content.finish().map_err(|error| {
        let errors = vec![RowError::file(format!("cannot be read: {error}"))];
        BadInput { source_name: source.to_owned(), errors, total: 1 }
    })?;
    checked.content = without_rows(digest, &checked.skipped.rows);
    Ok(checked)
}

/// How a walk over the rows of a file ended.
#[derive(Debug, Default)]
struct Last {
    /// Something was found, good or bad.
    found: bool,
    /// Something is wrong with the file as a whole.
    of_file: bool,
    /// The last row could not be taken apart.
    broken: bool,
}

fn walk<R: Read>(
    rows: &mut Rows<'_, R>,
    rules: &Rules<'_>,
    checked: &mut Checked,
    findings: &mut Findings,
    mut each: impl FnMut(RowSpecs),
) -> Last {
    let mut last = Last::default();
    let mut row = 0;
    while let Some(next) = rows.next() {
        last.found = true;
        match next {
            Ok(line) => {
                checked.rows += u64::from(line.row != row);
                checked.lines += 1;
                row = line.row;
                last.broken = false;
                each(line);
            }
            Err(bad) => {
                last.broken = rows.is_broken(&bad);
                last.of_file |= bad.row.is_none();
                if let Some(row) = bad.row.filter(|_| rules.skip_bad) {
                    checked.skipped.add(row, &bad);
                }
                findings.add(bad.errors);
            }
        }
        if checked.lines > MOST_OF_FILE && checked.lines > checked.rows {
            last.of_file = true;
            let by = rows.matrix().factors();
            findings.add([RowError::file(format!(
                "{by} makes more than {MOST_OF_FILE} lines of the first {row} rows; split the file, or vary less"
            ))]);
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests;
