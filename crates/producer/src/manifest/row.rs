//! One row: its cells become specs, or everything wrong with it is told.

use std::collections::HashMap;

use minijinja::Value;
use pictor_common::{
    MicroUsd, Spec,
    batch::Route,
    catalogue::Model,
    derivative::of_cell,
    price::{self, Estimate},
    spec::Operation,
};

use super::{
    RowError,
    cell::RawRow,
    columns::Use,
    error::shortened,
    field,
    layout::Layout,
    rules::{Rules, usable},
    variants::Varied,
};

/// Models found usable so far.
pub(super) type Models<'c> = HashMap<String, &'c Model>;

/// What one row asks for, all its takes alike.
#[derive(Debug)]
pub(super) struct Asked {
    /// That of the row.
    pub(super) id: String,
    /// That of the line, where the row varies.
    pub(super) line_id: Option<String>,
    pub(super) spec: Spec,
    pub(super) count: u32,
    pub(super) estimate: Estimate,
    pub(super) route: Route,
    pub(super) fallback: Option<Fallback>,
}

/// Another model that makes what a row asks for, where its own cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The model.
    pub model: String,
    /// Where its assets wait.
    pub route: Route,
    /// The most each can cost.
    pub ceiling: MicroUsd,
}

/// The work on one row.
pub(super) struct RowWork<'w, 'r> {
    pub(super) rules: &'w Rules<'r>,
    pub(super) layout: &'w Layout,
    pub(super) titles: &'w [String],
    pub(super) models: &'w mut Models<'r>,
    pub(super) raw: &'w RawRow,
    /// What takes the place of cells in this variant.
    pub(super) varied: &'w [Varied<'w>],
    pub(super) errors: Vec<RowError>,
}

impl<'r> RowWork<'_, 'r> {
    pub(super) fn run(mut self) -> Result<Asked, Vec<RowError>> {
        let id = self.id();
        let mut spec = self.rules.base.clone();
        self.fields(&mut spec);
        if self.rules.template.is_some() {
            spec.prompt = self.rendered(&id);
        }
        let count = self.count();
        if count > 1 {
            spec.take = 0;
        }
        self.prompt_given(&spec);
        let Some((estimate, route)) = self.judged(&mut spec) else { return Err(self.errors) };
        let fallback = self.fallback(&spec);
        if self.errors.is_empty() {
            Ok(Asked { id, line_id: None, spec, count, estimate, route, fallback })
        } else {
            Err(self.errors)
        }
    }

    fn id(&mut self) -> String {
        let Some((column, id)) = self.layout.id.and_then(|column| Some((column, self.raw.get(column)?)))
        else {
            return self.raw.row.to_string();
        };
        if let Err(message) = field::check_id(id) {
            self.blame(column, message);
        }
        id.to_owned()
    }

    fn fields(&mut self, spec: &mut Spec) {
        for (column, what) in self.layout.uses.iter().enumerate() {
            let Some(text) = self.raw.get(column) else { continue };
            if self.varied.iter().any(|it| it.column == Some(column)) {
                continue;
            }
            match what {
                Use::Field(field) => {
                    if let Err(message) = field::set(spec, field, text) {
                        self.blame(column, message);
                    }
                }
                Use::Derive => {
                    let derivatives = of_cell(text).map_err(|wrong| wrong.to_string());
                    let can_derive = self.rules.can_derive;
                    if let Err(wrong) = derivatives.and_then(|all| all.iter().try_for_each(can_derive)) {
                        self.blame(column, wrong);
                    }
                }
                Use::Unnamed => {
                    let message =
                        format!("column {} has no name in the header; name it or empty it", column + 1);
                    self.errors.push(RowError::row(self.raw.row, message));
                }
                Use::Id | Use::Count | Use::Other => {}
            }
        }
        for it in self.varied {
            let Some(field) = it.target.field else { continue };
            if let Err(message) = field::set(spec, field, it.text) {
                let column = it.column.map(|column| self.titles[column].clone());
                self.errors.push(RowError {
                    column,
                    field: Some(field.to_owned()),
                    value: Some(shortened(it.text).into()),
                    ..RowError::row(self.raw.row, message)
                });
            }
        }
    }

    fn rendered(&mut self, id: &str) -> Option<String> {
        let template = self.rules.template.filter(|_| !self.layout.lacks_variables)?;
        let of_row = |(i, name): (usize, &String)| {
            if let Some(it) = self.varied.iter().find(|it| it.target.variable == Some(i)) {
                return it.value();
            }
            let in_cell =
                self.layout.variables.get(i).copied().flatten().and_then(|column| self.raw.variable(column));
            match in_cell {
                Some(value) => value,
                None if name == "id" => Value::from(id),
                None => self.rules.variables[i].clone(),
            }
        };
        let values: Vec<_> = template.variables().iter().enumerate().map(of_row).collect();
        let mut spec = Spec::default();
        let set = template.render(values).map_err(|error| error.to_string()).and_then(|prompt| match prompt
            .trim()
        {
            "" => Err("the template gives an empty prompt for this row".to_owned()),
            prompt => field::set(&mut spec, "prompt", prompt),
        });
        if let Err(message) = set {
            self.errors
                .push(RowError { field: Some("prompt".to_owned()), ..RowError::row(self.raw.row, message) });
        }
        spec.prompt
    }

    fn count(&mut self) -> u32 {
        let take = self.layout.uses.iter().position(|what| *what == Use::Field("take"));
        let take_given = take.is_some_and(|column| self.raw.get(column).is_some());
        let Some((column, text)) = self.layout.count.and_then(|column| Some((column, self.raw.get(column)?)))
        else {
            return if take_given { 1 } else { self.rules.count };
        };
        match field::count(text) {
            Ok(count) if count > 1 && take_given => {
                self.blame(
                    column,
                    "n and take are both given; n asks for takes 0 to n-1, take for one of them".to_owned(),
                );
                1
            }
            Ok(count) => count,
            Err(message) => {
                self.blame(column, message);
                1
            }
        }
    }

    fn prompt_given(&mut self, spec: &Spec) {
        let needless = spec.prompt.is_some() || spec.operation == Operation::Variation;
        if needless || self.has_error_on("prompt") {
            return;
        }
        let column = self.column_of("prompt");
        let message = match column {
            Some(_) => "the prompt is empty",
            None => {
                "there is no prompt; add a column named prompt, or make it of other columns with --template"
            }
        };
        self.errors.push(RowError {
            column: column.map(|column| self.titles[column].clone()),
            field: Some("prompt".to_owned()),
            ..RowError::row(self.raw.row, message)
        });
    }

    /// Asks the catalogue what the model thinks of the spec; none when the model is not usable.
    fn judged(&mut self, spec: &mut Spec) -> Option<(Estimate, Route)> {
        let model = self.model(&spec.model)?;
        let mut problems = model.check(spec);
        if !problems.is_empty() && self.rules.template.is_some() {
            problems.retain(|problem| !self.is_for_the_prompt(spec, problem.field));
        }
        for problem in problems {
            if !self.has_error_on(problem.field) {
                self.problem(problem.field, &value_of(spec, problem.field), problem.message);
            }
        }
        if !self.errors.is_empty() {
            return None;
        }
        match price::estimate(model, spec, self.rules.terms) {
            Ok(estimate) => Some((estimate, Route::new(&model.family, spec.operation))),
            Err(error) => {
                self.problem("model", &spec.model, error.to_string());
                None
            }
        }
    }

    /// What the fallback would make of a good spec; refuses what it would refuse.
    fn fallback(&mut self, spec: &Spec) -> Option<Fallback> {
        let model = self.rules.fallback.filter(|model| model.id != spec.model)?;
        let spec = Spec { model: model.id.clone(), ..spec.clone() };
        for problem in model.check(&spec) {
            let message = format!("{}; or choose another --fallback", problem.message);
            self.problem(problem.field, &value_of(&spec, problem.field), message);
        }
        match price::estimate(model, &spec, self.rules.terms) {
            Ok(Estimate { ceiling, .. }) => {
                let route = Route::new(&model.family, spec.operation);
                Some(Fallback { model: spec.model, route, ceiling })
            }
            Err(error) => {
                if self.errors.is_empty() {
                    self.problem("model", &spec.model, format!("--fallback: {error}"));
                }
                None
            }
        }
    }

    /// Takes back a field whose words were meant for the template that reads them, such as style `studio`.
    fn is_for_the_prompt(&self, spec: &mut Spec, field: &str) -> bool {
        let reads =
            |name: &str| self.rules.template.is_some_and(|it| it.variables().iter().any(|v| v == name));
        let place = match field {
            "style" => &mut spec.style,
            // A word of the API's own is meant for the API, also where this model refuses it.
            "background"
                if !matches!(spec.background.as_deref(), Some("auto" | "opaque" | "transparent")) =>
            {
                &mut spec.background
            }
            _ => return false,
        };
        if !reads(field) {
            return false;
        }
        *place = None;
        true
    }

    /// The row's model; each is judged once.
    fn model(&mut self, id: &str) -> Option<&'r Model> {
        if let Some(model) = self.models.get(id) {
            return Some(model);
        }
        match usable(self.rules.catalogue, self.rules.hosts, self.rules.today, id) {
            Ok(model) => {
                self.models.insert(id.to_owned(), model);
                Some(model)
            }
            Err(message) => {
                self.problem("model", id, message);
                None
            }
        }
    }

    fn column_of(&self, field: &str) -> Option<usize> {
        self.layout.uses.iter().position(|what| matches!(what, Use::Field(name) if *name == field))
    }

    fn has_error_on(&self, field: &str) -> bool {
        (field == "prompt" && self.layout.lacks_variables)
            || self.errors.iter().any(|error| error.field.as_deref() == Some(field))
    }

    fn problem(&mut self, field: &str, value: &str, message: String) {
        let given = self.column_of(field).filter(|column| self.raw.get(*column).is_some());
        self.errors.push(RowError {
            column: given.map(|column| self.titles[column].clone()),
            field: Some(field.to_owned()),
            value: Some(shortened(value).into()),
            ..RowError::row(self.raw.row, message)
        });
    }

    fn blame(&mut self, column: usize, message: String) {
        let value = self.raw.get(column).unwrap_or_default();
        let field = match self.layout.uses[column] {
            Use::Field(field) => Some(field.to_owned()),
            _ => None,
        };
        self.errors
            .push(RowError { field, ..RowError::cell(self.raw.row, &self.titles[column], value, message) });
    }
}

fn value_of(spec: &Spec, field: &str) -> String {
    match serde_json::to_value(spec)
        .ok()
        .and_then(|mut fields| fields.get_mut(field).map(serde_json::Value::take))
    {
        Some(serde_json::Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
