//! Names of a private server, kept in its data directory while it is not running.

use std::{collections::BTreeMap, ffi::OsStr, fs, path::Path};

use pictor_common::queue::Queue;

use super::{
    Source,
    live::{self, Batches, Name},
};
use crate::private_redis;

const FILE: &str = "names.json";
const KEPT: &[(&str, Source)] = &[
    ("batches", Source::Batches(Batches::All)),
    ("open", Source::Batches(Batches::Open)),
    ("held", Source::Batches(Batches::Held)),
    ("tenants", Source::Tenants),
    ("lanes", Source::Lanes),
    ("failures", Source::Failures),
    ("assets", Source::Assets),
];

/// What was kept of a source.
pub(super) fn names(source: Source, data_dir: &Path) -> Option<Vec<Name>> {
    let (kind, _) = KEPT.iter().find(|(_, kept)| *kept == source)?;
    let text = fs::read(data_dir.join(FILE)).ok()?;
    let mut kept: BTreeMap<String, Vec<Name>> = serde_json::from_slice(&text).ok()?;
    kept.remove(*kind)
}

/// Keeps what every source says now.
pub(super) async fn write(queue: &Queue, data_dir: &Path) -> anyhow::Result<()> {
    let mut kept: BTreeMap<&str, Vec<Name>> = BTreeMap::new();
    for (kind, source) in KEPT {
        kept.insert(kind, live::asked(*source, OsStr::new(""), queue).await?);
    }
    Ok(private_redis::write(&data_dir.join(FILE), serde_json::to_vec(&kept)?)?)
}
