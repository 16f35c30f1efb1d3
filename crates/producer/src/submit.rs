//! Plans a manifest against Redis and the store, and queues what is missing.
//!
//! A manifest is read three times and never held: to check it, to plan it, to submit it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::File,
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
};

use futures::{StreamExt as _, TryStreamExt as _};
use pictor_common::{
    AssetKey,
    batch::{Band, BatchHead, BatchId, Made, Route},
    queue::{CHUNK, Queue, QueueError, SealError, Submitted},
    stamp::Stamp,
    store::{Store, StoreError, image_name},
};

use crate::{
    content::{Content, batch_id},
    manifest::{BadInput, Reading, RowError, RowSpecs, Rows, Rules, check},
    plan::{Plan, PlannedAsset, Standing},
};

/// Objects looked up in the store at once.
const LOOKUPS: usize = 64;

/// A manifest that can be read again.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Its name, for people.
    pub name: String,
    /// How it is read.
    pub format: Reading,
    /// Where it is.
    pub source: Source,
}

/// Where a manifest is.
#[derive(Clone, Debug)]
pub enum Source {
    /// On disk.
    File(PathBuf),
    /// In memory.
    Bytes(Arc<[u8]>),
}

impl Manifest {
    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(match &self.source {
            Source::File(path) => Box::new(io::BufReader::new(File::open(path)?)),
            Source::Bytes(bytes) => Box::new(&**bytes),
        })
    }
}

/// What is to be submitted, and for whom.
#[derive(Debug)]
pub struct Request<'a> {
    /// The rows.
    pub manifest: &'a Manifest,
    /// How rows become specs.
    pub rules: &'a Rules<'a>,
    /// What else belongs to the content of the batch.
    pub options: &'a BTreeMap<String, String>,
    /// Who asks.
    pub tenant: &'a str,
    /// How urgent it is.
    pub band: Band,
    /// The batch; else it is named after its content.
    pub run_id: Option<BatchId>,
    /// Makes again what failed for good.
    pub retry_failed: bool,
}

/// A manifest without a mistake, as a batch.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The batch.
    pub head: BatchHead,
    /// Rows that ask for something.
    pub rows: u64,
    /// Where its assets wait.
    pub routes: BTreeSet<Route>,
}

/// What a submission would do.
#[derive(Debug)]
pub struct Planned {
    /// The sums.
    pub plan: Plan,
    /// Assets the store holds and Redis does not know.
    stored: HashSet<AssetKey>,
}

/// Why nothing, or not all, was submitted.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Something in the manifest is wrong.
    #[error(transparent)]
    BadInput(#[from] BadInput),
    /// The manifest became another while it was read.
    #[error("{0} was changed while it was read; submit it again")]
    Changed(String),
    /// It cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// The manifest.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Redis failed or refused.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The batch could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store failed.
    #[error("cannot look images up in the store")]
    Store(#[from] StoreError),
}

impl Request<'_> {
    /// Reads the whole manifest and finds everything wrong with it; asks nobody.
    pub fn check(&self) -> Result<Checked, SubmitError> {
        let mut routes = BTreeSet::new();
        let each = |row: RowSpecs| {
            routes.insert(row.route);
        };
        let manifest = self.open()?;
        let found = check(
            manifest,
            &self.manifest.name,
            self.manifest.format.clone(),
            self.rules,
            self.options,
            each,
        )?;
        let id = self.run_id.clone().unwrap_or_else(|| batch_id(self.tenant, &found.content));
        let head = BatchHead {
            id,
            tenant: self.tenant.to_owned(),
            band: self.band,
            content: found.content,
            source: self.manifest.name.clone(),
            columns: found.columns,
            cap: None,
        };
        Ok(Checked { head, rows: found.rows, routes })
    }

    /// Prices a manifest as if nothing of it existed; asks nobody.
    pub fn price(&self) -> Result<Plan, SubmitError> {
        let mut plan = Plan::new(self.retry_failed);
        let each = |row: RowSpecs| {
            let assets = plan.row(row).assets;
            plan.add(assets.iter().map(|planned| (planned, Standing::New)));
        };
        check(
            self.open()?,
            &self.manifest.name,
            self.manifest.format.clone(),
            self.rules,
            self.options,
            each,
        )?;
        Ok(plan)
    }

    /// Looks every asset up, in Redis and, where Redis does not know it, in the store.
    pub async fn plan(
        &self,
        checked: &Checked,
        queue: &Queue,
        store: &dyn Store,
    ) -> Result<Planned, SubmitError> {
        let mut plan = Plan::new(self.retry_failed);
        let mut stored = HashSet::new();
        let mut waiting: Vec<PlannedAsset> = Vec::with_capacity(CHUNK);
        for row in self.rows(checked, self.open()?)? {
            waiting.extend(plan.row(self.good(row)?).assets);
            if waiting.len() >= CHUNK {
                count(&mut plan, &mut stored, &waiting, queue, store).await?;
                waiting.clear();
            }
        }
        count(&mut plan, &mut stored, &waiting, queue, store).await?;
        Ok(Planned { plan, stored })
    }

    /// Queues a planned manifest in chunks and seals it; `told` hears how many rows are in.
    ///
    /// Safe to repeat, also after being killed half-way: adds only what is missing.
    pub async fn submit(
        &self,
        checked: &Checked,
        planned: &Planned,
        queue: &Queue,
        store: &dyn Store,
        mut told: impl FnMut(u64),
    ) -> Result<Submitted, SubmitError> {
        let mut again = Plan::new(self.retry_failed);
        let mut sums = Submitted::default();
        let mut rows_in = 0;
        let (mut assets, mut lines) = (Vec::with_capacity(CHUNK), Vec::new());
        let defaults = self.rules.defaults();
        let template = self.rules.template_source();
        let mut content = Content::new(template, defaults, self.options, self.open()?);
        for row in self.rows(checked, &mut content)? {
            let row = again.row(self.good(row)?);
            let number = row.line.row;
            if lines.len() == CHUNK || assets.len() + row.assets.len() > CHUNK {
                rows_in += lines.len() as u64;
                sums += self.send(&checked.head, &mut assets, &mut lines, queue).await?;
                told(rows_in);
            }
            for PlannedAsset { mut asset, .. } in row.assets {
                if planned.stored.contains(&asset.key) {
                    let object = store.head(&image_name(&asset.key, &asset.spec)).await?;
                    asset.made = object.as_ref().and_then(Stamp::of).map(|stamp| stamp.made);
                }
                assets.push((number, asset));
            }
            lines.push(row.line);
        }
        if content.finish().map_err(|source| self.unreadable(source))? != checked.head.content {
            return Err(SubmitError::Changed(self.manifest.name.clone()));
        }
        sums += self.send(&checked.head, &mut assets, &mut lines, queue).await?;
        queue.seal(&checked.head.id, checked.rows).await?;
        told(checked.rows);
        Ok(sums)
    }

    async fn send(
        &self,
        head: &BatchHead,
        assets: &mut Vec<(u64, pictor_common::batch::NewAsset)>,
        lines: &mut Vec<pictor_common::batch::Line>,
        queue: &Queue,
    ) -> Result<Submitted, QueueError> {
        let sums = queue.submit(head, assets, lines, self.retry_failed).await?;
        assets.clear();
        lines.clear();
        Ok(sums)
    }

    fn rows<'s, R: Read>(&'s self, checked: &Checked, manifest: R) -> Result<Rows<'s, R>, SubmitError> {
        Rows::again(manifest, self.manifest.format.clone(), self.rules, &checked.head.columns)
            .map_err(|_errors| SubmitError::Changed(self.manifest.name.clone()))
    }

    fn good(&self, row: Result<RowSpecs, Vec<RowError>>) -> Result<RowSpecs, SubmitError> {
        row.map_err(|_errors| SubmitError::Changed(self.manifest.name.clone()))
    }

    fn open(&self) -> Result<Box<dyn Read + Send + '_>, SubmitError> {
        self.manifest.open().map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: io::Error) -> SubmitError {
        SubmitError::Read { name: self.manifest.name.clone(), source }
    }
}

async fn count(
    plan: &mut Plan,
    stored: &mut HashSet<AssetKey>,
    assets: &[PlannedAsset],
    queue: &Queue,
    store: &dyn Store,
) -> Result<(), SubmitError> {
    let keys: Vec<AssetKey> = assets.iter().map(|planned| planned.asset.key.clone()).collect();
    let phases = queue.phases(&keys).await?;
    let unknown = assets.iter().zip(&phases).filter(|(_, phase)| phase.is_none());
    let found: Vec<AssetKey> = futures::stream::iter(unknown.map(|(planned, _)| found(store, planned)))
        .buffer_unordered(LOOKUPS)
        .try_filter_map(|found| std::future::ready(Ok(found)))
        .try_collect()
        .await?;
    stored.extend(found);
    let standing = |planned: &PlannedAsset, phase: &Option<String>| match phase.as_deref() {
        None if stored.contains(&planned.asset.key) => Standing::Made,
        None => Standing::New,
        Some("done" | "substituted") => Standing::Made,
        Some("failed" | "parked") => Standing::Failed,
        Some(_) => Standing::Queued,
    };
    plan.add(assets.iter().zip(&phases).map(|(planned, phase)| (planned, standing(planned, phase))));
    Ok(())
}

/// The asset's key when the store holds an image of it that Pictor wrote.
async fn found(store: &dyn Store, planned: &PlannedAsset) -> Result<Option<AssetKey>, StoreError> {
    let object = store.head(&image_name(&planned.asset.key, &planned.asset.spec)).await?;
    let made: Option<Made> = object.as_ref().and_then(Stamp::of).map(|stamp| stamp.made);
    Ok(made.map(|_| planned.asset.key.clone()))
}
