//! Workers that are alive: each says so every few seconds, and is forgotten when it stops.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{LaneOffer, Layout, Queue, QueueError, script};

/// Without a word for so long, a worker counts as gone, µs: as long as its leases last.
pub(super) const ALIVE: u64 = 15_000_000;

/// What a worker says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Beat {
    /// The machine it runs on.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// Requests it can have on their way at once.
    pub concurrency: usize,
    /// Assets in its hands.
    pub held: usize,
    /// How many of them are on their way at the API, or came back and are not stored yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<usize>,
    /// Whether it stops, and takes nothing new.
    pub draining: bool,
    /// What it can send.
    pub lanes: Vec<LaneOffer>,
    /// The profile that the namespace belongs to, where that is not the worker's: it takes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_profile: Option<String>,
    /// Lanes for which its API key was refused: it takes nothing for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// Whether the disk of its spool has no room: it takes nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disk_full: bool,
    /// The newest layout it can work on; 0 of versions that did not tell, which know the second.
    pub layout: u32,
    /// The version of Pictor it is.
    pub version: String,
    /// Whether it heeds what [`Queue::drain`] tells it; older versions do not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub heeds_drain: bool,
    /// Why Redis gives it no work, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cannot_claim: Option<String>,
}

/// A worker that is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkerState {
    /// The process, as its tokens name it.
    pub incarnation: String,
    /// When it was last heard of, µs since 1970.
    pub seen: u64,
    /// What it said.
    #[serde(flatten)]
    pub beat: Beat,
}

impl WorkerState {
    /// When it began, ms since 1970 by its own clock: the first ten characters of its name say it.
    #[must_use]
    pub fn since_ms(&self) -> Option<u64> {
        const DIGITS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let time = self.incarnation.get(..10).filter(|_| self.incarnation.len() == 26)?;
        time.chars().try_fold(0_u64, |ms, c| Some(ms * 32 + DIGITS.find(c)? as u64))
    }
}

impl Queue {
    /// Says that a worker is alive; to be repeated every few seconds. Once no worker is alive that knows only an older
    /// layout, this takes the namespace over to [the newest](super::SCHEMA).
    pub async fn beat(&self, incarnation: &str, beat: &Beat) -> Result<Layout, QueueError> {
        let text =
            serde_json::to_string(beat).map_err(|source| QueueError::Answer { script: "beat", source })?;
        self.say(incarnation, &text).await
    }

    /// Says that a worker has ended in good order.
    pub async fn depart(&self, incarnation: &str) -> Result<(), QueueError> {
        let _layout = self.say(incarnation, "").await?;
        Ok(())
    }

    async fn say(&self, incarnation: &str, beat: &str) -> Result<Layout, QueueError> {
        let request = serde_json::json!({
            "incarnation": incarnation, "beat": beat, "alive": ALIVE, "grace": self.grace_micros(),
        });
        script::BEAT.ask(&self.connection, self.keys.prefix(), &request).await
    }
}

/// Those heard of lately, by host and process.
pub(super) fn alive(said: &HashMap<String, String>, now: u64) -> Vec<WorkerState> {
    let mut alive = known(said);
    alive.retain(|worker| now.saturating_sub(worker.seen) <= ALIVE);
    alive
}

/// All that said a word and are not forgotten, by host and process.
pub(super) fn known(said: &HashMap<String, String>) -> Vec<WorkerState> {
    let mut known: Vec<WorkerState> = said
        .iter()
        .filter_map(|(incarnation, text)| {
            let (seen, beat) = text.split_once(' ')?;
            let seen: u64 = seen.parse().ok()?;
            let beat = serde_json::from_str(beat).ok()?;
            Some(WorkerState { incarnation: incarnation.clone(), seen, beat })
        })
        .collect();
    known.sort_by(|a, b| (&a.beat.host, a.beat.pid).cmp(&(&b.beat.host, b.beat.pid)));
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_when_its_worker_began() {
        let named = |name: &str| WorkerState { incarnation: name.into(), seen: 0, beat: Beat::default() };
        // The example of the ULID specification.
        assert_eq!(named("01ARZ3NDEKTSV4RRFFQ69G5FAV").since_ms(), Some(1_469_922_850_259));
        assert_eq!(named("w1").since_ms(), None);
    }

    #[test]
    fn who_is_silent_for_a_lease_is_gone() {
        let text = serde_json::to_string(&Beat { concurrency: 4, ..Beat::default() }).unwrap();
        let said = HashMap::from([
            ("fresh".to_owned(), format!("100000000 {text}")),
            ("old".to_owned(), format!("80000000 {text}")),
            ("torn".to_owned(), "x".to_owned()),
        ]);
        let alive = alive(&said, 101_000_000);
        assert_eq!(alive.iter().map(|w| w.incarnation.as_str()).collect::<Vec<_>>(), ["fresh"]);
        assert_eq!(alive[0].beat.concurrency, 4);
    }
}
