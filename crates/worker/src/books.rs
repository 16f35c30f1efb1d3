//! What was spent before a namespace began: nothing is sent until that is known.
//!
//! A namespace that was wiped begins anew. What was spent until some seconds before is in the archive; what was paid
//! since is told by the workers that paid it.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::{Timestamp, tz::TimeZone};
use pictor_common::{
    MicroUsd,
    batch::Made,
    ledger::Kind,
    queue::{Attempt, Billed, Failure, Outcome, QueueError, Restored, Setter, Unmade},
};
use tracing::{info, warn};

use crate::engine::{Engine, Settings, wall_ms};

/// By then what was paid is in the archive.
const KEPT: Duration = Duration::from_secs(180);
const MOST: usize = 50_000;
/// Clocks of this host and of Redis may differ by so much, ms.
const SKEW: u64 = 120_000;

/// What this worker knows of the books.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// The beginning of the namespace that has heard of everything this worker paid.
    begun: tokio::sync::Mutex<Option<String>>,
    paid: Mutex<VecDeque<(Instant, Paid)>>,
    waiting: Mutex<bool>,
}

/// A request that was, or may have been, paid.
#[derive(Clone, Debug)]
pub(crate) struct Paid {
    pub(crate) attempt: Attempt,
    pub(crate) what: What,
}

/// What was paid for.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Image(Box<Made>),
    Nothing { billed: Billed, cost: MicroUsd },
}

/// Tokens that the archive has as settled, and as unknown.
#[derive(Debug, Default)]
struct Archived {
    settled: HashSet<String>,
    unknown: HashSet<String>,
}

impl Archived {
    fn has(&self, paid: &Paid) -> bool {
        let token = &paid.attempt.token;
        let doubt = matches!(paid.what, What::Nothing { billed: Billed::Unknown, .. });
        self.settled.contains(token) || doubt && self.unknown.contains(token)
    }
}

impl Books {
    /// Takes note of what Redis has just been told.
    pub(crate) fn note(&self, attempt: &Attempt, what: What) {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        while paid.front().is_some_and(|(at, _)| at.elapsed() > KEPT) || paid.len() >= MOST {
            paid.pop_front();
        }
        paid.push_back((Instant::now(), Paid { attempt: attempt.clone(), what }));
    }

    fn recent(&self) -> Vec<Paid> {
        let paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        paid.iter().map(|(_, paid)| paid.clone()).collect()
    }

    /// Whether it is news that the books wait, or wait no more.
    fn waits(&self, now: bool) -> bool {
        std::mem::replace(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner), now) != now
    }
}

impl Engine {
    /// Tells a namespace that has begun anew what this worker paid lately and the archive does not have.
    pub(crate) async fn heed_beginning(&self, begun: &str) -> anyhow::Result<()> {
        let mut known = self.books.begun.lock().await;
        if known.as_deref() == Some(begun) {
            return Ok(());
        }
        if known.is_some() {
            self.tell_again().await?;
        }
        *known = Some(begun.to_owned());
        Ok(())
    }

    async fn tell_again(&self) -> anyhow::Result<()> {
        let recent = self.books.recent();
        if recent.is_empty() {
            return Ok(());
        }
        let archived = self.archived_lately().await?;
        let missing: Vec<&Paid> = recent.iter().filter(|paid| !archived.has(paid)).collect();
        warn!(
            requests = missing.len(),
            "Redis was wiped: it is told again what was paid since the ledger was archived"
        );
        for paid in missing {
            match &paid.what {
                What::Image(made) => {
                    self.queue.settle(&paid.attempt, made).await?;
                }
                What::Nothing { billed, cost } => {
                    let failure =
                        Failure { model: paid.attempt.model.clone(), at_ms: wall_ms(), ..Failure::default() };
                    let unmade = Unmade {
                        billed: *billed,
                        cost: *cost,
                        outcome: Outcome::Failed,
                        max_unknown: self.settings.max_unknown,
                        failure: &failure,
                        pause: None,
                        refusal: None,
                        fault: None,
                        doubt: false,
                    };
                    self.queue.fail(&paid.attempt, &unmade).await?;
                }
            }
        }
        Ok(())
    }

    /// Tokens in the newest segments of the archive.
    async fn archived_lately(&self) -> anyhow::Result<Archived> {
        let kept = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
        let since = wall_ms().saturating_sub(kept).saturating_sub(SKEW);
        let day = Timestamp::from_millisecond(i64::try_from(since)?)?.to_zoned(TimeZone::UTC).date();
        let mut archived = Archived::default();
        let mut listing = self.archive.segments(Some(day));
        while let Some(page) = listing.next().await? {
            for segment in page.into_iter().filter(|segment| segment.last.ms >= since) {
                for (_, entry) in self.archive.entries(&segment).await? {
                    match entry.meaning() {
                        Some(Kind::Settled) => archived.settled.insert(entry.token),
                        Some(Kind::Unknown) => archived.unknown.insert(entry.token),
                        Some(Kind::Resolved) | None => false,
                    };
                }
            }
        }
        Ok(archived)
    }

    /// Says the configured caps again to a server that was wiped.
    pub(crate) async fn say_caps(&self) -> Result<(), QueueError> {
        let Settings { who, caps, .. } = &self.settings;
        self.queue.set_caps(Setter::Settings, who, "Redis was empty", caps).await?;
        Ok(())
    }

    /// Finds out what was spent before the namespace began, and enters it; whether claiming can go on.
    pub(crate) async fn restore_books(&self) -> bool {
        let restored = self.sum_up().await;
        match restored {
            Ok(done) => {
                if self.books.waits(false) {
                    info!("what was spent before is known");
                }
                done
            }
            Err(error) => {
                if self.books.waits(true) {
                    warn!(
                        error = format!("{error:#}"),
                        "nothing is sent: Redis does not know what was spent before, and the archived ledger in the \
                         store cannot be read; waiting for the store"
                    );
                }
                false
            }
        }
    }

    async fn sum_up(&self) -> anyhow::Result<bool> {
        let begun = self.queue.begun().await?;
        // First, so that the cap is not free for what nobody has told yet.
        self.heed_beginning(&begun).await?;
        self.say_caps().await?;
        let spend = self.archive.spend(&begun, self.queue.current_days(), self.queue.zone()).await?;
        let restored = self.queue.restore_spend(&begun, &spend).await?;
        if restored == Restored::Now && spend.total > MicroUsd::ZERO {
            info!(spent = %spend.total, "Redis did not know what was spent before; the archived ledger says it");
        }
        Ok(restored != Restored::Forgot)
    }
}
