//! Looks at endpoints, notices and causes of failures, without changing them.

use std::collections::HashMap;

use redis::AsyncCommands as _;
use serde::Serialize;

use super::super::{
    Queue, QueueError,
    read::{number, parse},
    replies::Replies,
};
use crate::{
    batch::BatchId,
    webhook::{Cause, Wanted, cause_of},
};

/// Failures that are looked at for the causes of a batch's.
const LOOKED_AT: usize = 500;

/// An endpoint as Redis knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// What it wants.
    pub wanted: Option<Wanted>,
    /// Since when it is known; what happened before is not told. µs since 1970, as all times here.
    pub since: u64,
    /// When a worker last named it.
    pub seen: u64,
    /// Why nothing is sent to it, if it asked for that.
    pub disabled: Option<String>,
    /// Since when it takes nothing.
    pub failing: Option<u64>,
    /// What it answered last.
    pub answer: Option<String>,
    /// When it did.
    pub answered: Option<u64>,
    /// Notices that wait.
    pub waiting: u64,
    /// Notices it has taken.
    pub delivered: u64,
    /// Notices that were tried often enough, in all.
    pub given_up: u64,
    /// Notices that were dropped since too many waited.
    pub dropped: u64,
}

/// A notice as Redis knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Told {
    /// The event's id.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub event: String,
    /// What it is about.
    pub about: String,
    /// `waiting`, `delivered` or `given_up`.
    pub state: String,
    /// When it was made.
    pub created: u64,
    /// Requests sent.
    pub attempts: u64,
    /// What was answered last.
    pub answer: Option<String>,
    /// When it was sent last.
    pub tried: Option<u64>,
    /// When it is sent next.
    pub next: Option<u64>,
}

/// A cause of failures, as it was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CauseSeen {
    /// Of whom.
    pub tenant: String,
    /// The class.
    pub class: String,
    /// What the failures have in common.
    pub message: String,
    /// How many.
    pub count: u64,
    /// When the first was.
    pub first: u64,
    /// When the last was.
    pub last: u64,
    /// The batch of the last.
    pub batch: String,
}

impl Queue {
    /// Every endpoint that is known, by name.
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>, QueueError> {
        let hooks: HashMap<String, String> = self.connection.clone().hgetall(self.keys.hooks()).await?;
        let mut hooks: Vec<(String, String)> = hooks.into_iter().collect();
        hooks.sort();
        let mut pipe = redis::pipe();
        for (name, _) in &hooks {
            pipe.hgetall(self.keys.hook(name)).zcard(self.keys.notices(name));
        }
        let mut replies = Replies::of(&pipe, self).await?;
        let mut endpoints = Vec::with_capacity(hooks.len());
        for (name, config) in hooks {
            let fields: HashMap<String, String> = replies.take()?;
            let waiting = replies.take()?;
            let count = |field: &str| number(&fields, field).unwrap_or(0);
            endpoints.push(Endpoint {
                name,
                wanted: parse(Some(&config)),
                since: count("since"),
                seen: count("seen"),
                disabled: fields.get("disabled").cloned(),
                failing: number(&fields, "failing"),
                answer: fields.get("answer").cloned(),
                answered: number(&fields, "answered"),
                waiting,
                delivered: count("delivered"),
                given_up: count("given_up"),
                dropped: count("dropped"),
            });
        }
        Ok(endpoints)
    }

    /// An endpoint's notices, the newest first: those that wait, and those that ended lately.
    pub async fn notices(&self, endpoint: &str, limit: usize) -> Result<Vec<Told>, QueueError> {
        let last = isize::try_from(limit).unwrap_or(isize::MAX).saturating_sub(1);
        let mut pipe = redis::pipe();
        for set in [self.keys.notices(endpoint), self.keys.notices_past(endpoint)] {
            pipe.zrevrange(set, 0, last);
        }
        let mut replies = Replies::of(&pipe, self).await?;
        let mut ids: Vec<String> = replies.take()?;
        ids.extend(replies.take::<Vec<String>>()?);
        let mut pipe = redis::pipe();
        for id in &ids {
            pipe.hgetall(self.keys.notice(endpoint, id)).zscore(self.keys.notices_due(endpoint), id);
        }
        let mut replies = Replies::of(&pipe, self).await?;
        let mut told = Vec::with_capacity(ids.len());
        for id in ids {
            let fields: HashMap<String, String> = replies.take()?;
            let next: Option<f64> = replies.take()?;
            let text = |field: &str| fields.get(field).cloned().unwrap_or_default();
            told.push(Told {
                id,
                event: text("type"),
                about: text("about"),
                state: text("state"),
                created: number(&fields, "created").unwrap_or(0),
                attempts: number(&fields, "attempts").unwrap_or(0),
                answer: fields.get("answer").cloned(),
                tried: number(&fields, "tried"),
                next: next.map(|next| next as u64),
            });
        }
        told.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        told.truncate(limit);
        Ok(told)
    }

    /// A cause of failures; none when it is forgotten.
    pub async fn cause_seen(&self, name: &str) -> Result<Option<CauseSeen>, QueueError> {
        let fields: HashMap<String, String> = self.connection.clone().hgetall(self.keys.cause(name)).await?;
        if fields.is_empty() {
            return Ok(None);
        }
        let text = |field: &str| fields.get(field).cloned().unwrap_or_default();
        Ok(Some(CauseSeen {
            tenant: text("tenant"),
            class: text("class"),
            message: text("message"),
            count: number(&fields, "count").unwrap_or(0),
            first: number(&fields, "first").unwrap_or(0),
            last: number(&fields, "last").unwrap_or(0),
            batch: text("batch"),
        }))
    }

    /// Why assets of a batch failed, the most frequent first, as far as its failures are among the newest of all.
    pub async fn causes_in(&self, batch: &BatchId, most: usize) -> Result<Vec<(Cause, u64)>, QueueError> {
        let failures = self.failures(0, LOOKED_AT).await?;
        let keys: Vec<_> = failures.iter().map(|(key, _)| key.clone()).collect();
        let askers = self.asking(&keys).await?;
        let mut counts: HashMap<String, (Cause, u64)> = HashMap::new();
        for ((_, state), askers) in failures.iter().zip(askers) {
            let Some(failure) =
                state.failure.as_ref().filter(|_| askers.iter().any(|id| id == batch.as_str()))
            else {
                continue;
            };
            let cause = cause_of(&failure.class, &failure.message);
            counts.entry(cause.id.clone()).or_insert((cause, 0)).1 += 1;
        }
        let mut causes: Vec<(Cause, u64)> = counts.into_values().collect();
        causes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.id.cmp(&b.0.id)));
        causes.truncate(most);
        Ok(causes)
    }
}
