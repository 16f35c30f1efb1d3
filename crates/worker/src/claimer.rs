//! Claims work while there are free places, and sleeps as long as Redis says.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use pictor_common::{
    MicroUsd,
    queue::{Attempt, Billed, Claim, Claimed, Connection, Failure, LaneOffer, Outcome, QueueError, Unmade},
};
use rand::Rng as _;
use tokio::sync::{Semaphore, mpsc};
use tracing::{debug, error, info, warn};

use crate::{
    engine::{Engine, HORIZON, LEASE, Lane, wall_ms},
    health::Loop,
    leases::Renewals,
    source::Work,
};

/// Most assets per call: keeps one call short for everybody else.
const MOST: usize = 64;
const MOST_LANES: usize = 16;
const DECLARE_EVERY: Duration = Duration::from_secs(120);
/// Between two looks at a disk that is full.
const NO_ROOM: Duration = Duration::from_secs(1);

pub(crate) struct Claimer {
    pub(crate) engine: Arc<Engine>,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) work: mpsc::Sender<Work>,
    pub(crate) renewals: Renewals,
    pub(crate) sequence: u64,
    pub(crate) calls: u64,
    pub(crate) waker: Option<Connection>,
    /// When the lanes were last declared.
    pub(crate) declared: Instant,
}

impl Claimer {
    /// Claims until the worker drains.
    pub(crate) async fn run(mut self) {
        let draining = self.engine.draining.clone();
        self.renewals.first().await;
        loop {
            self.engine.health.waits(Loop::Claims);
            tokio::select! {
                () = draining.cancelled() => return,
                () = self.engine.ending.not_told() => {}
            }
            tokio::select! {
                () = draining.cancelled() => return,
                place = self.places.acquire() => drop(place),
            }
            self.engine.health.beat(Loop::Claims);
            let begun = Instant::now();
            let free = self.with_room(self.places.available_permits().min(MOST)).await;
            if free == 0 {
                tokio::select! {
                    () = draining.cancelled() => return,
                    () = tokio::time::sleep(NO_ROOM) => continue,
                }
            }
            self.declare_again().await;
            self.engine.health.beat(Loop::Claims);
            match self.claim(free).await {
                Ok(claimed) => {
                    let taken = claimed.grants.len();
                    let (sleep, why, wake) = (claimed.sleep, claimed.why.clone(), claimed.wake.clone());
                    self.engine.health.claimed(Ok(taken));
                    self.hand_over(claimed).await;
                    self.engine.health.waits(Loop::Claims);
                    if taken < free {
                        tokio::select! {
                            () = draining.cancelled() => return,
                            () = self.rest(sleep, &why, &wake) => {}
                        }
                    }
                }
                Err(error) => {
                    warn!(%error, "cannot claim: waiting for Redis");
                    // That nobody answers, the renewals tell.
                    let silent = matches!(&error, QueueError::Redis(error) if error.is_io_error());
                    self.engine.health.claimed(if silent { Ok(0) } else { Err(error.to_string()) });
                    self.engine.health.waits(Loop::Claims);
                    tokio::select! {
                        () = draining.cancelled() => return,
                        () = self.renewals.after(begun) => {}
                    }
                }
            }
        }
    }

    /// How many of so many free places the spool's disk has room for.
    async fn with_room(&self, free: usize) -> usize {
        let engine = Arc::clone(&self.engine);
        let places = tokio::task::spawn_blocking(move || engine.room.places()).await.unwrap_or(free);
        self.say_whether_full(places == 0);
        free.min(places.saturating_sub(self.engine.held.count()))
    }

    fn say_whether_full(&self, full: bool) {
        if !self.engine.room.is_full(full) {
            return;
        }
        let spool = self.engine.settings.spool.display();
        if full {
            error!(%spool, "the disk of the spool is full: nothing is claimed until there is room");
        } else {
            info!(%spool, "the disk of the spool has room again");
        }
    }

    async fn claim(&mut self, free: usize) -> Result<Claimed, QueueError> {
        self.calls += 1;
        let claim = Claim {
            request: format!("{}-c{}", self.engine.incarnation, self.calls),
            incarnation: self.engine.incarnation.clone(),
            sequence: self.sequence,
            lease: LEASE,
            horizon: HORIZON,
            free,
            lanes: self.offers(),
        };
        self.sequence += free as u64;
        let first = self.engine.queue.claim(&claim).await;
        // A lost reply must not leak what it granted: the same id gets the same answer.
        let claimed = match first {
            Err(QueueError::Redis(error)) if error.is_timeout() || error.is_connection_dropped() => {
                self.engine.queue.claim_again(&claim).await?
            }
            other => other?,
        };
        self.engine.learnt.troubled(&claimed.troubled);
        debug!(taken = claimed.grants.len(), asked = free, why = claimed.why, "claimed");
        self.heed_profile(claimed.why.strip_prefix("profile ")).await;
        Ok(claimed)
    }

    /// A namespace that was wiped may belong to another profile by now: then nothing of it is worked on, and what this
    /// worker had claimed in it before is not sent.
    async fn heed_profile(&self, other: Option<&str>) {
        if !self.engine.belongs_to(other) {
            return;
        }
        let Some(other) = other else {
            info!("the namespace is this worker's again");
            return;
        };
        error!(
            profile = other,
            "the namespace belongs to another profile by now: this worker takes nothing there, and waits"
        );
        if let Err(error) = self.engine.queue.release(&self.engine.held.unsent()).await {
            warn!(%error, "cannot give back what was claimed before; its leases end by themselves");
        }
    }

    fn offers(&self) -> Vec<LaneOffer> {
        let usable = |lane: &&Lane| !self.engine.refused.has(&lane.name);
        let mut lanes: Vec<_> = self.engine.lanes.values().filter(usable).collect();
        lanes.sort_by(|a, b| a.name.cmp(&b.name));
        let turn = usize::try_from(self.calls).unwrap_or(0) % lanes.len().max(1);
        lanes.rotate_left(turn);
        lanes.truncate(MOST_LANES);
        lanes
            .into_iter()
            .map(|lane| LaneOffer {
                lane: lane.name.clone(),
                routes: lane.routes.iter().map(|route| route.as_str().to_owned()).collect(),
            })
            .collect()
    }

    /// Says now and then that limits which are known are still known here, so that nobody's guess takes their place.
    async fn declare_again(&mut self) {
        if self.declared.elapsed() < DECLARE_EVERY {
            return;
        }
        self.declared = Instant::now();
        for lane in self.engine.lanes.values() {
            // Each call may wait for Redis.
            self.engine.health.beat(Loop::Claims);
            if let Err(error) = self.engine.queue.declare_lane(&lane.name, &lane.limits).await {
                debug!(%error, lane = lane.name, "not declared again; later");
            }
        }
    }

    /// Says limits and caps again to a server that was wiped.
    async fn declare(&self) {
        let queue = &self.engine.queue;
        let said = async {
            // The caps first: with a lane declared, others may claim.
            self.engine.say_caps().await?;
            for lane in self.engine.lanes.values() {
                queue.declare_lane(&lane.name, &lane.limits).await?;
            }
            Ok::<(), QueueError>(())
        };
        if let Err(error) = said.await {
            warn!(%error, "cannot declare the lanes again");
        }
    }

    async fn hand_over(&self, claimed: Claimed) {
        if self.engine.draining.is_cancelled() || self.engine.ending.is_told() {
            let unsent: Vec<_> = claimed.grants.iter().map(|g| (g.key.clone(), g.token.clone())).collect();
            if let Err(error) = self.engine.queue.release(&unsent).await {
                warn!(%error, "cannot give back what was claimed too late; its leases end by themselves");
            }
            return;
        }
        for grant in claimed.grants {
            self.engine.held.claimed(&grant);
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                error!(key = %grant.key, "claimed more than there are places; it is given back when its lease ends");
                self.engine.held.ended(&grant.token);
                continue;
            };
            let slot = tokio::time::Instant::now() + grant.wait;
            if let Err(unsent) = self.work.send(Work { grant, slot, place }).await {
                debug!(key = %unsent.0.grant.key, "the worker has closed; the drain gives this back");
            }
        }
        for (key, token, why) in claimed.unreadable {
            self.engine.health.beat(Loop::Claims);
            let failure = Failure {
                class: "bad_spec".to_owned(),
                message: format!("this version of Pictor cannot read the spec: {why}"),
                at_ms: wall_ms(),
                ..Failure::default()
            };
            let attempt = Attempt {
                key,
                token,
                attempt: 0,
                payer: String::new(),
                tenant: String::new(),
                lane: String::new(),
                model: String::new(),
                request_id: None,
            };
            let unmade = Unmade {
                billed: Billed::No,
                cost: MicroUsd::ZERO,
                outcome: Outcome::Failed,
                max_unknown: 0,
                failure: &failure,
                pause: None,
                refusal: None,
                fault: None,
                doubt: false,
            };
            match self.engine.queue.fail(&attempt, &unmade).await {
                Ok(ended) => self.engine.metrics.ended(&attempt, &unmade, ended),
                Err(error) => warn!(%error, key = %attempt.key, "cannot record an unreadable spec"),
            }
        }
    }

    /// Sleeps until work may be had: a wake-up call when the queue is empty, a free place, or the time Redis named.
    async fn rest(&mut self, sleep: Duration, why: &str, wake: &str) {
        match why {
            "undeclared" => self.declare().await,
            "books" if self.engine.restore_books().await => return,
            _ => {}
        }
        if why != "empty" {
            tokio::time::sleep(sleep.max(Duration::from_millis(2))).await;
            return;
        }
        if self.waker.is_none() {
            self.waker = self.engine.queue.own_connection().await.ok();
        }
        let Some(connection) = self.waker.as_mut() else {
            tokio::time::sleep(sleep).await;
            return;
        };
        if self.engine.queue.wait_for_wake(connection, wake, sleep).await.is_err() {
            self.waker = None;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Not everybody at once.
        let jitter = rand::rng().random_range(0..10);
        tokio::time::sleep(Duration::from_millis(jitter)).await;
    }
}
