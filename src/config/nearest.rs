//! Reads a section and, where it has an unknown key, names the one that was meant.

use std::collections::BTreeSet;

use config::{ConfigError, Value};
use serde::de::DeserializeOwned;

/// Reads a section; `others` are keys of it that are read elsewhere.
pub(super) fn read<T: DeserializeOwned>(value: Value, others: &[&str]) -> anyhow::Result<T> {
    T::deserialize(value).map_err(|error| told(error, others))
}

/// Refuses a key that is not among the known.
pub(super) fn known(name: &str, known: &[&str]) -> anyhow::Result<()> {
    if known.contains(&name) { Ok(()) } else { Err(unknown(name, known)) }
}

fn told(error: ConfigError, others: &[&str]) -> anyhow::Error {
    let text = error.to_string();
    let Some(rest) = text.split("unknown field `").nth(1) else { return error.into() };
    let mut names = rest.split('`').step_by(2);
    let Some(name) = names.next() else { return error.into() };
    let known: BTreeSet<&str> = names.chain(others.iter().copied()).filter(|name| !name.is_empty()).collect();
    unknown(name, &known.into_iter().collect::<Vec<_>>())
}

/// The one that was probably meant.
pub(super) fn of<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known.iter().map(|known| (strsim::damerau_levenshtein(name, known), *known)).min();
    near.filter(|(distance, _)| *distance <= (name.chars().count() / 3).max(2)).map(|(_, near)| near)
}

fn unknown(name: &str, known: &[&str]) -> anyhow::Error {
    match of(name, known) {
        Some(near) => anyhow::anyhow!("unknown key {name:?}; did you mean {near:?}?"),
        None => anyhow::anyhow!("unknown key {name:?}; the keys here are {}", known.join(", ")),
    }
}
