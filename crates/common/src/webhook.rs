//! What is told to webhooks: types of events, who wants which, ids, and when it is tried again.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

mod cause;

pub use cause::{Cause, cause_of};

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventType {
    /// A batch has ended, and all of it was made.
    #[serde(rename = "batch.completed")]
    BatchCompleted,
    /// A batch has ended, and some of it failed or was parked.
    #[serde(rename = "batch.failed")]
    BatchFailed,
    /// A batch was given up by a person.
    #[serde(rename = "batch.cancelled")]
    BatchCancelled,
    /// Assets of a tenant fail for a cause that was not seen for a week.
    #[serde(rename = "failure.group.first_seen")]
    FirstSeen,
    /// There are 10, 100, 1,000 … of them.
    #[serde(rename = "failure.group.growing")]
    Growing,
    /// Sent when somebody asks for it.
    #[serde(rename = "webhook.test")]
    Test,
}

/// Why a text is no [`EventType`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no event; there are {all}", all = names().join(", "))]
pub struct NotEventType(String);

fn names() -> Vec<&'static str> {
    EventType::ALL.iter().map(|event| event.as_str()).collect()
}

impl EventType {
    /// Those that can be asked for.
    pub const ALL: [Self; 5] =
        [Self::BatchCompleted, Self::BatchFailed, Self::BatchCancelled, Self::FirstSeen, Self::Growing];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BatchCompleted => "batch.completed",
            Self::BatchFailed => "batch.failed",
            Self::BatchCancelled => "batch.cancelled",
            Self::FirstSeen => "failure.group.first_seen",
            Self::Growing => "failure.group.growing",
            Self::Test => "webhook.test",
        }
    }

    /// Whether it tells how a batch ended.
    #[must_use]
    pub const fn is_of_batch(self) -> bool {
        matches!(self, Self::BatchCompleted | Self::BatchFailed | Self::BatchCancelled)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EventType {
    type Err = NotEventType;

    fn from_str(text: &str) -> Result<Self, NotEventType> {
        let found = Self::ALL.into_iter().find(|event| event.as_str() == text);
        found.ok_or_else(|| NotEventType(text.to_owned()))
    }
}

/// What an endpoint wants to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// These types.
    pub events: Vec<EventType>,
    /// Of these tenants; none means all.
    pub tenants: Vec<String>,
    /// Only batches that name the endpoint.
    pub named_only: bool,
    /// Its scheme and host, for people.
    pub host: String,
}

impl Wanted {
    /// Whether an event is told; `named`: it is of a batch that names this endpoint.
    #[must_use]
    pub fn wants(&self, event: EventType, tenant: &str, named: bool) -> bool {
        self.events.contains(&event)
            && (self.tenants.is_empty() || self.tenants.iter().any(|wanted| wanted == tenant))
            && (named || !(self.named_only && event.is_of_batch()))
    }
}

/// The id of an event: the same whoever tells it, and however often.
#[must_use]
pub fn message_id(namespace: &str, news: &str) -> String {
    let digest = Sha256::digest(format!("{namespace}\n{news}"));
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    // No full stop: it is signed with full stops between its parts.
    format!("msg_{hex}")
}

/// Requests after which a notice is given up, some 21 hours after the first.
const MOST_ATTEMPTS: u32 = 11;
const FIRST_DELAY: Duration = Duration::from_secs(2);
const LONGEST_DELAY: Duration = Duration::from_secs(6 * 3600);

/// How long to wait after an attempt that failed, from 1; `None`: it is given up. `random` is from 0 to 1.
#[must_use]
pub fn tried_again(attempt: u32, random: f64) -> Option<Duration> {
    if attempt >= MOST_ATTEMPTS {
        return None;
    }
    let delay = FIRST_DELAY.saturating_mul(1 << (2 * attempt.saturating_sub(1)).min(24)).min(LONGEST_DELAY);
    Some(delay.mul_f64(0.8 + 0.4 * random.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_read_as_it_is_written() {
        for event in EventType::ALL {
            assert_eq!(event.as_str().parse(), Ok(event));
            assert_eq!(serde_json::to_value(event).unwrap(), event.as_str());
        }
        let error = "batch.done".parse::<EventType>().unwrap_err().to_string();
        assert!(error.starts_with("\"batch.done\" is no event; there are batch.completed, "), "{error}");
    }

    #[test]
    fn an_endpoint_is_told_what_it_wants_of_whom_it_wants() {
        let wanted = Wanted {
            events: vec![EventType::BatchFailed, EventType::FirstSeen],
            tenants: vec!["shop".to_owned()],
            named_only: false,
            host: String::new(),
        };
        assert!(wanted.wants(EventType::BatchFailed, "shop", false));
        assert!(!wanted.wants(EventType::BatchCompleted, "shop", true), "not asked for");
        assert!(!wanted.wants(EventType::BatchFailed, "other", true), "of another tenant");
        let named = Wanted { named_only: true, ..wanted };
        assert!(!named.wants(EventType::BatchFailed, "shop", false));
        assert!(named.wants(EventType::BatchFailed, "shop", true));
        assert!(named.wants(EventType::FirstSeen, "shop", false), "causes name nobody");
    }

    #[test]
    fn it_is_tried_for_most_of_a_day_and_then_given_up() {
        let delays: Vec<u64> =
            (1..).map_while(|attempt| tried_again(attempt, 0.5)).map(|delay| delay.as_secs()).collect();
        assert_eq!(delays, [2, 8, 32, 128, 512, 2_048, 8_192, 21_600, 21_600, 21_600]);
        let all: u64 = delays.iter().sum();
        assert!((20 * 3_600..25 * 3_600).contains(&all), "{all}");
        assert!(tried_again(3, 0.0) < tried_again(3, 1.0), "not all at once");
        assert_eq!(tried_again(u32::MAX, 0.5), None);
    }

    #[test]
    fn an_event_has_one_id_without_full_stops() {
        let id = message_id("prod", "completed|17|nightly-2026.11.21");
        assert_eq!(id, message_id("prod", "completed|17|nightly-2026.11.21"));
        assert!(id.len() == 36 && !id.contains('.'), "{id}");
        for other in [message_id("dev", "completed|17|b"), message_id("prod", "completed|18|b")] {
            assert_ne!(message_id("prod", "completed|17|b"), other);
        }
    }
}
