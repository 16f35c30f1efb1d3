//! Batches: how far, how fast, at what cost, and why they wait.

use pictor_common::queue::{Why, pace::Eta};

use super::{
    super::{
        sheet::{Column, Row, Sheet, Tone},
        view::View,
    },
    cents,
};
use crate::{
    commands::{
        watch::{Frame, cost, time_left},
        when,
    },
    table::some_of,
    waits::{first, span},
};

const BAR: usize = 10;

pub(super) fn sheet(view: &View) -> Sheet {
    let columns = vec![
        Column::of("batch", 0).between(12, 40),
        Column::of("tenant", 8).between(6, 20),
        Column::of("band", 9),
        Column::of("progress", 5),
        Column::number("ended", 0),
        Column::number("failed", 1),
        Column::number("pace", 6),
        Column::of("left", 3),
        Column::number("spent", 2),
        Column::number("at most", 7),
        Column::of("state", 0),
        Column::of("why", 10).between(20, 200),
    ];
    let rows = view.moment.batches.iter().map(|frame| row(view, frame)).collect();
    Sheet { columns, rows, empty: "no batches yet: pictor submit FILE makes one".to_owned() }
}

fn row(view: &View, frame: &Frame) -> Row {
    let ended = frame.done + frame.failed + frame.parked;
    let open = frame.state == "open";
    let (state, tone) = state(view, frame);
    let failed = frame.failed + frame.parked;
    let cells = vec![
        frame.batch.clone(),
        frame.tenant.clone(),
        frame.band.clone(),
        bar(ended, frame.assets),
        format!("{ended}/{}", frame.assets),
        failed.to_string(),
        frame.per_minute.filter(|_| open).map_or_else(String::new, |pace| format!("{pace:.0}/min")),
        if open { short(&frame.eta) } else { String::new() },
        cents(frame.spent),
        most(frame),
        state.to_owned(),
        first(&frame.why),
    ];
    Row { id: frame.batch.clone(), cells, tone }
}

/// The most that it may cost in all: its cap, or what it can come to.
fn most(frame: &Frame) -> String {
    let projected = frame.projected.filter(|_| frame.open > 0).map(|projected| projected.ceiling);
    frame.cap.or(projected).map_or_else(String::new, cents)
}

fn state(view: &View, frame: &Frame) -> (&'static str, Tone) {
    let wants = |why: &crate::waits::Told| why.why.wants_a_person();
    let slow = |why: &crate::waits::Told| {
        !matches!(why.why, Why::InFlight { .. } | Why::Turns { .. } | Why::WorkersBusy { .. })
    };
    match frame.state.as_str() {
        "open" if view.held.contains_key(&frame.batch) => ("paused", Tone::Waits),
        "open" if frame.why.iter().any(wants) => ("stuck", Tone::Bad),
        "open" if frame.per_minute.is_some() => ("runs", Tone::Plain),
        "open" if frame.why.iter().any(slow) => ("waits", Tone::Waits),
        "open" => ("runs", Tone::Plain),
        "complete" if frame.failed + frame.parked > 0 => ("ended", Tone::Bad),
        "complete" => ("done", Tone::Good),
        "cancelled" => ("cancelled", Tone::Past),
        _ => ("ended", Tone::Past),
    }
}

fn bar(ended: u64, all: u64) -> String {
    let full = usize::try_from(ended.saturating_mul(BAR as u64) / all.max(1)).unwrap_or(BAR).min(BAR);
    "█".repeat(full) + &"░".repeat(BAR - full)
}

/// Time left in few characters.
fn short(eta: &Eta) -> String {
    let brief = |seconds: u64| match seconds {
        0..90 => format!("{seconds} s"),
        90..5_400 => format!("{} min", seconds.div_ceil(60)),
        5_400..172_800 => format!("{} h", seconds.div_ceil(3_600)),
        _ => format!("{} d", seconds.div_ceil(86_400)),
    };
    match eta {
        Eta::Range { high, .. } => format!("≤ {}", brief(*high)),
        Eta::Unknown { .. } => "?".to_owned(),
    }
}

pub(super) fn facts(view: &View, id: &str) -> Vec<(&'static str, String)> {
    let Some(frame) = view.moment.batches.iter().find(|frame| frame.batch == id) else { return Vec::new() };
    let open = frame.state == "open";
    let mut facts = vec![("batch", frame.batch.clone())];
    if let Some(reason) = view.held.get(id) {
        facts.push(("paused", reason.clone()));
    }
    let more = frame.why.iter().filter(|why| !matches!(why.why, Why::Paused { .. }));
    facts.extend(more.map(|why| ("waits", why.text.clone())));
    if open {
        let pace = frame.per_minute.map_or_else(|| "none seen".to_owned(), |pace| format!("{pace:.0}/min"));
        facts.push(("pace", format!("{pace}; {}", time_left(&frame.eta))));
    }
    let capped = frame.cap.map_or_else(String::new, |cap| format!("; its cap is {cap}"));
    facts.push(("cost", cost(frame) + &capped));
    let sent = frame.open.saturating_sub(frame.waiting);
    let others = some_of(&[(frame.substituted, "substituted"), (frame.replaced, "replaced")]);
    facts.push((
        "assets",
        format!(
            "{} in all: {} made, {} failed, {} parked, {} wait, {sent} on their way or later{others}",
            frame.assets, frame.done, frame.failed, frame.parked, frame.waiting
        ),
    ));
    facts.push(("tenant", format!("{}, {}", frame.tenant, frame.band)));
    let ended = frame.completed.filter(|_| !open).map_or_else(String::new, |at| {
        let took = at.saturating_sub(frame.created) / 1_000_000;
        format!(", {} {} after {}", frame.state, when(at), span(took))
    });
    facts.push(("created", when(frame.created) + &ended));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_short_and_never_too_little() {
        let range = |high| Eta::Range { low: 1, high };
        for (seconds, told) in [(89, "≤ 89 s"), (91, "≤ 2 min"), (5_401, "≤ 2 h"), (200_000, "≤ 3 d")]
        {
            assert_eq!(short(&range(seconds)), told);
        }
        assert_eq!(short(&Eta::Unknown { because: "it waits for a person" }), "?");
    }
}
