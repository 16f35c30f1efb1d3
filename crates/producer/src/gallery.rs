//! The prompt templates that ship with Pictor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{template::Template, vary::Axis};

const SHIPPED: [&str; 3] = [
    include_str!("../../../templates/product-shot.toml"),
    include_str!("../../../templates/consistent-character.toml"),
    include_str!("../../../templates/illustration-pack.toml"),
];

/// A template that ships with Pictor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shipped {
    /// What `--template` calls it.
    pub name: String,
    /// What it makes, in a sentence.
    pub description: String,
    /// How to get something else out of it.
    pub hint: String,
    /// The template itself.
    pub prompt: String,
    /// Spec fields it works well with, for cells that are empty.
    pub defaults: BTreeMap<String, String>,
    /// What it makes of every row.
    #[serde(default)]
    pub vary: Vec<Varies>,
    /// The columns it reads.
    pub variables: Vec<Variable>,
    /// A row to start from.
    pub sample: BTreeMap<String, String>,
}

/// A column that a template reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its title.
    pub name: String,
    /// What to write into it.
    pub meaning: String,
    /// Whether every row needs it.
    #[serde(default)]
    pub required: bool,
    /// What an empty cell means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// Something of which a template makes several from every row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Varies {
    /// The column it stands for.
    pub name: String,
    /// What it is in turn.
    pub values: Vec<String>,
}

/// All of them, in the order they are listed.
#[must_use]
pub fn shipped() -> Vec<Shipped> {
    SHIPPED.iter().map(|text| toml::from_str(text).expect("a test reads every one")).collect()
}

/// The template of this name.
#[must_use]
pub fn named(name: &str) -> Option<Shipped> {
    shipped().into_iter().find(|template| template.name == name)
}

/// The name most like one that does not exist.
#[must_use]
pub fn nearest(name: &str) -> Option<String> {
    let names = shipped().into_iter().map(|template| template.name);
    names
        .map(|known| (strsim::damerau_levenshtein(name, &known), known))
        .filter(|(distance, known)| *distance <= 3 || known.split('-').any(|word| word == name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

impl Shipped {
    /// The template, ready to be filled.
    #[must_use]
    pub fn template(&self) -> Template {
        let optional = self.variables.iter().filter(|variable| !variable.required);
        Template::new(self.prompt.trim())
            .expect("a test compiles every one")
            .with_optional(optional.map(|variable| variable.name.clone()))
    }

    /// Values for empty cells: of variables, and of spec fields.
    #[must_use]
    pub fn variable_defaults(&self) -> BTreeMap<String, String> {
        self.variables.iter().filter_map(|it| Some((it.name.clone(), it.default.clone()?))).collect()
    }

    /// What it makes of every row, unless the row itself says.
    #[must_use]
    pub fn axes(&self) -> Vec<Axis> {
        let axis = |it: &Varies| {
            Axis::new(&it.name, it.values.clone()).expect("a test reads every one").giving_way()
        };
        self.vary.iter().map(axis).collect()
    }

    /// Lines that one row becomes.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.vary.iter().map(|it| it.values.len()).product()
    }

    /// The sample row as a CSV file.
    #[must_use]
    pub fn sample_csv(&self) -> String {
        let id = std::iter::once("id");
        let titles: Vec<&str> = id
            .chain(self.variables.iter().map(|it| it.name.as_str()))
            .filter(|title| self.sample.contains_key(*title))
            .collect();
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        let cells = titles.iter().map(|title| &self.sample[*title]);
        let written = writer.write_record(&titles).and_then(|()| writer.write_record(cells));
        written.expect("memory takes every record");
        let bytes = writer.into_inner().expect("memory is always flushed");
        String::from_utf8(bytes).expect("it was made of texts")
    }
}

#[cfg(test)]
mod tests;
