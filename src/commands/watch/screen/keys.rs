//! What keys do to the screen, and what they ask for.

use pictor_common::batch::Band;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{
    act::{Act, Question},
    panes::Pane,
    state::{Mode, Screen, TABS},
};

/// What is to be done outside of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    Leave,
    Suspend,
    Redraw,
    /// Find out what it would touch.
    Count(Act),
    Do(Act),
}

const PAGE: isize = 10;
const LONGEST_FILTER: usize = 60;

/// Takes a key.
pub(super) fn press(screen: &mut Screen, key: KeyEvent) -> Effect {
    if key.kind == KeyEventKind::Release {
        return Effect::Nothing;
    }
    screen.touched = true;
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Effect::Leave,
            KeyCode::Char('z') => Effect::Suspend,
            KeyCode::Char('l') => Effect::Redraw,
            _ => Effect::Nothing,
        };
    }
    match std::mem::take(&mut screen.mode) {
        Mode::Looking => looking(screen, key.code),
        Mode::Filtering => {
            filtering(screen, key.code);
            Effect::Nothing
        }
        Mode::Help => Effect::Nothing,
        Mode::Details(from) => {
            match key.code {
                KeyCode::Down | KeyCode::Char('j') => screen.mode = Mode::Details(from + 1),
                KeyCode::Up | KeyCode::Char('k') => screen.mode = Mode::Details(from.saturating_sub(1)),
                _ => {}
            }
            Effect::Nothing
        }
        Mode::Counting(act) => {
            if !matches!(key.code, KeyCode::Esc | KeyCode::Char('q' | 'n')) {
                screen.mode = Mode::Counting(act);
            }
            Effect::Nothing
        }
        Mode::Asking(question) => asking(screen, question, key.code),
    }
}

fn looking(screen: &mut Screen, code: KeyCode) -> Effect {
    screen.said = None;
    match code {
        KeyCode::Esc if !screen.filter.is_empty() => screen.filter.clear(),
        KeyCode::Esc | KeyCode::Char('q') => return Effect::Leave,
        KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => turn(screen, 1),
        KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => turn(screen, TABS.len() - 1),
        KeyCode::Char(digit @ '1'..='6') => open(screen, usize::from(digit as u8 - b'1')),
        KeyCode::Down | KeyCode::Char('j') => screen.step(1),
        KeyCode::Up | KeyCode::Char('k') => screen.step(-1),
        KeyCode::PageDown => screen.step(PAGE),
        KeyCode::PageUp => screen.step(-PAGE),
        KeyCode::Home | KeyCode::Char('g') => screen.step(isize::MIN + 1),
        KeyCode::End | KeyCode::Char('G') => screen.step(isize::MAX),
        KeyCode::Enter if screen.chosen().is_some() => screen.mode = Mode::Details(0),
        KeyCode::Char('/') => screen.mode = Mode::Filtering,
        KeyCode::Char('?') | KeyCode::F(1) => screen.mode = Mode::Help,
        KeyCode::Char('p') => screen.frozen = !screen.frozen,
        KeyCode::Char('v') => screen.previews = !screen.previews,
        KeyCode::Char(key @ (' ' | 'c' | '+' | '-' | 'r')) => return wanted(screen, key),
        _ => {}
    }
    Effect::Nothing
}

fn turn(screen: &mut Screen, by: usize) {
    let now = TABS.iter().position(|(tab, _)| *tab == screen.tab).unwrap_or(0);
    open(screen, (now + by) % TABS.len());
}

fn open(screen: &mut Screen, tab: usize) {
    if let Some((tab, _)) = TABS.get(tab)
        && screen.tab != *tab
    {
        screen.tab = *tab;
        screen.filter.clear();
    }
}

fn filtering(screen: &mut Screen, code: KeyCode) {
    match code {
        KeyCode::Esc => screen.filter.clear(),
        KeyCode::Enter => {}
        KeyCode::Backspace => {
            screen.filter.pop();
            screen.mode = Mode::Filtering;
        }
        KeyCode::Char(c) => {
            if screen.filter.chars().count() < LONGEST_FILTER && !c.is_control() {
                screen.filter.push(c);
            }
            screen.mode = Mode::Filtering;
        }
        _ => screen.mode = Mode::Filtering,
    }
}

/// Something is to be done to what is chosen.
fn wanted(screen: &mut Screen, key: char) -> Effect {
    let act = match act(screen, key) {
        Ok(act) => act,
        Err(why) => {
            screen.say(&why, true);
            return Effect::Nothing;
        }
    };
    if screen.ways.read_only {
        screen.say("this screen was started with --read-only: it changes nothing", true);
        return Effect::Nothing;
    }
    if screen.away.is_some() {
        screen.say("Redis does not answer: nothing can be done now", true);
        return Effect::Nothing;
    }
    screen.mode = Mode::Counting(act.clone());
    Effect::Count(act)
}

/// What a key does to what is chosen, or why it does nothing.
fn act(screen: &Screen, key: char) -> Result<Act, String> {
    let (Some(view), Some(id)) = (&screen.view, screen.chosen()) else {
        return Err("nothing is chosen here".to_owned());
    };
    match (screen.pane(), key) {
        (Pane::Batches, _) => {
            let found = view.moment.batches.iter().find(|frame| frame.batch == id);
            let frame = found.ok_or_else(|| "nothing is chosen here".to_owned())?;
            if key == 'r' {
                return Err("failures are tried again by group: key 5, then r".to_owned());
            }
            if frame.state != "open" {
                return Err(format!("batch {id} has ended: there is nothing to change"));
            }
            match key {
                ' ' if view.held.contains_key(&id) => Ok(Act::Resume(id)),
                ' ' => Ok(Act::Pause(id)),
                'c' => Ok(Act::Cancel(id)),
                '+' => moved(&id, &frame.band, 1),
                _ => moved(&id, &frame.band, -1),
            }
        }
        (Pane::Lanes, ' ') => {
            let lane = view.moment.lanes.iter().find(|lane| lane.name == id);
            let lane = lane.ok_or_else(|| "routes are not paused; the lanes above them are".to_owned())?;
            let waits = lane.paused.is_some() || lane.pause_until.is_some_and(|until| until > view.moment.at);
            Ok(if waits { Act::ResumeLane(id) } else { Act::PauseLane(id) })
        }
        (Pane::Failures, 'r') => {
            let group = view.groups.groups.iter().find(|group| group.group == id);
            group.map(Act::retry).ok_or_else(|| "nothing is chosen here".to_owned())
        }
        _ => Err("that does nothing here; ? names the keys".to_owned()),
    }
}

fn moved(id: &str, band: &str, by: isize) -> Result<Act, String> {
    const BANDS: [Band; 3] = [Band::Bulk, Band::Normal, Band::Interactive];
    let now = BANDS.iter().position(|known| known.as_str() == band).unwrap_or(1);
    let next = now.checked_add_signed(by).and_then(|next| BANDS.get(next));
    next.map(|next| Act::Move(id.to_owned(), *next))
        .ok_or_else(|| format!("batch {id} is in band {band} already"))
}

/// An answer is typed. Whoever had to type a name ends it with Enter.
fn asking(screen: &mut Screen, mut question: Question, code: KeyCode) -> Effect {
    match code {
        KeyCode::Esc => {
            screen.say("nothing was changed", false);
            return Effect::Nothing;
        }
        KeyCode::Backspace => {
            question.typed.pop();
        }
        KeyCode::Char(c) if question.typed.len() < question.wanted.len() => question.typed.push(c),
        KeyCode::Enter if question.typed == question.wanted => return Effect::Do(question.act),
        _ => {}
    }
    if question.wanted == "y" && question.typed == "y" {
        return Effect::Do(question.act);
    }
    if question.wanted == "y" && !question.typed.is_empty() {
        screen.say("nothing was changed", false);
        return Effect::Nothing;
    }
    screen.mode = Mode::Asking(question);
    Effect::Nothing
}
