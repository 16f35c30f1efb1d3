//! Settings: defaults < file < environment < flags. The only reader of the environment.

mod account;
mod nearest;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use config::{Config, File, FileFormat, Value};
use pictor_common::{MicroUsd, batch::check_name, catalogue::Catalogue};
use pictor_store::S3Settings;
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};

pub(crate) use account::{AccountSettings, Key};

use crate::cli::LogFormat;

const DEFAULTS: &str = include_str!("defaults.toml");
const SECTIONS: &[&str] =
    &["redis", "store", "accounts", "worker", "budget", "catalogue", "data_dir", "log", "log_format"];

/// What the command line says of settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) file: Option<PathBuf>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) log: Option<String>,
    pub(crate) log_format: Option<LogFormat>,
}

/// Everything that can be set.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) redis: RedisSettings,
    pub(crate) store: StoreSettings,
    pub(crate) accounts: BTreeMap<String, AccountSettings>,
    pub(crate) worker: WorkerSettings,
    /// The most that may be spent in the namespace.
    pub(crate) total: Option<MicroUsd>,
    pub(crate) catalogue: Catalogue,
    /// Where the private Redis and the spool live.
    pub(crate) data_dir: PathBuf,
    pub(crate) log: Option<String>,
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedisSettings {
    /// May carry a password.
    pub(crate) url: Option<SecretString>,
    pub(crate) namespace: String,
}

/// Where images go.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreSettings {
    pub(crate) url: Option<String>,
    pub(crate) s3: S3Settings,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkerSettings {
    pub(crate) concurrency: usize,
    pub(crate) spool: Option<PathBuf>,
    pub(crate) max_attempts: u32,
    pub(crate) max_unknown: u32,
    drain_seconds: u64,
}

impl WorkerSettings {
    pub(crate) const fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetSettings {
    total: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogueSettings {
    file: Option<PathBuf>,
}

/// Reads the settings of this process.
pub(crate) fn load(flags: &Flags) -> anyhow::Result<Settings> {
    let environment = environment();
    let file = settings_file(flags, &environment)?;
    read(file.as_deref(), &environment, flags)
}

fn read(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
    flags: &Flags,
) -> anyhow::Result<Settings> {
    let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    if let Some(path) = file {
        // Read here: the error names the file, and an extension other than .toml is fine.
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the settings in {}", path.display()))?;
        let told = path.display().to_string();
        check_toml(&text).with_context(|| format!("settings in {told}"))?;
        builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
    }
    let source = environment.iter().filter(|(name, _)| is_setting(name));
    let source = source.map(|(name, value)| (name.clone(), value.clone())).collect();
    let variables = config::Environment::with_prefix("PICTOR")
        .prefix_separator("_")
        .separator("__")
        .ignore_empty(true)
        .source(Some(source));
    let config = builder.add_source(variables).build().context("settings")?;
    assemble(&config, environment, flags)
}

fn assemble(
    config: &Config,
    environment: &BTreeMap<String, String>,
    flags: &Flags,
) -> anyhow::Result<Settings> {
    let whole: BTreeMap<String, Value> = config.clone().try_deserialize().context("settings")?;
    for name in whole.keys() {
        nearest::known(name, SECTIONS).context("settings")?;
    }
    let redis: RedisSettings = section(&whole, "redis")?;
    check_name(&redis.namespace).context("settings: redis.namespace")?;
    let budget: BudgetSettings = section(&whole, "budget")?;
    let total = budget.total.map(|text| text.parse()).transpose().context("settings: budget.total")?;
    let catalogue: CatalogueSettings = section(&whole, "catalogue")?;
    let catalogue = catalogue_with(catalogue.file.as_deref())?;
    let text = |name: &str| whole.get(name).cloned().and_then(|value| value.into_string().ok());
    let data_dir = flags.data_dir.clone().or_else(|| text("data_dir").map(PathBuf::from));
    let worker: WorkerSettings = section(&whole, "worker")?;
    anyhow::ensure!(worker.concurrency > 0, "settings: worker.concurrency must be 1 or more");
    anyhow::ensure!(worker.max_attempts > 0, "settings: worker.max_attempts must be 1 or more");
    let log_format = whole.get("log_format").cloned().map(LogFormat::deserialize).transpose();
    Ok(Settings {
        data_dir: data_dir.unwrap_or_else(|| default_data_dir(redis.url.is_some(), environment)),
        store: store(&whole)?,
        accounts: account::all(&whole, &catalogue, environment)?,
        worker,
        total,
        catalogue,
        log: flags.log.clone().or_else(|| text("log")),
        log_format: flags.log_format.or(log_format.context("settings: log_format")?).unwrap_or_default(),
        redis,
    })
}

fn section<T: DeserializeOwned>(whole: &BTreeMap<String, Value>, name: &str) -> anyhow::Result<T> {
    let value =
        whole.get(name).cloned().unwrap_or_else(|| Value::new(None, config::Map::<String, Value>::new()));
    nearest::read(value, &[]).with_context(|| format!("settings: {name}"))
}

fn store(whole: &BTreeMap<String, Value>) -> anyhow::Result<StoreSettings> {
    let told = "settings: store";
    let value =
        whole.get("store").cloned().unwrap_or_else(|| Value::new(None, config::Map::<String, Value>::new()));
    let mut fields = value.into_table().context(told)?;
    let url = fields.remove("url").map(Value::into_string).transpose().context(told)?;
    let s3 = nearest::read(Value::new(None, fields), &["url"]).context(told)?;
    Ok(StoreSettings { url, s3 })
}

fn catalogue_with(file: Option<&Path>) -> anyhow::Result<Catalogue> {
    let embedded = Catalogue::embedded();
    let Some(path) = file else { return Ok(embedded) };
    let told = || format!("cannot use the catalogue {}", path.display());
    let text = std::fs::read_to_string(path).with_context(told)?;
    embedded.overridden(&text).with_context(told)
}

/// A misplaced quote is told with its line, which the layers above would lose.
fn check_toml(text: &str) -> anyhow::Result<()> {
    text.parse::<toml::Table>()
        .map(|_| ())
        .map_err(|error| anyhow::anyhow!("{}", error.to_string().trim_end()))
}

/// Variables such as `PICTOR_PORT`, which Kubernetes sets for a service of that name, are not settings.
fn is_setting(name: &str) -> bool {
    name.strip_prefix("PICTOR_")
        .is_some_and(|rest| rest.contains("__") || matches!(rest, "LOG" | "LOG_FORMAT" | "DATA_DIR"))
}

fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn settings_file(flags: &Flags, environment: &BTreeMap<String, String>) -> anyhow::Result<Option<PathBuf>> {
    let named = flags.file.clone().or_else(|| set(environment, "PICTOR_CONFIG").map(PathBuf::from));
    if named.is_some() {
        return Ok(named);
    }
    let home = || set(environment, "HOME").map(|home| Path::new(home).join(".config"));
    let user = set(environment, "XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    let places = [Some(PathBuf::from("pictor.toml")), user.map(|dir| dir.join("pictor/pictor.toml"))];
    Ok(places.into_iter().flatten().find(|path| path.is_file()))
}

fn set<'e>(environment: &'e BTreeMap<String, String>, name: &str) -> Option<&'e str> {
    environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// A private Redis belongs to the directory its images are in; a worker's spool to its user.
fn default_data_dir(shared: bool, environment: &BTreeMap<String, String>) -> PathBuf {
    let here = PathBuf::from(".pictor");
    if !shared {
        return here;
    }
    let home = || set(environment, "HOME").map(|home| Path::new(home).join(".local/share"));
    let user = set(environment, "XDG_DATA_HOME").map(PathBuf::from).or_else(home);
    user.map_or(here, |dir| dir.join("pictor"))
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

/// Where programs are looked for: PATH, then the tools beside the binary and below the working directory.
pub(crate) fn program_dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    if let Ok(binary) = std::env::current_exe() {
        dirs.extend(binary.parent().and_then(Path::parent).map(|dir| dir.join("tools/bin")));
    }
    dirs.push(PathBuf::from("target/tools/bin"));
    dirs
}

/// A directory of the user's for sockets whose path must be short.
pub(crate) fn runtime_dir() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    own.unwrap_or_else(|| PathBuf::from("/tmp"))
}

#[cfg(test)]
mod tests;
