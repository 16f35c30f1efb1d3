//! What the screen shows and what keys do, on terminals of two sizes.

use std::collections::{BTreeMap, HashMap};

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    queue::{
        Beat, Counter, Dimension, Drain, Failure, FailureGroup, FailureGroups, LaneState, Totals, Why,
        WorkerState, pace::Eta,
    },
};
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Buffer,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    style::Color,
};

use super::{
    act::Act,
    draw::draw,
    keys::{Effect, press},
    panes::Pane,
    state::{Mode, Screen, Tab, Ways},
    view::{Route, View},
    words::width,
};
use crate::{
    commands::watch::{Frame, Moment},
    waits::Told,
};

const NOW: u64 = 1_800_000_000_000_000;
const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]0;x\u{7}\u{202e}漢字\r\n\u{200b}\u{301}\u{301}\u{301}\u{301}שלום👩\u{200d}👧";

fn frame(batch: &str, ended: u64) -> Frame {
    Frame {
        batch: batch.to_owned(),
        tenant: "homeware".to_owned(),
        band: "normal".to_owned(),
        state: "open".to_owned(),
        assets: 1_200,
        done: ended,
        failed: 3,
        parked: 0,
        substituted: 0,
        replaced: 0,
        open: 1_197 - ended,
        waiting: 1_190 - ended,
        per_minute: Some(118.2),
        eta: Eta::Range { low: 300, high: 420 },
        spent: MicroUsd(4_812_345),
        reserved: MicroUsd(16_000),
        cap: Some(MicroUsd(25_000_000)),
        projected: None,
        why: Vec::new(),
        created: NOW - 60_000_000,
        completed: None,
    }
}

fn lane() -> LaneState {
    let images = Dimension {
        name: "images".to_owned(),
        limit: 240,
        window: 60_000_000,
        part: 1.0,
        ..Dimension::default()
    };
    LaneState {
        name: "main.dall-e-2".to_owned(),
        limits: vec![("images".to_owned(), 240)],
        pace: vec![images],
        in_flight: 12,
        in_flight_limit: Some(64),
        pause_until: Some(NOW + 90_000_000),
        pause_reason: Some("the provider is overloaded".to_owned()),
        ..LaneState::default()
    }
}

fn group(name: &str, class: &str, parked: bool) -> FailureGroup {
    FailureGroup {
        group: name.to_owned(),
        count: 3,
        first: NOW - 9_000_000,
        last: NOW - 5_000_000,
        parked,
        sample: Some(AssetKey::of(&Spec::default())),
        failure: Failure {
            class: class.to_owned(),
            message: "Your request was rejected".to_owned(),
            model: "dall-e-2".to_owned(),
            ..Failure::default()
        },
    }
}

fn view() -> View {
    let beat = Beat {
        host: "render-1".to_owned(),
        pid: 7,
        concurrency: 64,
        held: 12,
        version: "0.1.0".to_owned(),
        draining: true,
        ..Beat::default()
    };
    let waits = Told { text: "paused: proofs".to_owned(), why: Why::Paused { reason: "proofs".to_owned() } };
    let mut held = frame("spring-lamps", 100);
    held.why = vec![waits];
    let moment = Moment {
        at: NOW,
        batches: vec![frame("nightly-2026-11-22", 800), held],
        lanes: vec![lane()],
        workers: vec![WorkerState { incarnation: "01A".to_owned(), seen: NOW - 2_000_000, beat }],
        money: Totals { spent: MicroUsd(9_000_000), ..Totals::default() },
    };
    let groups = vec![group("0a1b2c3d4e5f", "moderation", false), group("77aa-parked", "timeout", true)];
    View {
        moment,
        held: BTreeMap::from([("spring-lamps".to_owned(), "proofs".to_owned())]),
        routes: vec![Route {
            name: "dall-e-2.generate".to_owned(),
            waiting: 390,
            lanes: vec!["main.dall-e-2".to_owned()],
        }],
        failures: 6,
        retries: 0,
        today: Counter { cap: Some(MicroUsd(40_000_000)), ..Counter::default() },
        groups: FailureGroups { total: 6, unsorted: 0, causes: 2, groups },
        drains: HashMap::new(),
        images: Vec::new(),
    }
}

fn screen() -> Screen {
    let ways = Ways { colour: true, program: "pictor".to_owned(), ..Ways::default() };
    let mut screen = Screen::new(ways, false);
    screen.seen(view());
    screen
}

fn drawn(screen: &Screen, (columns, rows): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, screen)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let columns = usize::from(buffer.area.width);
    let row = |cells: &[ratatui::buffer::Cell]| {
        let (mut text, mut skipped) = (String::new(), 0);
        for cell in cells {
            if skipped > 0 {
                skipped -= 1;
                continue;
            }
            text += cell.symbol();
            skipped = width(cell.symbol()).saturating_sub(1);
        }
        text.trim_end().to_owned()
    };
    buffer.content.chunks(columns).map(row).collect()
}

fn text(screen: &Screen, size: (u16, u16)) -> String {
    lines(&drawn(screen, size)).join("\n")
}

fn key(screen: &mut Screen, code: KeyCode) -> Effect {
    press(screen, KeyEvent::new(code, KeyModifiers::NONE))
}

fn char(screen: &mut Screen, c: char) -> Effect {
    key(screen, KeyCode::Char(c))
}

/// What an act touches is known.
fn counted(screen: &mut Screen) {
    if let Mode::Counting(act) = screen.mode.clone() {
        screen.counted(act.clone(), Ok(act));
    }
}

#[test]
fn everything_fits_on_a_small_terminal() {
    let lines = lines(&drawn(&screen(), (80, 24)));
    let expected = [
        (1, " 1 Overview  2 Batches 2  3 Lanes 1  4 Workers 1  5 Failures 2  6 Images"),
        (2, "Batches 1 of 2 ─────────────────────────────────────────────────────────────────"),
        (3, "batch               progress       ended  failed  left     spent  state"),
        (4, "nightly-2026-11-22  ██████░░░░  803/1200       3  ≤ 7 min  $4.81  runs"),
        (5, "spring-lamps        ░░░░░░░░░░  103/1200       3  ≤ 7 min  $4.81  paused"),
        (22, "$ pictor batch show nightly-2026-11-22"),
        (23, "Space pause  c cancel  +- band  Enter details  / filter  ? help  q quit"),
    ];
    for (at, line) in expected {
        assert_eq!(lines[at], line, "\n{}", lines.join("\n"));
    }
    let all = lines.join("\n");
    for part in ["main.dall-e-2", "12/64", "(1 min 30 s): the", "draining", "moderation"] {
        assert!(all.contains(part), "{part} in\n{all}");
    }
}

#[test]
fn a_large_terminal_shows_reasons_beside() {
    let all = text(&screen(), (200, 50));
    for part in
        ["(1 min 30 s): the", "sent by main.dall-e-2", "at most", "Your request was rejected", "render-1 7"]
    {
        assert!(all.contains(part), "{part} in\n{all}");
    }
    let mut screen = screen();
    char(&mut screen, '2');
    char(&mut screen, 'j');
    let all = text(&screen, (200, 50));
    assert!(all.contains("paused    proofs") && all.contains("its cap is $25"), "{all}");
    assert!(all.contains("$ pictor batch show spring-lamps"), "{all}");
}

#[test]
fn every_size_is_drawn() {
    let mut screen = screen();
    for tab in ['1', '2', '3', '4', '5', '6'] {
        char(&mut screen, tab);
        for size in [(1, 1), (40, 10), (41, 11), (79, 13), (80, 24), (129, 20), (130, 12), (300, 90)] {
            let _drawn = drawn(&screen, size);
            screen.mode = Mode::Help;
            let _drawn = drawn(&screen, size);
            screen.mode = Mode::Details(3);
            let _drawn = drawn(&screen, size);
            screen.mode = Mode::Looking;
        }
    }
    assert!(text(&screen, (30, 5)).contains("too small"));
}

#[test]
fn without_colour_nothing_is_coloured_and_the_state_is_a_word() {
    let mut screen = screen();
    screen.ways.colour = false;
    for tab in ['1', '3', '5'] {
        char(&mut screen, tab);
        let buffer = drawn(&screen, (80, 24));
        assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    }
    char(&mut screen, '2');
    assert!(text(&screen, (80, 24)).contains("paused"));
}

#[test]
fn strange_words_stay_in_their_cells() {
    let mut view = view();
    view.moment.batches[0].batch = HOSTILE.to_owned();
    view.moment.batches[0].why = vec![Told { text: HOSTILE.to_owned(), why: Why::NoWorker }];
    view.moment.lanes[0].paused = Some(HOSTILE.to_owned());
    view.moment.workers[0].beat.host = HOSTILE.to_owned();
    view.groups.groups[0].failure.message = HOSTILE.to_owned();
    view.groups.groups[0].failure.class = HOSTILE.to_owned();
    let mut screen = Screen::new(Ways { program: "pictor".to_owned(), ..Ways::default() }, false);
    screen.seen(view);
    screen.lost("12:00:00", HOSTILE);
    for tab in ['1', '2', '3', '4', '5', '6'] {
        char(&mut screen, tab);
        for size in [(80, 24), (200, 50)] {
            let buffer = drawn(&screen, size);
            let bad = |c: char| c.is_control() || "\u{202e}\u{200b}\u{200d}".contains(c);
            assert!(buffer.content.iter().all(|cell| !cell.symbol().chars().any(bad)), "{tab}");
            for line in lines(&buffer) {
                assert!(width(&line) <= usize::from(size.0), "{line}");
            }
        }
    }
}

#[test]
fn a_batch_is_paused_only_after_y() {
    let mut screen = screen();
    let act = Act::Pause("nightly-2026-11-22".to_owned());
    assert_eq!(char(&mut screen, ' '), Effect::Count(act.clone()));
    assert_eq!(char(&mut screen, 'y'), Effect::Nothing, "it has not said yet what it touches");
    counted(&mut screen);
    let asked = text(&screen, (80, 24));
    assert!(asked.contains("397 of 1200 assets are open: 390 wait"), "{asked}");
    assert!(asked.contains("$ pictor batch pause nightly-2026-11-22"), "{asked}");
    assert_eq!(char(&mut screen, 'n'), Effect::Nothing);
    assert_eq!(screen.mode, Mode::Looking);
    char(&mut screen, ' ');
    counted(&mut screen);
    assert_eq!(char(&mut screen, 'y'), Effect::Do(act));

    char(&mut screen, 'j');
    assert_eq!(char(&mut screen, ' '), Effect::Count(Act::Resume("spring-lamps".to_owned())));
}

#[test]
fn many_are_cancelled_by_name_alone() {
    let mut screen = screen();
    char(&mut screen, 'c');
    counted(&mut screen);
    for c in "y".chars().chain("\u{8}".chars()) {
        assert_eq!(char(&mut screen, c), Effect::Nothing);
    }
    assert_eq!(key(&mut screen, KeyCode::Enter), Effect::Nothing);
    for _ in 0..9 {
        key(&mut screen, KeyCode::Backspace);
    }
    for c in "nightly-2026-11-22".chars() {
        assert_eq!(char(&mut screen, c), Effect::Nothing);
    }
    assert_eq!(key(&mut screen, KeyCode::Enter), Effect::Do(Act::Cancel("nightly-2026-11-22".to_owned())));
}

#[test]
fn a_group_says_what_to_do_and_what_may_be_paid_twice_is_sent_again_by_those_words_alone() {
    let mut screen = screen();
    char(&mut screen, '5');
    let all = text(&screen, (200, 50));
    assert!(all.contains("$ pictor failed list --group 0a1b2c3d4e5f"), "{all}");
    assert!(all.contains("refused the content") && all.contains("--group 0a1b2c3d4e5f --edit"), "{all}");
    let Effect::Count(act) = char(&mut screen, 'r') else { panic!("{:?}", screen.mode) };
    counted(&mut screen);
    let asked = text(&screen, (80, 24));
    assert!(asked.contains("failures, of all batches") && !asked.contains("twice"), "{asked}");
    assert!(asked.contains("$ pictor failed retry --group 0a1b2c3d4e5f"), "{asked}");
    assert_eq!(char(&mut screen, 'y'), Effect::Do(act));

    char(&mut screen, 'j');
    let Effect::Count(act) = char(&mut screen, 'r') else { panic!("{:?}", screen.mode) };
    counted(&mut screen);
    let asked = text(&screen, (80, 24));
    assert!(asked.contains("each may be paid twice") && asked.contains("Send parked timeout"), "{asked}");
    assert!(asked.contains("failed retry --group 77aa-parked --parked"), "{asked}");
    assert_eq!(char(&mut screen, 'y'), Effect::Nothing);
    assert_eq!(key(&mut screen, KeyCode::Enter), Effect::Nothing, "one letter is not enough");
    key(&mut screen, KeyCode::Backspace);
    for c in "may be paid twice".chars() {
        assert_eq!(char(&mut screen, c), Effect::Nothing);
    }
    assert_eq!(key(&mut screen, KeyCode::Enter), Effect::Do(act));
}

#[test]
fn what_is_not_wanted_any_more_is_not_asked_when_its_count_comes() {
    let mut screen = screen();
    char(&mut screen, '5');
    let Effect::Count(late) = char(&mut screen, 'r') else { panic!("{:?}", screen.mode) };
    key(&mut screen, KeyCode::Esc);
    char(&mut screen, '/');
    screen.counted(late.clone(), Ok(late.clone()));
    assert_eq!(screen.mode, Mode::Filtering);
    key(&mut screen, KeyCode::Esc);
    char(&mut screen, 'j');
    char(&mut screen, 'r');
    screen.counted(late.clone(), Ok(late));
    assert!(matches!(screen.mode, Mode::Counting(_)), "it was about another cause");
}

#[test]
fn a_worker_that_is_told_to_end_says_so_and_by_whom() {
    let mut view = view();
    view.moment.workers[0].beat.draining = false;
    let drain = Drain { by: "ann@desk".to_owned(), why: "new kernel".to_owned() };
    view.drains.insert("01A".to_owned(), drain);
    let mut screen = Screen::new(Ways::default(), false);
    screen.seen(view);
    char(&mut screen, '4');
    let all = text(&screen, (80, 24));
    assert!(all.contains("told to end") && all.contains("by ann@desk: new kernel"), "{all}");
}

#[test]
fn nothing_is_done_where_it_was_forbidden_or_redis_is_away() {
    for forbid in [true, false] {
        let mut screen = screen();
        if forbid {
            screen.ways.read_only = true;
        } else {
            screen.lost("12:00:00", "connection refused");
        }
        for (tab, acts) in [('2', " c+-"), ('3', " "), ('5', "r")] {
            char(&mut screen, tab);
            for act in acts.chars() {
                assert_eq!(char(&mut screen, act), Effect::Nothing);
                assert!(screen.said.take().is_some_and(|said| said.bad));
            }
        }
    }
}

#[test]
fn what_is_chosen_stays_chosen_when_others_come_before_it() {
    let mut screen = screen();
    char(&mut screen, 'j');
    let mut next = view();
    next.moment.batches.insert(0, frame("newer", 0));
    screen.seen(next);
    assert_eq!(screen.chosen().as_deref(), Some("spring-lamps"));
    let mut next = view();
    next.moment.batches.truncate(1);
    screen.seen(next);
    assert_eq!(screen.chosen().as_deref(), Some("nightly-2026-11-22"));
}

#[test]
fn what_was_seen_stays_while_redis_is_away() {
    let mut screen = screen();
    screen.lost("12:00:00", "connection refused");
    screen.lost("12:00:05", "timed out");
    let all = text(&screen, (80, 24));
    assert!(all.contains("Redis unreachable since 12:00:00, trying again: timed out"), "{all}");
    assert!(all.contains("nightly-2026-11-22") && all.contains("NO REDIS"), "{all}");
    screen.seen(view());
    assert!(!text(&screen, (80, 24)).contains("unreachable"));
}

#[test]
fn a_filter_holds_where_it_was_typed() {
    let mut screen = screen();
    for c in "/lamps".chars() {
        char(&mut screen, c);
    }
    assert_eq!(key(&mut screen, KeyCode::Enter), Effect::Nothing);
    assert_eq!(screen.sheet(Pane::Batches).rows.len(), 1);
    assert_eq!(screen.chosen().as_deref(), Some("spring-lamps"));
    assert_eq!(key(&mut screen, KeyCode::Esc), Effect::Nothing, "first the filter goes");
    assert_eq!(screen.sheet(Pane::Batches).rows.len(), 2);
    assert_eq!(key(&mut screen, KeyCode::Esc), Effect::Leave);
}

#[test]
fn keys_turn_the_panes() {
    let mut screen = screen();
    key(&mut screen, KeyCode::BackTab);
    assert_eq!(screen.tab, Tab::One(Pane::Images));
    key(&mut screen, KeyCode::Tab);
    assert_eq!(screen.tab, Tab::Overview);
    assert_eq!(press(&mut screen, KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Effect::Leave);
    char(&mut screen, 'p');
    assert!(screen.wish().frozen && text(&screen, (80, 24)).contains("UPDATES PAUSED"));
}
