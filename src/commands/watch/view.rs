//! Frames for people: a live block on a terminal, lines elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pictor_common::queue::pace::Eta;

use super::{Frame, Moment};
use crate::{
    table::some_of,
    waits::{hindered, span},
};

const BAR: usize = 30;

/// A block that is drawn over itself.
pub(super) struct Live(ProgressBar);

impl Live {
    pub(super) fn new() -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{msg}")?;
        Ok(Self(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)))
    }

    pub(super) fn draw(&self, moment: &Moment) {
        self.0.set_message(block(moment).trim_end().to_owned());
    }

    pub(super) fn finish(self) {
        self.0.finish_and_clear();
    }
}

/// Everything of a moment.
pub(super) fn block(moment: &Moment) -> String {
    let mut text: String = moment.batches.iter().map(batch).collect();
    let (workers, places, taken) = moment.places();
    text += &match workers {
        0 => "workers  none alive\n".to_owned(),
        _ => format!("workers  {workers} alive, {taken} of {places} places taken\n"),
    };
    for worker in &moment.workers {
        if let Some(why) = hindered(&worker.beat) {
            text += &format!("{:<8} {} {} {why}\n", "", worker.beat.host, worker.beat.pid);
        }
    }
    text
}

fn batch(frame: &Frame) -> String {
    let mut text = format!("{} ({}, {})\n", frame.batch, frame.tenant, frame.band);
    let ended = frame.done + frame.failed + frame.parked;
    text += &format!("{} {ended} of {}{}\n", bar(ended, frame.assets), frame.assets, ends(frame));
    if frame.state == "open" {
        let pace = frame.per_minute.map_or_else(|| "none seen".to_owned(), |pace| format!("{pace:.0}/min"));
        text += &format!("pace     {pace}; {}\n", time_left(&frame.eta));
    } else {
        text += &format!("state    {}\n", frame.state);
    }
    text += &format!("cost     {}\n", cost(frame));
    for (at, why) in frame.why.iter().enumerate() {
        text += &format!("{:<8} {}\n", if at == 0 { "waits" } else { "" }, why.text);
    }
    text
}

/// A batch in one line.
pub(super) fn line(frame: &Frame) -> String {
    let ended = frame.done + frame.failed + frame.parked;
    let mut parts = vec![frame.batch.clone(), format!("{ended} of {}{}", frame.assets, ends(frame))];
    if frame.state == "open" {
        parts.extend(frame.per_minute.map(|pace| format!("{pace:.0}/min")));
        parts.push(time_left(&frame.eta));
    } else {
        parts.push(frame.state.clone());
    }
    parts.push(cost(frame));
    if !frame.why.is_empty() {
        parts.push(format!("waits: {}", crate::waits::first(&frame.why)));
    }
    parts.join("  ")
}

fn ends(frame: &Frame) -> String {
    some_of(&[
        (frame.failed, "failed"),
        (frame.parked, "parked"),
        (frame.open, "open"),
        (frame.substituted, "substituted"),
        (frame.replaced, "replaced"),
    ])
}

fn bar(ended: u64, all: u64) -> String {
    let full = usize::try_from(ended.saturating_mul(BAR as u64) / all.max(1)).unwrap_or(BAR).min(BAR);
    "█".repeat(full) + &"░".repeat(BAR - full)
}

/// How long it still takes.
pub(crate) fn time_left(eta: &Eta) -> String {
    match eta {
        Eta::Range { low, high } if low == high => format!("{} left", span(*low)),
        Eta::Range { low, high } => format!("{} to {} left", span(*low), span(*high)),
        Eta::Unknown { because } => format!("time left unknown: {because}"),
    }
}

/// What it cost and will have cost.
pub(crate) fn cost(frame: &Frame) -> String {
    let mut text = format!("{} spent", frame.spent);
    if frame.reserved > pictor_common::MicroUsd::ZERO {
        text += &format!(", {} set aside", frame.reserved);
    }
    if let Some(projected) = frame.projected.filter(|_| frame.open > 0) {
        let expected = projected.expected.map(|expected| format!("about {expected}, ")).unwrap_or_default();
        text += &format!("; {expected}{} at most in all", projected.ceiling);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_only_at_the_end() {
        assert_eq!(bar(0, 0), "░".repeat(30));
        assert_eq!(bar(999, 1_000).chars().filter(|c| *c == '█').count(), 29);
        assert_eq!(bar(7, 7), "█".repeat(30));
    }

    #[test]
    fn a_range_names_both_ends() {
        assert_eq!(time_left(&Eta::Range { low: 60, high: 96 }), "1 min 0 s to 1 min 36 s left");
        let unknown = Eta::Unknown { because: "it waits for a person" };
        assert_eq!(time_left(&unknown), "time left unknown: it waits for a person");
    }
}
