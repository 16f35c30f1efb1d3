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
    panes::{Pane, cents, clock},
    sheet::Tone,
    state::{Mode, Screen, TABS, Tab},
    words::{cut, shown, width, wrapped},
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
    // What is said stands where the command does, until the next key.
    let told = said(screen).map_or_else(|| command(screen, area.width), |said| vec![said]);
    let lines = u16::try_from(told.len()).unwrap_or(1);
    let heights = [1, 1, 0, lines, 1].map(|lines| match lines {
        0 => Constraint::Fill(1),
        lines => Constraint::Length(lines),
    });
    let [head, tabs, body, command, keys] = Layout::vertical(heights).areas(area);
    line(frame, head, self::head(screen, head.width));
    line(frame, tabs, self::tabs(screen, tabs.width));
    body::draw(frame, body, screen);
    body::put(frame, command, told);
    line(frame, keys, self::keys(screen, keys.width));
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
        let most = money.cap.map_or_else(String::new, |cap| format!(" of {}", cents(cap)));
        parts.push(format!("{}{most} spent", cents(money.spent)));
        if let Some(cap) = view.today.cap {
            parts.push(format!("today {} of {}", cents(view.today.spent), cents(cap)));
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
        // What is too long leaves its place to what comes after it.
        if width(&next) <= room {
            told = next;
        }
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
        Pane::Failures => usize::try_from(view.groups.causes).unwrap_or(usize::MAX),
        Pane::Images => view.images.len(),
    }
}

/// What went wrong, what became of the last act, or what is typed.
fn said(screen: &Screen) -> Option<Line<'static>> {
    if matches!(screen.mode, Mode::Asking(_) | Mode::Counting(_)) {
        return None;
    }
    if screen.mode == Mode::Filtering {
        return Some(Line::from(format!("/{}▏", shown(&screen.filter))));
    }
    if let Some((since, why)) = &screen.away {
        let text = format!("Redis unreachable since {since}, trying again: {}", shown(why));
        return Some(Line::styled(text, look(Tone::Bad, screen)));
    }
    if let Some(said) = &screen.said {
        let tone = if said.bad { Tone::Bad } else { Tone::Good };
        return Some(Line::styled(said.text.clone(), look(tone, screen)));
    }
    let filter = shown(&screen.filter);
    (!filter.is_empty()).then(|| Line::from(format!("only what has {filter:?}; Esc shows all")))
}

/// The command that does the same, in two lines where it is long.
fn command(screen: &Screen, columns: u16) -> Vec<Line<'static>> {
    const LINES: usize = 2;
    let columns = usize::from(columns);
    let mut lines = wrapped(&format!("$ {}", shown(&screen.command())), columns);
    if lines.len() > LINES {
        let rest = lines.split_off(LINES - 1).join(" ");
        lines.push(cut(&rest, columns));
    }
    lines.into_iter().map(|line| Line::styled(line, Style::new().add_modifier(Modifier::DIM))).collect()
}

fn keys(screen: &Screen, columns: u16) -> Line<'static> {
    let act = match (&screen.mode, screen.pane()) {
        (Mode::Asking(_), _) => return hints(screen, &[("Esc", "leave it")]),
        (Mode::Counting(_), _) => return hints(screen, &[("Esc", "leave it")]),
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
    let some = [("Enter", "details"), ("/", "filter"), ("↑↓", "choose"), ("Tab", "next"), ("p", "freeze")];
    let last = [("?", "help"), ("q", "quit")];
    let mut keys: Vec<_> = act.iter().chain(&some).chain(&last).copied().collect();
    let long =
        |keys: &[(&str, &str)]| keys.iter().map(|(key, does)| width(key) + width(does) + 3).sum::<usize>();
    while long(&keys) > usize::from(columns) + 2 && keys.len() > last.len() {
        keys.remove(keys.len() - last.len() - 1);
    }
    hints(screen, &keys)
}

fn hints(screen: &Screen, keys: &[(&'static str, &'static str)]) -> Line<'static> {
    let spans = keys
        .iter()
        .flat_map(|(key, does)| [Span::styled(*key, accent(screen)), Span::raw(format!(" {does}  "))]);
    Line::from(spans.collect::<Vec<_>>())
}
