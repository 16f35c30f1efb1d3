//! Keeps images that are laid out from coming among those of the store.

use std::path::{Component, Path, PathBuf};

use crate::exit::refused;

/// First parts of names that a store uses.
const OWN: &[&str] = &["assets", "rejected", ".pictor"];

/// Names that no image may take.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Guard {
    /// Where the store lies below the place, with a slash at the end.
    store: Option<String>,
    /// The names of the table.
    kept: Vec<String>,
}

impl Guard {
    /// Refuses a place that is the store, or in it.
    pub(super) fn new(store: &str, to: &str) -> anyhow::Result<Self> {
        let inside = || {
            refused(format!(
                "--to {to} lies in the store {store}, which keeps its images under names of its own; name another place"
            ))
        };
        let (own, theirs) = match (bucket_parts(store), bucket_parts(to)) {
            (Some(own), Some(theirs)) => (own, theirs),
            (None, None) => (path_parts(store), path_parts(to)),
            _ => return Ok(Self::default()),
        };
        if theirs.starts_with(&own) {
            // A store at the root of a bucket leaves room beside its own names.
            let beside = bucket_parts(to).is_some() && own.len() == 1;
            return match theirs.get(1) {
                Some(first) if beside && !OWN.contains(&first.as_str()) => Ok(Self::default()),
                _ => Err(inside()),
            };
        }
        let below = own.strip_prefix(theirs.as_slice()).map(|rest| rest.join("/") + "/");
        Ok(Self { store: below, kept: Vec::new() })
    }

    /// Keeps more names free.
    pub(super) fn keep(&mut self, names: impl IntoIterator<Item = String>) {
        self.kept.extend(names);
    }

    /// Why a name cannot be given.
    pub(super) fn forbids(&self, name: &str) -> Option<&'static str> {
        if self.store.as_ref().is_some_and(|store| name.starts_with(store)) {
            return Some("lies in the store itself");
        }
        let kept = self.kept.iter().any(|kept| kept.eq_ignore_ascii_case(name));
        kept.then_some("is the name of the table")
    }
}

/// Bucket and parts of the prefix.
fn bucket_parts(url: &str) -> Option<Vec<String>> {
    let rest = url.strip_prefix("s3://")?;
    Some(rest.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

fn path_parts(url: &str) -> Vec<String> {
    let path = real(&local(url));
    path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
}

/// The path that a directory's name or URL means.
pub(super) fn local(url: &str) -> PathBuf {
    let parsed = url.starts_with("file:///").then(|| url::Url::parse(url).ok()).flatten();
    parsed.and_then(|parsed| parsed.to_file_path().ok()).unwrap_or_else(|| PathBuf::from(url))
}

/// Where a path leads, links followed as far as it exists.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_error| path.to_owned());
    let found = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    let Some((part, mut real)) = found else { return path };
    for component in path.strip_prefix(part).unwrap_or(Path::new("")).components() {
        match component {
            Component::ParentDir => {
                real.pop();
            }
            other => real.push(other),
        }
    }
    real
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_out_of_reach() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::create_dir(at("store")).unwrap();
        std::os::unix::fs::symlink(at("store"), at("link")).unwrap();
        for to in ["store", "store/x", "link", "link/deep/er", "new/../store/x", "./store"] {
            Guard::new(&at("store"), &at(to)).unwrap_err();
        }
        for to in ["store-2", "shop/store", "link-2"] {
            assert_eq!(Guard::new(&at("store"), &at(to)).unwrap().forbids("assets/x.png"), None, "{to}");
        }
        let above = Guard::new(&at("a/store"), &at("a")).unwrap();
        assert!(above.forbids("store/assets/x.png").is_some() && above.forbids("store.png").is_none());
        for (store, to) in [
            ("s3://b/gen", "s3://b/gen"),
            ("s3://b/gen/", "s3://b/gen/x"),
            ("s3://b", "s3://b/"),
            ("s3://b", "s3://b/assets"),
        ] {
            Guard::new(store, to).unwrap_err();
        }
        for (store, to) in
            [("s3://b/gen", "s3://b/general"), ("s3://b", "s3://b/shop"), ("s3://b/gen", "gen")]
        {
            assert_eq!(Guard::new(store, to).unwrap().forbids("gen/x"), None);
        }
        assert!(Guard::new("s3://b/gen", "s3://b").unwrap().forbids("gen/x").is_some());
    }

    #[test]
    fn the_table_keeps_its_name() {
        let mut guard = Guard::new("s3://b/gen", "out").unwrap();
        guard.keep(["results-b.csv", "results.csv"].map(str::to_owned));
        assert!(guard.forbids("Results.CSV").is_some() && guard.forbids("a/results.csv").is_none());
        assert!(guard.forbids("results-B.csv").is_some() && guard.forbids("results-c.csv").is_none());
    }
}
