//! Names of every key in Redis.
//!
//! A namespace is one hash tag, so that all its keys live on one node of a cluster.
//! The scripts build the same names from the same prefix (`queue/lua/prelude.lua`).

use std::sync::Arc;

use crate::{
    AssetKey,
    batch::{BatchId, NotName, Route, check_name},
};

/// Builds the key names of one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    prefix: Arc<str>,
}

impl Keys {
    /// Takes a namespace's name.
    pub fn new(namespace: &str) -> Result<Self, NotName> {
        check_name(namespace)?;
        Ok(Self { prefix: format!("{{{namespace}}}:").into() })
    }

    /// What every key starts with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The namespace's name.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.prefix.trim_start_matches('{').trim_end_matches("}:")
    }

    fn one(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn two(&self, kind: &str, name: &str) -> String {
        format!("{}{kind}:{name}", self.prefix)
    }

    /// String: number of the layout.
    #[must_use]
    pub fn schema(&self) -> String {
        self.one("schema")
    }

    /// Hash: when the namespace was last looked after, by which server, and until when live workers get time.
    #[must_use]
    pub fn meta(&self) -> String {
        self.one("meta")
    }

    /// String: the profile that the namespace belongs to.
    #[must_use]
    pub fn profile(&self) -> String {
        self.one("profile")
    }

    /// Hash: phase, token, route, attempts and the like of an asset; what is 0 or empty is left out.
    #[must_use]
    pub fn asset(&self, key: &AssetKey) -> String {
        self.two("a", key.as_str())
    }

    /// String: JSON of an asset's spec, until it is made.
    #[must_use]
    pub fn spec(&self, key: &AssetKey) -> String {
        self.two("s", key.as_str())
    }

    /// String: JSON of what was made, where that does not fit into the asset's hash.
    #[must_use]
    pub fn made(&self, key: &AssetKey) -> String {
        self.two("made", key.as_str())
    }

    /// String: JSON of an asset's last failure.
    #[must_use]
    pub fn failure(&self, key: &AssetKey) -> String {
        self.two("failure", key.as_str())
    }

    /// Sorted set: failed and parked assets by time.
    #[must_use]
    pub fn failures(&self) -> String {
        self.one("failures")
    }

    /// Sorted set: the same, as far as they are in the lists by group, class and so on.
    #[must_use]
    pub fn listed(&self) -> String {
        self.one("listed")
    }

    /// Sorted set: failed and parked assets of a group, class, model, lane, batch or tenant by time.
    #[must_use]
    pub fn failed(&self, kind: &str, name: &str) -> String {
        format!("{}failed:{kind}:{name}", self.prefix)
    }

    /// Sorted set: groups of failures by how many each has.
    #[must_use]
    pub fn causes(&self) -> String {
        self.one("causes")
    }

    /// Sorted set: assets by the time of their next attempt.
    #[must_use]
    pub fn later(&self) -> String {
        self.one("later")
    }

    /// Sorted set: `token key` by expiry.
    #[must_use]
    pub fn leases(&self) -> String {
        self.one("leases")
    }

    /// Sorted set: `token key` of orphans by the time of the next look.
    #[must_use]
    pub fn doubt(&self) -> String {
        self.one("doubt")
    }

    /// Sorted set: batches by a deadline that is to come.
    #[must_use]
    pub fn deadlines(&self) -> String {
        self.one("deadlines")
    }

    /// Sorted set: schedules by when they are next due, µs since 1970.
    #[must_use]
    pub fn schedules(&self) -> String {
        self.one("schedules")
    }

    /// Hash: one schedule, how far it is, and who fires it now.
    #[must_use]
    pub fn schedule(&self, name: &str) -> String {
        self.two("schedule", name)
    }

    /// List: what became of a schedule's times, the newest first.
    #[must_use]
    pub fn schedule_runs(&self, name: &str) -> String {
        self.two("schedule-runs", name)
    }

    /// Sorted set: batches by creation.
    #[must_use]
    pub fn batches(&self) -> String {
        self.one("batches")
    }

    /// Hash: one batch.
    #[must_use]
    pub fn batch(&self, batch: &BatchId) -> String {
        self.batch_named(batch.as_str())
    }

    /// The same for a batch as Redis names it.
    #[must_use]
    pub fn batch_named(&self, batch: &str) -> String {
        self.two("batch", batch)
    }

    /// Stream: a batch's lines, packed, one entry a chunk, by its last row.
    #[must_use]
    pub fn lines(&self, batch: &BatchId) -> String {
        self.two("lines", batch.as_str())
    }

    /// Sorted set: the last row of each chunk of a batch, by how many distinct assets it has up to there.
    #[must_use]
    pub fn chunks(&self, batch: &BatchId) -> String {
        self.two("chunks", batch.as_str())
    }

    /// Hash: of a batch, the asset that stands in for another one it asked for.
    #[must_use]
    pub fn swaps(&self, batch: &BatchId) -> String {
        self.two("swaps", batch.as_str())
    }

    /// Hash: of a batch, the takes that an asset it asked for has had, in their order.
    #[must_use]
    pub fn redos(&self, batch: &BatchId) -> String {
        self.two("redos", batch.as_str())
    }

    /// Hash: the row of each further batch that asks for an asset.
    #[must_use]
    pub fn rows(&self, key: &AssetKey) -> String {
        self.two("rows", key.as_str())
    }

    /// Sorted set: a route's active tenants by virtual time.
    #[must_use]
    pub fn route(&self, route: &Route) -> String {
        self.two("route", route.as_str())
    }

    /// Sorted set: a batch's waiting assets on a route by row.
    #[must_use]
    pub fn flow(&self, route: &Route, batch: &BatchId) -> String {
        self.flow_named(route.as_str(), batch)
    }

    /// The same for a route as Redis names it.
    #[must_use]
    pub fn flow_named(&self, route: &str, batch: &BatchId) -> String {
        format!("{}flow:{route}:{batch}", self.prefix)
    }

    /// Set: names of the lanes ever declared.
    #[must_use]
    pub fn lanes(&self) -> String {
        self.one("lanes")
    }

    /// Hash: limits, pauses and pace of a lane.
    #[must_use]
    pub fn lane(&self, lane: &str) -> String {
        self.two("lane", lane)
    }

    /// Sorted set: tokens in flight on a lane by deadline.
    #[must_use]
    pub fn inflight(&self, lane: &str) -> String {
        self.two("inflight", lane)
    }

    /// Hash: cap, spent, reserved and unknown money, in all and by day.
    #[must_use]
    pub fn budget(&self) -> String {
        self.one("budget")
    }

    /// Hash: the same of a tenant.
    #[must_use]
    pub fn tenant(&self, tenant: &str) -> String {
        self.two("tenant", tenant)
    }

    /// Set: tenants that have money or caps.
    #[must_use]
    pub fn tenants(&self) -> String {
        self.one("tenants")
    }

    /// Sorted set: tenants and batches with flows that caps hold, by the time of the last look.
    #[must_use]
    pub fn capped(&self) -> String {
        self.one("capped")
    }

    /// Stream: who changed which cap, and why.
    #[must_use]
    pub fn audit(&self) -> String {
        self.one("audit")
    }

    /// Stream: what people did, who, and why; changes of caps are in [`Self::audit`].
    #[must_use]
    pub fn notes(&self) -> String {
        self.one("notes")
    }

    /// String: who archives and forgets what is old.
    #[must_use]
    pub fn retiring(&self) -> String {
        self.one("retiring")
    }

    /// Stream: the ledger.
    #[must_use]
    pub fn ledger(&self) -> String {
        self.one("ledger")
    }

    /// Hash: who archives the ledger, until when, and up to which entry it is archived in each store.
    #[must_use]
    pub fn archive(&self) -> String {
        self.one("archive")
    }

    /// Stream: wake-up calls for idle workers.
    #[must_use]
    pub fn wake(&self) -> String {
        self.one("wake")
    }

    /// Hash: live workers by incarnation, each the time it was heard of and JSON.
    #[must_use]
    pub fn workers(&self) -> String {
        self.one("workers")
    }

    /// Hash: workers that are to end, each JSON of who told it to and why.
    #[must_use]
    pub fn drains(&self) -> String {
        self.one("drains")
    }

    /// Sorted set: the flows of a tenant and band on a route, `tenant|band`, in the order submitted.
    #[must_use]
    pub fn flows(&self, route: &str, member: &str) -> String {
        format!("{}flows:{route}:{member}", self.prefix)
    }

    /// Sorted set: further batches that ask for an asset, in the order they joined.
    #[must_use]
    pub fn askers(&self, key: &AssetKey) -> String {
        self.two("askers", key.as_str())
    }

    /// Sorted set: batches whose derivatives are to be made, by when they are looked at next.
    #[must_use]
    pub fn derive(&self) -> String {
        self.one("derive")
    }

    /// Sorted set: batches of which some derivatives cannot be made, by how many.
    #[must_use]
    pub fn underived(&self) -> String {
        self.one("underived")
    }

    /// Stream: what happened lately.
    #[must_use]
    pub fn events(&self) -> String {
        self.one("events")
    }

    /// Hash: what each endpoint of webhooks wants, as JSON.
    #[must_use]
    pub fn hooks(&self) -> String {
        self.one("hooks")
    }

    /// Hash: how an endpoint is: since when it is known, what it answered last, whether it is disabled.
    #[must_use]
    pub fn hook(&self, endpoint: &str) -> String {
        self.two("hook", endpoint)
    }

    /// Sorted set: what is to be told to endpoints, by time.
    #[must_use]
    pub fn news(&self) -> String {
        self.one("news")
    }

    /// Sorted set: `batch|endpoint` for batches that name an endpoint, by the time they were submitted.
    #[must_use]
    pub fn news_named(&self) -> String {
        self.one("news_named")
    }

    /// Sorted set: causes of failures that webhooks are told of, by when they were last seen.
    #[must_use]
    pub fn told_causes(&self) -> String {
        self.one("told_causes")
    }

    /// Hash: a cause of failures: tenant, class, message, how many.
    #[must_use]
    pub fn cause(&self, name: &str) -> String {
        self.two("cause", name)
    }

    /// Sorted set: what waits to be told to an endpoint, by age.
    #[must_use]
    pub fn notices(&self, endpoint: &str) -> String {
        self.two("notices", endpoint)
    }

    /// Sorted set: the same by when it is tried again.
    #[must_use]
    pub fn notices_due(&self, endpoint: &str) -> String {
        self.two("notices_due", endpoint)
    }

    /// Sorted set: what was told to an endpoint lately, or given up.
    #[must_use]
    pub fn notices_past(&self, endpoint: &str) -> String {
        self.two("notices_past", endpoint)
    }

    /// Hash: one notice.
    #[must_use]
    pub fn notice(&self, endpoint: &str, id: &str) -> String {
        format!("{}notice:{endpoint}:{id}", self.prefix)
    }
}
