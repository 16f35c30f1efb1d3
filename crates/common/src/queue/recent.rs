//! What ended in the last minute, and what it cost: a bounded look at the ends of two streams.

use std::collections::HashMap;

use serde::Serialize;

use super::{LedgerEntry, Queue, QueueError, read::parse, replies::Replies};
use crate::MicroUsd;

/// Events looked at; more in a minute than this and the pace is that of a shorter time.
const EVENTS: usize = 3_000;
/// Ledger entries looked at.
const ENTRIES: usize = 300;
/// How far back is looked, µs.
const SPAN: u64 = 60_000_000;
/// So many endings tell the pace from the first of them on, however short ago.
const ENOUGH: usize = 5;

/// What ended lately of one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Recent {
    /// Assets that ended: made, failed or parked.
    pub ended: u64,
    /// In so many seconds.
    pub seconds: f64,
    /// What a paid request cost on average.
    pub mean_cost: Option<MicroUsd>,
}

impl Recent {
    /// Assets a minute.
    #[must_use]
    pub fn per_minute(&self) -> Option<f64> {
        (self.ended > 0 && self.seconds > 0.0).then(|| self.ended as f64 * 60.0 / self.seconds)
    }
}

type Entries = Vec<(String, HashMap<String, String>)>;

impl Queue {
    /// What ended lately, by the batch that paid.
    pub async fn recent(&self, now: u64) -> Result<HashMap<String, Recent>, QueueError> {
        let from = (now.saturating_sub(SPAN) / 1_000).to_string();
        let mut pipe = redis::pipe();
        pipe.xrevrange_count(self.keys.events(), "+", from, EVENTS);
        pipe.xrevrange_count(self.keys.ledger(), "+", "-", ENTRIES);
        let mut replies = Replies::of(&pipe, self).await?;
        let events: Entries = replies.take()?;
        let ledger: Entries = replies.take()?;
        let mut recent = paces(&events, now);
        for (batch, cost) in costs(&ledger) {
            recent.entry(batch).or_default().mean_cost = Some(cost);
        }
        Ok(recent)
    }
}

fn paces(newest_first: &Entries, now: u64) -> HashMap<String, Recent> {
    let mut ended: HashMap<&str, Vec<u64>> = HashMap::new();
    let mut oldest = now.saturating_sub(SPAN);
    for (id, fields) in newest_first {
        let at = id.split('-').next().and_then(|ms| ms.parse::<u64>().ok()).unwrap_or(0) * 1_000;
        if newest_first.len() >= EVENTS {
            oldest = at;
        }
        let kind = fields.get("kind").map_or("", String::as_str);
        if let ("done" | "failed" | "parked", Some(batch)) = (kind, fields.get("batch")) {
            ended.entry(batch).or_default().push(at);
        }
    }
    let pace = |times: Vec<u64>| {
        let first = times.last().copied().unwrap_or(now);
        let from = if times.len() >= ENOUGH { first } else { oldest };
        let seconds = now.saturating_sub(from).max(1_000_000) as f64 / 1e6;
        Recent { ended: times.len() as u64, seconds, mean_cost: None }
    };
    ended.into_iter().map(|(batch, times)| (batch.to_owned(), pace(times))).collect()
}

fn costs(entries: &Entries) -> HashMap<String, MicroUsd> {
    let mut sums: HashMap<String, (u64, u64)> = HashMap::new();
    for (_, fields) in entries {
        let Some(entry) = parse::<LedgerEntry>(fields.get("entry")) else { continue };
        if entry.kind == "settled" {
            let sum = sums.entry(entry.batch).or_default();
            sum.0 += entry.cost.parse::<u64>().unwrap_or(0);
            sum.1 += 1;
        }
    }
    sums.into_iter().map(|(batch, (cost, count))| (batch, MicroUsd(cost / count.max(1)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_ms: u64, kind: &str, batch: &str) -> (String, HashMap<String, String>) {
        let fields = [("kind", kind), ("batch", batch)].map(|(n, v)| (n.to_owned(), v.to_owned()));
        (format!("{at_ms}-0"), fields.into())
    }

    #[test]
    fn few_endings_are_spread_over_the_minute_and_many_over_their_own_time() {
        let now = 100_000_000;
        let mut events: Entries = (90..100).rev().map(|s| event(s * 1_000, "done", "fast")).collect();
        events.push(event(90_000, "failed", "slow"));
        events.push(event(80_000, "sealed", "fast"));
        let paces = paces(&events, now);
        assert_eq!(paces["fast"].per_minute(), Some(60.0));
        assert_eq!(paces["slow"].per_minute(), Some(1.0));
    }
}
