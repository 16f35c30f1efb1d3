//! Finds images that would come to one name, holding digests of names only.

use std::collections::{HashMap, hash_map::Entry};

use pictor_common::AssetKey;
use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;

/// The names given so far; about 80 bytes each.
#[derive(Debug, Default)]
pub struct Names(HashMap<u128, Seen>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    row: u64,
    take: u32,
    /// Digests of the very name and of the asset: only compared among names that fold alike.
    exact: u32,
    asset: u32,
}

/// Two images that would come to one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// Row and take of the first.
    pub first: (u64, u32),
    /// Row and take of the second.
    pub second: (u64, u32),
    /// The name of the second.
    pub name: String,
    /// The names differ in case: two objects in a bucket, one file on macOS and Windows.
    pub case_only: bool,
}

impl Names {
    /// Takes a name, unless it is taken. One asset may have one name twice: it is one file.
    pub fn take(&mut self, name: &str, row: u64, take: u32, key: &AssetKey) -> Result<(), Clash> {
        let seen = Seen { row, take, exact: low(digest(name)), asset: low(digest(key.as_str())) };
        match self.0.entry(digest(&folded(name))) {
            Entry::Vacant(free) => {
                free.insert(seen);
                Ok(())
            }
            Entry::Occupied(taken) => {
                let first = taken.get();
                if (first.exact, first.asset) == (seen.exact, seen.asset) {
                    return Ok(());
                }
                Err(Clash {
                    first: (first.row, first.take),
                    second: (row, take),
                    name: name.to_owned(),
                    case_only: first.exact != seen.exact,
                })
            }
        }
    }
}

/// As file systems without case compare: nearly Unicode's full case folding.
fn folded(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect()
}

fn digest(text: &str) -> u128 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}

fn low(digest: u128) -> u32 {
    u32::try_from(digest & u128::from(u32::MAX)).expect("32 bits are left")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pictor_common::Spec;

    fn key(prompt: &str) -> AssetKey {
        AssetKey::of(&Spec { prompt: Some(prompt.to_owned()), ..Spec::default() })
    }

    #[test]
    fn one_name_is_one_asset() {
        let mut names = Names::default();
        names.take("a/0.png", 1, 0, &key("a")).unwrap();
        names.take("a/1.png", 1, 1, &key("b")).unwrap();
        names.take("a/0.png", 2, 0, &key("a")).unwrap();
        let clash = names.take("a/0.png", 3, 0, &key("c")).unwrap_err();
        let expected = Clash { first: (1, 0), second: (3, 0), name: "a/0.png".to_owned(), case_only: false };
        assert_eq!(clash, expected);
    }

    #[test]
    fn names_that_differ_in_case_are_told() {
        let mut names = Names::default();
        for name in ["Straße.png", "café.png", "İ.png"] {
            names.take(name, 1, 0, &key(name)).unwrap();
        }
        for name in ["STRASSE.PNG", "CAFÉ.png"] {
            assert!(names.take(name, 2, 0, &key(name)).unwrap_err().case_only, "{name}");
        }
        // The same image: still two files in one place, and one in another.
        assert!(names.take("cafÉ.png", 3, 0, &key("café.png")).unwrap_err().case_only);
        names.take("cafe.png", 4, 0, &key("x")).unwrap();
    }
}
