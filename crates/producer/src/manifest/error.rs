//! What is wrong with a manifest, in words that say where and what would be right.

use std::fmt;

use serde::Serialize;

use super::{cell::Kind, place::Place};

/// Errors of one file that are kept; the rest are only counted.
const KEPT: usize = 1_000;

/// One thing wrong with a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowError {
    /// Data row, from 1; none when it is about the whole file or a default.
    pub row: Option<u64>,
    /// The row's own id, shortened, where it is known and not what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Box<str>>,
    /// The column's title, where a column is to blame.
    pub column: Option<String>,
    /// Where in a spreadsheet, such as `B3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell: Option<Place>,
    /// The spec field it is about, where there is one.
    pub field: Option<String>,
    /// What stood there, shortened.
    pub value: Option<Box<str>>,
    /// What is wrong and what would be right.
    pub message: Box<str>,
}

impl RowError {
    pub(super) fn file(message: impl Into<String>) -> Self {
        Self { message: without_breaks(message.into()).into(), ..Self::default() }
    }

    pub(super) fn row(row: u64, message: impl Into<String>) -> Self {
        Self { row: Some(row), ..Self::file(message) }
    }

    pub(super) fn cell(row: u64, column: &str, value: &str, message: impl Into<String>) -> Self {
        Self {
            column: Some(column.to_owned()),
            value: Some(shortened(value).into()),
            ..Self::row(row, message)
        }
    }

    /// The same, of a row with this id.
    pub(super) fn of_id(self, id: &str) -> Self {
        Self { id: Some(one_line(&shortened(id)).into()), ..self }
    }

    pub(super) fn of_default(name: &str, value: &str, message: impl Into<String>) -> Self {
        Self { field: Some(name.to_owned()), value: Some(shortened(value).into()), ..Self::file(message) }
    }
}

/// With the id of the row: `row 5 (MUG-7), column "size": …`.
#[derive(Debug)]
struct WithId<'e>(&'e RowError);

impl fmt::Display for WithId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.written(f, self.0.id.as_deref())
    }
}

/// Without the id of the row, for a place that shows it.
impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written(f, None)
    }
}

impl RowError {
    /// For a place that does not show the row: with its id.
    pub fn told(&self) -> impl fmt::Display {
        WithId(self)
    }

    fn written(&self, f: &mut fmt::Formatter<'_>, id: Option<&str>) -> fmt::Result {
        if let Some(row) = self.row {
            write!(f, "row {row}")?;
            if let Some(id) = id {
                write!(f, " ({id})")?;
            }
        }
        let comma = if self.row.is_some() { ", " } else { "" };
        match (&self.column, &self.field) {
            (Some(column), _) => write!(f, "{comma}column {:?}", shortened(column))?,
            (None, Some(field)) if self.row.is_some() => write!(f, ", {field}")?,
            (None, Some(field)) => write!(f, "default {field}")?,
            (None, None) => {}
        }
        if let Some(cell) = &self.cell {
            write!(f, " ({cell})")?;
        }
        if self.row.is_some() || self.column.is_some() || self.field.is_some() {
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

/// A row that cannot be used: its cells as well as they can be given, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BadRow {
    /// Data row, from 1; none when the whole file is to blame.
    pub row: Option<u64>,
    /// The cells as they stand in the file; none where they cannot be told apart.
    pub cells: Vec<String>,
    /// What each cell was in the file; shorter than `cells` where all the rest is text.
    pub(crate) kinds: Vec<Kind>,
    /// What is wrong, at least one.
    pub errors: Vec<RowError>,
}

impl From<Vec<RowError>> for BadRow {
    fn from(errors: Vec<RowError>) -> Self {
        Self { row: errors.first().and_then(|error| error.row), errors, ..Self::default() }
    }
}

impl From<RowError> for BadRow {
    fn from(error: RowError) -> Self {
        vec![error].into()
    }
}

/// Shortens a text for a message.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A message is one line, whatever of the file it repeats.
fn without_breaks(message: String) -> String {
    if message.contains(char::is_control) { message.replace(char::is_control, " ") } else { message }
}

/// A text from a damaged file as part of a message, which stays on one line.
pub(super) fn one_line(text: &str) -> String {
    let longest = text.char_indices().nth(160).map_or(text.len(), |(end, _)| end);
    text[..longest].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Gathers the errors of one file.
#[derive(Debug, Default)]
pub struct Findings {
    of_file: Vec<RowError>,
    of_rows: Vec<RowError>,
    total: u64,
}

impl Findings {
    /// Adds errors; of those that name a row the first thousand are kept.
    pub fn add(&mut self, errors: impl IntoIterator<Item = RowError>) {
        for error in errors {
            self.total += 1;
            if error.row.is_none() {
                self.of_file.push(error);
            } else if self.of_rows.len() < KEPT {
                self.of_rows.push(error);
            }
        }
    }

    /// Fails when anything was found.
    pub fn into_result(self, source: &str) -> Result<(), BadInput> {
        if self.total == 0 {
            return Ok(());
        }
        let mut errors = self.of_file;
        errors.extend(self.of_rows);
        Err(BadInput { source_name: source.to_owned(), errors, total: self.total })
    }
}

/// Everything wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadInput {
    /// The file's name as it was given, or `-`.
    #[serde(rename = "source")]
    pub source_name: String,
    /// Errors of the file as a whole, then those of its rows in order, at most a thousand.
    pub errors: Vec<RowError>,
    /// How many there are in all.
    pub total: u64,
}

impl std::error::Error for BadInput {}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{}: {error}", self.source_name)?;
        }
        match self.total - self.errors.len() as u64 {
            0 => Ok(()),
            more => write!(f, "\n{}: and {more} more errors", self.source_name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_thousand_and_counts_all() {
        let mut findings = Findings::default();
        findings.add((1..=1_500).map(|row| RowError::row(row, "no")));
        findings.add([RowError::file("late, but about the whole file")]);
        let bad = findings.into_result("a.csv").unwrap_err();
        assert_eq!((bad.errors.len(), bad.total), (1_001, 1_501));
        let text = bad.to_string();
        assert!(text.starts_with("a.csv: late, but about the whole file\na.csv: row 1: no\n"), "{text}");
        assert!(text.ends_with("\na.csv: row 1000: no\na.csv: and 500 more errors"), "{text}");
    }

    #[test]
    fn a_row_is_told_with_its_id_on_one_line() {
        let error = RowError::cell(5, "size", "big", "\"big\" is not a size").of_id("MUG\n7");
        assert_eq!(error.told().to_string(), "row 5 (MUG 7), column \"size\": \"big\" is not a size");
        assert_eq!(error.to_string(), "row 5, column \"size\": \"big\" is not a size");
        let long = RowError::row(5, "no").of_id(&"x".repeat(1_000_000)).told().to_string();
        assert_eq!(long, format!("row 5 ({}…): no", "x".repeat(60)));
    }

    #[test]
    fn shortens_by_characters() {
        assert_eq!(shortened(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
        assert_eq!(shortened("mug"), "mug");
    }
}
