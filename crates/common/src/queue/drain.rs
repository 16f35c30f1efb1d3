//! Workers that are told to end, each by a word it reads when it says that it is alive.
//!
//! One that is told takes nothing new, gives back what it has not sent, and ends once its hands are empty. Until then it
//! can be told to go on. The word is lost with Redis, like the worker's leases: then it goes on.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    Queue, QueueError, WorkerState,
    replies::Replies,
    script,
    workers::{ALIVE, known},
};

/// An order to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drain {
    /// Who gave it, as `USER@host`.
    pub by: String,
    /// Why, in their words.
    pub why: String,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Drained {
    /// It stands; the worker hears it within five seconds.
    Told,
    /// It was so before.
    AsBefore,
    /// The worker has left, or was not heard of for a minute.
    Gone,
}

/// Every worker that was heard of within a minute.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Workers {
    /// When, µs since 1970 by Redis' clock.
    pub now: u64,
    /// By host and process.
    pub workers: Vec<WorkerState>,
    /// Orders to end, by worker.
    pub drains: HashMap<String, Drain>,
}

impl Workers {
    /// Whether a worker was silent for so long that its leases have ended.
    #[must_use]
    pub fn is_silent(&self, worker: &WorkerState) -> bool {
        self.now.saturating_sub(worker.seen) > ALIVE
    }
}

impl Queue {
    /// Tells workers to end once their hands are empty, or without an order to go on; the answers in their order.
    pub async fn drain(&self, workers: &[String], order: Option<&Drain>) -> Result<Vec<Drained>, QueueError> {
        let wrong = |source| QueueError::Answer { script: "drain", source };
        let order = order.map(serde_json::to_string).transpose().map_err(wrong)?;
        let mut became = Vec::with_capacity(workers.len());
        for chunk in workers.chunks(super::CHUNK) {
            let request = serde_json::json!({ "workers": chunk, "order": order });
            let words: Vec<String> =
                script::DRAIN.run(&self.connection, self.keys.prefix(), &request).await?;
            became.extend(words.iter().map(|word| match word.as_str() {
                "told" => Drained::Told,
                "as_before" => Drained::AsBefore,
                _ => Drained::Gone,
            }));
        }
        Ok(became)
    }

    /// Every worker that was heard of within a minute, and who is to end.
    pub async fn workers(&self) -> Result<Workers, QueueError> {
        let mut pipe = redis::pipe();
        pipe.cmd("TIME").hgetall(self.keys.workers()).hgetall(self.keys.drains());
        let mut replies = Replies::of(&pipe, self).await?;
        let (seconds, micros): (u64, u64) = replies.take()?;
        let said: HashMap<String, String> = replies.take()?;
        let drains: HashMap<String, String> = replies.take()?;
        let workers = known(&said);
        let order = |(worker, text): (String, String)| {
            Some((worker, serde_json::from_str(&text).ok()?)).filter(|(worker, _)| said.contains_key(worker))
        };
        Ok(Workers {
            now: seconds * 1_000_000 + micros,
            workers,
            drains: drains.into_iter().filter_map(order).collect(),
        })
    }
}
