//! The rows of a manifest as they stand in it, whatever its format.

use std::io::Read;

use super::{
    BadRow, Format, Reading, RowError, cell::RawRow, csv::CsvRows, jsonl::JsonlRows, xlsx::XlsxRows,
};

/// A manifest that is being read.
#[derive(Debug)]
pub(super) enum Source<R> {
    Csv(Box<CsvRows<R>>),
    Jsonl(Box<JsonlRows<R>>),
    Xlsx(Box<XlsxRows>),
}

impl<R: Read> Source<R> {
    /// Opens a manifest; `known` are the columns an earlier pass found.
    pub(super) fn open(manifest: R, reading: &Reading, known: &[String]) -> Result<Self, Vec<RowError>> {
        Ok(match reading.format {
            Format::Csv => Self::Csv(Box::new(CsvRows::open(manifest, reading)?)),
            Format::Jsonl => Self::Jsonl(Box::new(JsonlRows::open(manifest, reading, known))),
            Format::Xlsx => Self::Xlsx(Box::new(XlsxRows::open(manifest, reading)?)),
        })
    }

    /// Titles of the columns found so far.
    pub(super) fn titles(&self) -> &[String] {
        match self {
            Self::Csv(rows) => rows.titles(),
            Self::Jsonl(rows) => rows.titles(),
            Self::Xlsx(rows) => rows.titles(),
        }
    }

    /// Whether a header names all columns before the first row.
    pub(super) const fn has_header(&self) -> bool {
        matches!(self, Self::Csv(_) | Self::Xlsx(_))
    }

    /// The next row; errors of one row do not end the reading, those of the file do.
    pub(super) fn next(&mut self) -> Option<Result<RawRow, BadRow>> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::Jsonl(rows) => rows.next(),
            Self::Xlsx(rows) => rows.next(),
        }
    }

    /// The line just read, where each row is one.
    pub(super) fn line(&self) -> &[u8] {
        match self {
            Self::Jsonl(rows) => rows.line(),
            Self::Csv(_) | Self::Xlsx(_) => &[],
        }
    }

    /// Whether the error just told is one after which nothing more can be read.
    pub(super) const fn gave_up(&self) -> bool {
        match self {
            Self::Csv(rows) => rows.gave_up(),
            Self::Jsonl(rows) => rows.gave_up(),
            Self::Xlsx(rows) => rows.gave_up(),
        }
    }

    /// Adds to errors of a spreadsheet's rows where they stand in the sheet.
    pub(super) fn place(&self, mut errors: Vec<RowError>) -> Vec<RowError> {
        if let Self::Xlsx(rows) = self {
            for error in &mut errors {
                error.cell = error.row.map(|row| rows.place(row, error.column.as_deref()));
            }
        }
        errors
    }
}
