//! Draws the screen; everything that is shown was made fit in `words` before.

mod body;
mod over;
mod pictures;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::Paragraph,
};

pub(super) use pictures::pictured;

use super::{
    panes::{Pane, clock},
    sheet::Tone,
    state::{Mode, Screen, TABS, Tab},
    words::{cut, shown, width},
};

/// Below this nothing of use can be told.
const LEAST: (u16, u16) = (40, 10);

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("{}x{} is too small: 40x10 is needed", area.width, area.height);
        frame.render_widget(Paragraph::new(cut(&text, usize::from(area.width))), area);
        return;
    }
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ]);
    let [head, tabs, body, said, command, keys] = rows.areas(area);
    line(frame, head, self::head(screen, head.width));
    line(frame, tabs, self::tabs(screen, tabs.width));
    body::draw(frame, body, screen);
    line(frame, said, self::said(screen));
    line(frame, command, self::command(screen, command.width));
    line(frame, keys, self::keys(screen));
    over::draw(frame, body, screen);
    if screen.away.is_some() {
        frame.buffer_mut().set_style(body, Style::new().add_modifier(Modifier::DIM));
    }
}

fn line(frame: &mut Frame<'_>, area: Rect, line: Line<'_>) {
    frame.render_widget(line, area);
}

/// How a tone looks; without colour only weight tells it.
pub(super) fn look(tone: Tone, screen: &Screen) -> Style {
    let style = Style::new();
    match (tone, screen.ways.colour) {
        (Tone::Plain, _) | (Tone::Good | Tone::Waits, false) => style,
        (Tone::Good, true) => style.fg(Color::Green),
        (Tone::Waits, true) => style.fg(Color::Yellow),
        (Tone::Bad, true) => style.fg(Color::Red),
        (Tone::Bad, false) => style.add_modifier(Modifier::BOLD),
        (Tone::Past, _) => style.add_modifier(Modifier::DIM),
    }
}

fn accent(screen: &Screen) -> Style {
    let style = Style::new().add_modifier(Modifier::BOLD);
    if screen.ways.colour { style.fg(Color::Cyan) } else { style }
}

fn head(screen: &Screen, columns: u16) -> Line<'static> {
    let mut parts = Vec::new();
    if let Some(view) = &screen.view {
        let (workers, places, taken) = view.moment.places();
        parts.push(clock(view.moment.at));
        parts.push(match workers {
            0 => "no worker".to_owned(),
            1 => format!("1 worker, {taken}/{places} in flight"),
            _ => format!("{workers} workers, {taken}/{places} in flight"),
        });
        let money = &view.moment.money;
        let most = |cap: Option<_>| cap.map_or_else(String::new, |cap| format!(" of {cap}"));
        parts.push(format!("{}{} spent", money.spent, most(money.cap)));
        if let Some(cap) = view.today.cap {
            parts.push(format!("today {} of {cap}", view.today.spent));
        }
        if view.failures > 0 {
            parts.push(format!("{} failed", view.failures));
        }
        if view.retries > 0 {
            parts.push(format!("{} later", view.retries));
        }
    } else {
        parts.push("looking …".to_owned());
    }
    let mut told = String::new();
    let room = usize::from(columns).saturating_sub("pictor  ".len() + mark(screen).len() + 1);
    for part in parts {
        let next = if told.is_empty() { part } else { format!("{told} · {part}") };
        if width(&next) > room {
            break;
        }
        told = next;
    }
    let mark = Span::styled(mark(screen), accent(screen).add_modifier(Modifier::REVERSED));
    Line::from(vec![Span::styled("pictor  ", accent(screen)), Span::raw(told + " "), mark])
}

const fn mark(screen: &Screen) -> &'static str {
    match (screen.away.is_some(), screen.frozen, screen.ways.read_only) {
        (true, ..) => " NO REDIS ",
        (false, true, _) => " UPDATES PAUSED ",
        (false, false, true) => " READ ONLY ",
        (false, false, false) => "",
    }
}

fn tabs(screen: &Screen, columns: u16) -> Line<'static> {
    let wide = columns >= 80;
    let mut spans = Vec::new();
    for (number, (tab, name)) in TABS.iter().enumerate() {
        let count = match (tab, &screen.view) {
            (Tab::One(pane), Some(_)) if wide && *pane != Pane::Images => {
                format!(" {}", screen_count(screen, *pane))
            }
            _ => String::new(),
        };
        let here = *tab == screen.tab;
        let name = if wide || here { *name } else { "" };
        let text = format!(" {} {name}{count} ", number + 1);
        let style = if here { accent(screen).add_modifier(Modifier::REVERSED) } else { Style::new() };
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}

fn screen_count(screen: &Screen, pane: Pane) -> usize {
    let Some(view) = &screen.view else { return 0 };
    match pane {
        Pane::Batches => view.moment.batches.len(),
        Pane::Lanes => view.moment.lanes.len(),
        Pane::Workers => view.moment.workers.len(),
        Pane::Failures => view.groups.found.len(),
        Pane::Images => view.images.len(),
    }
}

/// What went wrong, what became of the last act, or what is typed.
fn said(screen: &Screen) -> Line<'static> {
    if screen.mode == Mode::Filtering {
        return Line::from(format!("/{}▏", shown(&screen.filter)));
    }
    if let Some((since, why)) = &screen.away {
        let text = format!("Redis unreachable since {since}, trying again: {}", shown(why));
        return Line::styled(text, look(Tone::Bad, screen));
    }
    if let Some(said) = &screen.said {
        let tone = if said.bad { Tone::Bad } else { Tone::Good };
        return Line::styled(said.text.clone(), look(tone, screen));
    }
    if !screen.filter.is_empty() {
        return Line::from(format!("only what has {:?}; Esc shows all", shown(&screen.filter)));
    }
    Line::default()
}

fn command(screen: &Screen, columns: u16) -> Line<'static> {
    let text = format!("$ {}", shown(&screen.command()));
    Line::styled(cut(&text, usize::from(columns)), Style::new().add_modifier(Modifier::DIM))
}

fn keys(screen: &Screen) -> Line<'static> {
    let act = match (&screen.mode, screen.pane()) {
        (Mode::Asking(_), _) => return hints(screen, &[("Esc", "no, leave it")]),
        (Mode::Counting(_), _) => return hints(screen, &[("Esc", "no")]),
        (Mode::Filtering, _) => return hints(screen, &[("Enter", "keep"), ("Esc", "show all")]),
        (Mode::Details(_), _) => return hints(screen, &[("↑↓", "scroll"), ("Esc", "back")]),
        (Mode::Help, _) => return hints(screen, &[("any key", "back")]),
        (Mode::Looking, _) if screen.ways.read_only => &[][..],
        (Mode::Looking, Pane::Batches) => &[("Space", "pause"), ("c", "cancel"), ("+-", "band")][..],
        (Mode::Looking, Pane::Lanes) => &[("Space", "pause or resume")],
        (Mode::Looking, Pane::Failures) => &[("r", "try again")],
        (Mode::Looking, Pane::Images) => &[("v", "previews")],
        (Mode::Looking, Pane::Workers) => &[],
    };
    let always = [("Tab", "next"), ("↑↓", "choose"), ("Enter", "details"), ("/", "filter")];
    let last = [("p", "freeze"), ("?", "help"), ("q", "quit")];
    hints(screen, &[&always[..], act, &last[..]].concat())
}

fn hints(screen: &Screen, keys: &[(&'static str, &'static str)]) -> Line<'static> {
    let spans = keys
        .iter()
        .flat_map(|(key, does)| [Span::styled(*key, accent(screen)), Span::raw(format!(" {does}  "))]);
    Line::from(spans.collect::<Vec<_>>())
}
