//! What the columns of a file mean, worked out once.

use super::{
    IgnoreColumns, RowError,
    columns::{Use, classify, normalized},
    error::shortened,
    rules::Rules,
};

/// Ends the title of a column whose cells hold several values.
pub(super) const LIST: &str = "[]";
/// The column that we add to rows we refuse.
pub(super) const ERROR: &str = "error";

/// What the columns of a file mean.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) uses: Vec<Use>,
    /// Titles as they are compared, without the mark of a list.
    pub(super) names: Vec<String>,
    /// Columns whose cells hold several values.
    pub(super) lists: Vec<bool>,
    pub(super) has_lists: bool,
    /// Columns that had several values in a cell.
    pub(super) listed: Vec<bool>,
    /// Column of each variable of the template.
    pub(super) variables: Vec<Option<usize>>,
    /// Column of each thing that varies in every row.
    pub(super) axes: Vec<Option<usize>>,
    pub(super) id: Option<usize>,
    pub(super) count: Option<usize>,
    /// The errors of an earlier submission, whose rows were mended.
    pub(super) mended: Option<usize>,
    /// No row can be rendered, which was told once and for all.
    pub(super) lacks_variables: bool,
}

impl Layout {
    pub(super) fn new(rules: &Rules<'_>) -> Self {
        Self {
            variables: vec![None; rules.variables.len()],
            axes: vec![None; rules.axes.len()],
            ..Self::default()
        }
    }

    /// Works out what columns are for that are new since the last row. In a `table`, unlike in JSON, titles may
    /// mark lists. Rows may come with our errors beside them.
    pub(super) fn learn(
        &mut self,
        titles: &[String],
        rules: &Rules<'_>,
        table: bool,
        row: Option<u64>,
    ) -> Vec<RowError> {
        let mut errors = Vec::new();
        if titles.len() == self.uses.len() {
            return errors;
        }
        let last = titles.iter().rposition(|title| !title.trim().is_empty());
        for (column, title) in titles.iter().enumerate().skip(self.uses.len()) {
            let bare = title.trim().strip_suffix(LIST).filter(|_| table);
            let name = normalized(bare.unwrap_or(title));
            let ours = (!table || Some(column) == last) && name == ERROR && !uses(rules, ERROR);
            let what = if ours {
                self.mended = Some(column);
                Use::Other
            } else {
                what(bare.unwrap_or(title), &name, rules).unwrap_or_else(|error| {
                    errors.push(RowError { row, column: Some(title.clone()), ..error });
                    Use::Other
                })
            };
            errors.extend(self.repeated(&name, title, row));
            let wrong_list =
                bare.is_some() && matches!(what, Use::Id | Use::Count | Use::Derive | Use::Field("take"));
            if wrong_list {
                let message = format!("{name} is one value; leave {LIST} out of the title");
                errors.push(RowError { row, column: Some(title.clone()), ..RowError::file(message) });
            }
            self.add(column, what, name, bare.is_some() && !wrong_list, rules);
        }
        errors
    }

    fn add(&mut self, column: usize, what: Use, name: String, list: bool, rules: &Rules<'_>) {
        match what {
            Use::Id => self.id = Some(column),
            Use::Count => self.count = Some(column),
            Use::Field(_) | Use::Derive | Use::Other | Use::Unnamed => {}
        }
        let variables = rules.template.map_or(&[][..], |template| template.variables());
        if let Some(variable) = variables.iter().position(|variable| *variable == name) {
            self.variables[variable] = Some(column);
        }
        if let Some(axis) = rules.axes.iter().position(|axis| axis.axis.name == name) {
            self.axes[axis] = Some(column);
        }
        self.uses.push(what);
        self.names.push(name);
        self.lists.push(list);
        self.listed.push(false);
        self.has_lists |= list;
    }

    /// `colour` beside `colour[]`: equal titles are found by who reads the file.
    fn repeated(&self, name: &str, title: &str, row: Option<u64>) -> Option<RowError> {
        let first = self.names.iter().position(|other| other == name && !name.is_empty())?;
        let message = format!(
            "columns {} and {} have the same name; rename or remove one",
            first + 1,
            self.names.len() + 1
        );
        Some(RowError { row, column: Some(title.to_owned()), ..RowError::file(message) })
    }

    /// The column of the ids that was named and is not there.
    pub(super) fn missing_id(&self, rules: &Rules<'_>) -> Option<RowError> {
        let id = rules.id_column.as_ref().filter(|_| self.id.is_none())?;
        Some(RowError::file(format!("--id-column: there is no column {id:?}{}", self.hint(id))))
    }

    /// Variables of the template that no column, no default and nothing that varies gives.
    pub(super) fn missing_variables(&self, rules: &Rules<'_>) -> Vec<RowError> {
        let Some(template) = rules.template else { return Vec::new() };
        let given = |(i, name): (usize, &String)| {
            self.variables[i].is_some()
                || !rules.variables[i].is_undefined()
                || name == "id"
                || template.is_optional(name)
                || rules.axes.iter().any(|axis| axis.target.variable == Some(i))
        };
        let missing = template.variables().iter().enumerate().filter(|variable| !given(*variable));
        missing.map(|(_, name)| self.missing(name)).collect()
    }

    fn missing(&self, name: &str) -> RowError {
        let hint = self.hint(name);
        RowError::file(format!("the template uses {name:?}, and there is no such column{hint}"))
    }

    /// Which column was probably meant.
    fn hint(&self, name: &str) -> String {
        let near = self
            .names
            .iter()
            .map(|column| (strsim::damerau_levenshtein(name, column), column))
            .filter(|(distance, _)| *distance <= (name.chars().count() / 3).clamp(1, 3))
            .min_by_key(|(distance, _)| *distance);
        near.map_or_else(
            || format!("; the columns are {}", shortened(&self.names.join(", "))),
            |(_, column)| format!("; did you mean {column:?}?"),
        )
    }
}

/// What a column is for, where the ids may be in one that is not called so.
fn what(title: &str, name: &str, rules: &Rules<'_>) -> Result<Use, RowError> {
    let Some(id) = &rules.id_column else { return classify(title, rules.template, &rules.ignore) };
    if name == id {
        return Ok(Use::Id);
    }
    match classify(title, rules.template, &rules.ignore)? {
        Use::Id if rules.ignore == IgnoreColumns::All || uses(rules, name) => Ok(Use::Other),
        Use::Id => Err(RowError::file(format!(
            "the ids are in {id:?}, as --id-column says; leave this column out with --ignore-columns {:?}",
            shortened(title)
        ))),
        what => Ok(what),
    }
}

/// Whether a column of this name is asked for.
fn uses(rules: &Rules<'_>, name: &str) -> bool {
    let ignored =
        matches!(&rules.ignore, IgnoreColumns::Named(names) if names.iter().any(|n| normalized(n) == name));
    !ignored && rules.template.is_some_and(|template| template.variables().iter().any(|v| v == name))
}
