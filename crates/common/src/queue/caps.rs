//! What may be spent: sets caps, notes who did, and tells when they are nearly reached.

use std::{collections::HashMap, fmt};

use redis::AsyncCommands;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;
use tracing::error;

use super::{Queue, QueueError, script};
use crate::MicroUsd;

/// Parts of a cap that are announced, in percent, as the scripts have them.
pub const PARTS: [u8; 3] = [50, 80, 100];

/// What a cap is a cap of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "scope", content = "name", rename_all = "snake_case")]
pub enum CapOf {
    /// All that is ever spent in the namespace.
    Total,
    /// All of one day.
    Day,
    /// All of a tenant.
    Tenant(String),
    /// One day of a tenant.
    TenantDay(String),
    /// One batch.
    Batch(String),
}

impl CapOf {
    /// What [`Self::scope`] may be.
    pub const SCOPES: [&str; 5] = ["total", "day", "tenant", "tenant_day", "batch"];

    /// What kind of cap it is.
    #[must_use]
    pub const fn scope(&self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Day => "day",
            Self::Tenant(_) => "tenant",
            Self::TenantDay(_) => "tenant_day",
            Self::Batch(_) => "batch",
        }
    }

    /// Whose it is; empty where it is everybody's.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Total | Self::Day => "",
            Self::Tenant(name) | Self::TenantDay(name) | Self::Batch(name) => name,
        }
    }

    pub(super) fn of(scope: &str, name: &str) -> Option<Self> {
        let name = name.to_owned();
        Some(match scope {
            "total" => Self::Total,
            "day" => Self::Day,
            "tenant" => Self::Tenant(name),
            "tenant_day" => Self::TenantDay(name),
            "batch" => Self::Batch(name),
            _ => return None,
        })
    }
}

impl fmt::Display for CapOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Total => f.write_str("the total budget"),
            Self::Day => f.write_str("the budget of a day"),
            Self::Tenant(name) => write!(f, "the budget of tenant {name}"),
            Self::TenantDay(name) => write!(f, "the budget of tenant {name} for a day"),
            Self::Batch(name) => write!(f, "the cap of batch {name}"),
        }
    }
}

/// A cap and how much it is to be; `None` lifts it.
pub type Cap = (CapOf, Option<MicroUsd>);

/// Who sets caps. What a person has set gives way to another person or to a reset, not to settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Setter {
    /// The settings of a process that starts.
    Settings,
    /// A person.
    Person,
    /// A person who gives it back to the settings.
    Reset,
}

/// What became of a cap that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WasSet {
    /// It is another now.
    Set,
    /// It was so before.
    Same,
    /// A person had set it, and that stands.
    Kept,
    /// There is no such batch.
    Missing,
}

/// A change of a cap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audited {
    /// When, µs since 1970.
    pub at: u64,
    /// `USER@host`.
    pub who: String,
    /// `person`, `settings`, or `reset` when a person gave it back to the settings.
    pub by: String,
    /// Of what.
    #[serde(flatten)]
    pub of: CapOf,
    /// What it was; none for no cap.
    pub from: Option<MicroUsd>,
    /// What it is; none for no cap.
    pub to: Option<MicroUsd>,
    /// In their words.
    pub why: String,
}

/// A part of a cap that was just spent. It is told once for a cap, a part and a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Which cap.
    #[serde(flatten)]
    pub of: CapOf,
    /// The day, for the cap of a day.
    pub day: Option<String>,
    /// The part, in percent.
    pub percent: u8,
    /// The cap.
    pub cap: MicroUsd,
    /// What was spent of it.
    pub spent: MicroUsd,
    /// When, µs since 1970.
    pub at: u64,
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, day, percent, cap, spent, .. } = self;
        let day = day.as_deref().map(|day| format!(" ({day})")).unwrap_or_default();
        write!(f, "{percent} % of {of}{day} is spent: {spent} of {cap}")
    }
}

#[derive(Deserialize)]
struct AlertAnswer {
    scope: String,
    name: String,
    day: Option<String>,
    percent: u8,
    cap: String,
    spent: String,
    at: String,
}

fn amount(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

fn alert(text: &str) -> Option<Alert> {
    let AlertAnswer { scope, name, day, percent, cap, spent, at } = serde_json::from_str(text).ok()?;
    let (cap, spent) = (MicroUsd(amount(&cap)), MicroUsd(amount(&spent)));
    Some(Alert { of: CapOf::of(&scope, &name)?, day, percent, cap, spent, at: amount(&at) })
}

#[derive(Serialize)]
struct CapRequest<'a> {
    scope: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<u64>,
}

impl Queue {
    /// Names who hears of caps that are nearly reached.
    #[must_use]
    pub fn with_alerts(mut self, listener: UnboundedSender<Alert>) -> Self {
        self.alerts = Some(listener);
        self
    }

    /// Hands alerts to the listener.
    pub(super) fn pass_on(&self, alerts: &[String]) {
        for text in alerts {
            match (alert(text), &self.alerts) {
                (Some(alert), Some(listener)) => {
                    // Who has stopped listening is about to end.
                    let _unheard = listener.send(alert);
                }
                (Some(_), None) => {}
                (None, _) => error!(text, "an alert of the budget that this version cannot read"),
            }
        }
    }

    /// Sets caps and notes who did, and why; says of each what became of it.
    pub async fn set_caps(
        &self,
        setter: Setter,
        who: &str,
        why: &str,
        caps: &[Cap],
    ) -> Result<Vec<WasSet>, QueueError> {
        if caps.is_empty() {
            return Ok(Vec::new());
        }
        let caps: Vec<CapRequest<'_>> = caps
            .iter()
            .map(|(of, amount)| CapRequest {
                scope: of.scope(),
                name: of.name(),
                amount: amount.map(|a| a.0),
            })
            .collect();
        let request = serde_json::json!({
            "by": setter, "who": who, "why": why, "days": self.days(), "caps": caps,
        });
        let words: Vec<String> = script::CAPS.run(&self.connection, self.keys.prefix(), &request).await?;
        let became = |word: &String| match word.as_str() {
            "set" => WasSet::Set,
            "same" => WasSet::Same,
            "kept" => WasSet::Kept,
            _ => WasSet::Missing,
        };
        Ok(words.iter().map(became).collect())
    }

    /// Changes of caps, the newest first.
    pub async fn audit(&self, limit: usize) -> Result<Vec<Audited>, QueueError> {
        let entries: Vec<(String, HashMap<String, String>)> =
            self.connection.clone().xrevrange_count(self.keys.audit(), "+", "-", limit).await?;
        Ok(entries.iter().filter_map(|(_, fields)| audited(fields)).collect())
    }
}

fn audited(fields: &HashMap<String, String>) -> Option<Audited> {
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let money = |name: &str| text(name).parse().ok().map(MicroUsd);
    Some(Audited {
        at: amount(&text("at")),
        who: text("who"),
        by: text("by"),
        of: CapOf::of(&text("scope"), &text("name"))?,
        from: money("from"),
        to: money("to"),
        why: text("why"),
    })
}
