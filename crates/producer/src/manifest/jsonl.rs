//! Reads JSON objects, one a line.
//!
//! The columns are the names of all objects, in the order they first appear; every
//! row has as many cells as there were columns by then. Lines may also be requests as batch
//! files have them, all or none: [`super::batch_form`].

use std::{
    collections::HashMap,
    fmt,
    io::{BufRead as _, BufReader, Read},
};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::{error::Category, value::RawValue};

use super::{
    BadRow, Reading, RowError,
    batch_form::{Pairs, is_request, request},
    cell::{Kind, RawRow},
    columns::{normalized, trimmed},
    encoding::{NO_TEXT, REPLACEMENT, is_binary, not_utf8, undecodable},
    input::{Input, Stop},
};

const BUFFER: usize = 64 * 1024;
const MOST_COLUMNS: usize = 1_000;

#[derive(Debug)]
pub(super) struct JsonlRows<R> {
    reader: BufReader<Input<R>>,
    line: Vec<u8>,
    columns: Columns,
    /// Whether the first line was a request of a batch file.
    requests: Option<bool>,
    row: u64,
    done: bool,
}

/// The columns found so far.
#[derive(Debug, Default)]
pub(super) struct Columns {
    titles: Vec<String>,
    by_title: HashMap<String, usize>,
}

impl<R: Read> JsonlRows<R> {
    /// Opens a file whose columns are known from an earlier pass, or not yet.
    pub(super) fn open(manifest: R, reading: &Reading, known: &[String]) -> Self {
        let mut columns = Columns::default();
        for title in known {
            columns.of(title);
        }
        let mut input = Input::new(manifest, reading.foreign_encoding(), b"");
        // Learns how lines end; what stops this look stops the reading as well, and is told there.
        let _stopped = input.first_line(false);
        let reader = BufReader::with_capacity(BUFFER, input);
        Self { reader, line: Vec::new(), columns, requests: None, row: 0, done: false }
    }

    pub(super) fn titles(&self) -> &[String] {
        &self.columns.titles
    }

    /// The line just read.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Whether the error just told is one after which nothing more can be read.
    pub(super) const fn gave_up(&self) -> bool {
        self.done
    }

    pub(super) fn next(&mut self) -> Option<Result<RawRow, BadRow>> {
        loop {
            if self.done {
                return None;
            }
            self.line.clear();
            self.reader.get_mut().row_begins(BUFFER);
            if let Err(error) = self.reader.read_until(b'\n', &mut self.line) {
                self.done = true;
                let stop = self.reader.get_ref().stop();
                let message = stop
                    .as_ref()
                    .map_or_else(|| format!("cannot be read: {error}"), |stop| stop.message().to_owned());
                let of_file = self.row == 0 || matches!(stop, Some(Stop::File(_)));
                let failure =
                    if of_file { RowError::file(message) } else { RowError::row(self.row + 1, message) };
                return Some(Err(failure.into()));
            }
            if self.line.is_empty() {
                return None;
            }
            if self.line.iter().all(u8::is_ascii_whitespace) || is_remark(&self.line) {
                continue;
            }
            self.row += 1;
            return Some(self.parse());
        }
    }

    fn parse(&mut self) -> Result<RawRow, BadRow> {
        let row = self.row;
        if row == 1 && is_binary(&self.line) {
            self.done = true;
            return Err(RowError::file(NO_TEXT).into());
        }
        let text = std::str::from_utf8(&self.line).map_err(|error| {
            BadRow::from(RowError::row(row, not_utf8("line", &self.line, error.valid_up_to())))
        })?;
        if let Some(encoding) = self.reader.get_ref().decoded()
            && text.contains(REPLACEMENT)
        {
            return Err(RowError::row(row, undecodable(encoding)).into());
        }
        if row == 1 && text.trim_start().starts_with('[') {
            self.done = true;
            return Err(RowError::file(
                "the file is one JSON array; write one object a line, without [ ] and commas between",
            )
            .into());
        }
        let mut raw = RawRow { row, ..RawRow::default() };
        let mut errors = Vec::new();
        let is_request = is_request(text);
        let parsed = match (*self.requests.get_or_insert(is_request), is_request) {
            (true, true) => request(text, &mut self.columns, &mut raw, &mut errors),
            (false, false) => row_object(text, &mut self.columns, &mut raw, &mut errors),
            (first, _) => {
                errors.push(RowError::row(row, mixed(first)));
                Ok(())
            }
        };
        if let Err(error) = parsed {
            errors.push(RowError::row(row, not_an_object(&error)));
        }
        raw.cells.resize(self.columns.titles.len(), String::new());
        if errors.is_empty() {
            return Ok(raw);
        }
        self.columns.keep_refused(text, &mut raw);
        Err(BadRow { row: Some(row), cells: raw.cells, kinds: raw.kinds, errors })
    }
}

/// Whether a line holds nothing but our error of the one behind it, which could not be read.
fn is_remark(line: &[u8]) -> bool {
    line.starts_with(b"{\"error\":\"")
        && serde_json::from_slice(line).is_ok_and(|Pairs(pairs)| pairs.len() == 1)
}

fn row_object(
    text: &str,
    columns: &mut Columns,
    raw: &mut RawRow,
    errors: &mut Vec<RowError>,
) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_str(text);
    Object { columns, raw, errors }.deserialize(&mut json).and_then(|()| json.end())
}

fn mixed(requests: bool) -> String {
    let (first, this) = if requests { ("is", "is none") } else { ("is not", "is one") };
    format!(
        "the first line {first} a batch request (with url and body) and this one {this}; write all lines one way"
    )
}

fn not_an_object(error: &serde_json::Error) -> String {
    let plain = plain(error);
    match error.classify() {
        Category::Eof => "not one JSON object: the line ends before the object does".to_owned(),
        Category::Syntax => format!("not one JSON object: {plain} at byte {} of the line", error.column()),
        Category::Data | Category::Io => format!("not one JSON object: {plain}"),
    }
}

/// What is wrong, without the place in what may be a part of the line only.
fn plain(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(end) = text.rfind(" at line ") {
        text.truncate(end);
    }
    text
}

impl Columns {
    /// Gives the cells of a bad row that hold nothing the JSON of their values, so that they can be mended.
    fn keep_refused(&self, text: &str, raw: &mut RawRow) {
        let values: HashMap<String, &RawValue> = serde_json::from_str(text).unwrap_or_default();
        for (title, value) in values {
            let column = self.by_title.get(&title).and_then(|column| raw.cells.get_mut(*column));
            if let Some(cell) = column
                && cell.is_empty()
                && !matches!(value.get(), "null" | "\"\"" | "[]")
            {
                value.get().clone_into(cell);
            }
        }
    }

    /// The column of a title; titles that differ in spelling only are one column.
    pub(super) fn of(&mut self, title: &str) -> Option<usize> {
        if let Some(column) = self.by_title.get(title) {
            return Some(*column);
        }
        let name = normalized(title);
        let spelt = self.titles.iter().position(|other| normalized(other) == name);
        if spelt.is_none() && self.titles.len() == MOST_COLUMNS {
            return None;
        }
        let column = spelt.unwrap_or(self.titles.len());
        if spelt.is_none() {
            self.titles.push(trimmed(title).to_owned());
        }
        // Spellings are few in a sane file; a mad one is looked up the slow way.
        if self.by_title.len() < 4 * MOST_COLUMNS {
            self.by_title.insert(title.to_owned(), column);
        }
        Some(column)
    }
}

struct Object<'a> {
    columns: &'a mut Columns,
    raw: &'a mut RawRow,
    errors: &'a mut Vec<RowError>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut given = Vec::new();
        while let Some(column) = map.next_key_seed(ColumnOf(self.columns))? {
            let value = cell(map.next_value()?);
            let title = &self.columns.titles[column];
            if given.contains(&column) {
                self.errors.push(RowError::cell(self.raw.row, title, "", "given twice in one object"));
            }
            given.push(column);
            match value {
                Ok((text, kind)) => self.raw.put(column, text, kind),
                Err(message) => self.errors.push(RowError::cell(self.raw.row, title, "", message)),
            }
        }
        Ok(())
    }
}

impl RawRow {
    pub(super) fn put(&mut self, column: usize, text: String, kind: Kind) {
        if self.cells.len() <= column {
            self.cells.resize(column + 1, String::new());
        }
        self.cells[column] = text;
        if kind != Kind::Text {
            if self.kinds.len() <= column {
                self.kinds.resize(column + 1, Kind::Text);
            }
            self.kinds[column] = kind;
        }
    }
}

struct ColumnOf<'a>(&'a mut Columns);

impl<'de> DeserializeSeed<'de> for ColumnOf<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<usize, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for ColumnOf<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a column name")
    }

    fn visit_str<E: Error>(self, title: &str) -> Result<usize, E> {
        let too_many = || E::custom(format_args!("more than {MOST_COLUMNS} different names in one file"));
        self.0.of(title).ok_or_else(too_many)
    }
}

/// A cell's text and kind, or why the value cannot be a cell. A number stays as it is written: as `2.50` it is
/// another prompt than as 2.5.
pub(super) fn cell(value: &RawValue) -> Result<(String, Kind), String> {
    let json = value.get();
    match json.as_bytes().first() {
        Some(b'"') => text(json).map(|text| (text, Kind::Text)),
        Some(b'{') => Err("an object inside an object; give each value a name of its own".to_owned()),
        Some(b'[') => list(json),
        Some(b'n') => Ok((String::new(), Kind::Text)),
        Some(b't' | b'f') => Ok((json.to_owned(), Kind::Bool)),
        _ => Ok((json.to_owned(), Kind::Number)),
    }
}

/// A list as it is written, but for blanks and the spelling of its texts.
fn list(json: &str) -> Result<(String, Kind), String> {
    let values: Vec<&RawValue> = serde_json::from_str(json).map_err(|error| plain(&error))?;
    let mut items = Vec::new();
    for value in values {
        items.push(match cell(value)? {
            (_, Kind::List) => return Err("a list inside a list; give texts, numbers or booleans".to_owned()),
            (text, Kind::Text) => serde_json::Value::String(text).to_string(),
            (written, Kind::Number | Kind::Bool) => written,
        });
    }
    Ok((format!("[{}]", items.join(",")), Kind::List))
}

fn text(json: &str) -> Result<String, String> {
    serde_json::from_str(json).map_err(|error| format!("cannot be read: {}", plain(&error)))
}

#[cfg(test)]
mod tests {
    use super::{super::Format, *};

    fn rows(text: &str) -> (Vec<String>, Vec<Result<RawRow, String>>) {
        let mut rows = JsonlRows::open(text.as_bytes(), &Format::Jsonl.into(), &[]);
        let mut out = Vec::new();
        while let Some(row) = rows.next() {
            out.push(
                row.map_err(|bad| bad.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")),
            );
        }
        (rows.titles().to_vec(), out)
    }

    #[test]
    fn columns_are_the_names_of_all_objects() {
        let (titles, rows) = rows(
            "\u{feff}{\"id\":1,\"Prompt\":\"mug\"}\n\n{\"prompt\":null,\"gift\":true,\"price\":2.50}\r\n",
        );
        assert_eq!(titles, ["id", "Prompt", "gift", "price"]);
        assert_eq!(rows[0].as_ref().unwrap().cells, ["1", "mug"]);
        let second = rows[1].as_ref().unwrap();
        assert_eq!(
            (second.row, second.cells.as_slice()),
            (2, ["", "", "true", "2.50"].map(str::to_owned).as_slice())
        );
        assert_eq!(second.variable(2), Some(true.into()));
        assert_eq!(second.variable(3).map(|price| price.to_string()).as_deref(), Some("2.50"));
        assert_eq!(second.variable(1), None);
    }

    #[test]
    fn everything_wrong_with_a_line_is_told() {
        let (_, rows) = rows("{\"a\":{\"b\":[1]},\"a \":1}\n{\"a\":1} x\n");
        assert_eq!(
            rows[0].as_ref().unwrap_err(),
            "row 1, column \"a\": an object inside an object; give each value a name of its own | \
             row 1, column \"a\": given twice in one object"
        );
        assert_eq!(
            rows[1].as_ref().unwrap_err(),
            "row 2: not one JSON object: trailing characters at byte 9 of the line"
        );
    }

    #[test]
    fn numbers_stay_as_they_are_written() {
        for number in [
            "0",
            "-0",
            "7",
            "2.50",
            "2.0",
            "0.30",
            "1e3",
            "1E+400",
            "18446744073709551616",
            "-12345678901234567890123",
        ] {
            let (_, rows) = rows(&format!("{{\"a\":{number},\"b\":[\"x\\u00e9\", {number},true,null]}}\n"));
            let row = rows[0].as_ref().unwrap();
            assert_eq!(row.cells, [number.to_owned(), format!("[\"xé\",{number},true,\"\"]")]);
            assert_eq!((row.kind(0), row.kind(1)), (Kind::Number, Kind::List));
        }
    }

    #[test]
    fn a_text_that_is_none_is_told_of_its_column() {
        let (_, rows) = rows("{\"a\":\"\\ud800\",\"b\":[[1],\"x\"]}\n");
        assert_eq!(
            rows[0].as_ref().unwrap_err(),
            "row 1, column \"a\": cannot be read: unexpected end of hex escape | \
             row 1, column \"b\": a list inside a list; give texts, numbers or booleans"
        );
    }

    #[test]
    fn an_endless_line_is_given_up() {
        let long = format!("{{\"prompt\":\"{}\"}}\n", "a".repeat(2_000_000));
        let (_, rows) = rows(&format!("{{\"prompt\":\"mug\"}}\n{long}"));
        assert_eq!(rows[1].as_ref().unwrap_err(), "row 2: a row is longer than 1 MiB");
    }
}
