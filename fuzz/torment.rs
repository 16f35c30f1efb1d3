//! The fuzz targets in small: their seeds as they are, and what becomes of them when bytes are changed, cut and
//! doubled. Shared by the tests of each crate; `make prove-fuzz` does the same for hours.

use std::path::Path;

use proptest::{prelude::*, sample::Index};

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty(), "{target} has seeds");
    seeds
}

/// One change of a text.
#[derive(Clone, Debug)]
enum Edit {
    Put(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, Index),
    Double(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let bytes = prop::sample::select(b"\"\",;\t\r\n\0{}[]:\\<>&=/\xff\xef\xbb\xbf019.eE+- azAZ".to_vec());
    prop_oneof![
        (any::<Index>(), bytes.clone()).prop_map(|(at, byte)| Edit::Put(at, byte)),
        (any::<Index>(), prop::collection::vec(bytes, 1..6)).prop_map(|(at, text)| Edit::Insert(at, text)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Edit::Cut(from, to)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Edit::Double(from, to)),
    ]
}

fn edited(mut text: Vec<u8>, edits: Vec<Edit>) -> Vec<u8> {
    for edit in edits {
        let places = text.len() + 1;
        match edit {
            Edit::Put(at, byte) => match text.get_mut(at.index(places)) {
                Some(place) => *place = byte,
                None => text.push(byte),
            },
            Edit::Insert(at, more) => {
                let at = at.index(places);
                text.splice(at..at, more);
            }
            Edit::Cut(from, to) | Edit::Double(from, to) => {
                let (one, other) = (from.index(places), to.index(places));
                let span = one.min(other)..one.max(other);
                if matches!(edit, Edit::Cut(..)) {
                    text.drain(span);
                } else if text.len() < 64 * 1024 {
                    let again = text[span].to_vec();
                    text.extend(again);
                }
            }
        }
    }
    text
}

/// The seeds as they are, then changed at random; a failure prints the edits.
pub(crate) fn torment(target: &str, read: fn(&[u8])) {
    let seeds = seeds(target);
    seeds.iter().for_each(|seed| read(seed));
    let strategy = (prop::sample::select(seeds), prop::collection::vec(edit(), 1..6));
    let config = ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |((seed, edits) in strategy)| read(&edited(seed, edits)));
}
