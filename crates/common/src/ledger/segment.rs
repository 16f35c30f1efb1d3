//! A segment: entries of one day that follow each other, as one object in the store.
//!
//! Its name says what is in it, so that a listing alone tells what was spent:
//! `ledger/NAMESPACE/DAY/FIRST_LAST_EPOCH_ENTRIES_SPENT.jsonl.gz`, with the ids of its first and last entry, the beginning
//! of the namespace that wrote them, and micro-USD. It holds one entry a line, JSON with its id.

use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    str::FromStr,
};

use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::queue::LedgerEntry;

/// Most bytes a segment may unpack to; those that are written stay far below.
const MOST_BYTES: u64 = 256 * 1024 * 1024;
const SUFFIX: &str = ".jsonl.gz";

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
        let Self { first, last, epoch, entries, spent } = self;
        let day = first.day();
        format!("{}{day}/{first}_{last}_{epoch}_{entries}_{spent}{SUFFIX}", Self::folder(namespace))
    }

    /// Reads a name; none when it is not that of a segment.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        let mut parts = name.rsplit('/').next()?.strip_suffix(SUFFIX)?.split('_');
        let segment = Self {
            first: parts.next()?.parse().ok()?,
            last: parts.next()?.parse().ok()?,
            epoch: parts.next()?.to_owned(),
            entries: parts.next()?.parse().ok()?,
            spent: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(segment)
    }
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
            tenant: text("größe"),
            lane: text("acme.dall-e-2"),
            model: text("dall-e-2"),
            request_id: text(""),
            at: text("1763683200000000"),
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
            "ledger/shop/2025-11-20/1763683199999-7_1763683199999-12_1763680000000000_2_-4000.jsonl.gz"
        );
        assert_eq!(Segment::read(&name), Some(segment));
        assert_eq!(unpack(&pack(&entries).unwrap()).unwrap(), entries);
        assert_eq!(pack(&entries).unwrap(), pack(&entries).unwrap());
        for other in ["ledger/shop/readme.txt", "1-2_3-4_5_6.jsonl.gz", "1-2_3-4_5_6_7_8.jsonl.gz"] {
            assert_eq!(Segment::read(other), None, "{other}");
        }
    }

    #[test]
    fn a_broken_segment_is_an_error() {
        assert!(unpack(b"not deflated").is_err());
        let packed = pack(&[(EntryId::default(), entry("settled", 1))]).unwrap();
        assert!(unpack(&packed[..packed.len() - 12]).is_err());
    }
}
