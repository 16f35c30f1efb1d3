//! Lanes: what may send, how fast, and why one waits.

use std::{collections::HashMap, time::Duration};

use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

use super::{Queue, QueueError, connection::micros, script};

/// Limits of a lane, as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LaneLimits {
    /// Requests per window.
    pub requests: Option<u64>,
    /// Images per window.
    pub images: Option<u64>,
    /// Tokens per window.
    pub tokens: Option<u64>,
    /// Requests on their way at once, over all workers.
    pub in_flight: Option<u64>,
    /// Length of the window in seconds; 60 for limits per minute.
    pub window_seconds: Option<u64>,
}

/// A lane as it stands in Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LaneState {
    /// Its name, `account.family`.
    pub name: String,
    /// Limit per window by dimension.
    pub limits: Vec<(String, u64)>,
    /// Requests on their way.
    pub in_flight: u64,
    /// Until when it is paused, µs since 1970.
    pub pause_until: Option<u64>,
    /// Why it is or was last paused.
    pub pause_reason: Option<String>,
    /// Why a person paused it.
    pub paused: Option<String>,
}

/// Share of a window that may be sent in one burst: about one second of sixty.
const BURST_PARTS: u32 = 60;

impl Queue {
    /// Declares a lane's limits; its pace and pauses stay as they are.
    pub async fn declare_lane(&self, lane: &str, limits: &LaneLimits) -> Result<(), QueueError> {
        let window = Duration::from_secs(limits.window_seconds.unwrap_or(60).max(1));
        let dimensions =
            [("requests", limits.requests), ("images", limits.images), ("tokens", limits.tokens)];
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut names = Vec::new();
        for (name, limit) in dimensions {
            let Some(limit) = limit else { continue };
            names.push(name);
            fields.push((format!("limit:{name}"), limit.to_string()));
            fields.push((format!("window:{name}"), micros(window).to_string()));
            fields.push((format!("burst:{name}"), micros(window / BURST_PARTS).to_string()));
        }
        fields.push(("dims".to_owned(), names.join(" ")));
        fields.push(("in_flight".to_owned(), limits.in_flight.unwrap_or(0).to_string()));
        let mut connection = self.connection.clone();
        let _added: () = redis::pipe()
            .hset_multiple(self.keys.lane(lane), &fields)
            .ignore()
            .sadd(self.keys.lanes(), lane)
            .ignore()
            .query_async(&mut connection)
            .await?;
        Ok(())
    }

    /// Pauses a lane by a person's word until it is lifted with `None`.
    pub async fn pause_lane(&self, lane: &str, reason: Option<&str>) -> Result<(), QueueError> {
        let mut connection = self.connection.clone();
        let lane = self.keys.lane(lane);
        match reason {
            // One command, so that nobody who has another key lifts it in between.
            Some(reason) => {
                let fields = [("paused", reason), ("paused_key", "")];
                connection.hset_multiple::<_, _, _, ()>(lane, &fields).await?;
            }
            None => connection.hdel::<_, _, ()>(lane, &["paused", "paused_key", "pause_until"]).await?,
        }
        Ok(())
    }

    /// Digests of the keys for whose refusal lanes are paused; `None` for those that are not.
    pub async fn refused_keys(&self, lanes: &[&str]) -> Result<Vec<Option<String>>, QueueError> {
        if lanes.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for lane in lanes {
            pipe.hget(self.keys.lane(lane), "paused_key");
        }
        let keys: Vec<Option<String>> = pipe.query_async(&mut self.connection.clone()).await?;
        Ok(keys.into_iter().map(|key| key.filter(|key| !key.is_empty())).collect())
    }

    /// Lets a lane go on that was paused because this key was refused; false when it is no longer.
    pub async fn lift_key_pause(&self, lane: &str, refused: &str) -> Result<bool, QueueError> {
        let request = serde_json::json!({ "lane": lane, "refused": refused });
        let lifted: u64 = script::LIFT.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(lifted == 1)
    }

    /// Every lane ever declared, by name.
    pub async fn lanes(&self) -> Result<Vec<LaneState>, QueueError> {
        let mut connection = self.connection.clone();
        let mut names: Vec<String> = connection.smembers(self.keys.lanes()).await?;
        names.sort();
        let mut lanes = Vec::with_capacity(names.len());
        for name in names {
            let fields: HashMap<String, String> = connection.hgetall(self.keys.lane(&name)).await?;
            let in_flight: u64 = connection.zcard(self.keys.inflight(&name)).await?;
            let limits = fields.get("dims").map(String::as_str).unwrap_or("").split_whitespace();
            let limit_of =
                |d: &str| fields.get(&format!("limit:{d}")).and_then(|n| n.parse().ok()).unwrap_or(0);
            lanes.push(LaneState {
                limits: limits.map(|d| (d.to_owned(), limit_of(d))).collect(),
                in_flight,
                pause_until: fields.get("pause_until").and_then(|at| at.parse().ok()),
                pause_reason: fields.get("pause_reason").cloned(),
                paused: fields.get("paused").cloned(),
                name,
            });
        }
        Ok(lanes)
    }
}
