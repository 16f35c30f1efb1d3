//! Ends attempts: an image, a failure, or nobody knows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Queue, QueueError,
    connection::micros,
    days::Day,
    fingerprint::fingerprint,
    packed, script,
    swap::{self, OfferArgs},
};
use crate::{
    AssetKey, MicroUsd,
    batch::Made,
    webhook::{Cause, cause_of},
};

/// Class of a failure that is about what an image shows: nobody else is asked for it.
pub const MODERATION: &str = "moderation";

/// One attempt, as its end is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The asset.
    pub key: AssetKey,
    /// The token it was claimed with.
    pub token: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The batch that pays.
    pub payer: String,
    /// Whose batch that is, for a Redis that forgot; empty where nobody knows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// The lane it was sent on.
    pub lane: String,
    /// The model asked.
    pub model: String,
    /// The provider's request id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Whether the provider charges for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Billed {
    /// Surely not.
    No,
    /// Surely.
    Yes,
    /// Nobody can tell.
    Unknown,
}

/// What happens to the asset after an attempt without an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Try again after a delay.
    Retry(Duration),
    /// Refused by a rate limit: try again, and do not count the attempt.
    Refused(Duration),
    /// Nothing could be sent: try again, and do not count the attempt.
    Unsent(Duration),
    /// Ends as a failure.
    Failed,
    /// Perhaps paid already: a person decides.
    Parked,
}

/// Why an asset ended, or last stumbled, without an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// Class, such as `moderation` or `server_error`.
    pub class: String,
    /// The provider's words, shortened, or what Pictor found.
    pub message: String,
    /// HTTP status, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The provider's request id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Model, for grouping.
    pub model: String,
    /// Number of the attempt.
    pub attempt: u32,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Equal for failures of one cause; made when it is recorded.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// The lane it was sent on; known once it is recorded, like the two that follow.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lane: String,
    /// Whether it was charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed: Option<Billed>,
    /// What it did or may have cost.
    pub cost: MicroUsd,
    /// How long the answer took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// The attempts before it that made no image, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Tried>,
}

/// An attempt that made no image, before the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tried {
    /// Number of the attempt.
    pub attempt: u32,
    /// Class, such as `timeout`.
    pub class: String,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// The provider's request id.
    pub request_id: Option<String>,
    /// The model asked.
    pub model: String,
    /// The lane it was sent on.
    pub lane: String,
    /// Whether it was charged.
    pub billed: Option<Billed>,
    /// What it did or may have cost.
    pub cost: MicroUsd,
    /// How long the answer took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// A pause of a whole lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanePause {
    /// The lane.
    pub lane: String,
    /// For how long; `None` until a person lifts it.
    pub delay: Option<Duration>,
    /// Why, for people.
    pub reason: String,
    /// Digest of the key that was refused, if that is why: whoever has another key lifts the pause.
    pub key: Option<String>,
}

/// A refusal by a rate limit: what it says of the lane's limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// What the lane knew when the request was sent, from [`super::Begun::Go`].
    pub epoch: u64,
    /// What the limit counts, as dimensions are named in [`super::LaneLimits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimension: Option<&'static str>,
    /// The limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How much of it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// How much the request asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<u64>,
    /// When to try again, µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<u64>,
    /// Traffic grew too fast.
    pub slow_down: bool,
    /// The API's words.
    pub message: String,
}

/// A failure of the API or of the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fault<'a> {
    /// What happened.
    pub reason: &'a str,
    /// What the lane knew when the request was sent, from [`super::Begun::Go`].
    pub epoch: u64,
}

/// How an attempt ended that made no image.
#[derive(Clone, Debug)]
pub struct Unmade<'a> {
    /// Whether it is charged.
    pub billed: Billed,
    /// What was or may have been charged.
    pub cost: MicroUsd,
    /// What happens to the asset.
    pub outcome: Outcome,
    /// Unknown outcomes that are retried before the asset is parked.
    pub max_unknown: u32,
    /// Why there is no image.
    pub failure: &'a Failure,
    /// A pause for the whole lane.
    pub pause: Option<&'a LanePause>,
    /// A refusal by a rate limit, for the lane to learn from.
    pub refusal: Option<&'a Refusal>,
    /// How the API or the way to it failed, where it did: many in a row, and the lane rests.
    pub fault: Option<Fault<'a>>,
    /// Said by a reaper and not by who held the asset: void when the owner is back.
    pub doubt: bool,
}

/// What became of a settled attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The asset is done by this attempt.
    Done,
    /// This attempt was settled before; nothing changed.
    Again,
    /// Another attempt's image stands; this one was charged as well.
    Duplicate,
}

/// What became of a failed attempt's asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It will be tried again.
    Retry,
    /// It failed for good.
    Failed,
    /// Too many unknown outcomes: a person decides.
    Parked,
    /// Another model's asset stands in for it, in every batch that asked.
    Substituted,
    /// It was not ours any more; money was recorded all the same.
    Lost,
}

#[derive(Serialize)]
struct SettleRequest<'a> {
    #[serde(flatten)]
    attempt: &'a Attempt,
    cost: u64,
    made: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
    days: Vec<Day>,
}

#[derive(Serialize)]
struct PauseArgs<'a> {
    lane: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<u64>,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

#[derive(Serialize)]
struct FailRequest<'a> {
    #[serde(flatten)]
    attempt: &'a Attempt,
    billed: Billed,
    cost: u64,
    outcome: &'a str,
    delay: u64,
    max_unknown: u32,
    failure: String,
    doubt: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<PauseArgs<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a Refusal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<Fault<'a>>,
    content: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    offers: Option<&'a [OfferArgs]>,
    days: Vec<Day>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Cause>,
}

fn json(script: &'static str, value: &impl Serialize) -> Result<String, QueueError> {
    serde_json::to_string(value).map_err(|source| QueueError::Answer { script, source })
}

impl Queue {
    /// Records an image: asset done, reservation to cost, ledger entry, counts. Right also when late.
    pub async fn settle(&self, attempt: &Attempt, made: &Made) -> Result<Settled, QueueError> {
        self.settle_used(attempt, made, None).await
    }

    /// The same, with the tokens that were used, where the API says: the lane's permits are set right by them.
    pub async fn settle_used(
        &self,
        attempt: &Attempt,
        made: &Made,
        tokens: Option<u64>,
    ) -> Result<Settled, QueueError> {
        let request = SettleRequest {
            attempt,
            cost: made.cost.0,
            tokens,
            days: self.days(),
            made: packed::made(&attempt.key, &attempt.model, made)
                .map_err(|source| QueueError::Answer { script: "settle", source })?,
        };
        let answer: Vec<String> = script::SETTLE.run(&self.connection, self.keys.prefix(), &request).await?;
        self.pass_on(answer.get(1..).unwrap_or_default());
        Ok(match answer.first().map_or("", String::as_str) {
            "done" => Settled::Done,
            "again" => Settled::Again,
            _ => Settled::Duplicate,
        })
    }

    /// Records an attempt that made no image.
    pub async fn fail(&self, attempt: &Attempt, unmade: &Unmade<'_>) -> Result<Ended, QueueError> {
        let answer = self.end_attempt(attempt, unmade, None).await?;
        Ok(ended(answer.first().map_or("", String::as_str)))
    }

    /// What [`Self::fail`] does; returns the script's words.
    pub(super) async fn end_attempt(
        &self,
        attempt: &Attempt,
        unmade: &Unmade<'_>,
        offers: Option<&[OfferArgs]>,
    ) -> Result<Vec<String>, QueueError> {
        let (word, delay) = match unmade.outcome {
            Outcome::Retry(delay) => ("retry", delay),
            Outcome::Refused(delay) => ("refused", delay),
            Outcome::Unsent(delay) => ("unsent", delay),
            Outcome::Failed => ("failed", Duration::ZERO),
            Outcome::Parked => ("parked", Duration::ZERO),
        };
        let request = FailRequest {
            attempt,
            billed: unmade.billed,
            cost: unmade.cost.0,
            outcome: word,
            delay: micros(delay),
            max_unknown: unmade.max_unknown,
            failure: json("fail", &recorded(attempt, unmade))?,
            doubt: unmade.doubt,
            pause: unmade.pause.map(|p| PauseArgs {
                lane: &p.lane,
                delay: p.delay.map(micros),
                reason: &p.reason,
                key: p.key.as_deref(),
            }),
            refusal: unmade.refusal,
            fault: unmade.fault,
            content: unmade.failure.class == MODERATION,
            offers,
            days: self.days(),
            group: (!matches!(unmade.outcome, Outcome::Refused(_) | Outcome::Unsent(_)))
                .then(|| cause_of(&unmade.failure.class, &unmade.failure.message)),
        };
        let answer: Vec<String> = script::FAIL.run(&self.connection, self.keys.prefix(), &request).await?;
        if answer.first().is_some_and(|word| word != swap::WANTS) {
            self.pass_on(answer.get(2..).unwrap_or_default());
        }
        Ok(answer)
    }
}

/// A failure as it is kept.
fn recorded(attempt: &Attempt, unmade: &Unmade<'_>) -> Failure {
    let Failure { class, message, model, .. } = unmade.failure;
    Failure {
        fingerprint: fingerprint(class, message),
        lane: attempt.lane.clone(),
        model: if model.is_empty() { attempt.model.clone() } else { model.clone() },
        billed: Some(unmade.billed),
        cost: unmade.cost,
        ..unmade.failure.clone()
    }
}

/// What became of an asset, as the script says it.
pub(super) fn ended(word: &str) -> Ended {
    match word {
        "retry" => Ended::Retry,
        "failed" => Ended::Failed,
        "parked" => Ended::Parked,
        "substituted" => Ended::Substituted,
        _ => Ended::Lost,
    }
}
