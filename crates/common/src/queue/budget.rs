//! Money and caps as they stand.

use std::collections::HashMap;

use serde::Serialize;

use super::{Queue, QueueError, batches::take_batch, read::number, replies::Replies};
use crate::{MicroUsd, batch::BatchId};

/// Batches looked at for caps, the newest first.
const BATCHES: isize = 1_000;

/// Money that is counted together, and its cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counter {
    /// The most that may be spent.
    pub cap: Option<MicroUsd>,
    /// Charged, or possibly charged.
    pub spent: MicroUsd,
    /// Set aside for what is on its way.
    pub reserved: MicroUsd,
    /// The part of `spent` whose outcome is unknown.
    pub unknown: MicroUsd,
    /// A person has set the cap: settings leave it alone.
    pub by_person: bool,
}

impl Counter {
    /// What can still be set aside.
    #[must_use]
    pub fn left(&self) -> Option<MicroUsd> {
        Some(self.cap?.saturating_sub(self.spent + self.reserved))
    }

    /// How much of the cap is spent.
    #[must_use]
    pub fn percent(&self) -> Option<u64> {
        let cap = self.cap?.0;
        Some(if cap == 0 {
            100
        } else {
            u64::try_from(u128::from(self.spent.0) * 100 / u128::from(cap)).unwrap_or(u64::MAX)
        })
    }
}

/// What a day has cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DaySpent {
    /// The day.
    pub day: String,
    /// Charged, or possibly charged.
    pub spent: MicroUsd,
}

/// Money in all, and of today.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// In all.
    pub total: Counter,
    /// Today.
    pub today: Counter,
    /// The days that are kept, in order.
    pub days: Vec<DaySpent>,
}

/// Money of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TenantMoney {
    /// The tenant.
    pub tenant: String,
    /// Its money.
    #[serde(flatten)]
    pub money: Counters,
}

/// All money and all caps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Of everybody.
    #[serde(flatten)]
    pub money: Counters,
    /// Today's name.
    pub day: String,
    /// When the next day begins, µs since 1970.
    pub resets_at: u64,
    /// Of each tenant, by name.
    pub tenants: Vec<TenantMoney>,
    /// Of the batches that are open and have a cap, the newest first.
    pub batches: Vec<(String, Counter)>,
}

type Fields = HashMap<String, String>;

impl Queue {
    /// Money and caps of everybody, each tenant, and the open batches.
    pub async fn budget(&self) -> Result<Budget, QueueError> {
        let mut pipe = redis::pipe();
        pipe.cmd("TIME").smembers(self.keys.tenants()).zrevrange(self.keys.batches(), 0, BATCHES - 1);
        let mut replies = Replies::of(&pipe, self).await?;
        let (seconds, micros): (u64, u64) = replies.take()?;
        let mut tenants: Vec<String> = replies.take()?;
        let batches: Vec<String> = replies.take()?;
        tenants.sort();
        let batches: Vec<BatchId> = batches.iter().filter_map(|id| id.parse().ok()).collect();
        let mut pipe = redis::pipe();
        pipe.hgetall(self.keys.budget());
        for tenant in &tenants {
            pipe.hgetall(self.keys.tenant(tenant));
        }
        for batch in &batches {
            pipe.hgetall(self.keys.batch(batch));
        }
        let mut replies = Replies::of(&pipe, self).await?;
        let (day, resets_at) = self.today(seconds * 1_000_000 + micros);
        let mut budget = Budget { money: counters(&replies.take()?, &day), resets_at, ..Budget::default() };
        for tenant in tenants {
            budget.tenants.push(TenantMoney { tenant, money: counters(&replies.take()?, &day) });
        }
        for id in &batches {
            let Some(batch) = take_batch(&mut replies, id)? else { continue };
            if batch.cap.is_some() && !batch.ended() {
                let (cap, spent, reserved, unknown) = (batch.cap, batch.spent, batch.reserved, batch.unknown);
                let counter = Counter { cap, spent, reserved, unknown, ..Counter::default() };
                budget.batches.push((batch.id, counter));
            }
        }
        budget.day = day;
        Ok(budget)
    }

    /// Money of a tenant; nothing for one that is unknown.
    pub async fn tenant_money(&self, tenant: &str) -> Result<Counters, QueueError> {
        let mut pipe = redis::pipe();
        pipe.cmd("TIME").hgetall(self.keys.tenant(tenant));
        let mut replies = Replies::of(&pipe, self).await?;
        let (seconds, micros): (u64, u64) = replies.take()?;
        let (day, _) = self.today(seconds * 1_000_000 + micros);
        Ok(counters(&replies.take()?, &day))
    }

    /// The name of the day it is by a clock, and when the next begins.
    pub(super) fn today(&self, now: u64) -> (String, u64) {
        let days = self.days();
        let at = days.iter().rposition(|(start, _)| *start <= now).unwrap_or(0);
        let name = days.get(at).map(|(_, name)| name.clone()).unwrap_or_default();
        (name, days.get(at + 1).map_or(0, |(start, _)| *start))
    }
}

/// Reads a purse: what is counted in all, and on a day.
pub(super) fn counters(fields: &Fields, day: &str) -> Counters {
    let amount = |name: &str| MicroUsd(number(fields, name).unwrap_or(0));
    let of = |suffix: &str, cap: &str, by: &str| Counter {
        cap: number(fields, cap).map(MicroUsd),
        spent: amount(&format!("spent{suffix}")),
        reserved: amount(&format!("reserved{suffix}")),
        unknown: amount(&format!("unknown{suffix}")),
        by_person: fields.get(by).is_some_and(|by| by == "person"),
    };
    let mut kept: Vec<&str> =
        fields.get("days").map(|days| days.split_whitespace().collect()).unwrap_or_default();
    kept.sort_unstable();
    let spent = |day: &str| DaySpent { day: day.to_owned(), spent: amount(&format!("spent:{day}")) };
    Counters {
        total: of("", "cap", "by"),
        today: of(&format!(":{day}"), "cap:day", "by:day"),
        days: kept.into_iter().map(spent).collect(),
    }
}
