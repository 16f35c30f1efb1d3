//! Lanes with their limits and pauses, and the routes where assets wait for them.

use pictor_common::queue::{Dimension, LaneState};

use super::{
    super::{
        sheet::{Column, Row, Sheet, Tone},
        view::{Route, View},
    },
    ago, clock,
};
use crate::{
    commands::{lane, when},
    waits::left,
};

/// Before the name of a route, so that no lane has the same id.
pub(super) const ROUTE: &str = "route ";

pub(super) fn sheet(view: &View) -> Sheet {
    let columns = vec![
        Column::of("lane or route", 0).between(14, 44),
        Column::number("waiting", 2),
        Column::number("in flight", 1),
        Column::of("limits", 3).between(14, 60),
        Column::of("state", 0).between(20, 200),
    ];
    let mut lanes: Vec<&LaneState> = view.moment.lanes.iter().collect();
    // What somebody waits for comes before what nobody uses.
    lanes.sort_by_key(|lane| {
        served(view, lane).next().is_none() && lane.in_flight == 0 && lane.paused.is_none()
    });
    let lanes = lanes.into_iter().map(|lane| of_lane(view, lane));
    let rows = lanes.chain(view.routes.iter().map(of_route)).collect();
    Sheet { columns, rows, empty: "no lanes: no worker has run yet".to_owned() }
}

fn of_lane(view: &View, lane: &LaneState) -> Row {
    let now = view.moment.at;
    let waiting: u64 = served(view, lane).map(|route| route.waiting).sum();
    let limits: Vec<String> = lane.pace.iter().map(limit).collect();
    let (state, tone) = state(lane, now);
    let cells = vec![
        lane.name.clone(),
        waiting.to_string(),
        lane.in_flight_limit
            .map_or_else(|| lane.in_flight.to_string(), |most| format!("{}/{most}", lane.in_flight)),
        limits.join(", "),
        state,
    ];
    Row { id: lane.name.clone(), cells, tone }
}

fn of_route(route: &Route) -> Row {
    let (state, tone) = match route.lanes.as_slice() {
        [] => ("no lane sends it".to_owned(), Tone::Bad),
        lanes => (format!("sent by {}", lanes.join(", ")), Tone::Past),
    };
    let cells =
        vec![format!("↳ {}", route.name), route.waiting.to_string(), String::new(), String::new(), state];
    Row { id: format!("{ROUTE}{}", route.name), cells, tone }
}

fn served<'v>(view: &'v View, lane: &LaneState) -> impl Iterator<Item = &'v Route> {
    view.routes.iter().filter(|route| route.lanes.contains(&lane.name))
}

fn limit(dimension: &Dimension) -> String {
    let window = match dimension.window / 1_000_000 {
        60 => "min".to_owned(),
        86_400 => "day".to_owned(),
        seconds => format!("{seconds} s"),
    };
    format!("{} {}/{window}", dimension.limit, dimension.name.trim_end_matches("_per_day"))
}

/// Whether a lane sends; a pause with its end first, since its reason may be long.
fn state(lane: &LaneState, now: u64) -> (String, Tone) {
    if let Some(reason) = &lane.paused {
        return (format!("paused: {reason}"), Tone::Bad);
    }
    if let Some(until) = lane.pause_until.filter(|until| *until > now) {
        let reason = lane.pause_reason.as_deref().unwrap_or("no reason");
        return (format!("till {} ({}): {reason}", clock(until), left(until, now)), Tone::Waits);
    }
    let told = lane::state(lane, now);
    let tone = if lane.probing { Tone::Bad } else { Tone::Plain };
    match lane.next_permit(now, 1) {
        Some((dimension, at)) if !lane.probing && at > now + 1_000_000 => {
            (format!("at its {} limit, next in {}", dimension.name, left(at, now)), Tone::Waits)
        }
        _ => (told, tone),
    }
}

pub(super) fn facts(view: &View, id: &str) -> Vec<(&'static str, String)> {
    let now = view.moment.at;
    if let Some(route) = view.routes.iter().find(|route| format!("{ROUTE}{}", route.name) == id) {
        let lanes = route.lanes.join(", ");
        return vec![
            ("route", route.name.clone()),
            ("waiting", route.waiting.to_string()),
            (
                "lanes",
                if lanes.is_empty() { "none: no worker has an account for it".to_owned() } else { lanes },
            ),
        ];
    }
    let Some(lane) = view.moment.lanes.iter().find(|lane| lane.name == id) else { return Vec::new() };
    let routes: Vec<String> =
        served(view, lane).map(|route| format!("{} ({} wait)", route.name, route.waiting)).collect();
    let mut facts = vec![
        ("lane", lane.name.clone()),
        ("state", lane::state(lane, now)),
        ("routes", routes.join(", ")),
        ("sends", format!("{} requests on their way", lane.in_flight) + &most(lane)),
    ];
    if lane.paused.is_none() && lane.pause_until.is_some_and(|until| until > now) {
        facts.insert(2, ("until", lane.pause_until.map(when).unwrap_or_default()));
    }
    for dimension in &lane.pace {
        let pace = dimension.per_second(1).map_or_else(String::new, |pace| format!(", our pace {pace:.3}/s"));
        let full = dimension.full_at.map_or_else(String::new, |at| format!(", refused {}", ago(at, now)));
        let hand = if dimension.ordered.is_some() { ", set by hand" } else { "" };
        facts.push(("limit", limit(dimension) + &pace + &full + hand));
    }
    if lane.faults > 0 {
        facts.push(("faults", format!("{} in a row", lane.faults)));
    }
    facts
}

fn most(lane: &LaneState) -> String {
    lane.in_flight_limit.map_or_else(String::new, |most| format!(", {most} at most"))
}
