//! The settings by section, each checked as far as it can be by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context;
use pictor_common::{
    batch::check_name,
    derivative::{self, Derivative},
    retention::Retention,
};
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    BudgetSettings, ScheduleSettings, StoreSettings, WorkerSettings, account, budget,
    layers::{self, Table},
    nearest, retention, store, webhook,
};
use crate::cli::LogFormat;

pub(super) const SECTIONS: &[&str] = &[
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

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LedgerSettings {
    pub(super) keep_days: u32,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CatalogueSettings {
    pub(super) file: Option<PathBuf>,
}

/// The settings by section, before files that they name are read.
pub(super) struct Sections {
    pub(super) redis: RedisSettings,
    pub(super) store: StoreSettings,
    pub(super) worker: WorkerSettings,
    pub(super) budget: BudgetSettings,
    pub(super) ledger: LedgerSettings,
    pub(super) assets: AssetSettings,
    pub(super) retention: Retention,
    pub(super) schedule: ScheduleSettings,
    pub(super) webhooks: webhook::All,
    pub(super) catalogue: CatalogueSettings,
    pub(super) accounts: BTreeMap<String, account::Fields>,
    pub(super) derive: Vec<Derivative>,
    pub(super) log: Option<String>,
    pub(super) log_format: LogFormat,
}

impl Sections {
    pub(super) fn read(whole: &Table) -> anyhow::Result<Self> {
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
            store: store::read(whole)?,
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

pub(super) fn section<T: DeserializeOwned>(whole: &Table, name: &str) -> anyhow::Result<T> {
    let value = whole.get(name).cloned().unwrap_or_else(layers::empty);
    nearest::read(value, &[]).with_context(|| format!("settings: {name}"))
}
