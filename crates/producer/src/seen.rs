//! Remembers digests of millions of things in little memory.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

use pictor_common::AssetKey;
use sha2::{Digest as _, Sha256};

/// The first 96 bits of a SHA-256: two in ten million things meet by chance once in 10^15 files.
type Short = [u8; 12];

/// Digests seen so far, each with what was said of it first.
///
/// Split into shards so that growing doubles one small table at a time, not all of them.
#[derive(Clone, Debug)]
pub(crate) struct Seen<V> {
    shards: Vec<HashMap<Short, V, BuildHasherDefault<TakeDigest>>>,
}

const SHARDS: usize = 256;

impl<V> Default for Seen<V> {
    fn default() -> Self {
        Self { shards: std::iter::repeat_with(HashMap::default).take(SHARDS).collect() }
    }
}

impl<V: Copy> Seen<V> {
    /// What was noted with a text, if it was.
    pub(crate) fn get(&self, text: &str) -> Option<V> {
        let short = short(text);
        self.shards[usize::from(short[0])].get(&short).copied()
    }

    /// Notes a text; returns what was noted with it before, if it was.
    pub(crate) fn text(&mut self, text: &str, value: V) -> Option<V> {
        self.note(short(text), value)
    }

    /// Notes an asset key; returns what was noted with it before, if it was.
    pub(crate) fn key(&mut self, key: &AssetKey, value: V) -> Option<V> {
        let digits = key.as_str().as_bytes();
        self.note(std::array::from_fn(|i| nibble(digits[2 * i]) << 4 | nibble(digits[2 * i + 1])), value)
    }

    fn note(&mut self, short: Short, value: V) -> Option<V> {
        match self.shards[usize::from(short[0])].entry(short) {
            Entry::Occupied(before) => Some(*before.get()),
            Entry::Vacant(place) => {
                place.insert(value);
                None
            }
        }
    }
}

fn short(text: &str) -> Short {
    let digest = Sha256::digest(text.as_bytes());
    std::array::from_fn(|i| digest[i])
}

const fn nibble(digit: u8) -> u8 {
    if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 }
}

/// Uses bytes of the digest as its hash; the first byte chose the shard already.
#[derive(Clone, Debug, Default)]
struct TakeDigest(u64);

impl Hasher for TakeDigest {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk::<8>() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    // An array announces its length before its bytes.
    fn write_usize(&mut self, _length: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use pictor_common::Spec;

    #[test]
    fn tells_what_came_first() {
        let mut seen = Seen::default();
        for row in 0..10_000_u32 {
            assert_eq!(seen.text(&format!("sku-{row}"), row), None);
        }
        for row in (0..10_000_u32).step_by(97) {
            assert_eq!(seen.text(&format!("sku-{row}"), 99), Some(row));
        }
    }

    #[test]
    fn spreads_keys_over_shards() {
        let mut seen = Seen::default();
        for take in 0..2_000 {
            let key = AssetKey::of(&Spec { take, ..Spec::default() });
            assert_eq!(seen.key(&key, ()), None);
            assert_eq!(seen.key(&key, ()), Some(()));
        }
        assert!(seen.shards.iter().all(|shard| shard.len() < 40));
    }
}
