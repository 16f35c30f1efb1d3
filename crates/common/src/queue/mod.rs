//! The queue: assets to be made, in Redis.
//!
//! Each operation is one Lua script in `lua/` and one function here. All scripts are safe
//! to repeat, so a caller whose reply was lost calls again with the same arguments.

mod claim;
mod connection;
mod finish;
mod lane;
mod packed;
mod read;
mod reap;
mod script;
mod steer;
mod submit;

pub use claim::{Begun, Claim, Claimed, Grant, HeldAsset, HeldPhase, Hold, LaneOffer};
pub use connection::{Connection, Queue};
pub use finish::{Attempt, Billed, Ended, Failure, LanePause, Outcome, Settled, Unmade};
pub use lane::{LaneLimits, LaneState};
pub use read::{AssetState, BatchState, Counts, LedgerEntry, Totals};
pub use reap::{Orphan, Reaped};
pub use steer::FailureAction;
pub use submit::{Chunk, SealError, Submitted};

/// Number of the layout in Redis; another one is refused.
pub const SCHEMA: u32 = 2;

/// Most assets or lines one submit call carries.
pub const CHUNK: usize = 500;

/// A failed queue operation.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Redis is away, refused, or answered an error.
    #[error("Redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// Redis answered something a script of this version does not.
    #[error("unexpected answer from Redis to {script}: {source}")]
    Answer {
        /// Name of the script.
        script: &'static str,
        /// What was wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The namespace has another layout.
    #[error(
        "namespace uses layout {found}, this version of Pictor uses layout {SCHEMA}: use a matching version or another namespace"
    )]
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
    /// A batch of that id has other content.
    #[error("batch {0} already has other content: use another --run-id")]
    OtherContent(String),
    /// A chunk came before its turn, or overlaps what is in: another version cuts chunks elsewhere.
    #[error("batch {0} is being submitted by somebody else: submit it again when they are done")]
    Gap(String),
    /// A line could not be packed.
    #[error("cannot pack the lines of a batch: {0}")]
    Pack(#[from] std::io::Error),
    /// The batch was cancelled.
    #[error("batch {0} was cancelled: submit under another --run-id")]
    Cancelled(String),
}
