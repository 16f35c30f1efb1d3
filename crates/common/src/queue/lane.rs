//! Lanes: what may send, how fast, and why one waits.

use std::{collections::HashMap, time::Duration};

use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

use super::{Queue, QueueError, connection::micros, replies::Replies, script};

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
    /// Most requests on their way at once.
    pub in_flight_limit: Option<u64>,
    /// Its pace, by dimension.
    pub pace: Vec<Dimension>,
}

/// One limit of a lane and how far its permits are given out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dimension {
    /// `requests`, `images` or `tokens`.
    pub name: String,
    /// So many a window.
    pub limit: u64,
    /// Length of the window, µs.
    pub window: u64,
    /// How far ahead of its pace it may be, µs.
    pub burst: u64,
    /// Until when permits are given out, µs since 1970.
    pub given_until: u64,
}

impl Dimension {
    /// Units that one asset takes.
    fn each(&self, tokens: u64) -> u64 {
        if self.name == "tokens" { tokens } else { 1 }
    }

    /// Assets a second, at most; `None` where this limits nothing.
    #[must_use]
    pub fn per_second(&self, tokens: u64) -> Option<f64> {
        let each = self.each(tokens);
        (each > 0 && self.window > 0).then(|| self.limit as f64 / each as f64 * 1e6 / self.window as f64)
    }

    /// When the next permit is free, µs since 1970.
    #[must_use]
    pub fn next(&self, now: u64, tokens: u64) -> u64 {
        if self.each(tokens) == 0 {
            return now;
        }
        self.given_until.min(now + self.window).saturating_sub(self.burst).max(now)
    }
}

impl LaneState {
    /// Assets a second, at most; `None` without limits.
    #[must_use]
    pub fn per_second(&self, tokens: u64) -> Option<f64> {
        self.pace.iter().filter_map(|d| d.per_second(tokens)).reduce(f64::min)
    }

    /// The dimension whose next permit comes last, and when that is.
    #[must_use]
    pub fn next_permit(&self, now: u64, tokens: u64) -> Option<(&Dimension, u64)> {
        self.pace.iter().map(|d| (d, d.next(now, tokens))).max_by_key(|(_, at)| *at)
    }

    pub(super) fn of(name: String, fields: &HashMap<String, String>, in_flight: u64) -> Self {
        let number = |name: String| fields.get(&name).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let dims = fields.get("dims").map(String::as_str).unwrap_or("").split_whitespace();
        let pace: Vec<Dimension> = dims
            .map(|d| Dimension {
                name: d.to_owned(),
                limit: number(format!("limit:{d}")),
                window: number(format!("window:{d}")),
                burst: number(format!("burst:{d}")),
                given_until: number(format!("tat:{d}")),
            })
            .collect();
        Self {
            limits: pace.iter().map(|d| (d.name.clone(), d.limit)).collect(),
            in_flight,
            pause_until: fields.get("pause_until").and_then(|at| at.parse().ok()),
            pause_reason: fields.get("pause_reason").cloned(),
            paused: fields.get("paused").cloned(),
            in_flight_limit: Some(number("in_flight".to_owned())).filter(|limit| *limit > 0),
            pace: pace.into_iter().filter(|d| d.limit > 0).collect(),
            name,
        }
    }
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
            None => {
                let mut pipe = redis::pipe();
                pipe.hdel(&lane, &["paused", "paused_key", "pause_until"]).hincr(&lane, "resumed", 1);
                pipe.exec_async(&mut connection).await?;
            }
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
        self.lane_states(names).await
    }

    async fn lane_states(&self, names: Vec<String>) -> Result<Vec<LaneState>, QueueError> {
        let mut pipe = redis::pipe();
        for name in &names {
            pipe.hgetall(self.keys.lane(name)).zcard(self.keys.inflight(name));
        }
        let mut replies = Replies::of(&pipe, self).await?;
        names
            .into_iter()
            .map(|name| {
                let fields = replies.take()?;
                Ok(LaneState::of(name, &fields, replies.take()?))
            })
            .collect()
    }
}
