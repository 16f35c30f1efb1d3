//! Profiles: key, namespace, store and caps that are selected together.
//!
//! A profile's table in the file is laid over the rest of the file. What it does not name and must
//! not be shared is kept apart by the profile's name: namespace, store, data directory and spool.

use std::path::Path;

use anyhow::Context;
use config::{Value, ValueKind};

use super::{
    layers::{Layers, Table},
    nearest,
    origin::Origin,
    sections::SECTIONS,
};
use crate::{exit::refused, parts::DEFAULT_STORE};

/// Profiles that may be selected without a table.
const NAMES: [&str; 3] = ["dev", "staging", "prod"];

/// Takes the profiles out of a settings file.
pub(super) fn take(file: &mut Table) -> anyhow::Result<Vec<(String, Table)>> {
    let Some(profiles) = file.remove("profiles") else { return Ok(Vec::new()) };
    let profiles = profiles.into_table().context("settings: profiles")?;
    let mut profiles: Vec<_> = profiles.into_iter().collect();
    profiles.sort_by(|(a, _), (b, _)| a.cmp(b));
    profiles.into_iter().map(|(name, value)| one(name, value)).collect()
}

fn one(name: String, value: Value) -> anyhow::Result<(String, Table)> {
    let told = || format!("settings: profiles.{name}");
    pictor_common::batch::check_name(&name).with_context(told)?;
    let table = value.into_table().with_context(told)?;
    for section in table.keys() {
        nearest::known(section, SECTIONS).with_context(told)?;
    }
    Ok((name, table))
}

/// The table of the selected profile, which may be empty; a name that is not known is refused.
pub(super) fn select(profiles: &[(String, Table)], name: &str) -> anyhow::Result<Table> {
    if let Some((_, table)) = profiles.iter().find(|(other, _)| other == name) {
        return Ok(table.clone());
    }
    let own: Vec<&str> = profiles.iter().map(|(name, _)| name.as_str()).collect();
    if !NAMES.contains(&name) {
        let mut known: Vec<&str> = NAMES.into_iter().chain(own).collect();
        known.sort_unstable();
        known.dedup();
        return Err(refused(match nearest::of(name, &known) {
            Some(near) => format!("there is no profile {name:?}; did you mean {near:?}?"),
            None => format!(
                "there is no profile {name:?}; there are {}, or add [profiles.{name}] to the settings file",
                known.join(", ")
            ),
        }));
    }
    // Else it would be believed that the misspelt table holds.
    let foreign: Vec<&str> = own.into_iter().filter(|own| !NAMES.contains(own)).collect();
    match nearest::of(name, &foreign) {
        Some(near) => Err(refused(format!(
            "the settings have a table [profiles.{near}] and none for {name}: is it misspelt? \
             Rename it, or add an empty [profiles.{name}]"
        ))),
        None => Ok(Table::new()),
    }
}

/// Lays the selected profile's table over the rest of the file.
pub(super) fn lay(layers: &mut Layers, name: &str, table: Table, file: Option<&Path>) {
    if let Some(ValueKind::Table(named)) = table.get("accounts").map(|value| &value.kind) {
        // Or a key for real images would serve beside the profile's own.
        layers.keep_accounts(&named.clone());
    }
    let origin = file.map_or_else(Origin::default, |file| Origin::Table {
        file: file.to_owned(),
        profile: name.to_owned(),
    });
    layers.lay(table, |_| origin.clone());
}

/// Keeps apart, by the profile's name, what nobody named for this profile or this process.
pub(super) fn keep_apart(layers: &mut Layers, name: &str, default_data_dir: &Path) {
    let origin = Origin::Profile { profile: name.to_owned() };
    let below = |dir: &Path| dir.join("profiles").join(name).display().to_string();
    let data_dir_is_particular = layers.origin(&["data_dir"]).is_particular();
    let namespace = layers.text(&["redis", "namespace"]).unwrap_or_default();
    let store = layers.text(&["store", "url"]).unwrap_or_else(|| DEFAULT_STORE.to_owned());
    let store = store.strip_suffix('/').unwrap_or(&store);
    let data_dir = layers.text(&["data_dir"]).map_or_else(|| default_data_dir.to_owned(), Into::into);
    let spool = match layers.text(&["worker", "spool"]) {
        Some(spool) => Some(below(Path::new(&spool))),
        // A dead worker's spool is replayed by whoever shares it: never into another namespace.
        None if data_dir_is_particular => Some(below(&data_dir.join("spool"))),
        None => None,
    };
    let apart = [
        (["redis", "namespace"].as_slice(), Some(format!("{namespace}-{name}"))),
        (&["store", "url"], Some(format!("{store}/{name}"))),
        (&["data_dir"], Some(below(&data_dir))),
        (&["worker", "spool"], spool),
    ];
    for (path, value) in apart {
        if let Some(value) = value.filter(|_| !layers.origin(path).is_particular()) {
            layers.set(path, value, &origin);
        }
    }
}
