//! Settings: defaults < file < profile < environment < flags. The only reader of the environment.

mod account;
mod budget;
mod editor;
mod layered;
mod layers;
mod mask;
mod nearest;
mod origin;
mod profile;
mod retention;
mod schedule;
mod sections;
mod show;
mod store;
mod surroundings;
mod webhook;
mod who;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::Context;
use pictor_common::{catalogue::Catalogue, derivative::Derivative, retention::Retention};

pub(crate) use account::{AccountSettings, Key};
pub(crate) use budget::{BudgetSettings, TenantBudget};
pub(crate) use editor::editor;
use layered::{layered, selected};
use layers::Layers;
pub(crate) use schedule::ScheduleSettings;
use sections::Sections;
pub(crate) use sections::{AssetSettings, LedgerSettings, RedisSettings};
pub(crate) use show::{Row, Shown};
pub(crate) use store::StoreSettings;
#[cfg(feature = "otel")]
pub(crate) use surroundings::traces;
use surroundings::{default_data_dir, environment, settings_file};
pub(crate) use surroundings::{own_program, own_variables, program_dirs, runtime_dir, temporary_dir};
pub(crate) use webhook::WebhookSettings;
pub(crate) use who::who;
pub(crate) use worker::WorkerSettings;

use crate::cli::LogFormat;

/// What the command line says of settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) file: Option<PathBuf>,
    pub(crate) profile: Option<String>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) log: Option<String>,
    pub(crate) log_format: Option<LogFormat>,
}

/// Everything that can be set.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The profile that is selected.
    pub(crate) profile: Option<String>,
    pub(crate) redis: RedisSettings,
    pub(crate) store: StoreSettings,
    pub(crate) accounts: BTreeMap<String, AccountSettings>,
    pub(crate) worker: WorkerSettings,
    pub(crate) budget: BudgetSettings,
    pub(crate) ledger: LedgerSettings,
    pub(crate) assets: AssetSettings,
    pub(crate) retention: Retention,
    pub(crate) schedule: ScheduleSettings,
    pub(crate) webhooks: BTreeMap<String, WebhookSettings>,
    pub(crate) catalogue: Catalogue,
    /// What is derived from every image, unless it is said of a batch.
    pub(crate) derive: Vec<Derivative>,
    /// Where the private Redis and the spool live.
    pub(crate) data_dir: PathBuf,
    pub(crate) log: Option<String>,
    pub(crate) log_format: LogFormat,
}

/// Reads the settings of this process.
pub(crate) fn load(flags: &Flags) -> anyhow::Result<Settings> {
    let environment = environment();
    let file = settings_file(flags, &environment)?;
    read(file.as_deref(), &environment, flags)
}

/// Every setting of this process with its value and where that comes from; secrets are masked.
pub(crate) fn explain(flags: &Flags, today: &str) -> anyhow::Result<Shown> {
    let environment = environment();
    let file = settings_file(flags, &environment)?;
    explain_of(file.as_deref(), &environment, flags, today)
}

fn explain_of(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
    flags: &Flags,
    today: &str,
) -> anyhow::Result<Shown> {
    let layers = layered(file, environment, flags)?;
    let profile = selected(flags, environment);
    let settings = assemble(&layers, profile.as_ref().map(|(name, _)| name.clone()), environment)?;
    Ok(show::show(&settings, &layers, file, profile, today))
}

fn read(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
    flags: &Flags,
) -> anyhow::Result<Settings> {
    let layers = layered(file, environment, flags)?;
    assemble(&layers, selected(flags, environment).map(|(name, _)| name), environment)
}

fn assemble(
    layers: &Layers,
    profile: Option<String>,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<Settings> {
    let Sections {
        redis,
        store,
        worker,
        budget,
        ledger,
        assets,
        retention,
        schedule,
        webhooks,
        catalogue,
        accounts,
        derive,
        log,
        log_format,
    } = Sections::read(&layers.values)?;
    let catalogue = catalogue_with(catalogue.file.as_deref())?;
    let data_dir = layers.text(&["data_dir"]).map(PathBuf::from);
    Ok(Settings {
        profile,
        data_dir: data_dir.unwrap_or_else(|| default_data_dir(redis.url.is_some(), environment)),
        store,
        accounts: account::all(accounts, &catalogue, &webhooks, environment)?,
        webhooks: webhook::all(webhooks, environment),
        worker,
        budget,
        ledger,
        assets,
        retention,
        schedule,
        catalogue,
        derive,
        log,
        log_format,
        redis,
    })
}

fn catalogue_with(file: Option<&Path>) -> anyhow::Result<Catalogue> {
    let embedded = Catalogue::embedded();
    let Some(path) = file else { return Ok(embedded) };
    let told = || format!("cannot use the catalogue {}", path.display());
    let text = std::fs::read_to_string(path).with_context(told)?;
    embedded.overridden(&text).with_context(told)
}

/// Profiles that can be selected: the usual ones, and those of the settings file.
pub(crate) fn profile_names(flags: &Flags) -> BTreeSet<String> {
    let file = settings_file(flags, &environment()).ok().flatten();
    let text = file.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let table = text.parse::<toml::Table>().unwrap_or_default();
    let own = table.get("profiles").and_then(toml::Value::as_table).map(|profiles| profiles.keys().cloned());
    let usual = ["dev", "staging", "prod"].into_iter().map(str::to_owned);
    usual.chain(own.into_iter().flatten()).collect()
}

#[cfg(test)]
mod tests;
