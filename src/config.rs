//! Settings: defaults < file < profile < environment < flags. The only reader of the environment.

mod account;
mod budget;
mod editor;
mod layers;
mod mask;
mod nearest;
mod origin;
mod profile;
mod retention;
mod show;
mod webhook;
mod who;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use config::{Value, ValueKind};
use pictor_common::{
    batch::{OnUnknown, check_name},
    catalogue::Catalogue,
    derivative::{self, Derivative},
    retention::Retention,
};
use pictor_store::{PublicBase, S3Settings};
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};

pub(crate) use account::{AccountSettings, Key};
pub(crate) use budget::{BudgetSettings, TenantBudget};
pub(crate) use editor::editor;
use layers::{Layers, Table};
use origin::Origin;
pub(crate) use show::{Row, Shown};
pub(crate) use webhook::WebhookSettings;
pub(crate) use who::who;

use crate::cli::LogFormat;

const DEFAULTS: &str = include_str!("defaults.toml");
const SECTIONS: &[&str] = &[
    "redis",
    "store",
    "accounts",
    "worker",
    "budget",
    "ledger",
    "assets",
    "retention",
    "schedule",
    "webhooks",
    "catalogue",
    "data_dir",
    "derive",
    "log",
    "log_format",
];

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

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedisSettings {
    /// May carry a password.
    pub(crate) url: Option<SecretString>,
    pub(crate) namespace: String,
    /// The authority that vouches for the server, instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// What the server is to know us by.
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    /// At the Sentinels, if they ask for it.
    pub(crate) sentinel_user: Option<String>,
    pub(crate) sentinel_password: Option<SecretString>,
}

/// Where images go.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreSettings {
    pub(crate) url: Option<String>,
    /// Where a web server or CDN serves what is in the store.
    pub(crate) public_base_url: Option<PublicBase>,
    pub(crate) s3: S3Settings,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkerSettings {
    pub(crate) concurrency: usize,
    pub(crate) spool: Option<PathBuf>,
    spool_keep_free_mib: u64,
    pub(crate) max_attempts: u32,
    #[serde(deserialize_with = "on_unknown")]
    on_unknown: OnUnknown,
    pub(crate) max_unknown: u32,
    /// Where it tells how it is.
    #[serde(default, deserialize_with = "address")]
    pub(crate) listen: Option<SocketAddr>,
    drain_seconds: u64,
    #[serde(default)]
    derive_threads: Option<usize>,
}

impl WorkerSettings {
    /// Bytes of the spool's disk that are left to others.
    pub(crate) const fn spool_keep_free(&self) -> u64 {
        self.spool_keep_free_mib.saturating_mul(1 << 20)
    }

    /// Requests for an asset with an unknown outcome after which it is sent once more.
    pub(crate) const fn risked(&self) -> u32 {
        match self.on_unknown {
            OnUnknown::Retry => self.max_unknown,
            OnUnknown::Park => 0,
        }
    }

    /// Images that are derived from at once: half the cores and at most 4, unless it is said; more cores than there are
    /// gain nothing.
    pub(crate) fn derive_threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.derive_threads.unwrap_or((cores / 2).min(4)).clamp(1, cores)
    }

    pub(crate) const fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

fn on_unknown<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OnUnknown, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|odd| D::Error::custom(format!("on_unknown: {odd}")))
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_odd| {
        D::Error::custom(format!("listen {text:?} is no address and port: write it as 127.0.0.1:9464"))
    })
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LedgerSettings {
    keep_days: u32,
}

impl LedgerSettings {
    /// How long entries stay in Redis once they are in the store.
    pub(crate) fn keep(&self) -> Duration {
        Duration::from_secs(u64::from(self.keep_days) * 86_400)
    }
}

/// What may be asked of one image.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssetSettings {
    /// Takes that a line may have, its first one included.
    pub(crate) max_takes: u32,
}

/// What `pictor schedule serve` may do here.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleSettings {
    /// Directories and `s3://bucket/prefix` whose files schedules may submit.
    #[serde(default, deserialize_with = "several")]
    pub(crate) read_from: Vec<String>,
}

/// A list, or in one text with commas between.
fn several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Several {
        List(Vec<String>),
        Text(String),
    }
    let list = match Several::deserialize(deserializer)? {
        Several::List(list) => list,
        Several::Text(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
    };
    Ok(list.into_iter().filter(|part| !part.is_empty()).collect())
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

/// The profile that is asked for, and by whom.
fn selected(flags: &Flags, environment: &BTreeMap<String, String>) -> Option<(String, Origin)> {
    let flag = flags.profile.clone().map(|name| (name, Origin::Flag { flag: "--profile" }));
    let variable = "PICTOR_PROFILE";
    let named = || {
        Some((set(environment, variable)?.to_owned(), Origin::Environment { variable: variable.to_owned() }))
    };
    flag.or_else(named)
}

fn layered(
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

/// The settings by section, before files that they name are read.
struct Sections {
    redis: RedisSettings,
    store: StoreSettings,
    worker: WorkerSettings,
    budget: BudgetSettings,
    ledger: LedgerSettings,
    assets: AssetSettings,
    retention: Retention,
    schedule: ScheduleSettings,
    webhooks: webhook::All,
    catalogue: CatalogueSettings,
    accounts: BTreeMap<String, account::Fields>,
    derive: Vec<Derivative>,
    log: Option<String>,
    log_format: LogFormat,
}

/// A list of words, or one text of several.
fn derivatives(whole: &Table) -> anyhow::Result<Vec<Derivative>> {
    let Some(value) = whole.get("derive") else { return Ok(Vec::new()) };
    let texts = match value.clone().into_array() {
        Ok(values) => values,
        Err(_one) => vec![value.clone()],
    };
    let mut list = Vec::new();
    for text in texts {
        derivative::add(&mut list, derivative::of_cell(&text.into_string()?)?)?;
    }
    Ok(list)
}

impl Sections {
    fn read(whole: &Table) -> anyhow::Result<Self> {
        for name in whole.keys().collect::<BTreeSet<_>>() {
            nearest::known(name, SECTIONS).context("settings")?;
        }
        let redis: RedisSettings = section(whole, "redis")?;
        check_name(&redis.namespace).context("settings: redis.namespace")?;
        let worker: WorkerSettings = section(whole, "worker")?;
        anyhow::ensure!(worker.concurrency > 0, "settings: worker.concurrency must be 1 or more");
        anyhow::ensure!(worker.max_attempts > 0, "settings: worker.max_attempts must be 1 or more");
        let log_format = whole.get("log_format").cloned().map(LogFormat::deserialize).transpose();
        Ok(Self {
            redis,
            store: store(whole)?,
            worker,
            budget: budget::read(whole)?,
            ledger: section(whole, "ledger")?,
            assets: section(whole, "assets")?,
            retention: section::<retention::Fields>(whole, "retention")?.read()?,
            schedule: section(whole, "schedule")?,
            webhooks: webhook::fields(whole)?,
            catalogue: section(whole, "catalogue")?,
            accounts: account::fields(whole)?,
            derive: derivatives(whole).context("settings: derive")?,
            log: whole.get("log").cloned().and_then(|value| value.into_string().ok()),
            log_format: log_format.context("settings: log_format")?.unwrap_or_default(),
        })
    }
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

fn section<T: DeserializeOwned>(whole: &Table, name: &str) -> anyhow::Result<T> {
    let value = whole.get(name).cloned().unwrap_or_else(layers::empty);
    nearest::read(value, &[]).with_context(|| format!("settings: {name}"))
}

fn store(whole: &Table) -> anyhow::Result<StoreSettings> {
    let told = "settings: store";
    let value = whole.get("store").cloned().unwrap_or_else(layers::empty);
    let mut fields = value.into_table().context(told)?;
    let url = fields.remove("url").map(Value::into_string).transpose().context(told)?;
    let base = fields.remove("public_base_url").map(Value::into_string).transpose().context(told)?;
    let base = base.map(|base| base.parse()).transpose();
    let public_base_url = base.context("settings: store.public_base_url")?;
    let s3 = nearest::read(Value::new(None, fields), &["url", "public_base_url"]).context(told)?;
    Ok(StoreSettings { url, public_base_url, s3 })
}

fn catalogue_with(file: Option<&Path>) -> anyhow::Result<Catalogue> {
    let embedded = Catalogue::embedded();
    let Some(path) = file else { return Ok(embedded) };
    let told = || format!("cannot use the catalogue {}", path.display());
    let text = std::fs::read_to_string(path).with_context(told)?;
    embedded.overridden(&text).with_context(told)
}

/// The setting that a variable names, with two underscores between parts.
///
/// Variables such as `PICTOR_PORT`, which Kubernetes sets for a service of that name, are none.
fn setting_of(variable: &str) -> Option<&str> {
    variable
        .strip_prefix("PICTOR_")
        .filter(|rest| rest.contains("__") || matches!(*rest, "LOG" | "LOG_FORMAT" | "DATA_DIR"))
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

/// Where files go that nobody keeps.
pub(crate) fn temporary_dir() -> PathBuf {
    std::env::temp_dir()
}

/// The program that runs.
pub(crate) fn own_program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// The variables that set something here, for a process that is to have settings of its own.
pub(crate) fn own_variables() -> Vec<String> {
    environment().into_keys().filter(|name| name.starts_with("PICTOR_")).collect()
}

/// That traces are asked for.
#[cfg(feature = "otel")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// The environment names the service.
    pub(crate) named: bool,
}

/// Whether the environment asks for traces, by OpenTelemetry's own variables.
#[cfg(feature = "otel")]
pub(crate) fn traces() -> Option<Asked> {
    let environment = environment();
    let has = |name: &str| set(&environment, name).is_some();
    let off = set(&environment, "OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"));
    let asked = has("OTEL_EXPORTER_OTLP_ENDPOINT") || has("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    (asked && !off).then(|| Asked { named: has("OTEL_SERVICE_NAME") })
}

/// A directory of the user's for sockets whose path must be short.
pub(crate) fn runtime_dir() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    own.unwrap_or_else(|| PathBuf::from("/tmp"))
}

#[cfg(test)]
mod tests;
