//! Lanes: what may send, how fast, and why one waits.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

use super::{Queue, QueueError, connection::micros, replies::Replies, script};

/// Whether a limit may be found to be higher than told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitKind {
    /// Known: never exceeded, whatever the API lets through.
    #[default]
    Fixed,
    /// A guess: exceeded now and then, to find out.
    Guess,
}

impl LimitKind {
    /// Its name in Redis and in settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Guess => "guess",
        }
    }
}

/// Limits of a lane, as configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Requests per day.
    pub requests_per_day: Option<u64>,
    /// Images per day.
    pub images_per_day: Option<u64>,
    /// Length of the window in seconds; 60 for limits per minute. That of a day stays a day.
    pub window_seconds: Option<f64>,
    /// Whether these are known or guessed; `fixed` where it is not said.
    pub kind: Option<LimitKind>,
}

impl LaneLimits {
    /// The limits by dimension, each with its window.
    fn dimensions(&self, window: Duration) -> impl Iterator<Item = (&'static str, u64, Duration)> {
        [
            ("requests", self.requests, window),
            ("images", self.images, window),
            ("tokens", self.tokens, window),
            ("requests_per_day", self.requests_per_day, DAY),
            ("images_per_day", self.images_per_day, DAY),
        ]
        .into_iter()
        .filter_map(|(name, limit, window)| Some((name, limit?, window)))
    }

    fn window(&self) -> Duration {
        let seconds = self.window_seconds.filter(|seconds| seconds.is_finite()).unwrap_or(60.0);
        Duration::from_secs_f64(seconds.clamp(0.1, 86_400.0))
    }
}

/// A lane as it stands in Redis.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    /// Whether its limits are known or guessed.
    pub kind: LimitKind,
    /// Failures of the API in a row.
    pub faults: u64,
    /// It failed many times in a row: one request at a time finds out whether it works again.
    pub probing: bool,
    /// Since when it was refused without an image, µs since 1970.
    pub refused_since: Option<u64>,
}

/// One limit of a lane and how far its permits are given out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    /// The limit as configured; `None` where only the API has named it.
    pub told: Option<u64>,
    /// The limit as a person ordered it, whatever is configured.
    pub ordered: Option<u64>,
    /// The part of the limit that is ours, as found from refusals; 1 is all of it.
    pub part: f64,
    /// When a refusal last showed how much is used, µs since 1970.
    pub full_at: Option<u64>,
    /// The limit stands in the API's headers.
    pub stated: bool,
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
        (each > 0 && self.window > 0)
            .then(|| self.limit as f64 * self.part / each as f64 * 1e6 / self.window as f64)
    }

    /// When the next permit is free, µs since 1970.
    #[must_use]
    pub fn next(&self, now: u64, tokens: u64) -> u64 {
        if self.each(tokens) == 0 {
            return now;
        }
        self.given_until.min(now + 2 * self.window).saturating_sub(self.burst).max(now)
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
        let some = |name: String| Some(number(name)).filter(|number| *number > 0);
        let dims = fields.get("dims").map(String::as_str).unwrap_or("").split_whitespace();
        let pace: Vec<Dimension> = dims
            .map(|d| Dimension {
                name: d.to_owned(),
                limit: number(format!("limit:{d}")),
                window: number(format!("window:{d}")),
                burst: number(format!("burst:{d}")),
                given_until: number(format!("tat:{d}")),
                told: some(format!("told:{d}")),
                ordered: some(format!("ordered:{d}")),
                full_at: some(format!("full:{d}")),
                stated: fields.contains_key(&format!("stated:{d}")),
                part: match number(format!("base:{d}")) {
                    0 => 1.0,
                    millionths => millionths as f64 / 1e6,
                },
            })
            .collect();
        Self {
            limits: pace.iter().map(|d| (d.name.clone(), d.limit)).collect(),
            in_flight,
            pause_until: fields.get("pause_until").and_then(|at| at.parse().ok()),
            pause_reason: fields.get("pause_reason").cloned(),
            paused: fields.get("paused").cloned(),
            in_flight_limit: some("in_flight".to_owned()),
            kind: match fields.get("kind").map(String::as_str) {
                Some("guess") => LimitKind::Guess,
                _ => LimitKind::Fixed,
            },
            faults: number("faults".to_owned()),
            probing: fields.contains_key("broken"),
            refused_since: some("refused_since".to_owned()),
            pace: pace.into_iter().filter(|d| d.limit > 0).collect(),
            name,
        }
    }
}

/// Share of a window that may be sent in one burst: half a second of sixty, so that one second's worth is never there at
/// once, which is all that some APIs allow.
const BURST_PARTS: u32 = 120;
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Serialize)]
struct Declared<'a> {
    lane: &'a str,
    kind: &'static str,
    in_flight: String,
    window: String,
    dimensions: Vec<DeclaredDimension>,
}

#[derive(Serialize)]
struct DeclaredDimension {
    name: &'static str,
    limit: String,
    window: String,
    burst: String,
}

impl Queue {
    /// Declares a lane's limits; what was learnt of a limit stays until another one is told. False where these are
    /// guesses and another worker of late knew the limits: those stand.
    pub async fn declare_lane(&self, lane: &str, limits: &LaneLimits) -> Result<bool, QueueError> {
        let window = limits.window();
        let dimension = |(name, limit, window): (&'static str, u64, Duration)| DeclaredDimension {
            name,
            limit: limit.to_string(),
            window: micros(window).to_string(),
            burst: micros(if window == DAY { DAY } else { window / BURST_PARTS }).to_string(),
        };
        let declared = Declared {
            lane,
            kind: limits.kind.unwrap_or_default().as_str(),
            in_flight: limits.in_flight.unwrap_or(0).to_string(),
            window: micros(window).to_string(),
            dimensions: limits.dimensions(window).map(dimension).collect(),
        };
        let taken: u64 = script::DECLARE.run(&self.connection, self.keys.prefix(), &declared).await?;
        Ok(taken == 1)
    }

    /// Orders a limit, whatever is configured, or with `None` leaves it to the settings again; what these say, then, where
    /// they tell of it. What was learnt of it is forgotten.
    pub async fn order_limit(
        &self,
        lane: &str,
        dimension: &str,
        limit: Option<u64>,
    ) -> Result<Option<u64>, QueueError> {
        let name = self.keys.lane(lane);
        let mut connection = self.connection.clone();
        let field = |kind: &str| format!("{kind}:{dimension}");
        let forgotten = ["base", "since", "full", "given", "stated"].map(field);
        let settings: Option<u64> = connection.hget(&name, field("settings")).await?;
        let mut pipe = redis::pipe();
        pipe.atomic().hdel(&name, &forgotten[..]).ignore();
        match (limit, settings) {
            (Some(limit), _) => {
                let fields = ["ordered", "told", "limit"].map(|kind| (field(kind), limit));
                pipe.hset_multiple(&name, &fields).ignore();
            }
            // At once: a limit that nobody tells is exceeded to find out, also where it is known.
            (None, Some(told)) => {
                let fields = ["told", "limit"].map(|kind| (field(kind), told));
                pipe.hdel(&name, field("ordered")).ignore().hset_multiple(&name, &fields).ignore();
            }
            (None, None) => {
                pipe.hdel(&name, &[field("ordered"), field("told")]).ignore();
            }
        }
        pipe.query_async::<()>(&mut connection).await?;
        Ok(limit.or(settings))
    }

    /// Tells all workers what an image's answer said of its lane: that it works, and the limits in its headers, by
    /// dimension. `epoch` is the lane's when the request was sent; false where that is too old to say anything.
    pub async fn learn(
        &self,
        lane: &str,
        epoch: u64,
        limits: &BTreeMap<&str, u64>,
    ) -> Result<bool, QueueError> {
        let request = serde_json::json!({ "lane": lane, "epoch": epoch, "limits": limits });
        let current: u64 = script::LEARN.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(current == 1)
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
