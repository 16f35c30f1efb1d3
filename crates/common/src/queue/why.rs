//! Why a batch waits, from one look at the queue.

use serde::Serialize;

use super::{
    BatchState, BatchView, CapOf, Counter, LaneState, Overview, RouteView, TENANT_CAP, TENANT_DAY_CAP, Totals,
};
use crate::MicroUsd;

/// A reason why a batch waits, or goes slower than it could.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Why {
    /// A person paused it.
    Paused {
        /// In their words.
        reason: String,
    },
    /// Its deadline has passed: what was not sent is not sent any more.
    PastDeadline {
        /// When it was, µs since 1970.
        deadline: u64,
    },
    /// What it may cost in all is spent or set aside.
    BatchCap {
        /// The most.
        cap: MicroUsd,
        /// Charged.
        spent: MicroUsd,
        /// Set aside.
        reserved: MicroUsd,
    },
    /// What may be spent, in all, by the tenant, or on a day, is spent or set aside.
    Budget {
        /// Which cap.
        #[serde(flatten)]
        of: CapOf,
        /// When the cap of a day begins anew, µs since 1970; the others wait for a person.
        until: Option<u64>,
        /// The most.
        cap: MicroUsd,
        /// Charged.
        spent: MicroUsd,
        /// Set aside.
        reserved: MicroUsd,
    },
    /// No worker is alive.
    NoWorker,
    /// The workers that are alive are stopping.
    Stopping,
    /// No worker that is alive serves this route.
    NotServed {
        /// The route.
        route: String,
    },
    /// The API keys of all workers that serve a route were refused.
    KeyRefused {
        /// One of the lanes.
        lane: String,
    },
    /// A worker looks up what was spent before Redis was wiped, or put up anew.
    Books,
    /// Live workers get time to re-assert their leases.
    Grace {
        /// Until when, µs since 1970.
        until: u64,
    },
    /// A lane sends nothing.
    LanePaused {
        /// The lane.
        lane: String,
        /// Why.
        reason: String,
        /// Until when, µs since 1970; without it, until a person lifts the pause.
        until: Option<u64>,
        /// Whether others of its lanes still send.
        others: bool,
    },
    /// A lane has given out its permits.
    Limit {
        /// The lane.
        lane: String,
        /// Of what.
        dimension: String,
        /// So many a window.
        limit: u64,
        /// Length of the window in seconds.
        window_seconds: u64,
        /// When the next is free, µs since 1970.
        next: u64,
    },
    /// A lane has as many requests on their way as it may.
    InFlightCap {
        /// The lane.
        lane: String,
        /// So many.
        cap: u64,
    },
    /// The workers that serve it have their hands full.
    WorkersBusy {
        /// Requests they can have on their way at once.
        places: u64,
    },
    /// An earlier batch of the same tenant and band goes first.
    Behind {
        /// The batch.
        batch: String,
        /// What waits in all that go first.
        waiting: u64,
    },
    /// Others take turns with it.
    Turns {
        /// How many, itself among them.
        sharers: u64,
        /// Its part while all of them have work, in percent.
        percent: u64,
    },
    /// Not all of it was submitted yet.
    BeingSubmitted,
    /// Assets that are tried again later.
    Retry {
        /// How many, of those looked at.
        count: u64,
        /// Whether there may be more.
        more: bool,
        /// The first of them, µs since 1970.
        next: u64,
    },
    /// Assets that were sent by a worker that is gone.
    Doubt {
        /// How many, of those looked at.
        count: u64,
        /// Whether there may be more.
        more: bool,
        /// When the first of them is judged, µs since 1970.
        until: u64,
    },
    /// All that is left is on its way.
    InFlight {
        /// How many.
        count: u64,
    },
}

impl Why {
    /// Whether a person has to do something before anything can start.
    #[must_use]
    pub const fn wants_a_person(&self) -> bool {
        match self {
            Self::Paused { .. }
            | Self::PastDeadline { .. }
            | Self::BatchCap { .. }
            | Self::Budget { until: None, .. }
            | Self::NoWorker
            | Self::Stopping
            | Self::NotServed { .. }
            | Self::KeyRefused { .. }
            | Self::LanePaused { until: None, others: false, .. } => true,
            Self::Books
            | Self::Grace { .. }
            | Self::Budget { .. }
            | Self::LanePaused { .. }
            | Self::Limit { .. }
            | Self::InFlightCap { .. }
            | Self::WorkersBusy { .. }
            | Self::Behind { .. }
            | Self::Turns { .. }
            | Self::BeingSubmitted
            | Self::Retry { .. }
            | Self::Doubt { .. }
            | Self::InFlight { .. } => false,
        }
    }

    /// Until when nothing can start, where that is known, µs since 1970.
    #[must_use]
    pub const fn blocks_until(&self) -> Option<u64> {
        match self {
            Self::Grace { until }
            | Self::Budget { until: Some(until), .. }
            | Self::LanePaused { until: Some(until), others: false, .. } => Some(*until),
            _ => None,
        }
    }
}

/// Why a batch waits, first what a person has to mend; empty when nothing keeps it, or it has ended.
#[must_use]
pub fn why(view: &BatchView, overview: &Overview) -> Vec<Why> {
    let mut reasons = Vec::new();
    if view.state.ended() || view.state.open_assets() == 0 && view.state.sealed.is_some() {
        return reasons;
    }
    let waiting = view.waiting();
    let to_come = waiting > 0 || view.retries.count > 0;
    if let Some(deadline) = view.state.deadline.filter(|deadline| to_come && *deadline <= overview.now) {
        reasons.push(Why::PastDeadline { deadline });
    }
    if to_come {
        held(view, overview, &mut reasons);
        over_budget(view, overview, &mut reasons);
        nobody(view, overview, &mut reasons);
        if overview.books_open && !overview.workers.is_empty() {
            reasons.push(Why::Books);
        }
        reasons.extend(overview.grace_until.map(|until| Why::Grace { until }));
    }
    for place in view.routes.iter().filter(|place| place.waiting > 0) {
        lanes(place, overview, &mut reasons);
        full_hands(place, overview, &mut reasons);
    }
    for place in view.routes.iter().filter(|place| place.waiting > 0 && view.state.held.is_none()) {
        if let Some(batch) = &place.behind {
            push(&mut reasons, Why::Behind { batch: batch.clone(), waiting: place.ahead });
        }
        if place.sharers > 1 {
            let percent = (place.share * 100.0).round() as u64;
            push(&mut reasons, Why::Turns { sharers: place.sharers, percent });
        }
    }
    on_the_way(view, waiting, &mut reasons);
    reasons.sort_by_key(|why| !why.wants_a_person());
    reasons
}

fn push(reasons: &mut Vec<Why>, why: Why) {
    if !reasons.contains(&why) {
        reasons.push(why);
    }
}

fn held(view: &BatchView, overview: &Overview, reasons: &mut Vec<Why>) {
    let BatchState { tenant, cap, spent, reserved, .. } = &view.state;
    let money = overview.tenants.iter().find(|known| known.tenant == *tenant).map(|known| &known.money);
    let of_tenant = |counter: Option<Counter>, of, until| {
        let Counter { cap, spent, reserved, .. } = counter.unwrap_or_default();
        Why::Budget { of, until, cap: cap.unwrap_or_default(), spent, reserved }
    };
    reasons.extend(match (view.state.held.as_deref(), *cap) {
        (Some("cap"), Some(cap)) => Some(Why::BatchCap { cap, spent: *spent, reserved: *reserved }),
        (Some(TENANT_CAP), _) => {
            Some(of_tenant(money.map(|money| money.total), CapOf::Tenant(tenant.clone()), None))
        }
        (Some(TENANT_DAY_CAP), _) => {
            let of = CapOf::TenantDay(tenant.clone());
            Some(of_tenant(money.map(|money| money.today), of, Some(overview.resets_at)))
        }
        (Some(reason), _) => Some(Why::Paused { reason: reason.to_owned() }),
        (None, _) => None,
    });
}

fn over_budget(view: &BatchView, overview: &Overview, reasons: &mut Vec<Why>) {
    let Totals { spent, reserved, cap, .. } = overview.money;
    let next = view.routes.iter().filter_map(|place| Some(place.head?.ceiling)).min().unwrap_or_default();
    if let Some(cap) = cap.filter(|cap| spent + reserved + next > *cap) {
        reasons.push(Why::Budget { of: CapOf::Total, until: None, cap, spent, reserved });
    }
    let Counter { cap, spent, reserved, .. } = overview.today;
    if let Some(cap) = cap.filter(|cap| spent + reserved + next > *cap) {
        let until = Some(overview.resets_at);
        reasons.push(Why::Budget { of: CapOf::Day, until, cap, spent, reserved });
    }
}

fn nobody(view: &BatchView, overview: &Overview, reasons: &mut Vec<Why>) {
    if overview.workers.is_empty() {
        reasons.push(Why::NoWorker);
    } else if overview.workers.iter().all(|worker| worker.beat.draining) {
        reasons.push(Why::Stopping);
    } else {
        let unserved = view.routes.iter().filter(|place| place.waiting > 0);
        for place in unserved.filter(|place| overview.takers(&place.route).next().is_none()) {
            match overview.refused_for(&place.route) {
                None => reasons.push(Why::NotServed { route: place.route.clone() }),
                // The pause of the lane says more.
                Some(_) if overview.lanes_of(&place.route).any(|lane| lane.paused.is_some()) => {}
                Some(lane) => push(reasons, Why::KeyRefused { lane: lane.to_owned() }),
            }
        }
    }
}

/// What keeps a lane from sending now.
fn stop_of(lane: &LaneState, now: u64, tokens: u64) -> Option<Why> {
    if let Some(reason) = &lane.paused {
        let (lane, reason) = (lane.name.clone(), reason.clone());
        return Some(Why::LanePaused { lane, reason, until: None, others: false });
    }
    if let Some(until) = lane.pause_until.filter(|until| *until > now) {
        let reason = lane.pause_reason.clone().unwrap_or_default();
        return Some(Why::LanePaused { lane: lane.name.clone(), reason, until: Some(until), others: false });
    }
    if let Some(cap) = lane.in_flight_limit.filter(|cap| lane.in_flight >= *cap) {
        return Some(Why::InFlightCap { lane: lane.name.clone(), cap });
    }
    let (dimension, next) = lane.next_permit(now, tokens).filter(|(_, next)| *next > now)?;
    Some(Why::Limit {
        lane: lane.name.clone(),
        dimension: dimension.name.clone(),
        limit: dimension.limit,
        window_seconds: dimension.window / 1_000_000,
        next,
    })
}

fn lanes(place: &RouteView, overview: &Overview, reasons: &mut Vec<Why>) {
    let tokens = place.head.map_or(0, |head| head.tokens);
    let stops: Vec<Option<Why>> =
        overview.lanes_of(&place.route).map(|lane| stop_of(lane, overview.now, tokens)).collect();
    let free = stops.iter().any(Option::is_none);
    let sending = free || stops.iter().flatten().any(|why| !matches!(why, Why::LanePaused { .. }));
    for mut why in stops.into_iter().flatten() {
        if let Why::LanePaused { others, .. } = &mut why {
            *others = sending;
        } else if free {
            continue;
        }
        push(reasons, why);
    }
}

fn full_hands(place: &RouteView, overview: &Overview, reasons: &mut Vec<Why>) {
    let sum = |(places, held), worker: &super::WorkerState| {
        (places + worker.beat.concurrency as u64, held + worker.beat.held as u64)
    };
    let (places, held) = overview.takers(&place.route).fold((0, 0), sum);
    if places > 0 && held >= places {
        push(reasons, Why::WorkersBusy { places });
    }
}

fn on_the_way(view: &BatchView, waiting: u64, reasons: &mut Vec<Why>) {
    if view.state.sealed.is_none() {
        reasons.push(Why::BeingSubmitted);
    }
    let (retries, doubts) = (view.retries, view.doubts);
    if let Some(next) = retries.first {
        reasons.push(Why::Retry { count: retries.count, more: retries.more, next });
    }
    if let Some(until) = doubts.first {
        reasons.push(Why::Doubt { count: doubts.count, more: doubts.more, until });
    }
    let known = waiting + retries.count + doubts.count;
    let count = view.state.open_assets().saturating_sub(known);
    if waiting == 0 && count > 0 {
        reasons.push(Why::InFlight { count });
    }
}
