//! What is written of what goes: JSON lines, compressed, under names that tell what they hold.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
};

use flate2::{Compression, write::GzEncoder};
use serde::Serialize;

use super::{RetentionError, Retiring};
use crate::{
    AssetKey,
    batch::{BatchId, Made},
    queue::{BatchState, Failure},
    store::{Body, NewObject, Put, Store, StoreError},
};

/// Rows read at once.
const ROWS: u64 = 1_000;
/// Rows in a row without a line after which there are no more, as skipped rows leave gaps.
const GAP: u64 = 20_000_000;

/// A line, and what became of it.
#[derive(Serialize)]
struct Kept<'a> {
    row: u64,
    id: &'a str,
    cells: &'a [String],
    images: Vec<Image>,
}

#[derive(Serialize)]
struct Image {
    key: AssetKey,
    /// What was submitted, where something else stands in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<AssetKey>,
    phase: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<Made>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

/// A batch that is archived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Archived {
    /// The object's name.
    pub name: String,
    /// Where that is, for people.
    pub place: String,
    /// When the batch was opened, µs since 1970.
    pub created: u64,
    /// When it was complete.
    pub completed: u64,
}

fn folder(namespace: &str, kind: &str) -> String {
    format!("archive/{namespace}/{kind}/")
}

/// Where the batches of an id are archived, the newest last.
pub async fn archived(
    store: &dyn Store,
    namespace: &str,
    batch: &BatchId,
) -> Result<Vec<Archived>, StoreError> {
    let prefix = format!("{}{batch}.", folder(namespace, "batches"));
    let names = match store.list(&prefix, None, ROWS as usize).await {
        Err(error) if error.kind == crate::store::StoreErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    let found = names.into_iter().filter_map(|name| {
        let times = name.strip_prefix(&prefix)?.strip_suffix(".jsonl.gz")?;
        let (created, completed) = times.split_once('-')?;
        let (created, completed) = (created.parse().ok()?, completed.parse().ok()?);
        Some(Archived { place: store.location(&name), name, created, completed })
    });
    let mut found: Vec<Archived> = found.collect();
    found.sort_by_key(|archived| archived.completed);
    Ok(found)
}

/// Writes a batch; returns those of its assets that failed.
pub(super) async fn batch(of: &Retiring<'_>, batch: &BatchState) -> Result<Vec<AssetKey>, RetentionError> {
    let completed = batch.completed.unwrap_or(0);
    let namespace = of.queue.keys().namespace();
    let name = format!("{}{}.{}-{completed}.jsonl.gz", folder(namespace, "batches"), batch.id, batch.created);
    let mut file = Packed::begin(of)?;
    file.line(batch)?;
    let id: BatchId = batch.id.parse().map_err(io::Error::other)?;
    let (mut row, mut seen, mut empty, mut failed) = (1, 0, 0, Vec::new());
    while seen < batch.sealed.unwrap_or(0) && empty < GAP {
        let lines = of.queue.lines(&id, row, ROWS).await?;
        row += ROWS;
        seen += lines.len() as u64;
        empty = if lines.is_empty() { empty + ROWS } else { 0 };
        let asked: Vec<AssetKey> = lines.iter().flat_map(|line| line.keys.clone()).collect();
        let others = of.queue.stand_ins(&id, &asked).await?;
        let keys: Vec<AssetKey> =
            asked.iter().zip(&others).map(|(key, other)| other.as_ref().unwrap_or(key).clone()).collect();
        let states = of.queue.assets(&keys).await?;
        let mut images = keys.into_iter().zip(asked).zip(states).map(|((key, asked), state)| {
            let state = state.unwrap_or_default();
            let asked = (asked != key).then_some(asked);
            let (phase, model, made, failure) = (state.phase, state.model, state.made, state.failure);
            Image { key, asked, phase, model, made, failure }
        });
        for line in &lines {
            let images: Vec<Image> = images.by_ref().take(line.keys.len()).collect();
            let lost = images.iter().filter(|image| image.phase == "failed").map(|image| image.key.clone());
            failed.extend(lost);
            file.line(&Kept { row: line.row, id: &line.id, cells: &line.cells, images })?;
        }
    }
    if seen < batch.sealed.unwrap_or(0) {
        return Err(RetentionError::Short(batch.id.clone()));
    }
    file.put(of, name).await?;
    failed.sort();
    failed.dedup();
    Ok(failed)
}

/// Writes some things, a line each.
pub(super) async fn some(
    of: &Retiring<'_>,
    kind: &str,
    range: &str,
    all: &[impl Serialize],
) -> Result<(), RetentionError> {
    let mut file = Packed::begin(of)?;
    for one in all {
        file.line(one)?;
    }
    let name = format!("{}{range}.{}.jsonl.gz", folder(of.queue.keys().namespace(), kind), all.len());
    file.put(of, name).await
}

/// A file that becomes an object.
struct Packed {
    path: std::path::PathBuf,
    packed: GzEncoder<io::BufWriter<File>>,
}

impl Packed {
    fn begin(of: &Retiring<'_>) -> io::Result<Self> {
        let path = of.folder.join(format!("archive-{}.part", of.owner));
        let packed = GzEncoder::new(io::BufWriter::new(File::create(&path)?), Compression::default());
        Ok(Self { path, packed })
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.packed, value)?;
        self.packed.write_all(b"\n")
    }

    /// Stores it, unless it is stored already: what stands there under this name has the same.
    async fn put(self, of: &Retiring<'_>, name: String) -> Result<(), RetentionError> {
        self.packed.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        let object = NewObject {
            name,
            body: Body::File(self.path.clone()),
            content_type: "application/gzip".to_owned(),
            metadata: BTreeMap::new(),
        };
        let put = of.store.put_if_absent(object).await;
        fs::remove_file(&self.path)?;
        let _stored_now_or_before: Put = put?;
        Ok(())
    }
}
