//! The ledger as a whole: what its entries mean, and the part of it that is in the store.

mod archive;
mod reading;
mod requests;
mod segment;

pub use archive::{Archive, ArchiveError, Listing, Spend};
pub use reading::{ReadError, read_all};
pub use requests::{REMADE, REMOVED, RequestSums, Requests};
pub use segment::{EntryId, NotEntryId, Segment};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{MicroUsd, queue::LedgerEntry};

/// What an entry says of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was charged.
    Settled,
    /// It may have been charged.
    Unknown,
    /// It is unknown no more: takes the unknown entry of the same request off the books.
    Resolved,
}

impl LedgerEntry {
    /// What it says; a kind of a later version is none.
    #[must_use]
    pub fn meaning(&self) -> Option<Kind> {
        match self.kind.as_str() {
            "settled" => Some(Kind::Settled),
            "unknown" => Some(Kind::Unknown),
            "resolved" => Some(Kind::Resolved),
            _ => None,
        }
    }

    /// What was, or may have been, charged.
    #[must_use]
    pub fn amount(&self) -> MicroUsd {
        MicroUsd(self.cost.parse().unwrap_or(0))
    }

    /// What it adds to the money that is spent, in micro-USD.
    #[must_use]
    pub fn spent(&self) -> i64 {
        let amount = i64::try_from(self.amount().0).unwrap_or(i64::MAX);
        match self.meaning() {
            Some(Kind::Settled | Kind::Unknown) => amount,
            Some(Kind::Resolved) => -amount,
            None => 0,
        }
    }

    /// When it was written, µs since 1970.
    #[must_use]
    pub fn moment(&self) -> u64 {
        self.at.parse().unwrap_or(0)
    }

    /// The day whose caps it counts against; where it does not say, the day it was written, in a time zone.
    #[must_use]
    pub fn counted_on(&self, zone: &TimeZone) -> Option<Date> {
        let written = || {
            let moment = Timestamp::from_microsecond(i64::try_from(self.moment()).ok()?).ok()?;
            Some(moment.to_zoned(zone.clone()).date())
        };
        self.day.parse().ok().or_else(written)
    }

    /// The account that was asked: its lane up to the first dot.
    #[must_use]
    pub fn account(&self) -> &str {
        self.lane.split('.').next().unwrap_or_default()
    }

    /// The id that Pictor gave the request, where the provider was told one.
    #[must_use]
    pub fn client_request_id(&self) -> String {
        format!("{}:{}", self.token, self.attempt)
    }
}
