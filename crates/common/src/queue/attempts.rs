//! Finds the ledger's entries of one asset without reading the whole ledger.
//!
//! Entries are in the order of time, so those of an asset stand near the times that are known of it;
//! what is not there is looked for from the newest entry back, up to a bound.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::{LedgerEntry, Queue, QueueError, read::parse};
use crate::AssetKey;

/// Entries a call brings.
const PAGE: usize = 2_000;
/// Most entries that are looked at.
const MOST: usize = 100_000;
/// Clocks of workers may differ from that of Redis by so much, µs.
const AROUND: u64 = 60_000_000;

/// What is known of when an asset was paid for.
#[derive(Clone, Debug, Default)]
pub struct Hints<'a> {
    /// Tokens of attempts that were or may have been paid; when all are found, nothing more is looked for.
    pub tokens: &'a [String],
    /// Moments at which something ended, µs since 1970.
    pub moments: Vec<u64>,
    /// Nothing was paid before this, µs since 1970.
    pub since: u64,
}

/// Entries of one asset.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Attempts {
    /// In the order they were written.
    pub entries: Vec<LedgerEntry>,
    /// How many entries of the ledger were looked at.
    pub looked_at: usize,
    /// Whether older entries may exist that were not looked at.
    pub bounded: bool,
}

struct Search<'a> {
    key: &'a AssetKey,
    missing: BTreeSet<&'a str>,
    found: BTreeMap<(u64, u64), LedgerEntry>,
    looked_at: usize,
}

impl Queue {
    /// Every entry of the ledger about an asset, within a bound.
    pub async fn attempts(&self, key: &AssetKey, hints: &Hints<'_>) -> Result<Attempts, QueueError> {
        let mut search = Search {
            key,
            missing: hints.tokens.iter().map(String::as_str).collect(),
            found: BTreeMap::new(),
            looked_at: 0,
        };
        let knows = !search.missing.is_empty();
        for moment in &hints.moments {
            let (from, to) = (moment.saturating_sub(AROUND), moment + AROUND);
            self.read_back(&mut search, from, Some(to), MOST / 4).await?;
        }
        let mut whole = knows && search.missing.is_empty();
        if !whole {
            whole = self.read_back(&mut search, hints.since.saturating_sub(AROUND), None, MOST).await?;
        }
        Ok(Attempts {
            entries: search.found.into_values().collect(),
            looked_at: search.looked_at,
            bounded: !whole,
        })
    }

    /// Looks from `to` back to `from`; whether all between them was looked at, or nothing is missing any more.
    async fn read_back(
        &self,
        search: &mut Search<'_>,
        from: u64,
        to: Option<u64>,
        most: usize,
    ) -> Result<bool, QueueError> {
        let knows = !search.missing.is_empty();
        let from = (from / 1_000).to_string();
        let mut to = to.map_or_else(|| "+".to_owned(), |to| (to / 1_000).to_string());
        let mut left = most;
        while left > 0 {
            let page: Vec<(String, HashMap<String, String>)> = redis::cmd("XREVRANGE")
                .arg(self.keys.ledger())
                .arg(&to)
                .arg(&from)
                .arg("COUNT")
                .arg(PAGE)
                .query_async(&mut self.connection.clone())
                .await?;
            for (id, fields) in &page {
                search.see(id, fields);
            }
            let done = knows && search.missing.is_empty();
            match page.last() {
                Some((id, _)) if page.len() == PAGE && !done => to = format!("({id}"),
                _ => return Ok(true),
            }
            left = left.saturating_sub(PAGE);
        }
        Ok(false)
    }
}

impl Search<'_> {
    fn see(&mut self, id: &str, fields: &HashMap<String, String>) {
        self.looked_at += 1;
        let text = fields.get("entry").filter(|text| text.contains(self.key.as_str()));
        let Some(entry) = parse::<LedgerEntry>(text).filter(|entry| entry.key == self.key.as_str()) else {
            return;
        };
        self.missing.remove(entry.token.as_str());
        let (ms, part) = id.split_once('-').unwrap_or((id, "0"));
        self.found.insert((ms.parse().unwrap_or(0), part.parse().unwrap_or(0)), entry);
    }
}
