//! What a worker may use, and how it ends.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use pictor_common::batch::OnUnknown;
use serde::{Deserialize, Deserializer, de::Error as _};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkerSettings {
    pub(crate) concurrency: usize,
    pub(crate) spool: Option<PathBuf>,
    pub(super) spool_keep_free_mib: u64,
    pub(crate) max_attempts: u32,
    #[serde(deserialize_with = "on_unknown")]
    pub(super) on_unknown: OnUnknown,
    pub(crate) max_unknown: u32,
    /// Where it tells how it is.
    #[serde(default, deserialize_with = "address")]
    pub(crate) listen: Option<SocketAddr>,
    pub(super) drain_seconds: u64,
    #[serde(default)]
    pub(super) derive_threads: Option<usize>,
}

impl WorkerSettings {
    /// Bytes of the spool's disk that are left to others.
    pub(crate) const fn spool_keep_free(&self) -> u64 {
        self.spool_keep_free_mib.saturating_mul(1 << 20)
    }

    /// Requests for an asset with an unknown outcome after which it is sent once more.
    pub(crate) const fn risked(&self) -> u32 {
        match self.on_unknown {
            OnUnknown::Retry => self.max_unknown,
            OnUnknown::Park => 0,
        }
    }

    /// Images that are derived from at once: half the cores and at most 4, unless it is said; more cores than there are
    /// gain nothing.
    pub(crate) fn derive_threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.derive_threads.unwrap_or((cores / 2).min(4)).clamp(1, cores)
    }

    pub(crate) const fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

fn on_unknown<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OnUnknown, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|odd| D::Error::custom(format!("on_unknown: {odd}")))
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_odd| {
        D::Error::custom(format!("listen {text:?} is no address and port: write it as 127.0.0.1:9464"))
    })
}
