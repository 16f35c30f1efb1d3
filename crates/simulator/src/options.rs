//! What a simulator can be asked to be.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::models::Family;

/// Settings of one simulator; every field has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// API keys that are let in; each has limits of its own. Default: `sim-key`.
    pub api_keys: Vec<SecretString>,
    /// Organisation named in 429 bodies and headers.
    pub organization: String,
    /// Decides latencies, faults by probability and the variation of tokens. Never pictures.
    pub seed: u64,
    /// Divides the latencies of the built-in table: 100 makes 20 s into 200 ms.
    pub speed: f64,
    /// Median latency of every model, instead of the table.
    pub latency_ms_p50: Option<u64>,
    /// 99th percentile of the latency; 2.2 × the median where it is not given.
    pub latency_ms_p99: Option<u64>,
    /// Output tokens vary by up to this percentage either way.
    pub output_tokens_vary_percent: f64,
    /// PNG files are padded up to this size by an ancillary chunk.
    pub image_bytes: Option<usize>,
    /// Draws one picture of each size and format, without a prompt, and sends it again and again: for runs that are
    /// about the pace.
    pub one_picture: bool,
    /// Sends bodies of pictures this slowly.
    pub body_bytes_per_second: Option<u64>,
    /// How long the address of a DALL·E picture works. Default: 3600.
    pub url_seconds: u64,
    /// Limits per API key and model family.
    pub limits: Limits,
    /// Changes of the limits while it runs, in the order of their times.
    pub changes: Vec<Change>,
    /// Faults of every request of a key.
    pub broken: Vec<Broken>,
    /// Probability of each fault by name, summing to at most 1.
    pub faults: BTreeMap<String, f64>,
    /// Faults of particular requests.
    pub schedule: Vec<Scheduled>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            api_keys: vec![SecretString::from("sim-key")],
            organization: "org-simulator".to_owned(),
            seed: 0,
            speed: 1.0,
            latency_ms_p50: None,
            latency_ms_p99: None,
            output_tokens_vary_percent: 0.0,
            image_bytes: None,
            one_picture: false,
            body_bytes_per_second: None,
            url_seconds: 3600,
            limits: Limits::default(),
            changes: Vec::new(),
            broken: Vec::new(),
            faults: BTreeMap::new(),
            schedule: Vec::new(),
        }
    }
}

/// A fault for one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheduled {
    /// Which request, counted from 1 among those that were valid and within the limits.
    pub request: u64,
    /// Name of the fault.
    pub fault: String,
}

/// Limits that change at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// When, counted from the first request that asked to be let in.
    pub after_seconds: f64,
    /// What changes, in the shape of [`Limits`]; what is not named stays, null makes unlimited.
    pub limits: Value,
}

/// A key whose requests all meet a fault, once they are let in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broken {
    /// The key, one of those that are let in.
    pub api_key: SecretString,
    /// Name of the fault.
    pub fault: String,
}

/// Rate limits of every API key, and how they are enforced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The window that limits are stated for: 60 in life, less in tests.
    pub window_seconds: f64,
    /// Enforces limits over this shorter period, so that only a part of the window can burst.
    pub quantum_seconds: Option<f64>,
    /// Charges refused requests as if they had been served.
    pub charge_refusals: bool,
    /// Sends `x-ratelimit-*` and `retry-after*` headers.
    pub headers: bool,
    /// The headers of an answer with a picture say how things stood when the request was let in, as those of the real
    /// API may; otherwise, how they stand when the answer goes out.
    pub late_headers: bool,
    /// Limits of `dall-e-2`.
    #[serde(rename = "dall-e-2")]
    pub dall_e_2: FamilyLimits,
    /// Limits of `dall-e-3`.
    #[serde(rename = "dall-e-3")]
    pub dall_e_3: FamilyLimits,
    /// Limits shared by all GPT Image models.
    #[serde(rename = "gpt-image")]
    pub gpt_image: FamilyLimits,
}

impl Default for Limits {
    fn default() -> Self {
        let images = |limit| FamilyLimits { images: Some(limit), ..FamilyLimits::default() };
        Self {
            window_seconds: 60.0,
            quantum_seconds: None,
            charge_refusals: false,
            headers: true,
            late_headers: true,
            dall_e_2: images(500),
            dall_e_3: images(500),
            gpt_image: images(250),
        }
    }
}

impl Limits {
    /// Limits that never refuse.
    #[must_use]
    pub fn none() -> Self {
        let family = FamilyLimits::default();
        Self { dall_e_2: family.clone(), dall_e_3: family.clone(), gpt_image: family, ..Self::default() }
    }

    pub(crate) const fn of(&self, family: Family) -> &FamilyLimits {
        match family {
            Family::DallE2 => &self.dall_e_2,
            Family::DallE3 => &self.dall_e_3,
            Family::GptImage => &self.gpt_image,
        }
    }

    /// These limits with what a change names; null makes one unlimited.
    pub(crate) fn changed(&self, change: Value) -> anyhow::Result<Self> {
        let mut whole = serde_json::to_value(self)?;
        overlay(&mut whole, change);
        let limits: Self = serde_json::from_value(whole)?;
        limits.check()?;
        Ok(limits)
    }

    /// Refuses limits that mean nothing.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(self.window_seconds > 0.0, "window_seconds must be more than 0");
        ensure!(
            self.quantum_seconds.is_none_or(|quantum| quantum > 0.0),
            "quantum_seconds must be more than 0"
        );
        Ok(())
    }
}

/// Limits of one model family; what is absent is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FamilyLimits {
    /// Requests per window.
    pub requests: Option<u64>,
    /// Images per window.
    pub images: Option<u64>,
    /// Tokens per window, those of prompt and pictures, as they are expected when a request is let in.
    pub tokens: Option<u64>,
    /// Requests at once.
    pub in_flight: Option<u64>,
    /// Images per window that others take from the same limit.
    pub foreign_images: f64,
}

fn overlay(whole: &mut Value, change: Value) {
    match (whole, change) {
        (Value::Object(whole), Value::Object(change)) => {
            for (name, value) in change {
                overlay(whole.entry(name).or_insert(Value::Null), value);
            }
        }
        (whole, change) => *whole = change,
    }
}

/// The limits that changes lead to, with their times; refuses changes that mean nothing.
pub(crate) fn steps(limits: &Limits, changes: &[Change]) -> anyhow::Result<Vec<(Duration, Limits)>> {
    let mut limits = limits.clone();
    let mut steps: Vec<(Duration, Limits)> = Vec::new();
    for change in changes {
        let told = || format!("changes: after {} s", change.after_seconds);
        let after = Duration::try_from_secs_f64(change.after_seconds).with_context(told)?;
        ensure!(steps.last().is_none_or(|(last, _)| *last <= after), "{}: not in the order of time", told());
        limits = limits.changed(change.limits.clone()).with_context(told)?;
        steps.push((after, limits.clone()));
    }
    Ok(steps)
}
