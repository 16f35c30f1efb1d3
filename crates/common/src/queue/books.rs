//! Keeps the ledger in Redis and its archive in step: what goes there, and what comes back when Redis has forgotten.

use std::{collections::BTreeMap, time::Duration};

use redis::AsyncCommands as _;
use serde::{Deserialize, Serialize};

use super::{LedgerEntry, Queue, QueueError, connection::micros, script};
use crate::{
    MicroUsd,
    ledger::{EntryId, Spend},
};

/// How often a part of the ledger is archived.
const EVERY: Duration = Duration::from_secs(10);
/// Who has the turn and is silent for so long has lost it.
const BUSY: Duration = Duration::from_secs(60);
/// Most entries of one segment.
const SEGMENT: usize = 10_000;

/// The right to archive the ledger, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveTurn {
    /// The last entry that is archived.
    pub after: EntryId,
    /// When the namespace began.
    pub epoch: String,
}

/// What became of what was spent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It is entered now.
    Now,
    /// It was entered before.
    Before,
    /// The namespace was wiped since it was summed up: it is to be summed up again.
    Forgot,
}

#[derive(Deserialize)]
struct Answer {
    turn: bool,
    wait: String,
    after: String,
    epoch: String,
}

#[derive(Serialize)]
struct Done {
    from: String,
    upto: String,
    keep: u64,
    over: bool,
}

impl Queue {
    /// Asks for the turn to archive; else says how long to wait. `hurry` does not wait for the usual time.
    pub async fn archive_turn(
        &self,
        owner: &str,
        place: &str,
        hurry: bool,
    ) -> Result<Result<ArchiveTurn, Duration>, QueueError> {
        self.ask_archive(owner, place, hurry, None).await
    }

    /// Notes what was archived in a turn: from `turn` on up to an entry. Entries that are archived and older than `keep`
    /// leave Redis. Unless the turn is over, it goes on.
    pub async fn archived(
        &self,
        owner: &str,
        place: &str,
        turn: &ArchiveTurn,
        upto: EntryId,
        keep: Duration,
        over: bool,
    ) -> Result<Option<ArchiveTurn>, QueueError> {
        let done = Done { from: turn.after.to_string(), upto: upto.to_string(), keep: micros(keep), over };
        Ok(self.ask_archive(owner, place, false, Some(&done)).await?.ok())
    }

    async fn ask_archive(
        &self,
        owner: &str,
        place: &str,
        hurry: bool,
        done: Option<&Done>,
    ) -> Result<Result<ArchiveTurn, Duration>, QueueError> {
        let mut request = serde_json::json!({
            "owner": owner, "place": place, "every": micros(EVERY), "busy": micros(BUSY), "hurry": hurry,
            "profile": self.profile,
        });
        if let Some(done) = done {
            request["done"] = serde_json::json!(done);
        }
        let answer: Answer = script::ARCHIVE.ask(&self.connection, self.keys.prefix(), &request).await?;
        Ok(if answer.turn {
            Ok(ArchiveTurn { after: answer.after.parse().unwrap_or_default(), epoch: answer.epoch })
        } else {
            Err(Duration::from_micros(answer.wait.parse().unwrap_or(0)))
        })
    }

    /// The entries that a turn archives next; none where the namespace has begun anew since.
    pub async fn unarchived(&self, turn: &ArchiveTurn) -> Result<Vec<(EntryId, LedgerEntry)>, QueueError> {
        let page = self.ledger(&turn.after.to_string(), SEGMENT).await?;
        // Asked afterwards: under another beginning these entries would be counted once more.
        if self.ledger_epoch().await?.as_deref() != Some(turn.epoch.as_str()) {
            return Ok(Vec::new());
        }
        Ok(page.into_iter().filter_map(|(id, entry)| Some((id.parse().ok()?, entry))).collect())
    }

    /// The oldest entry in Redis.
    pub async fn ledger_start(&self) -> Result<Option<EntryId>, QueueError> {
        let first = self.ledger("-", 1).await?.pop();
        Ok(first.and_then(|(id, _)| id.parse().ok()))
    }

    /// When the namespace began, as segments of its ledger name it; none before anybody asked for it.
    pub async fn ledger_epoch(&self) -> Result<Option<String>, QueueError> {
        Ok(self.connection.clone().hget(self.keys.meta(), "epoch").await?)
    }

    /// When the namespace began; it begins now where nobody has asked for it yet.
    pub async fn begun(&self) -> Result<String, QueueError> {
        self.epoch().await?;
        Ok(self.ledger_epoch().await?.unwrap_or_default())
    }

    /// Enters what was spent before this beginning of the namespace into the purses: in all, of tenants, and of days.
    /// Until somebody has, nothing is claimed.
    ///
    /// `begun` is the beginning whose segments the sum leaves out.
    pub async fn restore_spend(&self, begun: &str, spend: &Spend) -> Result<Restored, QueueError> {
        let tenants_of = |spent: &BTreeMap<String, MicroUsd>| -> Vec<(String, MicroUsd)> {
            let known = spent.iter().filter(|(tenant, _)| !tenant.is_empty());
            known.map(|(tenant, spent)| (tenant.clone(), *spent)).collect()
        };
        let by_day: Vec<_> = spend
            .days
            .iter()
            .map(|(day, of)| (day.to_string(), of.values().copied().sum::<MicroUsd>(), tenants_of(of)))
            .collect();
        let request = serde_json::json!({
            "epoch": begun, "total": spend.total, "tenants": tenants_of(&spend.tenants), "by_day": by_day,
        });
        let answer: String = script::BOOKS.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(match answer.as_str() {
            "restored" => Restored::Now,
            "known" => Restored::Before,
            _ => Restored::Forgot,
        })
    }
}
