//! How long a batch still takes and what it will cost: ranges, from what was seen and what may be sent.
//!
//! `docs/watch.md` states the formulas.

use serde::Serialize;

use super::{BatchView, Overview, Recent, RouteView, Why};
use crate::MicroUsd;

/// Fewer endings than this say little of the pace.
const FEW: u64 = 5;

/// When a batch will have ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "known", rename_all = "snake_case")]
pub enum Eta {
    /// Seconds from now: not before, and, if nothing changes, not after.
    Range {
        /// Not before.
        low: u64,
        /// Not after, if nothing changes.
        high: u64,
    },
    /// Nothing honest can be said.
    Unknown {
        /// Why not.
        because: &'static str,
    },
}

/// What a batch will have cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Projected {
    /// If what is open costs as much as what was paid lately; `None` while nothing was paid.
    pub expected: Option<MicroUsd>,
    /// If every open asset costs its ceiling.
    pub ceiling: MicroUsd,
}

/// When a batch will have ended, from what was seen of it lately.
#[must_use]
pub fn eta(view: &BatchView, overview: &Overview, reasons: &[Why], recent: Option<&Recent>) -> Eta {
    let open = view.state.open_assets();
    let unknown = |because| Eta::Unknown { because };
    if view.state.ended() || open == 0 {
        return Eta::Range { low: 0, high: 0 };
    }
    if view.state.sealed.is_none() {
        return unknown("it is still being submitted");
    }
    if reasons.iter().any(Why::wants_a_person) {
        return unknown("it waits for a person");
    }
    let Some(recent) = recent.filter(|recent| recent.ended > 0 && recent.seconds > 0.0) else {
        return unknown("nothing has moved in the last minute");
    };
    let (fast, slow) = limits(view, overview);
    let (seen_low, seen_high) = seen(open, recent);
    let saturated = fast == 0.0
        || reasons.iter().any(|why| matches!(why, Why::WorkersBusy { .. } | Why::InFlightCap { .. }));
    let low = if saturated { fast.max(seen_low) } else { fast };
    let until = reasons.iter().filter_map(Why::blocks_until).max().unwrap_or(0);
    let later = if view.waiting() == 0 { view.retries.first.unwrap_or(0) } else { 0 };
    let delay = until.max(later).saturating_sub(overview.now) as f64 / 1e6;
    Eta::Range {
        low: (low + delay).floor() as u64,
        high: (slow.max(seen_high).max(low) + delay).ceil() as u64,
    }
}

/// Seconds for what is open at the pace seen, give or take what chance makes of so few endings.
fn seen(open: u64, recent: &Recent) -> (f64, f64) {
    let at_pace = open as f64 / (recent.ended as f64 / recent.seconds);
    if recent.ended < FEW {
        return (at_pace / 2.0, at_pace * 2.0);
    }
    let chance = 1.0 / (recent.ended as f64).sqrt();
    (at_pace / (1.0 + chance), at_pace / (1.0 - chance))
}

/// Seconds that the lanes' limits allow: with all of every lane, and with a fair share after those who go first.
fn limits(view: &BatchView, overview: &Overview) -> (f64, f64) {
    let waiting = view.waiting();
    let spread = |place: &RouteView| {
        let part = if waiting == 0 { 1.0 } else { place.waiting as f64 / waiting as f64 };
        view.state.open_assets() as f64 * part
    };
    view.routes.iter().fold((0.0_f64, 0.0_f64), |(fast, slow), place| {
        let Some(rate) = rate_of(place, overview) else { return (fast, slow) };
        let mine = spread(place);
        let first = place.ahead as f64 + mine;
        let fair = first / (place.share * rate);
        let all = (first + place.rivals as f64) / rate;
        (fast.max(mine / rate), slow.max(fair.min(all)))
    })
}

/// Assets a second that the lanes of a route may send together; `None` where nothing limits one of them.
fn rate_of(place: &RouteView, overview: &Overview) -> Option<f64> {
    let tokens = place.head.map_or(0, |head| head.tokens);
    let open = overview.lanes_of(&place.route).filter(|lane| lane.paused.is_none());
    let rates: Option<Vec<f64>> = open.map(|lane| lane.per_second(tokens)).collect();
    rates.map(|rates| rates.iter().sum::<f64>()).filter(|rate| *rate > 0.0)
}

/// What a batch will have cost; `None` when nothing is known of what is open.
#[must_use]
pub fn projected(view: &BatchView, recent: Option<&Recent>) -> Option<Projected> {
    let state = &view.state;
    let open = state.open_assets();
    if state.ended() || open == 0 {
        return Some(Projected { expected: Some(state.spent), ceiling: state.spent });
    }
    let capped = |amount: MicroUsd| state.cap.map_or(amount, |cap| amount.min(cap.max(state.spent)));
    let expected =
        recent.and_then(|recent| recent.mean_cost).map(|mean| capped(state.spent + mean.times(open)));
    // What is on its way has its ceilings set aside already; the rest is judged by a sample.
    let waiting: u64 = view.waiting();
    let mut ceiling = MicroUsd::ZERO;
    let mut each = None;
    for place in view.routes.iter().filter(|place| place.waiting > 0) {
        let head = place.head?;
        ceiling = ceiling + head.ceiling.times(place.waiting);
        each = each.max(Some(head.ceiling));
    }
    let elsewhere = open - waiting;
    let out = match each {
        Some(each) => state.reserved.max(each.times(elsewhere)),
        None if state.reserved > MicroUsd::ZERO => state.reserved,
        None => return None,
    };
    let ceiling = capped(state.spent + ceiling + out);
    Some(Projected { expected: expected.map(|expected| expected.min(ceiling)), ceiling })
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
