//! Reads a sheet of an XLSX file as a table.
//!
//! The file is held packed and its texts unpacked; the sheet itself is unpacked row by row. The
//! first row with a cell in it names the columns; rows are counted from the one below it. Cells are
//! read as they stand, hidden and merged ones too.
//!
//! A spreadsheet keeps numbers, not what was typed. The text of a number is its plain digits; where
//! they may not be what was typed the cell is marked ([`Odd`]), and [`super::suspect`] says so if the
//! cell is used.

mod number;
mod package;
mod sheet;
mod strings;
mod styles;
mod workbook;
mod xml;

use std::io::Read;

use super::{
    BadRow, Reading, RowError,
    cell::{Kind, Odd, RawRow},
    columns::{trimmed, wrong_titles},
    magic,
    place::Place,
};
use package::{LARGEST, Package};
use sheet::{Sheet, SheetRow, Value};
use styles::Shown;
use workbook::Workbook;

/// Workbook, styles and relations, unpacked.
const SMALL_PART: u64 = 16_000_000;
/// A sheet, unpacked; it is not held.
const LARGEST_SHEET: u64 = 1_000_000_000;

/// Texts, unpacked, which are held: what an honest file of this size may need.
const fn most_text(packed: u64) -> u64 {
    let likely = 4_000_000 + 200 * packed;
    if likely < 256_000_000 { likely } else { 256_000_000 }
}

#[derive(Debug)]
pub(super) struct XlsxRows {
    sheet: Sheet,
    titles: Vec<String>,
    /// The sheet's row that names the columns.
    header: u32,
    since_1904: bool,
    done: bool,
}

impl XlsxRows {
    /// Reads a whole file, finds its sheet and reads the column names.
    pub(super) fn open(manifest: impl Read, reading: &Reading) -> Result<Self, Vec<RowError>> {
        Self::opened(manifest, reading.sheet.as_deref())
            .map_err(|message| vec![RowError::file(message)])
            .and_then(|rows| {
                let errors = wrong_titles(&rows.titles);
                if errors.is_empty() { Ok(rows) } else { Err(errors) }
            })
    }

    fn opened(manifest: impl Read, wanted: Option<&str>) -> Result<Self, String> {
        let mut bytes = Vec::new();
        manifest
            .take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| format!("cannot be read: {error}"))?;
        if bytes.len() as u64 > LARGEST {
            return Err("the spreadsheet is larger than 50 MB; save the sheet as \"CSV UTF-8\", which may have any size".to_owned());
        }
        if !bytes.starts_with(b"PK") {
            return Err(magic::no_spreadsheet(&bytes).to_owned());
        }
        let book = Workbook::open(Package::open(bytes.into())?)?;
        let mut sheet = book.sheet(wanted)?;
        let Some(header) = sheet.next_row()? else {
            return Err("the sheet is empty; its first row names the columns".to_owned());
        };
        let mut rows = Self {
            sheet,
            titles: Vec::new(),
            header: header.number,
            since_1904: book.since_1904,
            done: false,
        };
        rows.titles = rows.named(header);
        Ok(rows)
    }

    pub(super) fn titles(&self) -> &[String] {
        &self.titles
    }

    /// Whether the error just told is one after which nothing more can be read.
    pub(super) const fn gave_up(&self) -> bool {
        self.done
    }

    /// Where a data row, and a column of it, stand in the sheet.
    pub(super) fn place(&self, row: u64, title: Option<&str>) -> Place {
        let row = u32::try_from(row).unwrap_or(u32::MAX).saturating_add(self.header);
        let column = title.and_then(|title| self.titles.iter().position(|other| other == title));
        column.map_or_else(|| Place::of_row(row), |column| Place::of_cell(column, row))
    }

    /// The next row that is not empty.
    pub(super) fn next(&mut self) -> Option<Result<RawRow, BadRow>> {
        if self.done {
            return None;
        }
        match self.sheet.next_row() {
            Ok(row) => row.map(|row| self.raw_row(row)),
            Err(message) => {
                self.done = true;
                Some(Err(RowError::file(message).into()))
            }
        }
    }

    fn named(&self, header: SheetRow) -> Vec<String> {
        let mut titles = Vec::new();
        for (column, value) in header.cells {
            titles.resize(column, String::new());
            let (text, _, _) = self.cell(value);
            titles.push(trimmed(&text).to_owned());
        }
        titles
    }

    fn raw_row(&self, row: SheetRow) -> Result<RawRow, BadRow> {
        let mut raw = RawRow { row: u64::from(row.number - self.header), ..RawRow::default() };
        raw.cells.resize(self.titles.len(), String::new());
        for (column, value) in row.cells {
            let (text, kind, odd) = self.cell(value);
            if column >= self.titles.len() && text.trim().is_empty() {
                continue;
            }
            raw.put(column, text, kind);
            raw.odd.extend(odd.map(|odd| (column, odd)));
        }
        if raw.cells.len() == self.titles.len() {
            return Ok(raw);
        }
        let beyond = Place::of_cell(raw.cells.len() - 1, row.number);
        let message =
            format!("cell {beyond} stands beyond the last named column; name its column or empty it");
        let errors = vec![RowError::row(raw.row, message)];
        Err(BadRow { row: Some(raw.row), cells: raw.cells, kinds: raw.kinds, errors })
    }

    fn cell(&self, value: Value) -> (String, Kind, Option<Odd>) {
        match value {
            Value::Text(text) => (text, Kind::Text, None),
            Value::Bool(value) => (value.to_string(), Kind::Bool, None),
            Value::Date(text) => (text, Kind::Text, Some(Odd::Date)),
            Value::Error(text) => (text, Kind::Text, Some(Odd::Error)),
            Value::Uncalculated => ("=".to_owned(), Kind::Text, Some(Odd::Uncalculated)),
            Value::Number(number, Shown::Date) => match number::date(number, self.since_1904) {
                Some(date) => (date, Kind::Text, Some(Odd::Date)),
                None => (number::text(number), Kind::Number, Some(Odd::Date)),
            },
            Value::Number(number, shown) => {
                let odd = match shown {
                    _ if number::is_inexact(number) => Some(Odd::Inexact),
                    Shown::Scientific => Some(Odd::Scientific),
                    Shown::General if number::is_ambiguous(number) => Some(Odd::Scientific),
                    Shown::Padded(digits) => Some(Odd::Padded(digits)),
                    Shown::General | Shown::Plain | Shown::Date => None,
                };
                (number::text(number), Kind::Number, odd)
            }
        }
    }
}
