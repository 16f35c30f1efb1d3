//! Batches, lines and what a submission carries.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{AssetKey, MicroUsd, Spec, derivative::Derivative, spec::Operation};

/// How urgent a batch is; a weight in the fair queue, never an absolute order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Band {
    /// Somebody waits for it: weight 16.
    Interactive,
    /// Weight 4.
    #[default]
    Normal,
    /// Weight 1.
    Bulk,
}

impl Band {
    /// The word used in Redis and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }

    /// Its part in the fair queue, against the others'.
    #[must_use]
    pub const fn weight(self) -> f64 {
        match self {
            Self::Interactive => 16.0,
            Self::Normal => 4.0,
            Self::Bulk => 1.0,
        }
    }
}

/// What becomes of an asset after a request whose outcome nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknown {
    /// It is sent again, as often as `max_unknown` allows, which may pay for it twice.
    #[default]
    Retry,
    /// It is parked: nothing is sent again unless a person asks.
    Park,
}

impl OnUnknown {
    /// The word used in Redis, in settings and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Park => "park",
        }
    }
}

/// Why a text is no [`OnUnknown`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither retry nor park")]
pub struct NotOnUnknown(String);

impl FromStr for OnUnknown {
    type Err = NotOnUnknown;

    fn from_str(text: &str) -> Result<Self, NotOnUnknown> {
        match text {
            "retry" => Ok(Self::Retry),
            "park" => Ok(Self::Park),
            other => Err(NotOnUnknown(other.to_owned())),
        }
    }
}

/// Model family × operation: where assets wait.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Route(String);

impl Route {
    /// The route of a model family and an operation.
    #[must_use]
    pub fn new(family: &str, operation: Operation) -> Self {
        Self(format!("{family}.{}", operation.as_str()))
    }

    /// A route as Redis names it.
    #[must_use]
    pub fn named(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text form, `family.operation`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why a text cannot name a batch, tenant, namespace or account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be a name: 1 to 100 letters, digits, '.', '_', '-', starting with a letter or digit")]
pub struct NotName(String);

/// Checks a name that becomes part of Redis keys and file names.
pub fn check_name(text: &str) -> Result<(), NotName> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && text.len() <= 100 && text.chars().all(allowed) {
        Ok(())
    } else {
        Err(NotName(text.to_owned()))
    }
}

/// Identifies a batch: the run id, or a digest of what was submitted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BatchId(String);

impl BatchId {
    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BatchId {
    type Err = NotName;

    fn from_str(text: &str) -> Result<Self, NotName> {
        check_name(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What is said once of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchHead {
    /// The batch.
    pub id: BatchId,
    /// Who asks.
    pub tenant: String,
    /// How urgent it is.
    pub band: Band,
    /// Digest of template, options and manifest: one id never stands for two contents.
    pub content: String,
    /// Where the lines came from, for people: a file name or `-`.
    pub source: String,
    /// Column names of the manifest, in order.
    pub columns: Vec<String>,
    /// What the batch may cost in all; assets over it wait.
    pub cap: Option<MicroUsd>,
    /// The model that makes what the one that was asked cannot.
    pub fallback: Option<String>,
    /// What an unknown outcome leads to, where that is said of the batch; workers may be more careful still.
    #[serde(default)]
    pub on_unknown: Option<OnUnknown>,
    /// After when nothing more of it is sent, µs since 1970; a later one takes the place of one before.
    #[serde(default)]
    pub deadline: Option<u64>,
    /// What is derived from every image; rows may ask for more in their column. None where nothing is derived.
    #[serde(default)]
    pub derive: Option<Vec<Derivative>>,
}

/// One row of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its number: that of the data row in the manifest, from 1, moved on by the variants of rows before it.
    pub row: u64,
    /// The row's own id.
    pub id: String,
    /// One asset a take, in order.
    pub keys: Vec<AssetKey>,
    /// The original cells, in the order of the batch's columns.
    pub cells: Vec<String>,
}

/// An asset as it is submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAsset {
    /// Its key.
    pub key: AssetKey,
    /// What decides it.
    pub spec: Spec,
    /// Where it waits.
    pub route: Route,
    /// The most one request for it can cost.
    pub ceiling: MicroUsd,
    /// Tokens one request is expected to use, for token limits; 0 where the model has none.
    pub tokens: u64,
    /// Present when the store already holds the image, though Redis does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
}

/// What is kept of an image that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Made {
    /// Name in the store.
    pub object: String,
    /// SHA-256 (hex) of the bytes; empty where only the object's metadata says it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// MIME type of the bytes as they are.
    pub content_type: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Pixels across; 0 where unknown.
    pub width: u32,
    /// Pixels down; 0 where unknown.
    pub height: u32,
    /// What the request cost.
    pub cost: MicroUsd,
    /// The provider's request id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The prompt as the model rewrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revised_prompt: Option<String>,
    /// What differs from what was asked, when something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<String>,
    /// When it was stored, in milliseconds since 1970.
    pub at_ms: u64,
}
