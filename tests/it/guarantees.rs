//! `GUARANTEES.md` names tests that exist, and proofs that can be run.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Tests as `module::function`, the module being the file or the folder they are in.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    for folder in ["crates", "src", "tests"] {
        sources(&root().join(folder), &mut files);
    }
    let mut names = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let folder = file.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let module = if ["mod", "tests"].contains(&stem) { folder } else { stem };
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[") || line.starts_with("#![") {
                is_test |= line.starts_with("#[test") || line.starts_with("#[tokio::test");
            } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
                let name = rest.split(['(', '<']).next().unwrap();
                names.insert(format!("{module}::{name}"));
                is_test = false;
            }
        }
    }
    names
}

#[test]
fn every_test_and_proof_it_names_exists() {
    let text = fs::read_to_string(root().join("GUARANTEES.md")).unwrap();
    let known = tests();
    let proofs = fs::read_to_string(root().join("tests/it/prove.rs")).unwrap()
        + &fs::read_to_string(root().join("crates/common/tests/queue/prove.rs")).unwrap();
    let is_row = |line: &&str| line.starts_with("| ") && line.split('|').count() == 6;
    let rows = text.lines().filter(is_row).filter(|line| !line.starts_with("| holds"));
    let mut count = 0;
    for row in rows {
        let last = row.rsplit('|').nth(1).unwrap();
        let named: Vec<&str> = quoted(last).filter(|name| name.contains("::")).collect();
        assert!(!named.is_empty(), "no test proves: {row}");
        for name in &named {
            assert!(known.contains(*name), "GUARANTEES.md names a test that does not exist: {name}");
        }
        count += named.len();
    }
    assert!(count > 20, "{count} tests are named");
    for proof in
        quoted(&text).filter_map(|quoted| quoted.strip_prefix("make prove-")).filter(|name| *name != "NAME")
    {
        let function = proof.replace('-', "_");
        let exists = proofs.contains(&format!("fn {function}(")) || proof == "fuzz";
        assert!(exists, "GUARANTEES.md names a proof that does not exist: {proof}");
    }
}
