//! What was spent before a namespace began: nothing is sent until that is known.
//!
//! A namespace that was wiped begins anew. What was spent until some seconds before is in the archive; what was paid
//! since is told by the workers that paid it. They tell it also to a server that was restarted, perhaps from an older
//! file: what that has not forgotten is settled once all the same.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt as _, stream};
use jiff::{Timestamp, tz::TimeZone};
use pictor_common::{
    MicroUsd,
    batch::Made,
    ledger::Kind,
    queue::{Attempt, Billed, Ended, Epoch, Failure, Outcome, QueueError, Restored, Setter, Settled, Unmade},
};
use tracing::{debug, info, warn};

use crate::{
    engine::{EXTEND_EVERY, Engine, Settings, wall_ms},
    notes::Notes,
};

/// By then what was paid is in the archive.
const KEPT: Duration = Duration::from_secs(180);
/// As much as a replica may lag that takes over, and more.
const FREE_KEPT: Duration = Duration::from_secs(30);
/// Whoever has tried again since says so before: that is forgotten too.
const TRIED_AGAIN: Duration = EXTEND_EVERY.saturating_mul(2);
/// How many are told at once.
const AT_ONCE: usize = 64;
/// How often a server that is being told is asked to wait on, and for how long.
const ASK_EVERY: Duration = Duration::from_secs(2);
const WAITS: Duration = Duration::from_secs(4);
/// Whoever cannot tell for so long, as when the store is away, stops the others no more.
const TELLS: Duration = Duration::from_secs(60);
/// Clocks of this host and of Redis may differ by so much, ms.
const SKEW: u64 = 120_000;

/// What this worker knows of the books.
#[derive(Debug)]
pub(crate) struct Books {
    heard: tokio::sync::Mutex<Heard>,
    paid: Mutex<Notes<Paid>>,
    /// Requests that ended without an image and cost nothing.
    free: Mutex<Notes<Attempt>>,
    /// When the epoch that has heard of everything last answered: only then notes grow old.
    answered: Mutex<Option<Instant>>,
    waiting: Mutex<bool>,
}

/// Who has been told.
#[derive(Debug, Default)]
struct Heard {
    /// The epoch that has heard of everything this worker paid.
    by: Option<Epoch>,
    /// One that is being told, and since when.
    telling: Option<(Epoch, Instant)>,
}

impl Heard {
    /// Since when this epoch is being told.
    fn since(&mut self, epoch: &Epoch) -> Instant {
        match &self.telling {
            Some((told, since)) if told == epoch => *since,
            _ => self.telling.insert((epoch.clone(), Instant::now())).1,
        }
    }
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
    Nothing(Box<Nothing>),
}

/// How an attempt ended that made no image, and what it cost or may have cost.
#[derive(Clone, Debug)]
pub(crate) struct Nothing {
    billed: Billed,
    cost: MicroUsd,
    outcome: Outcome,
    failure: Failure,
    /// Not said by whoever held it, and void when its owner is back.
    doubt: bool,
}

impl Nothing {
    /// With what became of the asset; a server that has forgotten it lets who has it by now tell so before it is tried again.
    fn of(unmade: &Unmade<'_>, ended: Ended) -> Self {
        let outcome = match (ended, unmade.outcome) {
            (Ended::Failed, _) | (Ended::Lost | Ended::Substituted, Outcome::Failed) => Outcome::Failed,
            (Ended::Parked, _) | (Ended::Lost | Ended::Substituted, Outcome::Parked) => Outcome::Parked,
            _ => Outcome::Retry(TRIED_AGAIN),
        };
        let &Unmade { billed, cost, doubt, failure, .. } = unmade;
        Self { billed, cost, outcome, failure: failure.clone(), doubt }
    }
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
        let doubt = matches!(&paid.what, What::Nothing(nothing) if nothing.billed == Billed::Unknown);
        self.settled.contains(token) || doubt && self.unknown.contains(token)
    }
}

impl Default for Books {
    fn default() -> Self {
        Self {
            heard: tokio::sync::Mutex::default(),
            paid: Mutex::new(Notes::kept(KEPT)),
            free: Mutex::new(Notes::kept(FREE_KEPT)),
            answered: Mutex::default(),
            waiting: Mutex::default(),
        }
    }
}

impl Books {
    /// Takes note of what Redis has just been told.
    pub(crate) fn note(&self, attempt: &Attempt, what: What) {
        let paid = Paid { attempt: attempt.clone(), what };
        own(&self.paid).push(Instant::now(), wall_ms(), self.answered(), paid);
    }

    /// The same of a request that made no image.
    pub(crate) fn note_unmade(&self, attempt: &Attempt, unmade: &Unmade<'_>, ended: Ended) {
        if unmade.billed == Billed::No {
            own(&self.free).push(Instant::now(), wall_ms(), self.answered(), attempt.clone());
        } else {
            self.note(attempt, What::Nothing(Box::new(Nothing::of(unmade, ended))));
        }
    }

    fn answered(&self) -> Option<Instant> {
        *own(&self.answered)
    }

    /// The newest first: it is what may have been forgotten.
    fn recent_free(&self) -> Vec<Attempt> {
        own(&self.free).newest_first(self.answered())
    }

    /// The newest first.
    fn recent(&self) -> Vec<Paid> {
        own(&self.paid).newest_first(self.answered())
    }

    /// Waits until whatever Redis is being told is told.
    pub(crate) async fn all_told(&self) {
        drop(self.heard.lock().await);
    }

    /// Whether it is news that the books wait, or wait no more.
    fn waits(&self, now: bool) -> bool {
        std::mem::replace(&mut *own(&self.waiting), now) != now
    }
}

fn own<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first failure of what is done at once, or how often it brought news.
async fn sum_of(told: impl Stream<Item = Result<bool, QueueError>>) -> Result<usize, QueueError> {
    let (mut told, mut news) = (std::pin::pin!(told), 0);
    while let Some(is_news) = told.next().await {
        news += usize::from(is_news?);
    }
    Ok(news)
}

impl Engine {
    /// Tells another epoch in a task of its own, unless that is under way: it can take seconds, and where nobody looks
    /// after a namespace for so long, its grace begins anew. Whether all is told.
    pub(crate) fn heed_beside(self: &Arc<Self>, epoch: Epoch) -> bool {
        let Ok(heard) = self.books.heard.try_lock() else { return false };
        let is_told = heard.by.as_ref() == Some(&epoch);
        drop(heard);
        if is_told {
            *own(&self.books.answered) = Some(Instant::now());
        } else {
            let engine = Arc::clone(self);
            tokio::spawn(async move {
                if let Err(error) = engine.heed_epoch(&epoch).await {
                    warn!(error = format!("{error:#}"), "cannot tell Redis yet what it has forgotten");
                }
            });
        }
        is_told
    }

    /// Tells another epoch what this worker paid lately and it may not know.
    pub(crate) async fn heed_epoch(&self, epoch: &Epoch) -> anyhow::Result<()> {
        let mut heard = self.books.heard.lock().await;
        if heard.by.as_ref() == Some(epoch) {
            return Ok(());
        }
        let since = heard.since(epoch);
        let tell = async {
            match &heard.by {
                Some(known) if known.begun() == epoch.begun() => self.tell_older().await,
                Some(_) => self.tell_wiped().await,
                None => Ok(()),
            }
        };
        tokio::select! {
            biased;
            told = tell => told?,
            () = self.keep_waiting(since) => {}
        }
        *heard = Heard { by: Some(epoch.clone()), telling: None };
        Ok(())
    }

    /// Asks Redis to let nobody claim as long as this worker tells what may be claimed otherwise, and paid again. Never
    /// ends.
    async fn keep_waiting(&self, since: Instant) {
        while since.elapsed() < TELLS {
            if let Err(error) = self.queue.still_telling(WAITS).await {
                debug!(%error, "cannot ask Redis to wait until it has been told");
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        std::future::pending().await
    }

    /// To a namespace that has begun anew: what the archive does not have.
    async fn tell_wiped(&self) -> anyhow::Result<()> {
        let recent = self.books.recent();
        if recent.is_empty() {
            return Ok(());
        }
        let archived = self.archived_lately().await?;
        let missing: Vec<Paid> = recent.into_iter().filter(|paid| !archived.has(paid)).collect();
        warn!(
            requests = missing.len(),
            "Redis was wiped: it is told again what was paid since the ledger was archived"
        );
        self.tell(missing, false).await?;
        Ok(())
    }

    /// To a server that was restarted: all, since what it knows is settled already.
    async fn tell_older(&self) -> anyhow::Result<()> {
        self.tell_free().await?;
        let forgotten = self.tell(self.books.recent(), true).await?;
        if forgotten > 0 {
            warn!(images = forgotten, "Redis went back in time: it is told again what was paid since");
        }
        Ok(())
    }

    /// Tells what ended without an image and cost nothing: a server that has forgotten it would wait for an answer.
    async fn tell_free(&self) -> Result<(), QueueError> {
        let free = stream::iter(self.books.recent_free());
        sum_of(free.map(|attempt| self.tell_one_free(attempt)).buffer_unordered(AT_ONCE)).await?;
        Ok(())
    }

    async fn tell_one_free(&self, attempt: Attempt) -> Result<bool, QueueError> {
        let failure = Failure {
            class: "forgotten".to_owned(),
            message: "Redis went back in time, and forgot how this ended".to_owned(),
            model: attempt.model.clone(),
            at_ms: wall_ms(),
            ..Failure::default()
        };
        let unmade = self.unmade(Billed::No, MicroUsd::ZERO, Outcome::Retry(TRIED_AGAIN), &failure);
        self.queue.fail(&attempt, &unmade).await?;
        Ok(false)
    }

    /// Tells what was paid; how many images were news. `older`: to a server that went back in time, where what became of an
    /// asset without an image becomes of it again.
    async fn tell(&self, paid: Vec<Paid>, older: bool) -> Result<usize, QueueError> {
        let paid = stream::iter(paid);
        sum_of(paid.map(|paid| self.tell_one(paid, older)).buffer_unordered(AT_ONCE)).await
    }

    /// Whether it was an image, and news.
    async fn tell_one(&self, paid: Paid, older: bool) -> Result<bool, QueueError> {
        let Nothing { billed, cost, outcome, failure, doubt } = match &paid.what {
            What::Image(made) => {
                return Ok(self.queue.settle(&paid.attempt, made).await? != Settled::Again);
            }
            What::Nothing(nothing) => &**nothing,
        };
        let outcome = if older { *outcome } else { Outcome::Failed };
        let unmade = Unmade { doubt: older && *doubt, ..self.unmade(*billed, *cost, outcome, failure) };
        self.queue.fail(&paid.attempt, &unmade).await?;
        Ok(false)
    }

    fn unmade<'a>(
        &self,
        billed: Billed,
        cost: MicroUsd,
        outcome: Outcome,
        failure: &'a Failure,
    ) -> Unmade<'a> {
        Unmade {
            billed,
            cost,
            outcome,
            max_unknown: self.settings.max_unknown,
            failure,
            pause: None,
            refusal: None,
            fault: None,
            doubt: false,
        }
    }

    /// Tokens in the newest segments of the archive.
    async fn archived_lately(&self) -> anyhow::Result<Archived> {
        let kept = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
        // What was paid before a long outage is noted still.
        let oldest = own(&self.books.paid).oldest_ms().unwrap_or(u64::MAX).min(wall_ms());
        let since = oldest.saturating_sub(kept).saturating_sub(SKEW);
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
        let epoch = self.queue.epoch().await?;
        let begun = epoch.begun();
        // First, so that the cap is not free for what nobody has told yet.
        self.heed_epoch(&epoch).await?;
        self.say_caps().await?;
        let spend = self.archive.spend(begun, self.queue.current_days(), self.queue.zone()).await?;
        let restored = self.queue.restore_spend(begun, &spend).await?;
        if restored == Restored::Now && spend.total > MicroUsd::ZERO {
            info!(spent = %spend.total, "Redis did not know what was spent before; the archived ledger says it");
            warn!(
                "caps that were set by hand, and caps of batches, are forgotten: `pictor budget show` lists what holds"
            );
        }
        Ok(restored != Restored::Forgot)
    }
}
