//! Accounts: a key and limits of its own at an image API.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::Context;
use config::Value;
use pictor_common::{batch::check_name, catalogue::Catalogue, queue::LaneLimits};
use pictor_worker::provider::openai_images::{Account, Auth};
use secrecy::SecretString;

use super::{
    layers::{KEY_SOURCES, Table},
    nearest,
    surroundings::set,
};

/// What is used when no account is set.
const DEFAULT_NAME: &str = "openai";
const DEFAULT_KEY: &str = "OPENAI_API_KEY";
const OWN_KEYS: &[&str] = &["dialect", "api_key_env", "families", "limits"];

/// One account.
#[derive(Clone, Debug)]
pub(crate) struct AccountSettings {
    /// How its API is talked to, with the key where a variable or the settings hold it.
    pub(crate) account: Account,
    /// Where the key comes from.
    pub(crate) key: Key,
    /// Families it serves; none means all that live on its host.
    pub(crate) families: Option<BTreeSet<String>>,
    /// Limits by family.
    pub(crate) limits: BTreeMap<String, LaneLimits>,
}

/// Where a key comes from; told when it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// An environment variable.
    Variable(String),
    /// A file.
    File(PathBuf),
    /// A command, by its program.
    Command(String),
    /// The settings themselves, or none is wanted.
    Settings,
}

impl AccountSettings {
    /// Says what is missing, unless the account can send. A command is not run for it.
    pub(crate) fn lacks_key(&self) -> Option<String> {
        if self.account.api_key.is_some() || self.account.auth == Auth::None {
            return None;
        }
        match &self.key {
            Key::Variable(name) => Some(format!("set the environment variable {name}")),
            Key::File(_) => self.account.read_key().err().map(|error| error.to_string()),
            Key::Command(_) => None,
            Key::Settings => {
                let variable = format!("PICTOR_ACCOUNTS__{}__API_KEY_ENV", self.account.name.to_uppercase());
                Some(format!("set its api_key_env, or {variable}, to the name of the variable that holds it"))
            }
        }
    }

    /// The host that judges which models live.
    pub(crate) fn host(&self) -> String {
        let url = url::Url::parse(&self.account.base_url).ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// What the settings say of an account.
pub(super) struct Fields {
    account: Account,
    variable: Option<String>,
    families: Option<BTreeSet<String>>,
    limits: BTreeMap<String, LaneLimits>,
}

/// Reads what is said of accounts, as far as it can be judged by itself.
pub(super) fn fields(whole: &Table) -> anyhow::Result<BTreeMap<String, Fields>> {
    let table = whole.get("accounts").cloned().map(Value::into_table).transpose();
    let table = table.context("settings: accounts")?.unwrap_or_default();
    let mut accounts = BTreeMap::new();
    for (name, value) in table {
        let told = format!("settings: accounts.{name}");
        check_name(&name).context(told.clone())?;
        let fields = value.into_table().map_err(Into::into).and_then(one);
        accounts.insert(name, fields.context(told)?);
    }
    Ok(accounts)
}

fn one(mut fields: Table) -> anyhow::Result<Fields> {
    let sources: Vec<&str> = KEY_SOURCES.into_iter().filter(|source| fields.contains_key(*source)).collect();
    anyhow::ensure!(
        sources.len() < 2,
        "the key of an account comes from one place, and here are {}: keep one of them",
        sources.join(" and ")
    );
    let mut text = |name: &str| fields.remove(name).map(Value::into_string).transpose();
    let dialect = text("dialect")?.unwrap_or_else(|| "openai_images".to_owned());
    anyhow::ensure!(
        dialect == "openai_images",
        "dialect {dialect:?} is unknown; the one there is is \"openai_images\""
    );
    let variable = text("api_key_env")?;
    let families = fields.remove("families").map(Value::try_deserialize::<BTreeSet<String>>).transpose();
    let families = families.context("families")?;
    let limits = fields.remove("limits").map(Value::into_table).transpose().context("limits")?;
    let account: Account = nearest::read(Value::new(None, fields), OWN_KEYS)?;
    if let Some(command) = &account.key_command {
        anyhow::ensure!(
            !command.program().is_empty(),
            "key_command names no program: write it as [\"vault\", \"read\", \"-field=key\", \"secret/openai\"]"
        );
    }
    anyhow::ensure!(account.key_refresh_seconds > 0, "key_refresh_seconds must be 1 or more");
    let mut by_family = BTreeMap::new();
    for (family, value) in limits.unwrap_or_default() {
        let read = nearest::read(value, &[]).with_context(|| format!("limits.{family}"))?;
        by_family.insert(family, read);
    }
    Ok(Fields { account, variable, families, limits: by_family })
}

/// Makes the accounts; where none is set, OpenAI's own with its usual variable.
pub(super) fn all(
    mut accounts: BTreeMap<String, Fields>,
    catalogue: &Catalogue,
    webhooks: &super::webhook::All,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<BTreeMap<String, AccountSettings>> {
    if accounts.is_empty() {
        let fields = Table::from([("api_key_env".to_owned(), Value::new(None, DEFAULT_KEY))]);
        accounts.insert(DEFAULT_NAME.to_owned(), one(fields)?);
    }
    let keys = accounts.values().filter_map(|fields| fields.variable.clone());
    let ours = environment.keys().filter(|name| name.starts_with("PICTOR_")).cloned();
    let signing = webhooks.values().filter_map(|(_, variable)| variable.clone());
    let secret: Vec<String> = keys.chain(ours).chain(signing).collect();
    let known: BTreeSet<&str> = catalogue.models().map(|model| model.family.as_str()).collect();
    let known: Vec<&str> = known.into_iter().collect();
    let whole = accounts.into_iter().map(|(name, fields)| {
        let told = || format!("settings: accounts.{name}");
        for family in fields.families.iter().flatten() {
            nearest::known(family, &known).context("families").with_context(told)?;
        }
        for family in fields.limits.keys() {
            nearest::known(family, &known).context("limits").with_context(told)?;
        }
        Ok((name.clone(), with_key(name, fields, &secret, environment)))
    });
    whole.collect()
}

fn with_key(
    name: String,
    fields: Fields,
    secret: &[String],
    environment: &BTreeMap<String, String>,
) -> AccountSettings {
    let Fields { mut account, variable, families, limits } = fields;
    account.name = name;
    account.without_variables = secret.to_vec();
    let key = match (variable, &account.api_key_file, &account.key_command) {
        (Some(name), _, _) => {
            account.api_key = set(environment, &name).map(|key| SecretString::from(key.trim().to_owned()));
            Key::Variable(name)
        }
        (None, Some(file), _) => Key::File(file.clone()),
        (None, None, Some(command)) => Key::Command(command.program().to_owned()),
        (None, None, None) => Key::Settings,
    };
    AccountSettings { account, key, families, limits }
}
