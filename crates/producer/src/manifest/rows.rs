//! Visits the rows of a manifest one at a time.

use std::{collections::VecDeque, io::Read, sync::Arc};

use pictor_common::{Spec, batch::Route, price::Estimate};

use super::{
    BadRow, Reading, RowError, Skipped,
    cell::RawRow,
    ids::Ids,
    layout::Layout,
    row::{Asked, Fallback, Models, RowWork},
    rules::Rules,
    shared::Shared,
    source::Source,
    suspect::{self, LostZeros},
    variants::{Variants, Varied, place},
};
use crate::{
    formula::restored,
    vary::{Matrix, product},
};

/// What one line asks for: a row, or one variant of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSpecs {
    /// Data row, from 1.
    pub row: u64,
    /// Number of the line: that of the row, moved on by the variants of the rows before.
    pub line: u64,
    /// The row's own id, or its number, and behind it what varies.
    pub id: String,
    /// The cells as they stand in the file, and what varies.
    pub cells: Vec<String>,
    /// One spec a take.
    pub specs: Vec<Spec>,
    /// Where its assets wait.
    pub route: Route,
    /// What each take costs.
    pub estimate: Estimate,
    /// The other model that makes them where theirs cannot.
    pub fallback: Option<Fallback>,
}

/// The good rows of a manifest, and what is wrong with the others.
#[derive(Debug)]
pub struct Rows<'r, R> {
    rules: &'r Rules<'r>,
    source: Source<R>,
    layout: Layout,
    models: Models<'r>,
    ids: Option<Ids>,
    zeros: LostZeros,
    /// Found in the header, told before the first row.
    pending: Vec<RowError>,
    /// Lines of the row just read that were not handed over yet.
    lines: VecDeque<Waiting>,
    /// Lines so far, less rows so far.
    moved: u64,
    /// Rows known to be bad, passed over in silence.
    without: Arc<Skipped>,
    /// The row just told could not be read at all.
    unread: bool,
    ended: bool,
}

/// A line whose takes are not written out yet.
#[derive(Debug)]
struct Waiting {
    row: u64,
    line: u64,
    cells: Vec<String>,
    asked: Asked,
}

impl From<Waiting> for RowSpecs {
    fn from(Waiting { row, line, cells, asked }: Waiting) -> Self {
        let specs = match asked.count {
            1 => vec![asked.spec],
            count => (0..count).map(|take| Spec { take, ..asked.spec.clone() }).collect(),
        };
        let id = asked.line_id.unwrap_or(asked.id);
        let Asked { route, estimate, fallback, .. } = asked;
        Self { row, line, id, cells, specs, route, estimate, fallback }
    }
}

impl<'r, R: Read> Rows<'r, R> {
    /// Opens a manifest that was not read before.
    pub fn open(
        manifest: R,
        reading: impl Into<Reading>,
        rules: &'r Rules<'r>,
    ) -> Result<Self, Vec<RowError>> {
        Self::once_more(manifest, reading, rules, &[])
    }

    /// Opens a manifest once more, to look at its bad rows; its columns are known.
    pub(crate) fn once_more(
        manifest: R,
        reading: impl Into<Reading>,
        rules: &'r Rules<'r>,
        columns: &[String],
    ) -> Result<Self, Vec<RowError>> {
        Ok(Self::over(Source::open(manifest, &reading.into(), columns)?, rules, Some(Ids::default())))
    }

    /// Opens a manifest that [`check()`](super::check()) read before; its ids are not compared again.
    pub fn again(
        manifest: R,
        reading: impl Into<Reading>,
        rules: &'r Rules<'r>,
        columns: &[String],
    ) -> Result<Self, Vec<RowError>> {
        Ok(Self::over(Source::open(manifest, &reading.into(), columns)?, rules, None))
    }

    /// Passes over rows that were found bad.
    #[must_use]
    pub fn without(self, skipped: Arc<Skipped>) -> Self {
        Self { without: skipped, ..self }
    }

    fn over(source: Source<R>, rules: &'r Rules<'r>, ids: Option<Ids>) -> Self {
        let mut layout = Layout::new(rules);
        let mut pending = layout.learn(source.titles(), rules, source.has_header(), None);
        if source.has_header() {
            let missing = layout.missing_variables(rules);
            layout.lacks_variables = !missing.is_empty();
            pending.extend(missing);
            pending.extend(layout.missing_id(rules));
        }
        Self {
            rules,
            source,
            layout,
            models: Models::new(),
            ids,
            zeros: LostZeros::default(),
            pending,
            lines: VecDeque::new(),
            moved: 0,
            without: Arc::default(),
            unread: false,
            ended: false,
        }
    }

    /// Titles of the columns found so far, as they stand in the file.
    pub(crate) fn titles(&self) -> &[String] {
        self.source.titles()
    }

    /// The line just read, where each row is one.
    pub(crate) fn line(&self) -> &[u8] {
        self.source.line()
    }

    /// The column of the ids, once the rows are read.
    pub(crate) const fn id(&self) -> Option<usize> {
        self.layout.id
    }

    /// The column of the errors that an earlier submission wrote.
    pub(crate) const fn mended(&self) -> Option<usize> {
        self.layout.mended
    }

    /// Whether a row could not be taken apart, as the last one of a file that was cut off.
    pub(super) fn is_broken(&self, bad: &BadRow) -> bool {
        self.unread && (!self.source.has_header() || bad.cells.len() < self.source.titles().len())
    }

    /// Titles of the columns that lines have; all of them, once the rows are read.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = self.source.titles().to_vec();
        for (title, list) in columns.iter_mut().zip(&self.layout.lists) {
            if *list {
                *title = title.trim().trim_end_matches(super::layout::LIST).to_owned();
            }
        }
        let extra = self.rules.axes.iter().zip(&self.layout.axes).filter(|(_, column)| column.is_none());
        columns.extend(extra.map(|(axis, _)| axis.axis.name.clone()));
        if let Some(mended) = self.layout.mended {
            columns.remove(mended);
        }
        columns
    }

    /// What multiplied the rows so far.
    #[must_use]
    pub fn matrix(&self) -> Matrix {
        let listed = self.layout.names.iter().zip(&self.layout.listed).filter(|(_, listed)| **listed);
        Matrix {
            axes: self.rules.axes.iter().map(|it| (it.axis.name.clone(), it.axis.values.len())).collect(),
            listed: listed.map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Whether a row was found bad before.
    fn is_left_out(&self, row: u64) -> bool {
        self.without.rows.binary_search(&row).is_ok()
    }

    /// Counts the lines that a bad row would have become, so that those behind it keep their numbers.
    fn pass_over(&mut self, raw: &RawRow) {
        let variants = Variants::of(self.rules, &self.layout, self.source.titles(), raw, &mut Vec::new());
        self.moved += variants.count() - 1;
    }

    /// Everything wrong with a row that brings a column nobody knows.
    fn with_unknown(&mut self, mut errors: Vec<RowError>, raw: RawRow) -> BadRow {
        errors = self.source.place(errors);
        if let Err(bad) = self.row(raw) {
            errors.extend(bad.errors);
        }
        self.lines.clear();
        BadRow { errors, ..BadRow::default() }
    }

    fn row(&mut self, mut raw: RawRow) -> Result<RowSpecs, BadRow> {
        self.unread = false;
        self.restore(&mut raw.cells);
        suspect::with_whole_id(&mut raw, &self.layout);
        let doubts = suspect::doubts(&raw, &self.layout, self.source.titles());
        let plain = (!doubts.is_empty()).then(|| suspect::without(&raw, &doubts, &self.layout));
        let mut errors: Vec<RowError> = doubts.into_iter().map(|(_, error)| error).collect();
        errors.extend(self.lost_zeros(&raw));
        match self.judged(plain.as_ref().unwrap_or(&raw), errors) {
            Ok(Some((line, asked))) => {
                let RawRow { row, cells, .. } = raw;
                Ok(Waiting { row, line, cells: self.shown(cells, &[]), asked }.into())
            }
            Ok(None) => Ok(self.lines.pop_front().expect("a row that varies has a variant").into()),
            Err(errors) => {
                // What is found only now to be wrong with an earlier row cannot be left out any more.
                let here = errors.iter().all(|error| error.row == Some(raw.row));
                let errors = self.with_id(self.source.place(errors), &raw);
                let RawRow { row, cells, kinds, .. } = raw;
                Err(BadRow { row: here.then_some(row), cells, kinds, errors })
            }
        }
    }

    /// Errors of a row, with its id where the file has one and that is not what is wrong.
    fn with_id(&self, errors: Vec<RowError>, raw: &RawRow) -> Vec<RowError> {
        let id = self.layout.id.and_then(|column| Some((column, raw.get(column)?)));
        let Some((column, id)) = id.filter(|(_, id)| *id != raw.row.to_string()) else { return errors };
        let title = &self.source.titles()[column];
        let named = |error: RowError| {
            let of_id = error.row != Some(raw.row) || error.column.as_ref() == Some(title);
            if of_id { error } else { error.of_id(id) }
        };
        errors.into_iter().map(named).collect()
    }

    /// The only line of a row, with its number; or none, and the lines of a row that varies are waiting.
    fn judged(
        &mut self,
        raw: &RawRow,
        mut errors: Vec<RowError>,
    ) -> Result<Option<(u64, Asked)>, Vec<RowError>> {
        let rules = self.rules;
        let known = errors.len();
        let variants = Variants::of(rules, &self.layout, self.source.titles(), raw, &mut errors);
        for column in variants.lists() {
            self.layout.listed[column] = true;
        }
        let line = raw.row + self.moved;
        self.moved += variants.count() - 1;
        if errors.len() > known {
            errors.extend(self.repeated_id(raw, &[], true));
            return Err(errors);
        }
        if variants.is_empty() {
            let asked = self.work(raw, &[], errors);
            let again = self.repeated_id(raw, asked.as_ref().map_or(&[], std::slice::from_ref), false);
            return told(asked, again).map(|asked| Some((line, asked)));
        }
        let asked = self.multiplied(raw, &variants, &errors);
        let again = self.repeated_id(raw, asked.as_deref().unwrap_or_default(), true);
        for (number, asked) in (0..).zip(told(asked, again)?) {
            let cells = self.shown(raw.cells.clone(), &variants.variant(number));
            self.lines.push_back(Waiting { row: raw.row, line: line + number, cells, asked });
        }
        Ok(None)
    }

    /// A number among the ids of a spreadsheet that has probably lost its zeros, perhaps of an earlier row.
    fn lost_zeros(&mut self, raw: &RawRow) -> Option<RowError> {
        let column = self.layout.id.filter(|_| matches!(self.source, Source::Xlsx(_)))?;
        let (row, id, message) = self.zeros.see(raw.row, raw.get(column)?, raw.kind(column))?;
        Some(RowError::cell(row, &self.source.titles()[column], &id, message))
    }

    /// Gives cells back as they were before we wrote them into a table of rejected rows.
    fn restore(&self, cells: &mut [String]) {
        // A line of JSON is written down as it is.
        if self.layout.mended.is_none() || !self.source.has_header() {
            return;
        }
        for cell in cells {
            if restored(cell).len() != cell.len() {
                *cell = restored(cell).to_owned();
            }
        }
    }

    /// The cells as results show them.
    fn shown(&self, mut cells: Vec<String>, variant: &[Varied<'_>]) -> Vec<String> {
        place(&mut cells, variant, self.source.titles().len());
        if let Some(mended) = self.layout.mended.filter(|column| *column < cells.len()) {
            cells.remove(mended);
        }
        cells
    }

    fn work(
        &mut self,
        raw: &RawRow,
        varied: &[Varied<'_>],
        errors: Vec<RowError>,
    ) -> Result<Asked, Vec<RowError>> {
        let work = RowWork {
            rules: self.rules,
            layout: &self.layout,
            titles: self.source.titles(),
            models: &mut self.models,
            raw,
            varied,
            errors,
        };
        work.run()
    }

    /// All variants of a row, or everything wrong with any of them.
    fn multiplied(
        &mut self,
        raw: &RawRow,
        variants: &Variants<'_>,
        errors: &[RowError],
    ) -> Result<Vec<Asked>, Vec<RowError>> {
        let mut lines = Vec::new();
        let mut wrong = Shared::default();
        for number in 0..variants.count() {
            let variant = variants.variant(number);
            match self.work(raw, &variant, errors.to_vec()) {
                Ok(asked) => lines.push(asked),
                Err(errors) => wrong.add(errors, &variant),
            }
        }
        let Some(first) = lines.first().filter(|_| wrong.is_empty()) else {
            return Err(wrong.told(variants.count()));
        };
        let ids = variants.ids(&first.id).map_err(|message| {
            let column = self.layout.id.map(|column| self.source.titles()[column].clone());
            vec![RowError {
                column,
                value: Some(first.id.as_str().into()),
                ..RowError::row(raw.row, message)
            }]
        })?;
        for (asked, id) in lines.iter_mut().zip(ids) {
            asked.line_id = Some(id);
        }
        Ok(lines)
    }

    fn repeated_id(&mut self, raw: &RawRow, asked: &[Asked], varies: bool) -> Option<RowError> {
        let column = self.layout.id?;
        let own = raw.get(column);
        let id = asked.first().map(|asked| asked.id.as_str()).or(own)?;
        let lines: Vec<&str> = asked.iter().filter_map(|asked| asked.line_id.as_deref()).collect();
        let message = self.ids.as_mut()?.note(id, own.is_some(), raw.row, varies, &lines)?;
        Some(RowError::cell(raw.row, &self.source.titles()[column], id, message))
    }

    /// A row that could not be read.
    fn unreadable(&mut self, mut bad: BadRow) -> BadRow {
        self.unread = true;
        self.restore(&mut bad.cells);
        let mut errors = self.learn(bad.row);
        let whole = !errors.is_empty() || self.source.gave_up();
        errors.append(&mut bad.errors);
        let axes = self.rules.axes.iter().map(|axis| axis.axis.values.len());
        self.moved += product(axes).saturating_sub(1);
        let errors = self.source.place(errors);
        BadRow { row: bad.row.filter(|_| !whole), errors, ..bad }
    }

    fn learn(&mut self, row: Option<u64>) -> Vec<RowError> {
        self.layout.learn(self.source.titles(), self.rules, self.source.has_header(), row)
    }
}

/// What is asked, unless its id stood before.
fn told<T>(asked: Result<T, Vec<RowError>>, again: Option<RowError>) -> Result<T, Vec<RowError>> {
    match (asked, again) {
        (Ok(asked), None) => Ok(asked),
        (Ok(_), Some(error)) => Err(vec![error]),
        (Err(mut errors), again) => {
            errors.extend(again);
            Err(errors)
        }
    }
}

impl<R: Read> Iterator for Rows<'_, R> {
    /// A line, or a row that cannot be used; one that names no row is about the whole file.
    type Item = Result<RowSpecs, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(line) = self.lines.pop_front() {
            return Some(Ok(line.into()));
        }
        if !self.pending.is_empty() {
            return Some(Err(BadRow { errors: std::mem::take(&mut self.pending), ..BadRow::default() }));
        }
        loop {
            match self.source.next() {
                Some(Ok(raw)) if raw.is_blank() => {}
                Some(Ok(raw)) => {
                    let unknown = self.learn(Some(raw.row));
                    if !unknown.is_empty() {
                        // A column nobody knows is told once, where it comes up first; so it is the file's.
                        return Some(Err(self.with_unknown(unknown, raw)));
                    }
                    if self.is_left_out(raw.row) {
                        self.pass_over(&raw);
                        continue;
                    }
                    return Some(self.row(raw));
                }
                Some(Err(bad)) => {
                    let left_out = bad.row.is_some_and(|row| self.is_left_out(row));
                    let bad = self.unreadable(bad);
                    if left_out && bad.row.is_some() {
                        continue;
                    }
                    return Some(Err(bad));
                }
                None if self.ended || self.source.has_header() => return None,
                None => {
                    self.ended = true;
                    let mut missing = self.layout.missing_variables(self.rules);
                    missing.extend(self.layout.missing_id(self.rules));
                    return (!missing.is_empty())
                        .then(|| Err(BadRow { errors: missing, ..BadRow::default() }));
                }
            }
        }
    }
}
