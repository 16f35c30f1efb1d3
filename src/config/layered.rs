//! Who says what: defaults, then the file, a profile, the environment and flags, each laid over those before.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use config::ValueKind;

use super::{
    Flags,
    layers::{self, Layers, Table},
    origin::Origin,
    profile,
    sections::Sections,
    surroundings::{default_data_dir, set},
};

const DEFAULTS: &str = include_str!("../defaults.toml");

/// The profile that is asked for, and by whom.
pub(super) fn selected(flags: &Flags, environment: &BTreeMap<String, String>) -> Option<(String, Origin)> {
    let flag = flags.profile.clone().map(|name| (name, Origin::Flag { flag: "--profile" }));
    let variable = "PICTOR_PROFILE";
    let named = || {
        Some((set(environment, variable)?.to_owned(), Origin::Environment { variable: variable.to_owned() }))
    };
    flag.or_else(named)
}

pub(super) fn layered(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
    flags: &Flags,
) -> anyhow::Result<Layers> {
    let mut layers = Layers::default();
    layers.lay(toml_table(DEFAULTS)?, |_| Origin::Default);
    let mut profiles = Vec::new();
    if let Some(path) = file {
        // Read here: the error names the file, and an extension other than .toml is fine.
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the settings in {}", path.display()))?;
        let mut table = toml_table(&text).with_context(|| format!("settings in {}", path.display()))?;
        profiles = profile::take(&mut table)?;
        layers.lay(table, |_| Origin::File { file: path.to_owned() });
    }
    if !profiles.is_empty() {
        Sections::read(&layers.values)?;
    }
    for (name, table) in &profiles {
        // A mistake in the table for production shows before production is selected.
        let mut whole = layers.clone();
        profile::lay(&mut whole, name, table.clone(), file);
        Sections::read(&whole.values).with_context(|| format!("profile {name}"))?;
    }
    let profile = selected(flags, environment);
    if let Some((name, _)) = &profile {
        profile::lay(&mut layers, name, profile::select(&profiles, name)?, file);
    }
    let (table, variables) = environment_table(environment)?;
    layers.lay(table, |path| Origin::Environment {
        variable: variables.get(path).cloned().unwrap_or_default(),
    });
    lay_flags(&mut layers, flags);
    if let Some((name, _)) = &profile {
        let shared = layers.text(&["redis", "url"]).is_some();
        profile::keep_apart(&mut layers, name, &default_data_dir(shared, environment));
    }
    Ok(layers)
}

fn toml_table(text: &str) -> anyhow::Result<Table> {
    // The line of a misplaced quote is told.
    toml::from_str(text).map_err(|error| anyhow::anyhow!("{}", error.to_string().trim_end()))
}

type Variables = BTreeMap<Vec<String>, String>;

/// What the environment sets, and the variables' names.
fn environment_table(environment: &BTreeMap<String, String>) -> anyhow::Result<(Table, Variables)> {
    let (mut table, mut variables) = (Table::new(), Variables::new());
    for (name, value) in environment {
        let Some(rest) = setting_of(name).filter(|_| !value.is_empty()) else { continue };
        let path: Vec<String> = rest.to_lowercase().split("__").map(str::to_owned).collect();
        anyhow::ensure!(
            path.first().is_none_or(|section| section != "profiles"),
            "{name}: profiles are set in the settings file; PICTOR_PROFILE selects one"
        );
        layers::put(&mut table, &path, ValueKind::String(value.clone()));
        variables.insert(path, name.clone());
    }
    Ok((table, variables))
}

fn lay_flags(layers: &mut Layers, flags: &Flags) {
    let data_dir = flags.data_dir.as_ref().map(|dir| dir.display().to_string());
    let format = flags.log_format.map(|format| format.as_str().to_owned());
    for (name, flag, value) in [
        ("data_dir", "--data-dir", data_dir),
        ("log", "--log", flags.log.clone()),
        ("log_format", "--log-format", format),
    ] {
        if let Some(value) = value {
            layers.set(&[name], value, &Origin::Flag { flag });
        }
    }
}

/// The setting that a variable names, with two underscores between parts.
///
/// Variables such as `PICTOR_PORT`, which Kubernetes sets for a service of that name, are none.
fn setting_of(variable: &str) -> Option<&str> {
    variable
        .strip_prefix("PICTOR_")
        .filter(|rest| rest.contains("__") || matches!(*rest, "LOG" | "LOG_FORMAT" | "DATA_DIR"))
}
