//! Caps, the days they go by, and who is told when they are nearly reached.

use std::collections::BTreeMap;

use anyhow::Context;
use jiff::tz::TimeZone;
use pictor_common::{
    MicroUsd,
    batch::check_name,
    queue::{Cap, CapOf},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{layers::Table, sections::section};

/// What may be spent.
#[derive(Clone, Debug)]
pub(crate) struct BudgetSettings {
    /// In all.
    pub(crate) total: Option<MicroUsd>,
    /// A day.
    pub(crate) per_day: Option<MicroUsd>,
    /// Where the days are.
    pub(crate) time_zone: TimeZone,
    /// By tenants.
    pub(crate) tenants: BTreeMap<String, TenantBudget>,
    /// A program that is told of caps that are nearly reached, and its arguments.
    pub(crate) alert_command: Vec<String>,
    /// An address that is told of them; it may hold a secret.
    pub(crate) alert_url: Option<SecretString>,
}

/// What a tenant may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TenantBudget {
    /// In all.
    pub(crate) total: Option<MicroUsd>,
    /// A day.
    pub(crate) per_day: Option<MicroUsd>,
}

impl BudgetSettings {
    /// Without any cap, and nobody to tell.
    pub(crate) fn unlimited(&self) -> Self {
        Self {
            total: None,
            per_day: None,
            time_zone: self.time_zone.clone(),
            tenants: BTreeMap::new(),
            alert_command: Vec::new(),
            alert_url: None,
        }
    }

    /// The caps that are set here.
    pub(crate) fn caps(&self) -> Vec<Cap> {
        let mut caps = vec![(CapOf::Total, self.total), (CapOf::Day, self.per_day)];
        for (name, tenant) in &self.tenants {
            caps.push((CapOf::Tenant(name.clone()), tenant.total));
            caps.push((CapOf::TenantDay(name.clone()), tenant.per_day));
        }
        caps.retain(|(_, amount)| amount.is_some());
        caps
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    total: Option<String>,
    per_day: Option<String>,
    time_zone: String,
    #[serde(default)]
    tenants: BTreeMap<String, TenantFields>,
    #[serde(default)]
    alert_command: Vec<String>,
    alert_url: Option<SecretString>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantFields {
    total: Option<String>,
    per_day: Option<String>,
}

fn money(text: Option<&String>, told: &str) -> anyhow::Result<Option<MicroUsd>> {
    text.map(|text| text.parse()).transpose().with_context(|| format!("settings: budget.{told}"))
}

/// Reads the section.
pub(super) fn read(whole: &Table) -> anyhow::Result<BudgetSettings> {
    let fields: Fields = section(whole, "budget")?;
    let zone = TimeZone::get(&fields.time_zone).map_err(|_unknown| {
        let zone = &fields.time_zone;
        anyhow::anyhow!(
            "settings: budget.time_zone: {zone:?} is no time zone; write it as Europe/Berlin, or UTC"
        )
    })?;
    let mut tenants = BTreeMap::new();
    for (name, tenant) in &fields.tenants {
        check_name(name).with_context(|| format!("settings: budget.tenants.{name}"))?;
        let total = money(tenant.total.as_ref(), &format!("tenants.{name}.total"))?;
        let per_day = money(tenant.per_day.as_ref(), &format!("tenants.{name}.per_day"))?;
        tenants.insert(name.clone(), TenantBudget { total, per_day });
    }
    anyhow::ensure!(
        fields.alert_command.first().is_none_or(|program| !program.is_empty()),
        "settings: budget.alert_command names no program: write it as [\"notify-send\", \"pictor\"]"
    );
    if let Some(url) = &fields.alert_url {
        let parsed = url::Url::parse(url.expose_secret()).ok();
        anyhow::ensure!(
            parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https")),
            "settings: budget.alert_url is no http or https URL"
        );
    }
    Ok(BudgetSettings {
        total: money(fields.total.as_ref(), "total")?,
        per_day: money(fields.per_day.as_ref(), "per_day")?,
        time_zone: zone,
        tenants,
        alert_command: fields.alert_command,
        alert_url: fields.alert_url,
    })
}
