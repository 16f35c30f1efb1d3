//! Visits the rows of a manifest one at a time.

use std::{collections::BTreeMap, io::Read};

use pictor_common::{Spec, batch::Route, price::Estimate};

use super::{
    BadInput, Findings, Format, Reading, RowError,
    cell::RawRow,
    columns::{Use, classify, normalized},
    row::{Layout, Models, RowWork},
    rules::Rules,
    source::Source,
    suspect::{self, LostZeros},
};
use crate::{content::Content, seen::Seen};

/// What one row asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSpecs {
    /// Data row, from 1.
    pub row: u64,
    /// The row's own id, or its number.
    pub id: String,
    /// The cells as they stand in the file.
    pub cells: Vec<String>,
    /// One spec a take.
    pub specs: Vec<Spec>,
    /// Where its assets wait.
    pub route: Route,
    /// What each take costs.
    pub estimate: Estimate,
}

/// The good rows of a manifest, and what is wrong with the others.
#[derive(Debug)]
pub struct Rows<'r, R> {
    rules: &'r Rules<'r>,
    source: Source<R>,
    layout: Layout,
    models: Models<'r>,
    ids: Option<Seen<u32>>,
    zeros: LostZeros,
    /// Found in the header, told before the first row.
    pending: Vec<RowError>,
    ended: bool,
}

impl<'r, R: Read> Rows<'r, R> {
    /// Opens a manifest that was not read before.
    pub fn open(
        manifest: R,
        reading: impl Into<Reading>,
        rules: &'r Rules<'r>,
    ) -> Result<Self, Vec<RowError>> {
        let source = Source::open(manifest, &reading.into(), &[])?;
        Ok(Self::over(source, rules, Some(Seen::default())))
    }

    /// Opens a manifest that [`check`] found good; its ids are not compared again.
    pub fn again(
        manifest: R,
        reading: impl Into<Reading>,
        rules: &'r Rules<'r>,
        columns: &[String],
    ) -> Result<Self, Vec<RowError>> {
        let source = Source::open(manifest, &reading.into(), columns)?;
        Ok(Self::over(source, rules, None))
    }

    fn over(source: Source<R>, rules: &'r Rules<'r>, ids: Option<Seen<u32>>) -> Self {
        let layout = Layout { variables: vec![None; rules.variables.len()], ..Layout::default() };
        let pending = Vec::new();
        let (models, zeros) = (Models::new(), LostZeros::default());
        let mut rows = Self { rules, source, layout, models, ids, zeros, pending, ended: false };
        rows.pending = rows.learn_columns(None);
        if rows.source.has_header() {
            let missing = rows.missing_variables();
            rows.layout.lacks_variables = !missing.is_empty();
            rows.pending.extend(missing);
        }
        rows
    }

    /// Titles of the columns found so far; all of them, once the rows are read.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        self.source.titles()
    }

    /// Works out what columns that are new since the last row are for.
    fn learn_columns(&mut self, row: Option<u64>) -> Vec<RowError> {
        let mut errors = Vec::new();
        let titles = self.source.titles();
        for (column, title) in titles.iter().enumerate().skip(self.layout.uses.len()) {
            let what = classify(title, self.rules.template, &self.rules.ignore).unwrap_or_else(|error| {
                errors.push(RowError { row, ..error });
                Use::Other
            });
            match what {
                Use::Id => self.layout.id = Some(column),
                Use::Count => self.layout.count = Some(column),
                Use::Field(_) | Use::Other | Use::Unnamed => {}
            }
            self.layout.uses.push(what);
            let variables = self.rules.template.map_or(&[][..], |template| template.variables());
            if let Some(variable) = variables.iter().position(|variable| *variable == normalized(title)) {
                self.layout.variables[variable] = Some(column);
            }
        }
        errors
    }

    /// Variables of the template that no column and no default gives.
    fn missing_variables(&self) -> Vec<RowError> {
        let Some(template) = self.rules.template else { return Vec::new() };
        let given = |(i, name): (usize, &String)| {
            self.layout.variables[i].is_some() || !self.rules.variables[i].is_undefined() || name == "id"
        };
        let missing = template.variables().iter().enumerate().filter(|variable| !given(*variable));
        missing.map(|(_, name)| self.missing(name)).collect()
    }

    fn missing(&self, name: &str) -> RowError {
        let columns: Vec<_> = self.columns().iter().map(|title| normalized(title)).collect();
        let near = columns
            .iter()
            .map(|column| (strsim::damerau_levenshtein(name, column), column))
            .filter(|(distance, _)| *distance <= (name.chars().count() / 3).clamp(1, 3))
            .min_by_key(|(distance, _)| *distance);
        let hint = near.map_or_else(
            || format!("; the columns are {}", super::error::shortened(&columns.join(", "))),
            |(_, column)| format!("; did you mean {column:?}?"),
        );
        RowError::file(format!("the template uses {name:?}, and there is no such column{hint}"))
    }

    fn asked(&mut self, raw: RawRow) -> Result<RowSpecs, Vec<RowError>> {
        let mut errors = self.learn_columns(Some(raw.row));
        let titles = self.source.titles();
        let doubts = suspect::doubts(&raw, &self.layout, titles);
        let plain = (!doubts.is_empty()).then(|| suspect::without(&raw, &doubts, &self.layout));
        errors.extend(doubts.into_iter().map(|(_, error)| error));
        errors.extend(lost_zeros(&mut self.zeros, &self.source, &self.layout, &raw));
        let judged = plain.as_ref().unwrap_or(&raw);
        let work = RowWork {
            rules: self.rules,
            layout: &self.layout,
            titles,
            models: &mut self.models,
            raw: judged,
            errors,
        };
        let asked = work.run();
        let again = self.repeated_id(judged, asked.as_ref().ok().map(|asked| asked.id.as_str()));
        let asked = match (asked, again) {
            (Ok(asked), None) => asked,
            (Ok(_), Some(error)) => return Err(vec![error]),
            (Err(mut errors), again) => {
                errors.extend(again);
                return Err(errors);
            }
        };
        let specs = match asked.count {
            1 => vec![asked.spec],
            count => (0..count).map(|take| Spec { take, ..asked.spec.clone() }).collect(),
        };
        let RawRow { row, cells, .. } = raw;
        Ok(RowSpecs { row, id: asked.id, cells, specs, route: asked.route, estimate: asked.estimate })
    }

    fn repeated_id(&mut self, raw: &RawRow, checked: Option<&str>) -> Option<RowError> {
        let column = self.layout.id?;
        let own = raw.get(column);
        let id = checked.or(own)?;
        let row = u32::try_from(raw.row).unwrap_or(u32::MAX);
        let first = self.ids.as_mut()?.text(id, row)?;
        let message = match own {
            Some(_) => format!(
                "the id {:?} is already that of row {first}; ids must differ",
                super::error::shortened(id)
            ),
            None => format!("the row has no id, and its number {id} is already the id of row {first}"),
        };
        Some(RowError::cell(raw.row, &self.columns()[column], id, message))
    }
}

/// A number among the ids of a spreadsheet that has probably lost its zeros.
fn lost_zeros<R: Read>(
    zeros: &mut LostZeros,
    source: &Source<R>,
    layout: &Layout,
    raw: &RawRow,
) -> Option<RowError> {
    let column = layout.id.filter(|_| matches!(source, Source::Xlsx(_)))?;
    let kind = raw.kinds.get(column).copied().unwrap_or_default();
    let (row, id, message) = zeros.see(raw.row, raw.get(column)?, kind)?;
    Some(RowError::cell(row, &source.titles()[column], &id, message))
}

impl<R: Read> Iterator for Rows<'_, R> {
    type Item = Result<RowSpecs, Vec<RowError>>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.pending.is_empty() {
            return Some(Err(std::mem::take(&mut self.pending)));
        }
        loop {
            match self.source.next() {
                Some(Ok(raw)) if raw.is_blank() => {}
                Some(Ok(raw)) => return Some(self.asked(raw).map_err(|errors| self.source.place(errors))),
                Some(Err(bad)) => {
                    let mut unknown = self.learn_columns(bad.row);
                    unknown.extend(bad.errors);
                    return Some(Err(self.source.place(unknown)));
                }
                None if self.ended || self.source.has_header() => return None,
                None => {
                    self.ended = true;
                    let missing = self.missing_variables();
                    return if missing.is_empty() { None } else { Some(Err(missing)) };
                }
            }
        }
    }
}

/// A manifest without a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Titles of all columns, in order.
    pub columns: Vec<String>,
    /// Rows that ask for something.
    pub rows: u64,
    /// Digest of template, defaults, options and manifest.
    pub content: String,
}

/// Reads a whole manifest, hands over its good rows and finds everything wrong with the others.
///
/// `source` names the file in errors. The rows handed over mean nothing when this fails.
pub fn check(
    manifest: impl Read,
    source: &str,
    reading: impl Into<Reading>,
    rules: &Rules<'_>,
    options: &BTreeMap<String, String>,
    mut each: impl FnMut(RowSpecs),
) -> Result<Checked, BadInput> {
    let mut content = Content::new(rules.template.map(|t| t.source()), rules.defaults(), options, manifest);
    let mut findings = Findings::default();
    let mut good = 0;
    let mut columns = Vec::new();
    let reading = reading.into();
    let format = reading.format;
    match Rows::open(&mut content, reading, rules) {
        Err(errors) => findings.add(errors),
        Ok(mut rows) => {
            let mut bad = 0_u64;
            for row in &mut rows {
                match row {
                    Ok(specs) => {
                        good += 1;
                        each(specs);
                    }
                    Err(errors) => {
                        bad += 1;
                        findings.add(errors);
                    }
                }
            }
            if good + bad == 0 {
                findings.add([RowError::file(match format {
                    Format::Csv => "the file names columns and has no rows",
                    Format::Xlsx => "the sheet names columns and has no rows",
                    Format::Jsonl => "the file is empty; write one JSON object a line",
                })]);
            }
            columns = rows.columns().to_vec();
        }
    }
    findings.into_result(source)?;
    let content = content.finish().map_err(|error| {
        let errors = vec![RowError::file(format!("cannot be read: {error}"))];
        BadInput { source_name: source.to_owned(), errors, total: 1 }
    })?;
    Ok(Checked { columns, rows: good, content })
}
