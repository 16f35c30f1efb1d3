//! The queue: assets to be made, in Redis.
//!
//! Each operation is one Lua script in `lua/` and one function here. All scripts are safe
//! to repeat, so a caller whose reply was lost calls again with the same arguments.

mod attempts;
mod batches;
mod books;
mod budget;
mod caps;
mod claim;
mod commands;
mod connection;
mod days;
mod derive;
mod detail;
mod drain;
mod epoch;
mod failures;
mod find;
mod fingerprint;
mod finish;
mod gauges;
mod images;
mod known;
mod lane;
mod layout;
mod leaving;
mod lines;
mod link;
mod notes;
mod overview;
pub mod pace;
mod packed;
mod profile;
mod read;
mod reap;
mod recent;
mod redo;
mod remake;
mod remove;
mod replace;
mod replies;
mod retire;
mod schedule;
mod script;
pub mod server;
mod steer;
mod submit;
mod swap;
mod topology;
mod trouble;
mod webhooks;
mod why;
mod workers;

pub use attempts::{Attempts, Hints};
pub use batches::{BatchState, Counts};
pub use books::{ArchiveTurn, Restored};
pub use budget::{Budget, Counter, Counters, DaySpent, TenantMoney};
pub use caps::{Alert, Audited, Cap, CapOf, PARTS, Setter, WasSet};
pub use claim::{Begun, Claim, Claimed, Grant, HeldAsset, HeldPhase, Hold, LaneOffer};
pub use commands::acl_rule;
pub use connection::Queue;
pub use derive::Derived;
pub use detail::{Asked, AssetDetail};
pub use drain::{Drain, Drained, Workers};
pub use epoch::Epoch;
pub use failures::{
    FailureGroup, FailureGroups, FailurePage, FailurePlace, PARKED_GROUP, Trait, UNSORTED, group_of,
};
pub use find::{Bounded, NamedLine};
pub use finish::{
    Attempt, Billed, Ended, Failure, Fault, LanePause, MODERATION, Outcome, Refusal, Settled, Tried, Unmade,
};
pub use gauges::Gauges;
pub use images::LatestImage;
pub use known::Known;
pub use lane::{Dimension, LaneLimits, LaneState, LimitKind};
pub use layout::{Layout, SCHEMA, works_on};
pub use leaving::{OldMade, RoundBegun, Scanned, Wanted};
pub use link::Connection;
pub use notes::{Note, Noted};
pub use overview::{BatchView, Head, Overview, RouteView, Sample, Which};
pub use read::{AssetState, LedgerEntry, REMOVED, Totals};
pub use reap::{Orphan, Reaped};
pub use recent::Recent;
pub use redo::{Redo, Redone};
pub use remake::{Found, Lost, Remade};
pub use remove::{Forgotten, Removal, Removed};
pub use replace::{Replaced, Replacement};
pub use retire::{Event, OldFailure, Retired};
pub use schedule::{Firing, Held, ScheduleState, Steer, Step, Taken, Trouble};
pub use steer::{FailureAction, Moved};
pub use submit::{Chunk, SealError, Submitted};
pub use swap::{Offer, Parted, StandIn};
pub use topology::{Access, BadUrl, Topology, Vote, Way};
pub use webhooks::{Answered, CauseSeen, Declared, Due, Endpoint, News, Notice, Told, What};
pub use why::{Why, why};
pub use workers::{Beat, WorkerState};

/// Why a batch is held whose tenant's money is spent or set aside, in all.
pub const TENANT_CAP: &str = "tenant_cap";

/// Why a batch is held whose tenant's money of the day is spent or set aside.
pub const TENANT_DAY_CAP: &str = "tenant_day_cap";

/// Most assets or lines one submit call carries.
pub const CHUNK: usize = 500;

/// A failed queue operation.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Redis is away, refused, or answered an error.
    // The words hold those of its cause.
    #[error("Redis: {}", trouble::words(.0))]
    Redis(redis::RedisError),
    /// The user may not run what a script needs.
    #[error("Redis: the user may not {0} (pictor doctor prints the rule that is enough)")]
    Forbidden(String),
    /// Redis answered something a script of this version does not.
    #[error("unexpected answer from Redis to {script}: {source}")]
    Answer {
        /// Name of the script.
        script: &'static str,
        /// What was wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The namespace has a layout that this version cannot work on.
    #[error("{}", layout::refusal(found))]
    Schema {
        /// The layout found.
        found: String,
    },
    /// The server would drop data.
    #[error(
        "Redis evicts keys (maxmemory-policy {policy}): set it to noeviction, or paid images will be forgotten"
    )]
    Evicts {
        /// The policy found.
        policy: String,
    },
    /// The server is too old.
    #[error("Redis {found} is too old: 7.0 or later is needed")]
    TooOld {
        /// The version found.
        found: String,
    },
    /// The namespace belongs to another profile.
    #[error("{}", other_profile(namespace, remembered, asked.as_deref()))]
    OtherProfile {
        /// The namespace.
        namespace: String,
        /// The profile it belongs to.
        remembered: String,
        /// The profile that was asked for.
        asked: Option<String>,
    },
    /// A batch of that id has other content.
    #[error("batch {0} already has other content: use another --run-id")]
    OtherContent(String),
    /// A chunk came before its turn, or overlaps what is in: another version cuts chunks elsewhere.
    #[error(
        "batch {0} is being submitted by somebody else, or another version of Pictor began it: wait until they are \
         done, or submit under another --run-id, which pays for nothing twice"
    )]
    Gap(String),
    /// Redis has forgotten, or may have, what was looked up there; nothing was written.
    #[error(
        "Redis was wiped, replaced or restarted, or forgot old assets, since they were looked up: \
         nothing more was queued; submit it again, so that nothing is bought twice"
    )]
    Forgot,
    /// An image that was found, in Redis or in the store, was removed since, or one is being removed; nothing was written.
    #[error(
        "the image of asset {0} was removed since it was found, or is being removed (pictor audit): nothing more was queued; \
         run it again. Where the store still has something of it, pictor asset remove {0} finishes that; what was put back is \
         believed ten minutes later"
    )]
    Gone(String),
    /// A line could not be packed.
    #[error("cannot pack the lines of a batch: {0}")]
    Pack(#[from] std::io::Error),
    /// The batch was cancelled.
    #[error("batch {0} was cancelled: submit under another --run-id")]
    Cancelled(String),
    /// The batch is past its deadline.
    #[error("batch {0} is past its deadline: submit it again with a later --deadline, and it goes on")]
    PastDeadline(String),
}

impl From<redis::RedisError> for QueueError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error)
    }
}

fn other_profile(namespace: &str, remembered: &str, asked: Option<&str>) -> String {
    let (asked, other) = asked.map_or_else(
        || ("no profile is selected".to_owned(), "another redis.namespace".to_owned()),
        |asked| (format!("profile {asked} is selected"), format!("a redis.namespace of its own for {asked}")),
    );
    format!(
        "namespace {namespace} belongs to profile {remembered}, and {asked}: \
         go on with --profile {remembered}, or set {other}"
    )
}
