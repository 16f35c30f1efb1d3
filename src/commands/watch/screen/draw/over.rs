//! What lies over the panes: help, details, and questions.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear},
};

use super::{
    accent,
    body::{put, told},
};
use crate::commands::watch::screen::{
    act::Question,
    panes,
    sheet::Tone,
    state::{Mode, Screen},
    words::wrapped,
};

const WIDEST: u16 = 100;

const HELP: [(&str, &str); 14] = [
    ("1 … 6, Tab", "the panes"),
    ("↑ ↓ j k", "choose a row; Page Up, Page Down, g and G go farther"),
    ("Enter", "everything that is known of it"),
    ("/", "only rows that have a text; Esc shows all"),
    ("Space", "pause or resume the batch or the lane that is chosen"),
    ("c", "cancel the batch"),
    ("+ -", "move the batch to a more or a less urgent band"),
    ("r", "on failures: try all of that cause again"),
    ("p", "pause the updates, and let them go on"),
    ("v", "previews of images"),
    ("Ctrl-L", "draw all of it again"),
    ("Ctrl-Z", "suspend; fg comes back"),
    ("q, Esc", "leave; batches go on"),
    (
        "",
        "Whatever changes something says what it touches and asks. The line with $ is the command that does the same.",
    ),
];

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    match &screen.mode {
        Mode::Looking | Mode::Filtering => {}
        Mode::Help => {
            let help = HELP.map(|(key, does)| (key, does.to_owned()));
            boxed(frame, area, "Keys", screen, 0, |room| told(&help, room));
        }
        Mode::Details(from) => {
            let (Some(view), Some(id)) = (&screen.view, screen.chosen()) else { return };
            let facts = panes::facts(screen.pane(), view, &id);
            boxed(frame, area, "Details", screen, *from, |room| told(&facts, room));
        }
        Mode::Counting(_) => {
            boxed(frame, area, "One moment", screen, 0, |_| vec!["counting what it touches …".into()])
        }
        Mode::Asking(question) => {
            boxed(frame, area, "Sure?", screen, 0, |room| asked(question, screen, room))
        }
    }
}

fn asked(question: &Question, screen: &Screen, room: usize) -> Vec<Line<'static>> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut lines: Vec<Line<'static>> = Vec::new();
    lines.extend(wrapped(&question.title, room).into_iter().map(|line| Line::styled(line, bold)));
    lines.push(Line::default());
    for touched in &question.touches {
        lines.extend(wrapped(touched, room).into_iter().map(Line::from));
    }
    lines.push(Line::default());
    let asks = match question.wanted.as_str() {
        "y" => "Type y to do it; anything else leaves it. ".to_owned(),
        words if words.contains(' ') => format!("Type \"{words}\" and Enter to do it; Esc leaves it. "),
        name => format!("Type {name} and Enter to do it; Esc leaves it. "),
    };
    lines.extend(wrapped(&asks, room).into_iter().map(Line::from));
    lines.push(Line::from(vec![
        Span::raw("> "),
        Span::styled(super::shown(&question.typed), super::look(Tone::Waits, screen)),
        Span::raw("▏"),
    ]));
    lines
}

/// A box in the middle of an area, as high as what is in it.
fn boxed(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &'static str,
    screen: &Screen,
    from: usize,
    lines: impl FnOnce(usize) -> Vec<Line<'static>>,
) {
    let columns = area.width.min(WIDEST);
    let lines = lines(usize::from(columns.saturating_sub(4)));
    let high = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2).min(area.height);
    let place = Rect {
        x: area.x + (area.width - columns) / 2,
        y: area.y + (area.height - high) / 2,
        width: columns,
        height: high,
    };
    let fits = usize::from(high.saturating_sub(2));
    let from = from.min(lines.len().saturating_sub(fits));
    let block = Block::bordered().title(Span::styled(format!(" {title} "), accent(screen)));
    let mut inner = block.inner(place);
    inner.x += 1;
    inner.width = inner.width.saturating_sub(2);
    frame.render_widget(Clear, place);
    frame.render_widget(block, place);
    put(frame, inner, lines.into_iter().skip(from).collect());
}
