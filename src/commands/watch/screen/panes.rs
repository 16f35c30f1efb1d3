//! The panes: rows of each, everything that is known of a row, and the command that tells the same.

mod batches;
mod lanes;
mod rest;

use pictor_common::MicroUsd;

use super::{
    sheet::Sheet,
    view::View,
    words::{quoted, shown},
};

/// One kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pane {
    Batches,
    Lanes,
    Workers,
    Failures,
    Images,
}

pub(super) const ALL: [Pane; 5] = [Pane::Batches, Pane::Lanes, Pane::Workers, Pane::Failures, Pane::Images];

impl Pane {
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Batches => "Batches",
            Self::Lanes => "Lanes and routes",
            Self::Workers => "Workers",
            Self::Failures => "Failures by cause",
            Self::Images => "Recent images",
        }
    }
}

/// The rows of a pane.
pub(super) fn sheet(pane: Pane, view: &View) -> Sheet {
    let mut sheet = match pane {
        Pane::Batches => batches::sheet(view),
        Pane::Lanes => lanes::sheet(view),
        Pane::Workers => rest::workers(view),
        Pane::Failures => rest::failures(view),
        Pane::Images => rest::images(view),
    };
    for cell in sheet.rows.iter_mut().flat_map(|row| &mut row.cells) {
        *cell = shown(cell);
    }
    sheet
}

/// What is known of a row, by name.
pub(super) fn facts(pane: Pane, view: &View, id: &str) -> Vec<(&'static str, String)> {
    let mut facts = match pane {
        Pane::Batches => batches::facts(view, id),
        Pane::Lanes => lanes::facts(view, id),
        Pane::Workers => rest::of_worker(view, id),
        Pane::Failures => rest::of_group(view, id),
        Pane::Images => rest::of_image(view, id),
    };
    for (_, text) in &mut facts {
        *text = shown(text);
    }
    facts.retain(|(_, text)| !text.is_empty());
    facts
}

/// The command that tells the same of a row, without the program.
pub(super) fn command(pane: Pane, id: Option<&str>) -> String {
    let named = |command: &str, id: &str| format!("{command} {}", quoted(id));
    match (pane, id) {
        (Pane::Batches, Some(id)) => named("batch show", id),
        (Pane::Lanes, Some(id)) if !id.starts_with(lanes::ROUTE) => named("lane show", id),
        (Pane::Lanes, _) => "lane list".to_owned(),
        (Pane::Failures, Some(id)) => named("failed list --group", id),
        (Pane::Failures, None) => "failed".to_owned(),
        (Pane::Images, Some(id)) => named("asset show", id.get(..12).unwrap_or(id)),
        (Pane::Batches, None) => "batch list".to_owned(),
        (Pane::Workers, _) => "workers list".to_owned(),
        (Pane::Images, None) => "status".to_owned(),
    }
}

/// The time of day of a moment, µs since 1970.
pub(super) fn clock(micros: u64) -> String {
    let whole = crate::commands::when(micros);
    whole.split_once(' ').map_or(whole.clone(), |(_, time)| time.to_owned())
}

/// Money in whole cents, for columns; its details say all of it.
pub(super) fn cents(money: MicroUsd) -> String {
    match (money.0, (money.0 + 5_000) / 10_000) {
        (1.., 0) => "<$0.01".to_owned(),
        (_, cents) => format!("${}.{:02}", cents / 100, cents % 100),
    }
}

/// How many, with the word for them.
pub(super) fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// How long ago a moment was, in one unit.
fn ago(at: u64, now: u64) -> String {
    let seconds = now.saturating_sub(at) / 1_000_000;
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}
