//! The live screen in a real terminal: what is seen, what keys do, and that the terminal comes back.

use std::{fs, process::Command};

use pictor_simulator::Options;
use rustix::process::Signal;

use crate::{
    support::terminal::Terminal,
    world::{World, told},
};

const SMALL: (u16, u16) = (80, 24);

fn slow() -> Options {
    Options { latency_ms_p50: Some(400), ..Options::default() }
}

fn submit(world: &World, id: &str, prompts: std::ops::Range<u64>) {
    let file = world.catalogue(&format!("{id}.csv"), prompts);
    let output = world.run(&["submit", file.to_str().unwrap(), "--run-id", id]);
    assert!(output.status.success(), "{}", told(&output));
}

fn watch(world: &World, args: &[&str]) -> Command {
    let mut command = world.command(&[&["watch"], args].concat());
    command.env("TERM", "xterm-256color").env("TZ", "UTC");
    command
}

async fn held(world: &World, batch: &str) -> Option<String> {
    let id = batch.parse().unwrap();
    world.queue().await.batch(&id).await.unwrap().unwrap().held
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_watched_paused_and_kept_in_sight_while_redis_is_away() {
    let mut world = World::start(slow());
    submit(&world, "shelf", 0..600);
    let _worker = world.worker("worker", 2, &[]);
    let mut terminal = Terminal::start(&watch(&world, &[]), SMALL);
    terminal.until("running", |terminal| {
        terminal.lines().iter().any(|line| line.starts_with("shelf") && line.ends_with("runs"))
    });
    let lines = terminal.lines();
    assert!(lines.iter().all(|line| console::measure_text_width(line) <= 80), "{}", terminal.text());
    assert!(lines[22].contains("batch show shelf"), "{}", terminal.text());
    assert!(lines[23].contains("q quit"), "{}", terminal.text());

    terminal.resize(200, 50);
    terminal.until("wide", |terminal| {
        terminal.lines().iter().any(|line| line.starts_with("Batches") && line.contains("Lanes and routes"))
    });
    terminal.press("?");
    terminal.shows("suspend; fg comes back");
    terminal.press("?");
    terminal.until("without help", |terminal| !terminal.text().contains("suspend; fg comes back"));
    terminal.resize(SMALL.0, SMALL.1);
    // A key that comes together with a resize is heard with the next one only.
    terminal.until("narrow", |terminal| {
        terminal.lines().iter().any(|line| line.starts_with("Batches") && !line.contains("Lanes and routes"))
    });

    terminal.press(" ");
    terminal.shows("Pause batch shelf?");
    assert!(terminal.text().contains("of 600 assets are open"), "{}", terminal.text());
    assert!(terminal.text().contains("batch pause shelf"), "{}", terminal.text());
    terminal.press("n");
    terminal.shows("nothing was changed");
    assert_eq!(held(&world, "shelf").await, None);
    terminal.press(" ");
    terminal.shows("Pause batch shelf?");
    terminal.press("y");
    terminal.shows("shelf: open -> paused: paused by hand");
    assert_eq!(held(&world, "shelf").await.as_deref(), Some("paused by hand"));
    terminal.until("paused", |terminal| {
        terminal.lines().iter().any(|line| line.starts_with("shelf") && line.ends_with("paused"))
    });

    world.redis.kill();
    terminal.shows("Redis unreachable since");
    assert!(terminal.text().contains("NO REDIS"), "{}", terminal.text());
    assert!(terminal.lines().iter().any(|line| line.starts_with("shelf")), "{}", terminal.text());
    terminal.press("c");
    terminal.until("refused or away", |terminal| !terminal.text().contains("Cancel batch"));
    world.redis.restart();
    terminal.until("back", |terminal| !terminal.text().contains("Redis unreachable"));

    // Many are open: one letter is not enough.
    terminal.press("c");
    terminal.shows("Type shelf and Enter to do it");
    terminal.press("y\r");
    terminal.press("\u{7f}shelf\r");
    terminal.shows("cancelled by hand");
    terminal.until("cancelled", |terminal| {
        terminal.lines().iter().any(|line| line.starts_with("shelf") && line.ends_with("cancelled"))
    });
    assert_eq!(world.json(&["batch", "show", "shelf"])["state"], "cancelled");
    terminal.press("q");
    assert_eq!(terminal.ended().code(), Some(1), "{}", terminal.text());
    assert!(terminal.is_cooked());
    terminal.shows("state    cancelled");
    assert!(terminal.raw().contains("\u{1b}[?1049l") && terminal.raw().contains("\u{1b}[?25h"));
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_stop_it_and_let_it_go_on_with_the_terminal_as_it_was() {
    let world = World::start(slow());
    submit(&world, "shelf", 0..5);
    let mut terminal = Terminal::start(&watch(&world, &["shelf"]), SMALL);
    terminal.shows("no worker is alive");
    assert!(!terminal.is_cooked());
    // By a key, and by a signal.
    for stop in [true, false] {
        if stop {
            terminal.press("\u{1a}");
        } else {
            terminal.signal(Signal::TSTP);
        }
        terminal.until("stopped", Terminal::is_stopped);
        assert!(terminal.is_cooked() && !terminal.text().contains("Batches"), "{}", terminal.text());
        terminal.signal(Signal::CONT);
        terminal.shows("no worker is alive");
        terminal.until("raw again", |terminal| !terminal.is_cooked());
    }
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.ended().code(), Some(1), "{}", terminal.text());
    assert!(terminal.is_cooked());
    assert_eq!(world.json(&["batch", "show", "shelf"])["state"], "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_grouped_tried_again_and_images_are_listed() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    fs::write(
        world.path("bad.csv"),
        "id,prompt,model,size\nx,[[sim:moderation_blocked]] x,dall-e-2,256x256\ny,[[sim:moderation_blocked]] y,dall-e-2,256x256\nz,a cup,dall-e-2,256x256\n",
    )
    .unwrap();
    assert!(world.run(&["submit", "bad.csv", "--run-id", "bad"]).status.success());
    let _worker = world.worker("worker", 2, &[]);
    world.ended("bad", std::time::Duration::from_secs(60)).await;
    let mut terminal = Terminal::start(&watch(&world, &["bad"]), SMALL);
    terminal.shows("Batches 1 of 1");
    terminal.press("5");
    terminal.until("a group", |terminal| {
        terminal.lines().iter().any(|line| line.trim_start().starts_with("2  moderation"))
    });
    // The command is long with the settings' path, and takes two lines.
    let cause = world.json(&["failed"])["groups"][0]["group"].as_str().unwrap().to_owned();
    let command = format!("failed list --group {cause}");
    terminal.until(&command, |terminal| terminal.lines().join(" ").contains(&command));
    assert!(terminal.text().contains("refused the content"), "{}", terminal.text());
    terminal.press("r");
    terminal.shows("2 failures, of all batches");
    terminal.press("y");
    terminal.shows("2 to be tried again");
    let audit = world.json(&["audit"]).to_string();
    assert_eq!(audit.matches(&format!("failures --group {cause}")).count(), 1, "{audit}");
    // A preview is drawn of half blocks.
    terminal.press("6");
    terminal.shows("256x256");
    terminal.until("a picture", |terminal| terminal.text().contains('▀'));
    terminal.press("q");
    assert!(terminal.ended().code().is_some());
    assert!(world.sim.totals().await["requests"].as_u64().is_none_or(|requests| requests >= 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_words_no_colour_and_no_changes() {
    let world = World::start(slow());
    submit(&world, "shelf", 0..3);
    let reason = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}漢字\u{200b}!";
    assert!(world.run(&["batch", "pause", "shelf", "--reason", reason]).status.success());
    let mut command = watch(&world, &["--read-only"]);
    command.env("NO_COLOR", "1");
    let mut terminal = Terminal::start(&command, SMALL);
    terminal.press("2");
    terminal.shows("]0;owned [2J漢字!");
    terminal.press(" ");
    terminal.shows("it changes nothing");
    terminal.press("q");
    assert_eq!(terminal.ended().code(), Some(1));
    let raw = terminal.raw();
    assert!(!raw.contains("\u{1b}]0;") && !raw.contains('\u{202e}'), "{raw:?}");
    assert!(!raw.contains("\u{1b}[38;") && !raw.contains("\u{1b}[48;"), "{raw:?}");
    assert!(held(&world, "shelf").await.is_some());

    // Where a screen cannot be, and where it is not wanted, there are frames.
    for (term, args) in [("dumb", &[][..]), ("xterm-256color", &["--plain"])] {
        let mut command = watch(&world, args);
        command.env("TERM", term);
        let mut terminal = Terminal::start(&command, SMALL);
        terminal.until("its reason", |terminal| terminal.raw().contains("paused: "));
        assert!(!terminal.raw().contains("\u{1b}[?1049h"), "{:?}", terminal.raw());
        terminal.signal(Signal::INT);
        assert_eq!(terminal.ended().code(), Some(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_that_nobody_touches_ends_with_its_batch() {
    let world = World::start(slow());
    submit(&world, "shelf", 0..4);
    let mut terminal = Terminal::start(&watch(&world, &["shelf"]), (200, 50));
    terminal.shows("no worker is alive");
    let _worker = world.worker("worker", 2, &[]);
    assert_eq!(terminal.ended().code(), Some(0), "{}", terminal.text());
    terminal.shows("4 of 4");
}
