//! Writes the rows that were left out, with what is wrong with them, to be mended and submitted again.
//!
//! The file has the form of the manifest, so that a number stays a number and a text a text: the columns of the
//! manifest and one more, `error`. Rows without an id get the number they have in the manifest, which is their id
//! there. It can be submitted as it is once its rows are mended: an `error` of ours is passed over.

mod book;
mod lines;
mod table;

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write},
    path::{Path, PathBuf},
};

use self::{book::Book, table::Table};
use crate::{
    fresh::Fresh,
    manifest::{BadRow, Format, Kind, Rows, Skipped},
    submit::{Checked, Request},
};

pub(crate) const ERROR: &str = "error";
const LONGEST_HEADER: u64 = 1024 * 1024;
const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Request<'_> {
    /// Writes the rows that a check left out, beside their name and then there. With none left out, an older file
    /// is set aside. A file that is no such table is not touched. Tells where what stood there is kept, if anything
    /// did that is not written again.
    pub fn write_rejected(&self, checked: &Checked, path: &Path) -> io::Result<Option<PathBuf>> {
        let none = checked.skipped.rows.is_empty();
        match self.is_ours(path, &checked.skipped)? {
            Some(false) if none => return Ok(None),
            Some(false) => {
                let why = "it is there, and is no table of rejected rows of this manifest";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
            }
            Some(true) if none => return set_aside(path),
            None if none => return Ok(None),
            Some(true) | None => {}
        }
        let fresh = Fresh::of(path)?;
        self.fill(&checked.skipped, fresh.file()?)?;
        let differs =
            std::fs::read(path).is_ok_and(|old| std::fs::read(fresh.path()).is_ok_and(|new| old != new));
        let kept = if differs { set_aside(path)? } else { None };
        fresh.arrive()?;
        Ok(kept)
    }

    fn fill(&self, skipped: &Skipped, file: File) -> io::Result<()> {
        let mut out = BufWriter::new(file);
        let format = self.manifest.format.format();
        if skipped.beyond_ascii && format != Format::Xlsx {
            out.write_all(UTF8_MARK)?;
        }
        let table = Table::of(skipped);
        let mut out = match format {
            Format::Csv => {
                let mut writer = ::csv::Writer::from_writer(out);
                writer.write_record(table.titles())?;
                self.bad_rows(skipped, |bad, _line| {
                    writer.write_record(table.row(bad).into_iter().map(|(text, _kind)| text))?;
                    Ok(())
                })?;
                writer.into_inner().map_err(|error| error.into_error())?
            }
            Format::Jsonl => {
                self.bad_rows(skipped, |bad, line| out.write_all(&lines::line(bad, line, skipped)))?;
                out
            }
            Format::Xlsx => {
                let mut book = Book::new(self.manifest.format.sheet().unwrap_or("Rejected"), skipped.id)?;
                book.row(table.titles().into_iter().map(|title| (title, Kind::Text)))?;
                self.bad_rows(skipped, |bad, _line| book.row(table.row(bad)))?;
                book.write(&mut out)?;
                out
            }
        };
        out.flush()?;
        out.into_inner()?.sync_all()
    }

    /// Reads the manifest once more, to see its bad rows, and the lines they stand in where it has lines.
    fn bad_rows(
        &self,
        skipped: &Skipped,
        mut each: impl FnMut(&BadRow, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let changed = || io::Error::other("the manifest was changed while it was read");
        let Request { manifest, .. } = self;
        let mut rows =
            Rows::once_more(manifest.open()?, manifest.format.clone(), self.rules, &skipped.titles)
                .map_err(|_errors| changed())?;
        let mut expected = skipped.rows.iter();
        while let Some(row) = rows.next() {
            let Err(bad) = row else { continue };
            if bad.row.as_ref() != expected.next() {
                return Err(changed());
            }
            each(&bad, rows.line())?;
        }
        if expected.next().is_some() { Err(changed()) } else { Ok(()) }
    }

    /// Whether a file was written by us; none where there is no file.
    ///
    /// Under the name we give it the last column says so, since the manifest may have changed; under another name
    /// all do.
    fn is_ours(&self, path: &Path, skipped: &Skipped) -> io::Result<Option<bool>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if file.metadata()?.len() == 0 {
            return Ok(Some(true));
        }
        let format = self.manifest.format.format();
        let found = match format {
            Format::Csv => header(file)?,
            Format::Jsonl => return lines::are_ours(file.take(LONGEST_HEADER)).map(Some),
            Format::Xlsx => Rows::open(file, format, self.rules)
                .map_or_else(|_errors| Vec::new(), |rows| rows.titles().to_vec()),
        };
        let own_name = path.to_string_lossy().ends_with(&format!(".rejected.{}", format.extension()));
        let ends_as_ours = found.last().is_some_and(|last| last == ERROR);
        Ok(Some(if own_name { ends_as_ours } else { found == Table::of(skipped).titles() }))
    }
}

/// Keeps a table that is replaced or no longer wanted: somebody may have mended rows in it.
fn set_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    let kept = path.with_added_extension("old");
    match std::fs::rename(path, &kept) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        renamed => renamed.map(|()| Some(kept)),
    }
}

/// The titles of a CSV file; none where it is no such file.
fn header(file: File) -> io::Result<Vec<String>> {
    let mut text = BufReader::new(file).take(LONGEST_HEADER);
    if text.fill_buf()?.starts_with(UTF8_MARK) {
        text.consume(UTF8_MARK.len());
    }
    let mut header = ::csv::StringRecord::new();
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(text);
    let read = reader.read_record(&mut header).unwrap_or(false);
    Ok(if read { header.iter().map(str::to_owned).collect() } else { Vec::new() })
}

/// Everything wrong with a row, on one line.
fn told(bad: &BadRow) -> String {
    bad.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
}
