//! Accounts: a key and limits of its own at an image API.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::Context;
use config::Value;
use pictor_common::{batch::check_name, catalogue::Catalogue, queue::LaneLimits};
use pictor_worker::provider::openai_images::Account;
use secrecy::SecretString;

use super::{nearest, set};

/// What is used when no account is set.
const DEFAULT_NAME: &str = "openai";
const DEFAULT_KEY: &str = "OPENAI_API_KEY";
const OWN_KEYS: &[&str] = &["dialect", "api_key_env", "api_key_file", "families", "limits"];

/// One account.
#[derive(Clone, Debug)]
pub(crate) struct AccountSettings {
    /// How its API is talked to, with the key where there is one.
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
    /// The settings themselves, or none is wanted.
    Settings,
}

impl AccountSettings {
    /// Says what is missing, unless the account can send.
    pub(crate) fn lacks_key(&self) -> Option<String> {
        use pictor_worker::provider::openai_images::Auth;
        if self.account.api_key.is_some() || self.account.auth == Auth::None {
            return None;
        }
        Some(match &self.key {
            Key::Variable(name) => format!("set the environment variable {name}"),
            Key::File(path) => format!("the file {} is empty", path.display()),
            Key::Settings => "set api_key_env to the name of the variable that holds it".to_owned(),
        })
    }

    /// The host that judges which models live.
    pub(crate) fn host(&self) -> String {
        let url = url::Url::parse(&self.account.base_url).ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// Reads all accounts; where none is set, OpenAI's own with its usual variable.
pub(super) fn all(
    whole: &BTreeMap<String, Value>,
    catalogue: &Catalogue,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<BTreeMap<String, AccountSettings>> {
    let table = whole.get("accounts").cloned().map(Value::into_table).transpose();
    let table = table.context("settings: accounts")?.unwrap_or_default();
    let mut accounts = BTreeMap::new();
    for (name, value) in table {
        let told = format!("settings: accounts.{name}");
        check_name(&name).context(told.clone())?;
        let account =
            value.into_table().map_err(Into::into).and_then(|fields| one(fields, catalogue, environment));
        accounts.insert(name, account.context(told)?);
    }
    if accounts.is_empty() {
        let fields = config::Map::from([("api_key_env".to_owned(), Value::new(None, DEFAULT_KEY))]);
        accounts.insert(DEFAULT_NAME.to_owned(), one(fields, catalogue, environment)?);
    }
    Ok(accounts)
}

fn one(
    mut fields: config::Map<String, Value>,
    catalogue: &Catalogue,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<AccountSettings> {
    let mut text = |name: &str| fields.remove(name).map(Value::into_string).transpose();
    let dialect = text("dialect")?.unwrap_or_else(|| "openai_images".to_owned());
    anyhow::ensure!(
        dialect == "openai_images",
        "dialect {dialect:?} is unknown; the one there is is \"openai_images\""
    );
    let (variable, file) = (text("api_key_env")?, text("api_key_file")?.map(PathBuf::from));
    let families = fields.remove("families").map(Value::try_deserialize::<BTreeSet<String>>).transpose();
    let families = families.context("families")?;
    let limits = fields.remove("limits").map(Value::into_table).transpose().context("limits")?;
    let mut account: Account = nearest::read(Value::new(None, fields), OWN_KEYS)?;
    let key = match (variable, file) {
        (Some(name), _) => {
            account.api_key = set(environment, &name).map(|key| SecretString::from(key.trim().to_owned()));
            Key::Variable(name)
        }
        (None, Some(path)) => {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("api_key_file {}", path.display()))?;
            account.api_key =
                Some(text.trim().to_owned()).filter(|key| !key.is_empty()).map(SecretString::from);
            Key::File(path)
        }
        (None, None) => Key::Settings,
    };
    let known: BTreeSet<&str> = catalogue.models().map(|model| model.family.as_str()).collect();
    let known: Vec<&str> = known.into_iter().collect();
    for family in families.iter().flatten() {
        nearest::known(family, &known).context("families")?;
    }
    let mut by_family = BTreeMap::new();
    for (family, value) in limits.unwrap_or_default() {
        nearest::known(&family, &known).context("limits")?;
        let read = nearest::read(value, &[]).with_context(|| format!("limits.{family}"))?;
        by_family.insert(family, read);
    }
    Ok(AccountSettings { account, key, families, limits: by_family })
}
