//! Writes the rows that were left out, with what is wrong with them, to be mended and submitted again.
//!
//! The file has the columns of the manifest and one more, `error`. It can be submitted as it is once its rows are
//! mended: a last column of that name is passed over.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _},
    path::Path,
};

use crate::{
    formula::defused,
    manifest::{BadRow, Rows, Skipped, as_bars},
    submit::{Checked, Request},
};

const ERROR: &str = "error";
const LONGEST_HEADER: u64 = 1024 * 1024;
const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Request<'_> {
    /// Writes the rows that a check left out, beside their name and then there. With none left out, an older file
    /// is removed. A file that is no such table is not touched.
    pub fn write_rejected(&self, checked: &Checked, path: &Path) -> io::Result<()> {
        let none = checked.skipped.rows.is_empty();
        let titles = self.table(&checked.skipped).titles();
        match is_ours(path, &titles)? {
            Some(false) if none => return Ok(()),
            Some(false) => {
                let why = "it is there, and is no table of rejected rows of this manifest";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
            }
            Some(true) if none => return set_aside(path),
            None if none => return Ok(()),
            Some(true) | None => {}
        }
        // Two runs over one manifest may do this at once.
        let fresh = path.with_added_extension(format!("{}.part", std::process::id()));
        let replace = || {
            self.fill(&checked.skipped, &fresh)?;
            if std::fs::read(path).is_ok_and(|old| std::fs::read(&fresh).is_ok_and(|new| old != new)) {
                set_aside(path)?;
            }
            std::fs::rename(&fresh, path)
        };
        replace().inspect_err(|_error| drop(std::fs::remove_file(&fresh)))
    }

    fn table<'s>(&self, skipped: &'s Skipped) -> Table<'s> {
        let Request { manifest, .. } = self;
        Table { skipped, json: manifest.format.is_json(), typed: manifest.format.is_typed() }
    }

    fn fill(&self, skipped: &Skipped, path: &Path) -> io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        if skipped.beyond_ascii {
            out.write_all(UTF8_MARK)?;
        }
        let table = self.table(skipped);
        let mut writer = ::csv::Writer::from_writer(out);
        writer.write_record(table.titles())?;
        let changed = || io::Error::other("the manifest was changed while it was read");
        let rows =
            Rows::once_more(self.manifest.open()?, self.manifest.format.clone(), self.rules, &skipped.titles)
                .map_err(|_errors| changed())?;
        let mut expected = skipped.rows.iter();
        for bad in rows.filter_map(Result::err) {
            if bad.row.as_ref() != expected.next() {
                return Err(changed());
            }
            writer.write_record(table.row(&bad))?;
        }
        if expected.next().is_some() {
            return Err(changed());
        }
        writer.into_inner().map_err(|error| error.into_error())?.into_inner()?.sync_all()
    }
}

/// Keeps a table that is replaced or no longer wanted: somebody may have mended rows in it.
fn set_aside(path: &Path) -> io::Result<()> {
    match std::fs::rename(path, path.with_added_extension("old")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

/// Whether a file was written by us; none where there is no file.
///
/// Under the name we give it the last column says so, since the manifest may have changed; under another name all do.
fn is_ours(path: &Path, titles: &[String]) -> io::Result<Option<bool>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if file.metadata()?.len() == 0 {
        return Ok(Some(true));
    }
    let mut text = BufReader::new(file).take(LONGEST_HEADER);
    if text.fill_buf()?.starts_with(UTF8_MARK) {
        text.consume(UTF8_MARK.len());
    }
    let mut header = ::csv::StringRecord::new();
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(text);
    if !reader.read_record(&mut header).unwrap_or(false) {
        return Ok(Some(false));
    }
    let own_name = path.to_string_lossy().ends_with(".rejected.csv");
    let ends_as_ours = header.iter().next_back() == Some(ERROR);
    Ok(Some(if own_name { ends_as_ours } else { header.iter().eq(titles.iter().map(String::as_str)) }))
}

struct Table<'a> {
    skipped: &'a Skipped,
    json: bool,
    typed: bool,
}

impl Table<'_> {
    /// The manifest's own columns, nameless ones for what stands behind the last, and ours.
    fn titles(&self) -> Vec<String> {
        let Skipped { titles, listed, .. } = self.skipped;
        let named = titles.iter().enumerate().filter(|(column, _)| !self.is_old_error(*column));
        let mut all: Vec<String> = named
            .map(|(column, title)| {
                let mark = if self.json && listed.get(column) == Some(&true) { "[]" } else { "" };
                defused(&format!("{title}{mark}")).into_owned()
            })
            .collect();
        all.extend((titles.len()..self.skipped.width).map(|_| String::new()));
        all.push(ERROR.to_owned());
        all
    }

    fn row(&self, bad: &BadRow) -> Vec<String> {
        let width = self.skipped.titles.len().max(self.skipped.width);
        let cell = |column: usize| {
            let text = bad.cells.get(column).map_or("", String::as_str);
            match self.skipped.listed.get(column) {
                Some(true) if self.json => as_bars(text),
                // As text it would count as true in a template.
                _ if self.typed && text == "false" => String::new(),
                _ => text.to_owned(),
            }
        };
        let columns = (0..width).filter(|column| !self.is_old_error(*column));
        let mut cells: Vec<String> = columns.map(|column| defused(&cell(column)).into_owned()).collect();
        let messages: Vec<String> = bad.errors.iter().map(ToString::to_string).collect();
        cells.push(defused(&messages.join(" | ")).into_owned());
        cells
    }

    /// The errors of an earlier round make room for those of this one.
    fn is_old_error(&self, column: usize) -> bool {
        self.skipped.mended == Some(column)
    }
}
