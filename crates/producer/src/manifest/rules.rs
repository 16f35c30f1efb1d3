//! What is said once for all rows of a manifest: models, hosts, template, defaults.

use std::collections::BTreeMap;

use minijinja::Value;
use pictor_common::{
    Spec,
    catalogue::{Catalogue, Model},
    derivative::Derivative,
    price::Terms,
};

use super::{
    RowError,
    columns::{IgnoreColumns, Use, classify, field_named, nearest, normalized},
    error::shortened,
    field,
    variants::Target,
};
use crate::{
    template::Template,
    vary::{Axis, MOST_OF_ROW, product},
};

/// Which host answers for each model family, as the accounts say.
#[derive(Clone, Debug, Default)]
pub struct Hosts(pub BTreeMap<String, String>);

impl Hosts {
    /// The host of a family; none where no account serves it, which is not the manifest's fault.
    #[must_use]
    pub fn of(&self, family: &str) -> Option<&str> {
        self.0.get(family).map(String::as_str)
    }
}

/// What the rules are made from.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The models there are.
    pub catalogue: &'a Catalogue,
    /// Where they are asked.
    pub hosts: &'a Hosts,
    /// The day, `YYYY-MM-DD`.
    pub today: &'a str,
    /// The prompt template, if any.
    pub template: Option<&'a Template>,
    /// Values for cells that are empty: spec fields, `n` and variables of the template.
    pub defaults: &'a BTreeMap<String, String>,
    /// Columns that may stand there unused.
    pub ignore: IgnoreColumns,
}

/// Says why a derivative cannot be made, where it cannot.
pub type CanDerive = fn(&Derivative) -> Result<(), String>;

/// How rows become specs.
#[derive(Debug)]
pub struct Rules<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) hosts: &'a Hosts,
    pub(super) today: &'a str,
    /// At which prices.
    pub(super) terms: Terms,
    pub(super) template: Option<&'a Template>,
    pub(super) ignore: IgnoreColumns,
    /// A spec with all defaults set.
    pub(super) base: Spec,
    /// Takes of a row that says nothing of it.
    pub(super) count: u32,
    /// Default of each variable of the template.
    pub(super) variables: Vec<Value>,
    /// What varies in every row.
    pub(super) axes: Vec<RuleAxis>,
    /// The column of the ids, where it is not called so.
    pub(super) id_column: Option<String>,
    /// Whether bad rows are left out instead of refusing the file.
    pub(super) skip_bad: bool,
    /// The model that makes what the one that was asked cannot.
    pub(super) fallback: Option<&'a Model>,
    /// Why a derivative is not made by whoever submits, where it is not.
    pub(super) can_derive: CanDerive,
    defaults: BTreeMap<String, String>,
}

/// An axis, and what its values are put into.
#[derive(Debug)]
pub(super) struct RuleAxis {
    pub(super) axis: Axis,
    pub(super) target: Target,
}

impl<'a> Rules<'a> {
    /// Checks what is said for all rows.
    pub fn new(setup: Setup<'a>) -> Result<Self, Vec<RowError>> {
        let model = setup.catalogue.default_model();
        let terms = setup.today.parse().map_err(|error| vec![RowError::file(format!("today: {error}"))])?;
        let mut rules = Self {
            catalogue: setup.catalogue,
            hosts: setup.hosts,
            today: setup.today,
            terms,
            template: setup.template,
            ignore: setup.ignore,
            base: Spec { model: model.to_owned(), ..Spec::default() },
            count: 1,
            variables: vec![
                Value::UNDEFINED;
                setup.template.map_or(0, |template| template.variables().len())
            ],
            axes: Vec::new(),
            id_column: None,
            skip_bad: false,
            fallback: None,
            can_derive: |_| Ok(()),
            defaults: BTreeMap::from([("model".to_owned(), model.to_owned())]),
        };
        let mut errors = Vec::new();
        for (title, text) in setup.defaults {
            let (name, text) = (normalized(title), text.trim());
            if let Err(message) = rules.set_default(&name, text) {
                errors.push(RowError::of_default(title, text, message));
            }
            rules.defaults.insert(name, text.to_owned());
        }
        if errors.is_empty() { Ok(rules) } else { Err(errors) }
    }

    /// The same, with bad rows left out instead of refusing the whole file.
    #[must_use]
    pub fn skipping_bad(self, skip_bad: bool) -> Self {
        Self { skip_bad, ..self }
    }

    /// The same, with rows refused whose derivatives cannot be made.
    #[must_use]
    pub fn deriving(self, can_derive: CanDerive) -> Self {
        Self { can_derive, ..self }
    }

    /// The same, with a model that makes what the one that was asked cannot: every row must suit both.
    pub fn falling_back_to(self, model: Option<&str>) -> Result<Self, String> {
        let Some(id) = model else { return Ok(self) };
        let model = usable(self.catalogue, self.hosts, self.today, id);
        Ok(Self { fallback: Some(model.map_err(|why| format!("--fallback: {why}"))?), ..self })
    }

    /// Whether some of these columns asks for derivatives.
    #[must_use]
    pub fn derive_by(&self, columns: &[String]) -> bool {
        columns.iter().any(|title| matches!(classify(title, self.template, &self.ignore), Ok(Use::Derive)))
    }

    /// That model's name.
    #[must_use]
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.map(|model| model.id.as_str())
    }

    /// The same, with the ids in a column that is not called `id`.
    pub fn with_ids_in(self, column: Option<&str>) -> Result<Self, String> {
        let Some(title) = column else { return Ok(self) };
        let name = normalized(title);
        let wrong = match name.as_str() {
            "" => Some("names no column".to_owned()),
            "n" => Some("says how many images a prompt gets".to_owned()),
            name => field_named(name).map(|field| format!("is the {field} of an image")),
        };
        match wrong {
            Some(why) => {
                Err(format!("--id-column {:?}: that {why}; name the column of the ids", shortened(title)))
            }
            None => Ok(Self { id_column: Some(name).filter(|name| name != "id"), ..self }),
        }
    }

    /// The same, with things that vary in every row; the last one varies fastest.
    pub fn varied(mut self, axes: Vec<Axis>) -> Result<Self, Vec<RowError>> {
        let mut errors = Vec::new();
        for axis in axes {
            match self.target_of(&axis) {
                Ok(target) => self.axes.push(RuleAxis { axis, target }),
                Err(message) => errors.push(RowError::file(format!("--vary {}: {message}", axis.name))),
            }
        }
        let lines = product(self.axes.iter().map(|it| it.axis.values.len()));
        if lines > MOST_OF_ROW {
            let counts: Vec<String> =
                self.axes.iter().map(|it| format!("{} {}", it.axis.name, it.axis.values.len())).collect();
            errors.push(RowError::file(format!(
                "--vary {} makes {lines} lines of every row; at most {MOST_OF_ROW} are allowed",
                counts.join(" × ")
            )));
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }

    /// What the values of an axis are put into, if all of them can be.
    fn target_of(&self, axis: &Axis) -> Result<Target, String> {
        let name = axis.name.as_str();
        let variable = self.template.and_then(|template| template.variables().iter().position(|v| v == name));
        if self.axes.iter().any(|other| other.axis.name == name) {
            return Err("given twice; name all values at once".to_owned());
        }
        let field = match (name, field_named(name)) {
            ("n" | "take", _) => return Err("n says how many images a prompt gets; use n".to_owned()),
            _ if self.id_column.as_deref() == Some(name) => return Err("an id belongs to one row".to_owned()),
            ("id", _) => return Err("an id belongs to one row".to_owned()),
            ("prompt", _) if self.template.is_some() => None,
            (_, field) => field,
        };
        if field.is_none() && variable.is_none() {
            let hint = nearest(name, self.template).map(|near| format!("; did you mean {near:?}?"));
            return Err(format!("not a spec field or variable of the template{}", hint.unwrap_or_default()));
        }
        for value in &axis.values {
            match field {
                Some("model") => drop(usable(self.catalogue, self.hosts, self.today, value)?),
                Some(field) => field::set(&mut Spec::default(), field, value)?,
                None => {}
            }
        }
        Ok(Target { field, variable })
    }

    /// The defaults as they apply, with the model that rows get when they name none.
    #[must_use]
    pub const fn defaults(&self) -> &BTreeMap<String, String> {
        &self.defaults
    }

    /// The text of the template, if there is one.
    #[must_use]
    pub fn template_source(&self) -> Option<&str> {
        self.template.map(Template::source)
    }

    fn set_default(&mut self, name: &str, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Err("has no value".to_owned());
        }
        let variable = self.template.and_then(|template| template.variables().iter().position(|v| v == name));
        if let Some(variable) = variable {
            self.variables[variable] = Value::from(text);
        }
        match (name, field_named(name)) {
            ("n", _) => self.count = field::count(text)?,
            ("model", _) => {
                usable(self.catalogue, self.hosts, self.today, text)?;
                text.clone_into(&mut self.base.model);
            }
            ("prompt", _) if self.template.is_some() => {
                return variable
                    .map(|_| ())
                    .ok_or_else(|| "the template makes the prompt; leave this out".to_owned());
            }
            (_, Some(field)) => field::set(&mut self.base, field, text)?,
            (_, None) if variable.is_some() => {}
            (_, None) => {
                let hint = nearest(name, self.template).map(|near| format!("; did you mean {near:?}?"));
                return Err(format!(
                    "not a spec field or variable of the template{}",
                    hint.unwrap_or_default()
                ));
            }
        }
        Ok(())
    }
}

/// Finds a model, unless it is unknown or retired where it would be asked.
pub(super) fn usable<'c>(
    catalogue: &'c Catalogue,
    hosts: &Hosts,
    today: &str,
    id: &str,
) -> Result<&'c Model, String> {
    let Some(model) = catalogue.model(id) else {
        let hint = catalogue.nearest(id).map(|near| format!("; did you mean {near:?}?"));
        return Err(format!("unknown model {:?}{}", shortened(id), hint.unwrap_or_default()));
    };
    match hosts.of(&model.family).and_then(|host| model.retired(host, today)) {
        Some(reason) => Err(reason),
        None => Ok(model),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(template: Option<&str>, defaults: &[(&str, &str)]) -> Result<(Spec, u32), Vec<String>> {
        let catalogue = Catalogue::embedded();
        let template = template.map(|source| Template::new(source).unwrap());
        let setup = Setup {
            catalogue: &catalogue,
            hosts: &Hosts::default(),
            today: "2026-11-21",
            template: template.as_ref(),
            defaults: &defaults.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
            ignore: IgnoreColumns::None,
        };
        Rules::new(setup)
            .map(|rules| (rules.base, rules.count))
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn defaults_fill_the_spec() {
        let (base, count) =
            rules(Some("{{ brand }}"), &[("Input Fidelity", "High"), ("n", "3"), ("brand", "Acme")]).unwrap();
        assert_eq!(base.input_fidelity.as_deref(), Some("high"));
        assert_eq!((base.model.as_str(), count), ("gpt-image-2", 3));
    }

    #[test]
    fn wrong_defaults_are_all_told() {
        let wrong = [
            ("n", "0"),
            ("model", "dalle-3"),
            ("prompt", "x"),
            ("qualty", "high"),
            ("size", ""),
            ("verbatim", "ja"),
        ];
        assert_eq!(
            rules(Some("a mug"), &wrong).unwrap_err(),
            [
                "default model: unknown model \"dalle-3\"; did you mean \"dall-e-3\"?",
                "default n: \"0\" is not a whole number from 1 to 100",
                "default prompt: the template makes the prompt; leave this out",
                "default qualty: not a spec field or variable of the template; did you mean \"quality\"?",
                "default size: has no value",
                "default verbatim: \"ja\" is neither yes nor no; write yes, no, true, false, 1 or 0",
            ]
        );
    }
}
