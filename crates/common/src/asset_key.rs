//! The asset key: SHA-256 over the canonical JSON of a spec.
//!
//! Version 1 is frozen. Its defaults live in `asset_key_v1.json` beside this file and
//! never follow the model catalogue, so that editing a catalogue or upgrading Pictor
//! does not re-buy images. `docs/asset-key.md` says how to compute a key elsewhere.

use std::{fmt, str::FromStr, sync::LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::spec::Spec;

/// Version of the rules that turn a spec into a key.
pub const VERSION: u32 = 1;

#[derive(Deserialize)]
struct Frozen {
    always: Map<String, Value>,
    by_model_prefix: Vec<ByModel>,
}

#[derive(Deserialize)]
struct ByModel {
    prefix: String,
    defaults: Map<String, Value>,
}

static FROZEN: LazyLock<Frozen> = LazyLock::new(|| {
    serde_json::from_str(include_str!("asset_key_v1.json")).expect("the embedded table is valid JSON")
});

/// Identifies an asset; also its id in the queue and its name in the store.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AssetKey(String);

impl AssetKey {
    /// Computes the key of a spec.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        Self(hex(&Sha256::digest(canonical_json(spec).as_bytes())))
    }

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, enough for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// Lower-case hexadecimal digits of some bytes.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// Writes the RFC 8785 canonical JSON that the key is taken over.
///
/// Fields that are absent or equal to the default frozen for the model are left out; every text
/// is in Unicode NFC; `v`, `model` and, where there is one, `prompt` always stand.
#[must_use]
pub fn canonical_json(spec: &Spec) -> String {
    let Ok(Value::Object(fields)) = serde_json::to_value(spec) else {
        unreachable!("a spec serializes to an object");
    };
    let defaults = Defaults::of(&spec.model);
    let mut kept: Map<String, Value> = fields
        .into_iter()
        .map(|(name, value)| (name, normalized(value)))
        .filter(|(name, value)| !value.is_null() && !defaults.has(name, value))
        .collect();
    kept.insert("v".to_owned(), VERSION.into());
    serde_json_canonicalizer::to_string(&kept).expect("strings, integers and booleans have a canonical form")
}

fn normalized(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.nfc().collect()),
        Value::Array(items) => Value::Array(items.into_iter().map(normalized).collect()),
        other => other,
    }
}

struct Defaults {
    of_model: Option<&'static Map<String, Value>>,
}

impl Defaults {
    /// The first prefix that fits counts; a model that none fits has only those of every model.
    fn of(model: &str) -> Self {
        let model: String = model.nfc().collect();
        let family = FROZEN.by_model_prefix.iter().find(|family| model.starts_with(&family.prefix));
        Self { of_model: family.map(|family| &family.defaults) }
    }

    fn has(&self, name: &str, value: &Value) -> bool {
        let of_model = self.of_model.and_then(|defaults| defaults.get(name));
        of_model.or_else(|| FROZEN.always.get(name)) == Some(value)
    }
}

impl fmt::Display for AssetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for AssetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssetKey({})", self.short())
    }
}

/// Why a text is not an asset key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an asset key: 64 hexadecimal digits in lower case")]
pub struct NotAssetKey(String);

impl FromStr for AssetKey {
    type Err = NotAssetKey;

    fn from_str(text: &str) -> Result<Self, NotAssetKey> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for AssetKey {
    type Error = NotAssetKey;

    fn try_from(text: String) -> Result<Self, NotAssetKey> {
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 64 && text.bytes().all(lower_hex) { Ok(Self(text)) } else { Err(NotAssetKey(text)) }
    }
}

impl From<AssetKey> for String {
    fn from(key: AssetKey) -> Self {
        key.0
    }
}

#[cfg(test)]
mod tests;
