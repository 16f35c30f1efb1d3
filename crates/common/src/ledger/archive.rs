//! Reads and writes the part of the ledger that is in the store.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::segment::{EntryId, Segment, pack, unpack};
use crate::{
    MicroUsd,
    queue::LedgerEntry,
    store::{Body, NewObject, Store, StoreError},
};

/// Names a listing brings at once.
const PAGE: usize = 1_000;

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
    /// By day and tenant, of the days that were asked for.
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

    /// What was spent before this beginning of the namespace: in all, and by day and tenant from one moment to another.
    ///
    /// The total is read from names alone, a thousand segments a request. What another beginning of the namespace settled
    /// once more counts twice: too much rather than too little.
    pub async fn spend(
        &self,
        without: &str,
        from: Timestamp,
        to: Timestamp,
        zone: &TimeZone,
    ) -> Result<Spend, ArchiveError> {
        let (mut total, mut days) = (0_i64, BTreeMap::<Date, BTreeMap<String, i64>>::new());
        let mut upto: HashMap<String, EntryId> = HashMap::new();
        let mut listing = self.segments(None);
        while let Some(page) = listing.next().await? {
            for segment in page.into_iter().filter(|segment| segment.epoch != without) {
                let known = upto.get(&segment.epoch).copied();
                let overlaps = known.is_some_and(|known| segment.first <= known);
                let fresh = |id: EntryId| known.is_none_or(|known| id > known);
                let wanted = touches(&segment, from, to);
                let entries = if overlaps || wanted { self.entries(&segment).await? } else { Vec::new() };
                let entries = entries.iter().filter(|(id, _)| fresh(*id)).map(|(_, entry)| entry);
                if overlaps {
                    total += entries.clone().map(LedgerEntry::spent).sum::<i64>();
                } else {
                    total += segment.spent;
                }
                for entry in entries.filter(|_| wanted) {
                    let Some(moment) = moment(entry).filter(|at| (from..to).contains(at)) else { continue };
                    let day = days.entry(moment.to_zoned(zone.clone()).date()).or_default();
                    *day.entry(entry.tenant.clone()).or_default() += entry.spent();
                }
                let last = known.map_or(segment.last, |known| known.max(segment.last));
                upto.insert(segment.epoch, last);
            }
        }
        let days =
            days.into_iter().map(|(day, by)| (day, by.into_iter().map(|(t, n)| (t, money(n))).collect()));
        Ok(Spend { total: money(total), days: days.collect() })
    }
}

/// Whether a segment may have entries of a time; clocks that were set back are allowed an hour.
fn touches(segment: &Segment, from: Timestamp, to: Timestamp) -> bool {
    const HOUR: i64 = 3_600_000;
    let ms = |id: EntryId| i64::try_from(id.ms).unwrap_or(i64::MAX);
    ms(segment.last) >= from.as_millisecond() - HOUR && ms(segment.first) <= to.as_millisecond() + HOUR
}

fn moment(entry: &LedgerEntry) -> Option<Timestamp> {
    Timestamp::from_microsecond(i64::try_from(entry.moment()).ok()?).ok()
}

fn money(sum: i64) -> MicroUsd {
    MicroUsd(u64::try_from(sum).unwrap_or(0))
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
