//! Webhooks: who is told of batches and failures, and what signs.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context;
use config::Value;
use pictor_common::{
    batch::check_name,
    webhook::{EventType, Wanted},
};
use pictor_worker::{Webhook, WebhookSecret};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{layers::Table, nearest, surroundings::set};

/// Endpoints of one namespace.
const MOST: usize = 32;

/// One endpoint, and where its secret comes from.
#[derive(Clone, Debug)]
pub(crate) struct WebhookSettings {
    /// The endpoint; without a secret where its variable is not set.
    pub(crate) webhook: Webhook,
    /// The variable that holds the secret, if one does.
    pub(crate) variable: Option<String>,
    /// What keeps it from being told, if something does.
    pub(crate) lacks: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    url: SecretString,
    secret_env: Option<String>,
    secret_file: Option<PathBuf>,
    events: Option<Vec<String>>,
    #[serde(default)]
    tenants: Vec<String>,
    #[serde(default)]
    named_only: bool,
}

/// What the settings say of endpoints, before variables are looked at.
pub(super) type All = BTreeMap<String, (Webhook, Option<String>)>;

/// Reads the section.
pub(super) fn fields(whole: &Table) -> anyhow::Result<All> {
    let table = whole.get("webhooks").cloned().map(Value::into_table).transpose();
    let table = table.context("settings: webhooks")?.unwrap_or_default();
    anyhow::ensure!(table.len() <= MOST, "settings: webhooks: there are more than {MOST}");
    let mut webhooks = All::new();
    for (name, value) in table {
        let told = || format!("settings: webhooks.{name}");
        check_name(&name).with_context(told)?;
        let fields: Fields = nearest::read(value, &[]).with_context(told)?;
        let read = one(&name, fields).with_context(told)?;
        webhooks.insert(name, read);
    }
    Ok(webhooks)
}

fn one(name: &str, fields: Fields) -> anyhow::Result<(Webhook, Option<String>)> {
    let url = url::Url::parse(fields.url.expose_secret()).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.context("url is no http or https URL")?;
    let events = match &fields.events {
        None => EventType::ALL.to_vec(),
        Some(events) => {
            let events: Result<Vec<EventType>, _> = events.iter().map(|event| event.parse()).collect();
            events.context("events")?
        }
    };
    anyhow::ensure!(!events.is_empty(), "events names none: leave it out for all");
    for tenant in &fields.tenants {
        check_name(tenant).context("tenants")?;
    }
    let secret = match (&fields.secret_env, fields.secret_file) {
        (Some(_), None) => WebhookSecret::Given(SecretString::from("")),
        (None, Some(file)) => WebhookSecret::File(file),
        _ => anyhow::bail!("say where the secret that signs comes from: either secret_env or secret_file"),
    };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default());
    let wanted = Wanted { events, tenants: fields.tenants, named_only: fields.named_only, host };
    Ok((Webhook { name: name.to_owned(), url: fields.url, secret, wanted }, fields.secret_env))
}

/// The endpoints with their secrets.
pub(super) fn all(
    webhooks: All,
    environment: &BTreeMap<String, String>,
) -> BTreeMap<String, WebhookSettings> {
    let whole = webhooks.into_iter().map(|(name, (mut webhook, variable))| {
        let mut lacks = None;
        if let Some(variable) = &variable {
            match set(environment, variable) {
                Some(secret) => webhook.secret = WebhookSecret::Given(SecretString::from(secret.to_owned())),
                None => lacks = Some(format!("set the environment variable {variable}")),
            }
        }
        let lacks = lacks.or_else(|| webhook.check().err());
        (name, WebhookSettings { webhook, variable, lacks })
    });
    whole.collect()
}
