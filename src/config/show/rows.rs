//! Rows of settings, each with its value and where that comes from.

use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;

use crate::config::{layers::Layers, origin::Origin};

/// One setting.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// The table it stands in; empty for those that stand in none.
    pub(crate) section: String,
    /// Its name there.
    pub(crate) name: String,
    /// Its value; null where it has none.
    pub(crate) value: Value,
    /// Where the value comes from; null where it has none.
    pub(crate) origin: Option<Origin>,
}

/// Rows, as they come together.
#[derive(Debug)]
pub(super) struct Rows<'l> {
    layers: &'l Layers,
    rows: Vec<Row>,
}

impl<'l> Rows<'l> {
    pub(super) const fn of(layers: &'l Layers) -> Self {
        Self { layers, rows: Vec::new() }
    }

    /// Adds a setting; the layers know where it comes from.
    pub(super) fn add(&mut self, section: &str, path: &[&str], value: impl Into<Value>) {
        let origin = self.origin(section, path);
        self.add_from(section, &path.join("."), value.into(), origin);
    }

    /// Where a setting comes from.
    pub(super) fn origin(&self, section: &str, path: &[&str]) -> Origin {
        let sections = section.splitn(2, '.').filter(|part| !part.is_empty());
        self.layers.origin(&sections.chain(path.iter().copied()).collect::<Vec<_>>())
    }

    /// Adds a setting that comes from elsewhere.
    pub(super) fn add_from(&mut self, section: &str, name: &str, value: Value, origin: Origin) {
        let origin = Some(origin).filter(|origin| !value.is_null() || *origin != Origin::Default);
        self.rows.push(Row { section: section.to_owned(), name: name.to_owned(), value, origin });
    }

    pub(super) fn done(self) -> Vec<Row> {
        self.rows
    }
}

/// A text, or null.
pub(super) fn text(value: Option<String>) -> Value {
    value.map_or(Value::Null, Value::String)
}

/// That there is a secret, and not which.
pub(super) fn secret(value: Option<&SecretString>) -> Value {
    value.map_or(Value::Null, |_| "set".into())
}
