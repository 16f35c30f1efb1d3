//! Reads CSV: one row at a time, with the mistakes of real exports named.

use std::io::Read;

use ::csv::{ByteRecord, ReaderBuilder};

use super::{
    BadRow, Reading, RowError,
    cell::RawRow,
    columns::{trimmed, wrong_titles},
    delimiter::{Dialect, dialect, in_words, other_delimiter},
    encoding::{NO_TEXT, REPLACEMENT, is_binary, not_utf8, undecodable},
    input::{Input, Stop},
    quotes::{QuoteWatch, Stray},
};

const BUFFER: usize = 64 * 1024;
/// Stands behind the file. A quote that is never closed swallows it; a NUL keeps it apart from any cell.
const TAIL: &[u8] = b"\n\0end of manifest\0\n";
const END: &[u8] = b"\0end of manifest\0";

#[derive(Debug)]
pub(super) struct CsvRows<R> {
    reader: ::csv::Reader<Input<R>>,
    record: ByteRecord,
    titles: Vec<String>,
    delimiter: u8,
    skipped_lines: u64,
    row: u64,
    done: bool,
}

impl<R: Read> CsvRows<R> {
    /// Opens a file and reads the column names.
    pub(super) fn open(manifest: R, reading: &Reading) -> Result<Self, Vec<RowError>> {
        let mut input = Input::new(manifest, reading.foreign_encoding(), TAIL);
        // What stops the look stops the reading as well, and is told there.
        let dialect = match input.first_line(true) {
            Ok(line) => dialect(line, reading.delimiter).map_err(|message| vec![RowError::file(message)])?,
            Err(_stopped) => Dialect { delimiter: b',', skipped: 0 },
        };
        let skipped_lines = u64::from(dialect.skipped > 0);
        input.skip(dialect.skipped);
        input.quotes = Some(QuoteWatch::new(dialect.delimiter, skipped_lines));
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(dialect.delimiter)
            .buffer_capacity(BUFFER)
            .from_reader(input);
        let mut rows = Self {
            reader,
            record: ByteRecord::new(),
            titles: Vec::new(),
            delimiter: dialect.delimiter,
            skipped_lines,
            row: 0,
            done: false,
        };
        match rows.read() {
            Ok(true) => {}
            Ok(false) => {
                return Err(vec![RowError::file("the file is empty; its first row names the columns")]);
            }
            Err(error) => return Err(vec![error]),
        }
        if let Some(stray) = rows.stray() {
            return Err(vec![RowError::file(after_quote(stray))]);
        }
        rows.titles = rows.header()?;
        Ok(rows)
    }

    pub(super) fn titles(&self) -> &[String] {
        &self.titles
    }

    /// Whether the error just told is one after which nothing more can be read.
    pub(super) const fn gave_up(&self) -> bool {
        self.done
    }

    /// The next row; errors of one row do not end the reading, those of the file do.
    pub(super) fn next(&mut self) -> Option<Result<RawRow, BadRow>> {
        loop {
            if self.done {
                return None;
            }
            let begun = self.line();
            match self.read() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error.into())),
            }
            if self.record.iter().all(|cell| cell.iter().all(u8::is_ascii_whitespace)) {
                // A blank line, or the empty rows a spreadsheet leaves; counted, so that rows keep their number.
                self.row += u64::from(self.record.len() > 1);
                continue;
            }
            self.row += 1;
            return Some(self.raw_row(begun));
        }
    }

    /// Line at which the next record begins.
    fn line(&self) -> u64 {
        let at = self.reader.position();
        let behind = self.reader.get_ref().quotes.as_ref().is_some_and(|quotes| quotes.two_byte_ends);
        self.skipped_lines + at.line() + u64::from(behind && at.byte() > 0)
    }

    /// Text after a closing quote in the record just read.
    fn stray(&mut self) -> Option<Stray> {
        let end = self.reader.position().byte();
        self.reader.get_mut().quotes.as_mut()?.stray_before(end)
    }

    /// Reads a record; false at the end of the file.
    fn read(&mut self) -> Result<bool, RowError> {
        let begun = self.line();
        self.reader.get_mut().row_begins(BUFFER);
        let read = self.reader.read_byte_record(&mut self.record);
        let last = self.record.iter().next_back().unwrap_or_default();
        match read {
            Ok(true) if self.record.len() == 1 && last == END => {
                self.done = true;
                Ok(false)
            }
            Ok(true) if last.ends_with(TAIL) => Err(self.open_quote(begun, "before the end of the file")),
            Ok(more) => Ok(more),
            Err(error) => Err(self.failed(begun, &error)),
        }
    }

    fn open_quote(&mut self, begun: u64, where_to: &str) -> RowError {
        self.done = true;
        let message = format!(
            "a double quote opened in this row (line {begun}) is not closed {where_to}; close it, or write \"\" for a quote inside a cell"
        );
        self.in_next_row(message)
    }

    fn failed(&mut self, begun: u64, error: &::csv::Error) -> RowError {
        self.done = true;
        match self.reader.get_ref().stop() {
            Some(Stop::RowTooLong) => self.open_quote(begun, "within 1 MiB"),
            Some(stop) => RowError::file(stop.message()),
            None => self.in_next_row(format!("cannot be read: {error}")),
        }
    }

    fn in_next_row(&self, message: String) -> RowError {
        if self.titles.is_empty() { RowError::file(message) } else { RowError::row(self.row + 1, message) }
    }

    fn raw_row(&mut self, begun: u64) -> Result<RawRow, BadRow> {
        if let Some(stray) = self.stray() {
            return Err(self.bad(vec![RowError::row(self.row, after_quote(stray))]));
        }
        let (has, wanted) = (self.record.len(), self.titles.len());
        if has != wanted {
            return Err(self.bad(vec![RowError::row(self.row, self.ragged(has, wanted, begun))]));
        }
        let decoded = self.reader.get_ref().decoded();
        let mut errors = Vec::new();
        let mut cells = Vec::with_capacity(wanted);
        for (cell, title) in self.record.iter().zip(&self.titles) {
            match (std::str::from_utf8(cell), decoded) {
                (Ok(text), Some(encoding)) if text.contains(REPLACEMENT) => {
                    errors.push(RowError::cell(self.row, title, text, undecodable(encoding)));
                }
                (Ok(text), _) => cells.push(text.to_owned()),
                (Err(error), _) => {
                    let message = not_utf8("cell", cell, error.valid_up_to());
                    errors.push(RowError::cell(self.row, title, &String::from_utf8_lossy(cell), message));
                }
            }
        }
        if errors.is_empty() {
            Ok(RawRow { row: self.row, cells, ..RawRow::default() })
        } else {
            Err(self.bad(errors))
        }
    }

    /// The record just read, as it stands, beside what is wrong with it.
    fn bad(&self, errors: Vec<RowError>) -> BadRow {
        let cells = self.record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
        BadRow { row: Some(self.row), cells, errors, ..BadRow::default() }
    }

    /// The column names in the record just read.
    fn header(&self) -> Result<Vec<String>, Vec<RowError>> {
        if is_binary(self.record.as_slice()) {
            return Err(vec![RowError::file(NO_TEXT)]);
        }
        let decoded = self.reader.get_ref().decoded();
        let mut errors = Vec::new();
        let mut titles = Vec::with_capacity(self.record.len());
        for cell in &self.record {
            let text = String::from_utf8_lossy(cell);
            let message = match (std::str::from_utf8(cell), decoded) {
                (Err(error), _) => Some(not_utf8("cell", cell, error.valid_up_to())),
                (Ok(_), Some(encoding)) if text.contains(REPLACEMENT) => Some(undecodable(encoding)),
                (Ok(_), _) => None,
            };
            errors.extend(message.map(|message| RowError {
                column: Some(trimmed(&text).to_owned()),
                ..RowError::file(message)
            }));
            titles.push(trimmed(&text).to_owned());
        }
        if let [only] = titles.as_slice()
            && let Some(other) = other_delimiter(only, self.delimiter)
        {
            errors.push(RowError::file(format!(
                "the cells seem to be separated by a {}, not by a {}; leave --delimiter or the line sep= out",
                in_words(other),
                in_words(self.delimiter)
            )));
        }
        if errors.is_empty() {
            errors = wrong_titles(&titles);
        }
        if errors.is_empty() { Ok(titles) } else { Err(errors) }
    }

    fn ragged(&self, has: usize, wanted: usize, begun: u64) -> String {
        let ended = self.line();
        let cells = if has == 1 { "cell" } else { "cells" };
        let hint = if ended > begun + 1 {
            format!("it spans lines {begun} to {}: is a double quote left open?", ended - 1)
        } else if has > wanted {
            format!("a cell with a {} in it needs double quotes around it", in_words(self.delimiter))
        } else {
            format!("is a {} missing?", in_words(self.delimiter))
        };
        format!("it has {has} {cells} and the header has {wanted}; {hint}")
    }
}

fn after_quote(stray: Stray) -> String {
    format!(
        "text follows a closing double quote in line {}; close the quote opened before it, \
         or write \"\" for a quote inside a cell",
        stray.line
    )
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> (Vec<String>, Vec<Result<Vec<String>, String>>) {
        let mut rows = CsvRows::open(bytes, &Format::Csv.into()).unwrap();
        let mut out = Vec::new();
        while let Some(row) = rows.next() {
            out.push(row.map(|raw| raw.cells).map_err(|bad| bad.errors[0].to_string()));
        }
        (rows.titles().to_vec(), out)
    }

    fn cells(texts: &[&str]) -> Result<Vec<String>, String> {
        Ok(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn reads_what_spreadsheets_write() {
        let (titles, rows) =
            all(b"\xEF\xBB\xBFid , Prompt\r\n1,\"a \"\"red\"\" mug,\nlarge\"\r\n\r\n,\r\n4,5\" nail");
        assert_eq!(titles, ["id", "Prompt"]);
        assert_eq!(rows, [cells(&["1", "a \"red\" mug,\nlarge"]), cells(&["4", "5\" nail"])]);
    }

    #[test]
    fn a_quote_left_open_does_not_eat_the_file() {
        let (_, rows) = all(b"id,prompt\n1,mug\n2,\"cup\n3,jug\n");
        assert_eq!(rows[0], cells(&["1", "mug"]));
        assert!(
            rows[1].as_ref().unwrap_err().starts_with("row 2: a double quote opened in this row (line 3)")
        );
        assert_eq!(rows.len(), 2);

        let mut long = b"id,prompt\n1,\"mug\n".to_vec();
        long.extend(std::iter::repeat_n(b"2,cup\n", 500_000).flatten());
        let (_, rows) = all(&long);
        assert!(rows[0].as_ref().unwrap_err().contains("not closed within 1 MiB"));
        assert_eq!(rows.len(), 1);
    }

    proptest! {
        #[test]
        fn cells_come_back_as_they_were_written(
            rows in prop::collection::vec(prop::collection::vec("[a-z\",;'\n\r é=\u{feff}]{0,12}", 3), 0..20),
            line_end in prop::sample::select(vec!["\n", "\r\n"]),
        ) {
            let terminator = if line_end == "\n" { ::csv::Terminator::Any(b'\n') } else { ::csv::Terminator::CRLF };
            let mut writer = ::csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
            writer.write_record(["a", "b", "c"]).unwrap();
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let (_, read) = all(&writer.into_inner().unwrap());
            let expected: Vec<_> = rows
                .into_iter()
                .filter(|row| !row.iter().all(|cell| cell.bytes().all(|byte| byte.is_ascii_whitespace())))
                .map(Ok)
                .collect();
            prop_assert_eq!(read, expected);
        }
    }
}
