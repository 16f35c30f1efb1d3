//! The asset key: SHA-256 over the canonical JSON of a spec.
//!
//! Version 1 is frozen. Its defaults live in `asset_key_v1.json` beside this file and
//! never follow the model catalogue, so that editing a catalogue or upgrading Pictor
//! does not re-buy images. `docs/asset-key.md` says how to compute a key elsewhere.

use std::{fmt, str::FromStr, sync::LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::spec::Spec;

mod canonical;

pub use canonical::canonical_json;

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
pub struct AssetKey([u8; DIGITS]);

const DIGITS: usize = 64;

impl AssetKey {
    /// Computes the key of a spec.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        Self::of_bytes(Sha256::digest(canonical_json(spec).as_bytes()).into())
    }

    /// The key with these 32 bytes.
    #[must_use]
    pub fn of_bytes(bytes: [u8; 32]) -> Self {
        let mut digits = [0; DIGITS];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&hex_digits(byte));
        }
        Self(digits)
    }

    /// The 32 bytes of the digest.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        // '0' to '9' end in their value, 'a' to 'f' in theirs less 9.
        let value = |digit: u8| (digit & 15) + (digit >> 6) * 9;
        std::array::from_fn(|i| value(self.0[2 * i]) << 4 | value(self.0[2 * i + 1]))
    }

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("hexadecimal digits are text")
    }

    /// The first twelve digits, enough for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.as_str()[..12]
    }
}

/// Lower-case hexadecimal digits of some bytes.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| hex_digits(*byte)).map(char::from).collect()
}

fn hex_digits(byte: u8) -> [u8; 2] {
    const DIGIT: &[u8; 16] = b"0123456789abcdef";
    [DIGIT[usize::from(byte >> 4)], DIGIT[usize::from(byte & 15)]]
}

struct Defaults {
    of_model: Option<&'static Map<String, Value>>,
}

impl Defaults {
    /// The first prefix that fits counts; a model that none fits has only those of every model.
    /// The model's name is in NFC.
    fn of(model: &str) -> Self {
        let family = FROZEN.by_model_prefix.iter().find(|family| model.starts_with(&family.prefix));
        Self { of_model: family.map(|family| &family.defaults) }
    }

    fn get(&self, name: &str) -> Option<&'static Value> {
        let of_model = self.of_model.and_then(|defaults| defaults.get(name));
        of_model.or_else(|| FROZEN.always.get(name))
    }
}

impl fmt::Display for AssetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
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
        match <[u8; DIGITS]>::try_from(text.as_bytes()) {
            Ok(digits) if text.bytes().all(lower_hex) => Ok(Self(digits)),
            _ => Err(NotAssetKey(text)),
        }
    }
}

impl From<AssetKey> for String {
    fn from(key: AssetKey) -> Self {
        key.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests;
