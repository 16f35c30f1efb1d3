//! Reads and writes the part of the ledger that is in the store.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    ops::RangeInclusive,
    sync::Arc,
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use tokio::task::JoinHandle;

use super::segment::{EntryId, Segment, pack, unpack};
use crate::{
    MicroUsd,
    queue::LedgerEntry,
    store::{Body, NewObject, Store, StoreError},
};

/// Names a listing brings at once.
const PAGE: usize = 1_000;
/// Segments fetched at once.
pub(super) const AT_ONCE: usize = 16;

/// The segments of one namespace in one store.
#[derive(Clone, Debug)]
pub struct Archive {
    store: Arc<dyn Store>,
    namespace: String,
}

/// Why the archive could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store is away, or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A segment is not what was written.
    #[error("the ledger's segment {place} cannot be read: {source}")]
    Broken {
        /// Where it is.
        place: String,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// Entries could not be packed.
    #[error("cannot pack entries of the ledger: {0}")]
    Pack(#[source] io::Error),
}

/// What was spent according to the archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spend {
    /// In all, as far back as the archive goes.
    pub total: MicroUsd,
    /// By tenant, as far back.
    pub tenants: BTreeMap<String, MicroUsd>,
    /// By day and tenant, of the days that were asked for; the empty name is for what nobody knows the tenant of.
    pub days: BTreeMap<Date, BTreeMap<String, MicroUsd>>,
}

/// Goes through the names of segments, page by page.
#[derive(Debug)]
pub struct Listing<'a> {
    archive: &'a Archive,
    after: Option<String>,
    done: bool,
}

impl Archive {
    /// The archive of a namespace.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, namespace: &str) -> Self {
        Self { store, namespace: namespace.to_owned() }
    }

    /// Tells this archive from those in other stores.
    #[must_use]
    pub fn place(&self) -> String {
        self.store.location(Segment::folder(&self.namespace).trim_end_matches('/'))
    }

    /// Writes entries that follow each other, a segment for each day. To write them again changes nothing.
    pub async fn write(&self, epoch: &str, entries: &[(EntryId, LedgerEntry)]) -> Result<(), ArchiveError> {
        for day in entries.chunk_by(|a, b| a.0.day() == b.0.day()) {
            let Some(segment) = Segment::of(epoch, day) else { continue };
            let object = NewObject {
                name: segment.name(&self.namespace),
                body: Body::Bytes(pack(day).map_err(ArchiveError::Pack)?.into()),
                content_type: "application/gzip".to_owned(),
                metadata: BTreeMap::new(),
            };
            // What stands there under this name has these entries.
            self.store.put_if_absent(object).await?;
        }
        Ok(())
    }

    /// The segments from a day on, or all.
    #[must_use]
    pub fn segments(&self, from: Option<Date>) -> Listing<'_> {
        let after = from.map(|day| format!("{}{day}", Segment::folder(&self.namespace)));
        Listing { archive: self, after, done: false }
    }

    /// The entries of a segment.
    pub async fn entries(&self, segment: &Segment) -> Result<Vec<(EntryId, LedgerEntry)>, ArchiveError> {
        let name = segment.name(&self.namespace);
        let broken = |source| ArchiveError::Broken { place: self.store.location(&name), source };
        let gone = || broken(io::ErrorKind::NotFound.into());
        let bytes = self.store.get(&name).await?.ok_or_else(gone)?;
        unpack(&bytes).map_err(broken)
    }

    /// The same, begun now.
    pub(super) fn fetch(&self, segment: &Segment) -> Coming {
        let (archive, segment) = (self.clone(), segment.clone());
        Coming(tokio::spawn(async move { archive.entries(&segment).await }))
    }

    /// What was spent before this beginning of the namespace: in all, by tenant, and of some days by tenant.
    ///
    /// All but the days is read from names, a thousand segments a request, where they have room for their tenants. What
    /// another beginning of the namespace settled once more counts twice: too much rather than too little.
    pub async fn spend(
        &self,
        without: &str,
        days: RangeInclusive<Date>,
        zone: &TimeZone,
    ) -> Result<Spend, ArchiveError> {
        let from = days.start().to_zoned(zone.clone()).map_or(Timestamp::MIN, |start| start.timestamp());
        let mut sums = Sums::default();
        let mut upto: HashMap<String, EntryId> = HashMap::new();
        let mut listing = self.segments(None);
        while let Some(mut page) = listing.next().await? {
            page.retain(|segment| segment.epoch != without);
            for some in page.chunks(AT_ONCE) {
                let wanted = |segment: &Segment| segment.tenants.is_none() || reaches(segment, from);
                let coming: Vec<_> =
                    some.iter().map(|segment| wanted(segment).then(|| self.fetch(segment))).collect();
                for (segment, coming) in some.iter().zip(coming) {
                    let known = upto.get(&segment.epoch).copied();
                    let overlaps = known.is_some_and(|known| segment.first <= known);
                    let coming = coming.or_else(|| overlaps.then(|| self.fetch(segment)));
                    if let Some(coming) = coming {
                        let entries = coming.entries().await?;
                        let fresh = entries.iter().filter(|(id, _)| known.is_none_or(|known| *id > known));
                        fresh.for_each(|(_, entry)| sums.add(entry, &days, zone));
                    } else {
                        sums.add_segment(segment);
                    }
                    let last = known.map_or(segment.last, |known| known.max(segment.last));
                    upto.insert(segment.epoch.clone(), last);
                }
            }
        }
        Ok(sums.spend())
    }
}

/// A segment that is being fetched; given up when nobody waits for it any more.
pub(super) struct Coming(JoinHandle<Result<Vec<(EntryId, LedgerEntry)>, ArchiveError>>);

impl Coming {
    pub(super) async fn entries(mut self) -> Result<Vec<(EntryId, LedgerEntry)>, ArchiveError> {
        (&mut self.0).await.expect("a fetch neither panics nor is given up while it is waited for")
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Default)]
struct Sums {
    total: i64,
    tenants: BTreeMap<String, i64>,
    days: BTreeMap<Date, BTreeMap<String, i64>>,
}

impl Sums {
    /// Adds what a name says, which tells of its tenants.
    fn add_segment(&mut self, segment: &Segment) {
        self.total += segment.spent;
        for (tenant, spent) in segment.tenants.iter().flatten() {
            *self.tenants.entry(tenant.clone()).or_default() += spent;
        }
    }

    fn add(&mut self, entry: &LedgerEntry, days: &RangeInclusive<Date>, zone: &TimeZone) {
        let spent = entry.spent();
        self.total += spent;
        if !entry.tenant.is_empty() {
            *self.tenants.entry(entry.tenant.clone()).or_default() += spent;
        }
        if let Some(day) = entry.counted_on(zone).filter(|day| days.contains(day)) {
            *self.days.entry(day).or_default().entry(entry.tenant.clone()).or_default() += spent;
        }
    }

    fn spend(self) -> Spend {
        let money = |sum: i64| MicroUsd(u64::try_from(sum).unwrap_or(0));
        let by_tenant = |sums: BTreeMap<String, i64>| {
            sums.into_iter().map(|(tenant, sum)| (tenant, money(sum))).collect()
        };
        Spend {
            total: money(self.total),
            tenants: by_tenant(self.tenants),
            days: self.days.into_iter().map(|(day, sums)| (day, by_tenant(sums))).collect(),
        }
    }
}

/// Whether a segment may have entries from a time on; clocks that were set back are allowed an hour.
fn reaches(segment: &Segment, from: Timestamp) -> bool {
    const HOUR: i64 = 3_600_000;
    i64::try_from(segment.last.ms).unwrap_or(i64::MAX) >= from.as_millisecond() - HOUR
}

impl Listing<'_> {
    /// The next segments, by their first entry; none at the end. Objects that are no segments are left out.
    pub async fn next(&mut self) -> Result<Option<Vec<Segment>>, StoreError> {
        if self.done {
            return Ok(None);
        }
        let folder = Segment::folder(&self.archive.namespace);
        let names = self.archive.store.list(&folder, self.after.as_deref(), PAGE).await?;
        self.done = names.len() < PAGE;
        self.after = names.last().cloned();
        let mut segments: Vec<Segment> = names.iter().filter_map(|name| Segment::read(name)).collect();
        segments.sort_by_key(|segment| segment.first);
        Ok(Some(segments))
    }
}
