//! A segment: entries of one day that follow each other, as one object in the store.
//!
//! Its name says what is in it, so that a listing alone tells what was spent:
//! `ledger/NAMESPACE/DAY/FIRST_LAST_EPOCH_ENTRIES_SPENT~TENANT~SPENT.jsonl.gz`, with the ids of its first and last entry,
//! the beginning of the namespace that wrote them, and micro-USD, in all and of each tenant; `~` alone stands for more
//! tenants than a name has room for. It holds one entry a line, JSON with its id.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    str::FromStr,
};

use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::{batch::check_name, queue::LedgerEntry};

/// Most bytes a segment may unpack to; those that are written stay far below.
const MOST_BYTES: u64 = 256 * 1024 * 1024;
const SUFFIX: &str = ".jsonl.gz";
/// Most bytes of a name that tell of tenants: stores take 240 between slashes, and the rest takes less than half.
const TENANT_BYTES: usize = 120;

/// Id of an entry: milliseconds since 1970, and a number within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Milliseconds since 1970.
    pub ms: u64,
    /// Number within the millisecond.
    pub number: u64,
}

/// Why a text is not the id of an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of a ledger entry")]
pub struct NotEntryId(String);

impl FromStr for EntryId {
    type Err = NotEntryId;

    fn from_str(text: &str) -> Result<Self, NotEntryId> {
        let parts =
            text.split_once('-').and_then(|(ms, number)| Some((ms.parse().ok()?, number.parse().ok()?)));
        parts.map(|(ms, number)| Self { ms, number }).ok_or_else(|| NotEntryId(text.to_owned()))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.number)
    }
}

impl EntryId {
    /// The day in UTC, by which segments are kept.
    #[must_use]
    pub fn day(&self) -> Date {
        let moment = i64::try_from(self.ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        moment.unwrap_or_default().to_zoned(TimeZone::UTC).date()
    }
}

/// What the name of a segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first entry.
    pub first: EntryId,
    /// Its last entry.
    pub last: EntryId,
    /// When the namespace began that wrote it: a wiped one begins anew.
    pub epoch: String,
    /// How many entries it has.
    pub entries: usize,
    /// What they add to the money that is spent, micro-USD.
    pub spent: i64,
    /// The same of each tenant; none where the name has no room for them, so that the entries must be read.
    pub tenants: Option<BTreeMap<String, i64>>,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    id: std::borrow::Cow<'a, str>,
    #[serde(flatten)]
    entry: std::borrow::Cow<'a, LedgerEntry>,
}

impl Segment {
    /// The segment of some entries of one day, in order; none without entries.
    #[must_use]
    pub fn of(epoch: &str, entries: &[(EntryId, LedgerEntry)]) -> Option<Self> {
        Some(Self {
            first: entries.first()?.0,
            last: entries.last()?.0,
            epoch: epoch.to_owned(),
            entries: entries.len(),
            spent: entries.iter().map(|(_, entry)| entry.spent()).sum(),
            tenants: by_tenant(entries),
        })
    }

    /// The folder of a namespace.
    #[must_use]
    pub fn folder(namespace: &str) -> String {
        format!("ledger/{namespace}/")
    }

    /// Its name in the store.
    #[must_use]
    pub fn name(&self, namespace: &str) -> String {
        let Self { first, last, epoch, entries, spent, tenants } = self;
        let (folder, day) = (Self::folder(namespace), first.day());
        let tenants = tenants.as_ref().map_or_else(|| "~".to_owned(), text);
        format!("{folder}{day}/{first}_{last}_{epoch}_{entries}_{spent}{tenants}{SUFFIX}")
    }

    /// Reads a name; none when it is not that of a segment.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        let name = name.rsplit('/').next()?.strip_suffix(SUFFIX)?;
        let (name, tenants) = name.split_at(name.find('~').unwrap_or(name.len()));
        let mut parts = name.split('_');
        let segment = Self {
            first: parts.next()?.parse().ok()?,
            last: parts.next()?.parse().ok()?,
            epoch: parts.next()?.to_owned(),
            entries: parts.next()?.parse().ok()?,
            spent: parts.next()?.parse().ok()?,
            tenants: if tenants == "~" { None } else { Some(read_tenants(tenants)?) },
        };
        parts.next().is_none().then_some(segment)
    }
}

/// What entries add of each tenant; none where a name cannot tell that. Whose tenant is not known are left out.
fn by_tenant(entries: &[(EntryId, LedgerEntry)]) -> Option<BTreeMap<String, i64>> {
    let mut tenants = BTreeMap::new();
    for (_, entry) in entries.iter().filter(|(_, entry)| !entry.tenant.is_empty()) {
        check_name(&entry.tenant).ok()?;
        *tenants.entry(entry.tenant.clone()).or_default() += entry.spent();
    }
    (text(&tenants).len() <= TENANT_BYTES).then_some(tenants)
}

fn text(tenants: &BTreeMap<String, i64>) -> String {
    tenants.iter().map(|(tenant, spent)| format!("~{tenant}~{spent}")).collect()
}

fn read_tenants(text: &str) -> Option<BTreeMap<String, i64>> {
    let mut parts = text.split('~').skip(1);
    let mut tenants = BTreeMap::new();
    while let Some(tenant) = parts.next() {
        tenants.insert(tenant.to_owned(), parts.next()?.parse().ok()?);
    }
    Some(tenants)
}

/// Packs entries; the same entries are always the same bytes.
pub(super) fn pack(entries: &[(EntryId, LedgerEntry)]) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    for (id, entry) in entries {
        let line = Line { id: id.to_string().into(), entry: std::borrow::Cow::Borrowed(entry) };
        serde_json::to_writer(&mut packed, &line)?;
        packed.write_all(b"\n")?;
    }
    packed.finish()
}

/// Unpacks entries.
pub(super) fn unpack(bytes: &[u8]) -> io::Result<Vec<(EntryId, LedgerEntry)>> {
    let lines = BufReader::new(GzDecoder::new(bytes).take(MOST_BYTES)).lines();
    lines
        .map(|line| {
            let line: String = line?;
            let line: Line<'_> = serde_json::from_str(&line)?;
            let id = line.id.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            Ok((id, line.entry.into_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: &str, cost: u64) -> LedgerEntry {
        let text = |text: &str| text.to_owned();
        LedgerEntry {
            kind: text(kind),
            key: text("k"),
            token: text("t"),
            attempt: text("1"),
            cost: cost.to_string(),
            batch: text("b_1"),
            tenant: text("my_shop"),
            lane: text("acme.dall-e-2"),
            model: text("dall-e-2"),
            request_id: text(""),
            at: text("1763683200000000"),
            day: text("2025-11-21"),
        }
    }

    #[test]
    fn a_name_says_what_is_in_a_segment() {
        let id = |number| EntryId { ms: 1_763_683_199_999, number };
        let entries = [(id(7), entry("resolved", 20_000)), (id(12), entry("settled", 16_000))];
        let segment = Segment::of("1763680000000000", &entries).unwrap();
        let name = segment.name("shop");
        assert_eq!(
            name,
            "ledger/shop/2025-11-20/1763683199999-7_1763683199999-12_1763680000000000_2_-4000~my_shop~-4000.jsonl.gz"
        );
        assert_eq!(Segment::read(&name), Some(segment));
        assert_eq!(unpack(&pack(&entries).unwrap()).unwrap(), entries);
        assert_eq!(pack(&entries).unwrap(), pack(&entries).unwrap());
        for other in [
            "ledger/shop/readme.txt",
            "1-2_3-4_5_6.jsonl.gz",
            "1-2_3-4_5_6_7_8.jsonl.gz",
            "1-2_3-4_5_6_7~shop.jsonl.gz",
            "1-2_3-4_5_6_7~shop~x.jsonl.gz",
        ] {
            assert_eq!(Segment::read(other), None, "{other}");
        }
    }

    #[test]
    fn a_name_tells_of_tenants_where_it_has_room() {
        let of = |tenants: &[&str]| {
            let entries: Vec<_> = tenants
                .iter()
                .map(|tenant| {
                    let entry = LedgerEntry { tenant: (*tenant).to_owned(), ..entry("settled", 5) };
                    (EntryId::default(), entry)
                })
                .collect();
            let segment = Segment::of("1", &entries).unwrap();
            let name = segment.name("shop");
            assert_eq!(Segment::read(&name), Some(segment.clone()), "{name}");
            segment.tenants
        };
        let two = BTreeMap::from([("a".to_owned(), 10), ("b.c".to_owned(), 5)]);
        assert_eq!(of(&["a", "b.c", "a"]), Some(two));
        assert_eq!(of(&["", ""]), Some(BTreeMap::new()), "nobody knows whose");
        assert_eq!(of(&["größe"]), None, "no name of ours");
        let (long, other) = ("x".repeat(100), "y".repeat(100));
        assert!(of(&[&long]).is_some());
        assert_eq!(of(&[&long, &other]), None);
    }

    #[test]
    fn a_broken_segment_is_an_error() {
        assert!(unpack(b"not deflated").is_err());
        let packed = pack(&[(EntryId::default(), entry("settled", 1))]).unwrap();
        assert!(unpack(&packed[..packed.len() - 12]).is_err());
    }
}
