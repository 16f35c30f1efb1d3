//! Reads the ledger from its beginning: first the archive, then what is in Redis, no entry twice.
//!
//! At any time there are some segments and one page of the stream in memory, and 16 bytes and their place in a table for
//! each entry from the archive: about 40 MB a million.

use std::collections::{HashSet, VecDeque};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use sha2::{Digest as _, Sha256};

use super::{
    archive::{AT_ONCE, Archive, ArchiveError, Coming},
    segment::Segment,
};
use crate::queue::{LedgerEntry, Queue, QueueError};

/// Entries a call to Redis brings.
const PAGE: usize = 1_000;
/// The stream may be trimmed while the archive is read: so much more than is needed is read there, ms.
const MARGIN: u64 = 3_600_000;

/// Why the ledger could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError<E> {
    /// Redis failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The reader of entries has had enough.
    #[error(transparent)]
    Visit(E),
}

/// Shows every entry once, in the order written; with `since`, a moment in µs, at least those from then on.
///
/// Without an archive it shows what is in Redis.
pub async fn read_all<E>(
    queue: &Queue,
    archive: Option<&Archive>,
    since: Option<u64>,
    mut visit: impl FnMut(LedgerEntry) -> Result<(), E>,
) -> Result<(), ReadError<E>> {
    let mut seen = HashSet::new();
    if let Some(archive) = archive {
        let (epoch, first) = (queue.ledger_epoch().await?, queue.ledger_start().await?);
        let in_stream = |segment: &Segment| {
            Some(&segment.epoch) == epoch.as_ref()
                && first.is_some_and(|first| segment.first.ms > first.ms + MARGIN)
        };
        let mut listing = archive.segments(since.map(day_before));
        let mut coming: VecDeque<Coming> = VecDeque::new();
        while let Some(page) = listing.next().await.map_err(ArchiveError::from)? {
            for segment in page.into_iter().filter(|segment| !in_stream(segment)) {
                coming.push_back(archive.fetch(&segment));
                if coming.len() == AT_ONCE {
                    show_next(&mut coming, &mut seen, &mut visit).await?;
                }
            }
        }
        while !coming.is_empty() {
            show_next(&mut coming, &mut seen, &mut visit).await?;
        }
    }
    let mut after =
        since.map_or_else(|| "-".to_owned(), |since| format!("{}-0", (since / 1_000).saturating_sub(MARGIN)));
    loop {
        let page = queue.ledger(&after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after.clone_from(last);
        for (_, entry) in page {
            if seen.is_empty() || !seen.contains(&identity(&entry)) {
                visit(entry).map_err(ReadError::Visit)?;
            }
        }
    }
}

async fn show_next<E>(
    coming: &mut VecDeque<Coming>,
    seen: &mut HashSet<u128>,
    visit: &mut impl FnMut(LedgerEntry) -> Result<(), E>,
) -> Result<(), ReadError<E>> {
    let Some(next) = coming.pop_front() else { return Ok(()) };
    for (_, entry) in next.entries().await? {
        if seen.insert(identity(&entry)) {
            visit(entry).map_err(ReadError::Visit)?;
        }
    }
    Ok(())
}

/// What an entry is known by: the token of its request, and what it says of it. A namespace that was wiped may be told
/// once more what it knew before.
fn identity(entry: &LedgerEntry) -> u128 {
    let digest = Sha256::digest(format!("{} {}", entry.token, entry.kind).as_bytes());
    let half = digest.first_chunk::<16>().expect("a SHA-256 has 32 bytes");
    u128::from_be_bytes(*half)
}

/// Clocks of servers differ: entries of a day may be among those of the day before.
fn day_before(moment: u64) -> Date {
    let at = i64::try_from(moment).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    let day = at.unwrap_or_default().to_zoned(TimeZone::UTC).date();
    day.yesterday().unwrap_or(day)
}
