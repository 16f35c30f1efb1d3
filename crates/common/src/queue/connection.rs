//! Connects to Redis and checks that the server can be trusted with money.

use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::mpsc::UnboundedSender;
use tracing::warn;

use super::{Alert, Connection, Epoch, QueueError, layout, topology::Topology};
use crate::keys::Keys;

/// How often one call looks again for a server that is away.
const RETRIES: u32 = 3;

/// One namespace of one Redis server.
#[derive(Clone)]
pub struct Queue {
    pub(super) connection: Connection,
    pub(super) keys: Keys,
    pub(super) grace: Duration,
    pub(super) epoch: Option<Epoch>,
    pub(super) profile: Option<String>,
    pub(super) zone: TimeZone,
    pub(super) alerts: Option<UnboundedSender<Alert>>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// How long live workers get to re-assert their leases after a gap, by default.
pub(super) const GRACE: Duration = Duration::from_secs(8);

impl Queue {
    /// Connects, checks version, eviction policy and layout, and warns without persistence.
    pub async fn connect(redis: impl Into<Topology>, keys: Keys) -> Result<Self, QueueError> {
        let connection = Connection::new(redis.into(), keys.schema(), RETRIES);
        let queue = Self::over(connection, keys);
        queue.check_server().await?;
        queue.check_schema().await?;
        Ok(queue)
    }

    /// Looks for a moment: writes nothing, tries once, and is `None` where no queue of ours is.
    pub async fn peek(redis: impl Into<Topology>, keys: Keys) -> Result<Option<Self>, QueueError> {
        let connection = Connection::new(redis.into(), keys.schema(), 0);
        let queue = Self::over(connection, keys);
        let get = redis::cmd("GET").arg(queue.keys.schema()).to_owned();
        let found: Option<String> = get.query_async(&mut queue.connection.clone()).await?;
        Ok(found.is_some_and(|found| layout::works_on(&found)).then_some(queue))
    }

    fn over(connection: Connection, keys: Keys) -> Self {
        Self { connection, keys, grace: GRACE, epoch: None, profile: None, zone: TimeZone::UTC, alerts: None }
    }

    /// Sets how long nothing is claimed or reaped after a gap; zero where one process owns the server.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The names of this namespace's keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The same namespace over another connection, driven by the runtime that calls this.
    #[must_use]
    pub fn own(&self) -> Self {
        Self { connection: self.connection.another(), ..self.clone() }
    }

    /// A connection of one's own, for calls that block.
    pub async fn own_connection(&self) -> Result<Connection, QueueError> {
        let own = self.connection.another();
        own.ready().await?;
        Ok(own)
    }

    async fn check_server(&self) -> Result<(), QueueError> {
        let info: String = redis::cmd("INFO").query_async(&mut self.connection.clone()).await?;
        let field = |name: &str| {
            info.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .unwrap_or("")
                .trim()
                .to_owned()
        };
        let version = field("redis_version");
        let major = version.split('.').next().and_then(|m| m.parse::<u32>().ok()).unwrap_or(0);
        if major < 7 {
            return Err(QueueError::TooOld { found: version });
        }
        let policy = field("maxmemory_policy");
        if !policy.is_empty() && policy != "noeviction" {
            return Err(QueueError::Evicts { policy });
        }
        if field("aof_enabled") == "0" && field("rdb_last_save_time") == field("server_start_time") {
            warn!(
                "Redis keeps no append-only file: a restart can forget what was paid for; set appendonly yes"
            );
        } else if field("aof_enabled") == "0" {
            warn!("Redis keeps snapshots only: a restart can forget minutes of work; set appendonly yes");
        }
        Ok(())
    }

    pub(super) fn grace_micros(&self) -> u64 {
        micros(self.grace)
    }
}

/// Whole microseconds, as scripts take them.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
