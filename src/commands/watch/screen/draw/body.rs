//! What lies between the tabs and the last lines: one pane, or all of them.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    text::{Line, Span},
};

use super::{accent, look, pictures};
use crate::commands::watch::screen::{
    panes::{self, Pane},
    state::{Screen, Tab},
    words::{cut, width, wrapped},
};

/// From here on there is room beside.
pub(super) const WIDE: u16 = 130;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let wide = area.width >= WIDE;
    match screen.tab {
        Tab::Overview if wide => beside(frame, area, screen),
        Tab::Overview => below(frame, area, screen),
        Tab::One(Pane::Images) => {
            let list = if wide { 62 } else { (area.width / 2).min(44) };
            let [list, pictures] =
                Layout::horizontal([Constraint::Length(list), Constraint::Fill(1)]).spacing(1).areas(area);
            pane(frame, list, screen, Pane::Images);
            pictures::draw(frame, pictures, screen);
        }
        Tab::One(one) if wide => {
            let [rows, facts] =
                Layout::horizontal([Constraint::Fill(13), Constraint::Fill(7)]).spacing(2).areas(area);
            pane(frame, rows, screen, one);
            self::facts(frame, facts, screen, one);
        }
        Tab::One(one) => {
            let facts = (area.height * 2 / 5).min(8);
            let [rows, facts] =
                Layout::vertical([Constraint::Fill(1), Constraint::Length(facts)]).areas(area);
            pane(frame, rows, screen, one);
            self::facts(frame, facts, screen, one);
        }
    }
}

/// All panes on a large terminal.
fn beside(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let [left, right] =
        Layout::horizontal([Constraint::Fill(11), Constraint::Fill(9)]).spacing(2).areas(area);
    let most = [area.height / 2, 10, area.height / 3];
    let wanted = [used(screen, Pane::Batches), 10, used(screen, Pane::Failures)];
    let [batches, facts, _] = fitted(wanted, most, left.height).map(Constraint::Length);
    let [batches, facts, failures] = Layout::vertical([batches, facts, Constraint::Fill(1)]).areas(left);
    let wanted = [used(screen, Pane::Lanes), used(screen, Pane::Workers)];
    let [lanes, workers] =
        fitted(wanted, [area.height / 3, area.height / 4], right.height).map(Constraint::Length);
    let [lanes, workers, head, images] =
        Layout::vertical([lanes, workers, Constraint::Length(1), Constraint::Fill(1)]).areas(right);
    put(frame, head, vec![title(screen, Pane::Images.title(), usize::from(head.width), false)]);
    pane(frame, batches, screen, Pane::Batches);
    self::facts(frame, facts, screen, Pane::Batches);
    pane(frame, failures, screen, Pane::Failures);
    pane(frame, lanes, screen, Pane::Lanes);
    pane(frame, workers, screen, Pane::Workers);
    pictures::draw(frame, images, screen);
}

/// All panes on a small one.
fn below(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    const SHOWN: [Pane; 4] = [Pane::Batches, Pane::Lanes, Pane::Workers, Pane::Failures];
    let wanted = SHOWN.map(|pane| used(screen, pane));
    let [_, lanes, workers, failures] = fitted(wanted, [u16::MAX; 4], area.height).map(Constraint::Length);
    let places = Layout::vertical([Constraint::Fill(1), lanes, workers, failures]).areas::<4>(area);
    for (one, place) in SHOWN.into_iter().zip(places) {
        pane(frame, place, screen, one);
    }
}

/// Lines that a pane has use for, with its title, its head and a blank line.
fn used(screen: &Screen, pane: Pane) -> u16 {
    let rows = screen.sheet(pane).rows.len().max(1);
    u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(3)
}

/// Heights that fit together: the largest gives way first.
fn fitted<const N: usize>(wanted: [u16; N], most: [u16; N], room: u16) -> [u16; N] {
    let mut heights = wanted;
    for (height, most) in heights.iter_mut().zip(most) {
        *height = (*height).min(most.max(3)).min(room);
    }
    while heights.iter().map(|height| u32::from(*height)).sum::<u32>() > u32::from(room) {
        let largest = heights.iter_mut().max();
        let Some(largest) = largest.filter(|largest| **largest > 1) else { break };
        *largest -= 1;
    }
    heights
}

/// A pane: its title, the titles of its columns, its rows.
fn pane(frame: &mut Frame<'_>, area: Rect, screen: &Screen, pane: Pane) {
    let sheet = screen.sheet(pane);
    let room = usize::from(area.width);
    let here = pane == screen.pane();
    let place = screen.place(pane, &sheet);
    let fits = usize::from(area.height.saturating_sub(2));
    let count = match sheet.rows.len() {
        0 => String::new(),
        all if here => format!(" {} of {all}", place + 1),
        all if all > fits => format!(" {fits} of {all}"),
        all => format!(" {all}"),
    };
    let mut lines = vec![title(screen, &format!("{}{count}", pane.title()), room, here)];
    if sheet.rows.is_empty() {
        let empty = if screen.view.is_some() { sheet.empty.as_str() } else { "looking …" };
        lines.push(Line::styled(cut(empty, room), Style::new().add_modifier(Modifier::DIM)));
    } else {
        let widths = sheet.widths(room);
        lines.push(Line::styled(sheet.head(&widths), Style::new().add_modifier(Modifier::DIM)));
        let first = if here { first(place, sheet.rows.len(), fits) } else { 0 };
        for (at, row) in sheet.rows.iter().enumerate().skip(first).take(fits) {
            let text = sheet.body(&widths, row);
            let text = format!("{text}{}", " ".repeat(room.saturating_sub(width(&text))));
            let style = look(row.tone, screen);
            let chosen = here && at == place;
            lines.push(Line::styled(
                text,
                if chosen { style.add_modifier(Modifier::REVERSED) } else { style },
            ));
        }
    }
    put(frame, area, lines);
}

/// The first row that is seen, so that the one that is chosen is.
fn first(place: usize, rows: usize, fits: usize) -> usize {
    place.saturating_sub(fits / 2).min(rows.saturating_sub(fits))
}

fn title(screen: &Screen, text: &str, room: usize, here: bool) -> Line<'static> {
    let rule = "─".repeat(room.saturating_sub(width(text) + 1));
    let style = if here { accent(screen) } else { Style::new().add_modifier(Modifier::BOLD) };
    Line::from(vec![
        Span::styled(format!("{text} "), style),
        Span::styled(rule, Style::new().add_modifier(Modifier::DIM)),
    ])
}

/// What is known of the row that is chosen.
fn facts(frame: &mut Frame<'_>, area: Rect, screen: &Screen, pane: Pane) {
    let (Some(view), Some(id)) = (&screen.view, screen.chosen()) else { return };
    let room = usize::from(area.width);
    let mut lines = vec![title(screen, "Chosen", room, false)];
    lines.extend(told(&panes::facts(pane, view, &id), room));
    let fits = usize::from(area.height);
    if lines.len() > fits && fits > 0 {
        lines.truncate(fits - 1);
        lines.push(Line::styled("… Enter shows all", Style::new().add_modifier(Modifier::DIM)));
    }
    put(frame, area, lines);
}

/// Facts in lines; a name stands before the first of each.
pub(super) fn told(facts: &[(&'static str, String)], room: usize) -> Vec<Line<'static>> {
    const NAME: usize = 10;
    let mut lines = Vec::new();
    for (name, text) in facts {
        for (at, part) in wrapped(text, room.saturating_sub(NAME)).into_iter().enumerate() {
            let name = if at == 0 { *name } else { "" };
            lines.push(Line::from(vec![
                Span::styled(format!("{name:<NAME$}"), Style::new().add_modifier(Modifier::DIM)),
                Span::raw(part),
            ]));
        }
    }
    lines
}

/// Lines from the top of an area, none below it.
pub(super) fn put(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>) {
    for (line, y) in lines.into_iter().zip(area.top()..area.bottom()) {
        frame.render_widget(line, Rect { y, height: 1, ..area });
    }
}
