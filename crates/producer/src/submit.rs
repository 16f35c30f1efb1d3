//! Plans a manifest against Redis and the store, and queues what is missing.
//!
//! A manifest is read twice and never held: to check it, and to submit it. In between stands an
//! outline of a few bytes an asset.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
};

use pictor_common::{
    batch::{Band, BatchHead, BatchId, Route},
    queue::{Epoch, Queue, QueueError, SealError, Submitted},
    store::{Store, StoreError},
};

use crate::{
    content::{Content, batch_id, without_rows},
    lookup::{Found, Lookup},
    manifest::{BadInput, BadRow, Reading, RowSpecs, Rows, Rules, Skipped, check},
    outline::Outline,
    plan::{Plan, Standing},
    sending::Sending,
    vary::Matrix,
};

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
    pub(crate) fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
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
    /// Lines: rows that ask for something, multiplied by what varies.
    pub rows: u64,
    /// Those rows themselves.
    pub data_rows: u64,
    /// What multiplied the rows.
    pub matrix: Matrix,
    /// Rows left out.
    pub skipped: Arc<Skipped>,
    /// Where its assets wait.
    pub routes: BTreeSet<Route>,
    /// Rows and takes counted, nothing looked up.
    counted: Plan,
    outline: Arc<Outline>,
}

/// What a submission would do.
#[derive(Debug)]
pub struct Planned {
    /// The sums.
    pub plan: Plan,
    /// What was found where.
    found: Found,
    /// When they were looked up.
    epoch: Epoch,
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

impl SubmitError {
    /// Whether it must be planned again, since what the plan relied on is forgotten or gone.
    #[must_use]
    pub fn forgot(&self) -> bool {
        let queue = match self {
            Self::Queue(queue) | Self::Seal(SealError::Queue(queue)) => queue,
            _ => return false,
        };
        matches!(queue, QueueError::Forgot | QueueError::Gone(_))
    }
}

impl Request<'_> {
    /// Reads the whole manifest and finds everything wrong with it; asks nobody.
    pub fn check(&self) -> Result<Checked, SubmitError> {
        let mut counted = Plan::new(self.retry_failed);
        let mut outline = Outline::default();
        let each = |row: RowSpecs| {
            for planned in counted.row(row).assets {
                outline.note(planned);
            }
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
        let derive = self.rules.derive_by(&found.columns).then(Vec::new);
        let head = BatchHead {
            id,
            tenant: self.tenant.to_owned(),
            band: self.band,
            content: found.content,
            source: self.manifest.name.clone(),
            columns: found.columns,
            cap: None,
            fallback: self.rules.fallback().map(str::to_owned),
            on_unknown: None,
            deadline: None,
            derive,
        };
        Ok(Checked {
            head,
            rows: found.lines,
            data_rows: found.rows,
            matrix: found.matrix,
            skipped: Arc::new(found.skipped),
            routes: outline.routes(),
            counted: counted.counted(),
            outline: Arc::new(outline),
        })
    }

    /// Prices a manifest as if nothing of it existed; asks nobody.
    pub fn price(&self) -> Result<Plan, SubmitError> {
        let mut plan = Plan::new(self.retry_failed);
        let each = |row: RowSpecs| {
            let assets = plan.row(row).assets;
            plan.add(assets.iter().map(|planned| (planned, Standing::New)));
        };
        let found = check(
            self.open()?,
            &self.manifest.name,
            self.manifest.format.clone(),
            self.rules,
            self.options,
            each,
        )?;
        let skipped = found.skipped.rows.len() as u64;
        match found.skipped.errors.filter(|_| found.rows == 0) {
            Some(bad) => Err(bad.into()),
            None => Ok(plan.of(&found.matrix, skipped)),
        }
    }

    /// Looks every asset up, in Redis and, where Redis does not know it, in the store.
    pub async fn plan(
        &self,
        checked: &Checked,
        queue: &Queue,
        store: &dyn Store,
    ) -> Result<Planned, SubmitError> {
        let mut plan = checked.counted.clone().of(&checked.matrix, checked.skipped.rows.len() as u64);
        let epoch = queue.epoch().await?;
        let lookup = Lookup::new(queue, store, plan.assets);
        let found = lookup.add_to(&mut plan, checked.outline.assets()).await?;
        Ok(Planned { plan, found, epoch })
    }

    /// Queues a planned manifest in chunks and seals it; `told` hears how many rows are in.
    ///
    /// Safe to repeat, also after being killed half-way: adds only what is missing. When Redis has forgotten since the
    /// plan, it fails with [`SubmitError::forgot`]: what was found there then may have to be looked up in the store now.
    pub async fn submit(
        &self,
        checked: &Checked,
        planned: &Planned,
        queue: &Queue,
        store: &dyn Store,
        mut told: impl FnMut(u64),
    ) -> Result<Submitted, SubmitError> {
        let mut again = Plan::new(self.retry_failed);
        let queue = &queue.within(&planned.epoch);
        let mut sending =
            Sending::new(&checked.head, queue, store, &planned.found, self.retry_failed).await?;
        let defaults = self.rules.defaults();
        let template = self.rules.template_source();
        let mut content = Content::new(template, defaults, self.options, self.open()?);
        for row in self.rows(checked, &mut content)? {
            told(sending.row(again.row(self.good(row)?)).await?);
        }
        let content = content.finish().map_err(|source| self.unreadable(source))?;
        if without_rows(content, &checked.skipped.rows) != checked.head.content {
            return Err(SubmitError::Changed(self.manifest.name.clone()));
        }
        let sums = sending.finish().await?;
        queue.seal(&checked.head.id, checked.rows).await?;
        told(checked.rows);
        Ok(sums)
    }

    fn rows<'s, R: Read>(&'s self, checked: &Checked, manifest: R) -> Result<Rows<'s, R>, SubmitError> {
        Rows::again(manifest, self.manifest.format.clone(), self.rules, &checked.head.columns)
            .map(|rows| rows.without(Arc::clone(&checked.skipped)))
            .map_err(|_errors| SubmitError::Changed(self.manifest.name.clone()))
    }

    fn good(&self, row: Result<RowSpecs, BadRow>) -> Result<RowSpecs, SubmitError> {
        row.map_err(|_bad| SubmitError::Changed(self.manifest.name.clone()))
    }

    fn open(&self) -> Result<Box<dyn Read + Send + '_>, SubmitError> {
        self.manifest.open().map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: io::Error) -> SubmitError {
        SubmitError::Read { name: self.manifest.name.clone(), source }
    }
}
