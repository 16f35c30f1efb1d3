//! What is told to webhooks: news that scripts leave, notices made of it for each endpoint, and what became of them.

mod read;

use std::time::Duration;

use redis::AsyncCommands as _;
use serde::{Deserialize, Serialize};

use super::{Queue, QueueError, connection::micros, script};
use crate::{
    batch::BatchId,
    webhook::{EventType, Wanted},
};
pub use read::{CauseSeen, Endpoint, Told};

/// How often batches are looked for that ended without word of it.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// An endpoint that no worker names for so long is forgotten.
const QUIET: Duration = Duration::from_secs(25 * 3600);
/// Notices that wait for one endpoint; of more the oldest is dropped.
const MOST_WAITING: usize = 1_000;
/// Notices that ended and are remembered, for each endpoint.
const KEPT: usize = 200;
/// Who took a notice and is silent for so long has lost it.
const BUSY: Duration = Duration::from_secs(30);
/// Batches that name an endpoint, of which that is remembered.
const MOST_NAMED: usize = 10_000;

/// An endpoint as a worker knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name in the settings.
    pub name: String,
    /// A digest of its URL.
    pub address: String,
    /// What it wants.
    pub wanted: Wanted,
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// As Redis has it; it names the event.
    pub text: String,
    /// When it happened, µs since 1970.
    pub at: u64,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A batch ended.
    Batch(EventType, BatchId),
    /// Assets failed: the name of the cause, and how many there were then.
    Cause(EventType, String, u64),
    /// Something that a newer version knows.
    Other,
}

/// Something to tell one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The endpoint.
    pub hook: String,
    /// The event's id.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub event: EventType,
    /// What it is about, in a word.
    pub about: String,
    /// What is sent.
    pub body: String,
}

/// A notice that was taken, to be sent now.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Due {
    /// The event's id.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub event: String,
    /// What it is about.
    pub about: String,
    /// What is sent.
    pub body: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Proves who has it.
    pub token: String,
}

/// What became of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The endpoint has taken it.
    Delivered,
    /// It is tried again.
    Again(Duration),
    /// It was tried often enough.
    GivenUp,
    /// The endpoint wants nothing any more.
    Gone,
}

#[derive(Deserialize)]
struct Taken {
    wait: String,
    // Lua writes a list without elements as an object.
    notices: serde_json::Value,
}

impl News {
    /// Reads what a script has written: `completed|AT|BATCH`, `first_seen|AT|CAUSE`, `growing|AT|COUNT|CAUSE`.
    fn read(text: String) -> Self {
        let mut parts = text.splitn(3, '|');
        let (word, at, rest) =
            (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let batch = |event| rest.parse().map_or(What::Other, |batch| What::Batch(event, batch));
        let what = match word {
            "completed" => batch(EventType::BatchCompleted),
            "failed" => batch(EventType::BatchFailed),
            "cancelled" => batch(EventType::BatchCancelled),
            "first_seen" => What::Cause(EventType::FirstSeen, rest.to_owned(), 1),
            "growing" => rest.split_once('|').map_or(What::Other, |(count, name)| {
                What::Cause(EventType::Growing, name.to_owned(), count.parse().unwrap_or(0))
            }),
            _ => What::Other,
        };
        Self { at: at.parse().unwrap_or(0), what, text }
    }
}

impl Queue {
    /// Says which endpoints this worker tells; finds batches that ended without word of it, and says how many.
    pub async fn declare_webhooks(&self, endpoints: &[Declared]) -> Result<u64, QueueError> {
        let hooks: Result<Vec<_>, QueueError> = endpoints
            .iter()
            .map(|endpoint| {
                let config = serde_json::to_string(&endpoint.wanted)
                    .map_err(|source| QueueError::Answer { script: "hook_declare", source })?;
                Ok(serde_json::json!({
                    "name": endpoint.name, "address": endpoint.address, "config": config,
                }))
            })
            .collect();
        let request =
            serde_json::json!({ "hooks": hooks?, "every": micros(LOOK_EVERY), "quiet": micros(QUIET) });
        script::HOOK_DECLARE.run(&self.connection, self.keys.prefix(), &request).await
    }

    /// The oldest news.
    pub async fn news(&self, limit: usize) -> Result<Vec<News>, QueueError> {
        let last = isize::try_from(limit).unwrap_or(isize::MAX).saturating_sub(1);
        let news: Vec<String> = self.connection.clone().zrange(self.keys.news(), 0, last).await?;
        Ok(news.into_iter().map(News::read).collect())
    }

    /// Makes notices of news, unless somebody else has; names the endpoints for which an older one was dropped.
    pub async fn announce(&self, news: &News, notices: &[Notice]) -> Result<Vec<String>, QueueError> {
        let batch = match &news.what {
            What::Batch(_, batch) => Some(batch),
            What::Cause(..) | What::Other => None,
        };
        let request = serde_json::json!({
            "news": news.text, "batch": batch, "at": news.at, "notices": notices, "most": MOST_WAITING,
        });
        let answer: Vec<String> =
            script::HOOK_PUBLISH.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(answer.into_iter().skip(1).collect())
    }

    /// Takes notices that are due for an endpoint; says when the next one is.
    pub async fn take_notices(
        &self,
        endpoint: &str,
        owner: &str,
        most: usize,
    ) -> Result<(Vec<Due>, Duration), QueueError> {
        let request = serde_json::json!({
            "hook": endpoint, "owner": owner, "most": most, "busy": micros(BUSY),
        });
        let taken: Taken = script::HOOK_CLAIM.ask(&self.connection, self.keys.prefix(), &request).await?;
        let due = match taken.notices {
            serde_json::Value::Array(due) => serde_json::from_value(due.into())
                .map_err(|source| QueueError::Answer { script: "hook_claim", source })?,
            _none => Vec::new(),
        };
        Ok((due, Duration::from_micros(taken.wait.parse().unwrap_or(0))))
    }

    /// Says what became of a notice; the state it has now, or `lost`.
    pub async fn answered(
        &self,
        endpoint: &str,
        due: &Due,
        answered: Answered,
        answer: &str,
    ) -> Result<String, QueueError> {
        let (outcome, delay) = match answered {
            Answered::Delivered => ("delivered", Duration::ZERO),
            Answered::Again(delay) => ("waiting", delay),
            Answered::GivenUp => ("given_up", Duration::ZERO),
            Answered::Gone => ("gone", Duration::ZERO),
        };
        let request = serde_json::json!({
            "hook": endpoint, "id": due.id, "token": due.token, "outcome": outcome, "answer": answer,
            "delay": micros(delay), "keep": KEPT,
        });
        script::HOOK_DONE.run(&self.connection, self.keys.prefix(), &request).await
    }

    /// Lets an endpoint have what was given up, and what waits, at once: how many, and whether it was disabled. With `dry`
    /// nothing changes. `None`: it is unknown.
    pub async fn tell_again(
        &self,
        endpoint: &str,
        dry: bool,
    ) -> Result<Option<(u64, u64, bool)>, QueueError> {
        let request = serde_json::json!({ "hook": endpoint, "dry": dry, "busy": micros(BUSY) });
        let answer: Vec<u64> = script::HOOK_AGAIN.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(match answer.as_slice() {
            [given_up, waiting, disabled] => Some((*given_up, *waiting, *disabled == 1)),
            _ => None,
        })
    }

    /// Notes that a batch, about to be submitted, names an endpoint.
    pub async fn name_webhook(&self, batch: &BatchId, endpoint: &str) -> Result<(), QueueError> {
        let mut connection = self.connection.clone();
        let (seconds, _micros): (u64, u64) = redis::cmd("TIME").query_async(&mut connection).await?;
        let names = self.keys.news_named();
        let _new: u64 = connection.zadd(&names, format!("{batch}|{endpoint}"), seconds).await?;
        let count: usize = connection.zcard(&names).await?;
        if count > MOST_NAMED {
            let _gone: Vec<String> = connection.zpopmin(&names, 1).await?;
        }
        Ok(())
    }

    /// Whether a batch names an endpoint.
    pub async fn names_webhook(&self, batch: &BatchId, endpoint: &str) -> Result<bool, QueueError> {
        let member = format!("{batch}|{endpoint}");
        let noted: Option<u64> = self.connection.clone().zscore(self.keys.news_named(), member).await?;
        Ok(noted.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_read_as_scripts_write_it() {
        let news = |text: &str| News::read(text.to_owned());
        let ended = news("failed|1795219200000000|nightly-2026.11.21");
        assert_eq!(ended.at, 1_795_219_200_000_000);
        assert_eq!(ended.what, What::Batch(EventType::BatchFailed, "nightly-2026.11.21".parse().unwrap()));
        let cause = |event, count| What::Cause(event, "shop|0a1b".to_owned(), count);
        assert_eq!(news("first_seen|5|shop|0a1b").what, cause(EventType::FirstSeen, 1));
        assert_eq!(news("growing|5|100|shop|0a1b").what, cause(EventType::Growing, 100));
        for odd in ["", "of_next_year|5|b", "growing|5|x", "completed|5|no such name"] {
            assert_eq!(news(odd).what, What::Other, "{odd}");
        }
    }
}
