//! Where rows come from: one reader for each format.

use std::io::Read;

use super::{BadRow, Format, RowError, cell::RawRow, csv::CsvRows, jsonl::JsonlRows};

#[derive(Debug)]
pub(super) enum Source<R> {
    Csv(Box<CsvRows<R>>),
    Jsonl(Box<JsonlRows<R>>),
}

impl<R: Read> Source<R> {
    pub(super) fn open(manifest: R, format: Format, columns: &[String]) -> Result<Self, Vec<RowError>> {
        Ok(match format {
            Format::Csv => Self::Csv(Box::new(CsvRows::open(manifest)?)),
            Format::Jsonl => Self::Jsonl(Box::new(JsonlRows::open(manifest, columns))),
        })
    }

    pub(super) fn titles(&self) -> &[String] {
        match self {
            Self::Csv(rows) => rows.titles(),
            Self::Jsonl(rows) => rows.titles(),
        }
    }

    pub(super) fn read(&mut self) -> Option<Result<RawRow, BadRow>> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::Jsonl(rows) => rows.next(),
        }
    }

    pub(super) const fn gave_up(&self) -> bool {
        match self {
            Self::Csv(rows) => rows.gave_up(),
            Self::Jsonl(rows) => rows.gave_up(),
        }
    }

    /// Whether its columns stand above the rows, and are all known before the first.
    pub(super) const fn is_table(&self) -> bool {
        match self {
            Self::Csv(_) => true,
            Self::Jsonl(_) => false,
        }
    }
}
