//! What a simulator can be asked to be.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

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
    /// Sends bodies of pictures this slowly.
    pub body_bytes_per_second: Option<u64>,
    /// How long the address of a DALL·E picture works. Default: 3600.
    pub url_seconds: u64,
    /// Limits per API key and model family.
    pub limits: Limits,
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
            body_bytes_per_second: None,
            url_seconds: 3600,
            limits: Limits::default(),
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
}

/// Limits of one model family; what is absent is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FamilyLimits {
    /// Requests per window.
    pub requests: Option<u64>,
    /// Images per window.
    pub images: Option<u64>,
    /// Requests at once.
    pub in_flight: Option<u64>,
    /// Images per window that others take from the same limit.
    pub foreign_images: f64,
}
