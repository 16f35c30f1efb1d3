//! Keeps the crate graph pointing one way.

use std::{collections::BTreeSet, fs};

const ALLOWED: &[(&str, &[&str])] = &[
    (".", &["pictor-common", "pictor-producer", "pictor-simulator", "pictor-store", "pictor-worker"]),
    ("crates/common", &[]),
    ("crates/producer", &["pictor-common"]),
    ("crates/worker", &["pictor-common"]),
    ("crates/store", &["pictor-common"]),
    ("crates/simulator", &[]),
];

/// Names under `[dependencies]` and `[dev-dependencies]` of a manifest.
fn dependencies(dir: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(format!("{}/{dir}/Cargo.toml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    ["dependencies", "dev-dependencies"]
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .collect()
}

#[test]
fn crates_depend_only_downwards() {
    for (dir, allowed) in ALLOWED {
        let found: BTreeSet<_> =
            dependencies(dir).into_iter().filter(|name| name.starts_with("pictor-")).collect();
        let allowed: BTreeSet<_> = allowed.iter().map(|name| (*name).to_owned()).collect();
        assert!(found.is_subset(&allowed), "{dir} may depend on {allowed:?}, not on {found:?}");
    }
}

#[test]
fn each_heavy_library_has_one_home() {
    let homes = [
        ("clap", "."),
        ("aws-sdk-s3", "crates/store"),
        ("apalis", "crates/worker"),
        ("backoff", "crates/worker"),
        ("minijinja", "crates/producer"),
    ];
    for (library, home) in homes {
        for (dir, _) in ALLOWED {
            assert_eq!(dependencies(dir).contains(library), *dir == home, "{library} in {dir}");
        }
    }
}
