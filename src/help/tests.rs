//! Help holds what it promises: every command has examples, and each of them can be typed.

use std::collections::{BTreeMap, BTreeSet};

use clap::Command;

use super::*;
use crate::cli;

/// Every visible command by its path, as it is parsed and shown.
fn commands() -> BTreeMap<String, Command> {
    fn below(command: &Command, path: &str, found: &mut BTreeMap<String, Command>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
            below(sub, format!("{path} {}", sub.get_name()).trim_start(), found);
        }
        found.insert(path.to_owned(), command.clone());
    }
    let mut whole = cli::command().term_width(110);
    whole.build();
    let mut found = BTreeMap::new();
    below(&whole, "", &mut found);
    found
}

#[test]
fn every_command_shows_one_to_four_examples() {
    for (path, mut command) in commands() {
        let examples = of(&command, &path);
        assert!(
            (1..=4).contains(&examples.len()),
            "`pictor {path}` has {} examples; src/help/examples/ wants 1 to 4",
            examples.len()
        );
        let help = command.render_long_help().to_string();
        let blocks = help.matches("Examples:").count();
        assert_eq!(blocks, 1, "`pictor {path}` has examples of its own; they belong to src/help/examples/");
        let (_, last) = help.rsplit_once("Examples:").unwrap_or_else(|| panic!("{path}: {help}"));
        for (what, line) in examples {
            assert!(last.contains(&format!("\n  # {what}\n  {line}\n")), "{path}: {line}\n{help}");
        }
    }
}

#[test]
fn every_example_is_for_a_command_that_exists() {
    let commands = commands();
    let unmatched: BTreeSet<&str> =
        examples::all().map(|(path, _)| *path).filter(|path| !commands.contains_key(*path)).collect();
    assert!(unmatched.is_empty(), "src/help/examples/ has examples of no command: {unmatched:?}");
}

#[test]
fn every_example_can_be_typed() {
    let commands = commands();
    for (path, examples) in examples::all().filter(|(path, _)| commands.contains_key(*path)) {
        let own = examples[0].1;
        assert!(own.starts_with("pictor") && own.contains(path), "{path}: {own}");
        for (_, line) in *examples {
            let typed = line.split(" && ").next().unwrap().split(" | ").next().unwrap();
            let mut words = shlex::split(typed).unwrap_or_else(|| panic!("{line}: a quote is left open"));
            words.truncate(
                words
                    .iter()
                    .position(|word| word == ">" || word == ">>" || word == "<")
                    .unwrap_or(words.len()),
            );
            assert_eq!(words[0], "pictor", "{line}");
            if let Err(error) = cli::parse(&words) {
                panic!("{line}: {error}");
            }
        }
    }
}

#[test]
fn help_fits_a_window_of_110_columns() {
    for (path, mut command) in commands() {
        for line in command.render_long_help().to_string().lines() {
            assert!(line.chars().count() <= 110, "{path}: {line}");
        }
    }
    for (path, examples) in examples::all() {
        for (what, line) in *examples {
            assert!(what.chars().count() <= 90 && line.chars().count() <= 90, "{path}: {line}");
        }
    }
    assert!(FIRST_STEPS.lines().all(|line| line.chars().count() <= 110));
}

#[test]
fn the_first_steps_name_three_commands_that_can_be_typed() {
    let lines: Vec<&str> = FIRST_STEPS.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(lines.len(), 3);
    for line in lines {
        let typed = line.split("   ").next().unwrap();
        assert!(cli::parse(shlex::split(typed).unwrap()).is_ok(), "{line}");
    }
}

#[test]
fn a_misspelt_word_is_answered_with_the_right_one() {
    for (typed, right) in [
        (&["pictor", "stauts"][..], "status"),
        (&["pictor", "failed", "lst"], "list"),
        (&["pictor", "run", "a.csv", "--dryrun"], "--dry-run"),
        (&["pictor", "submit", "a.csv", "--band", "interactiv"], "interactive"),
    ] {
        let words: Vec<String> = typed.iter().map(|word| (*word).to_owned()).collect();
        let told = cli::parse(&words).unwrap_err().to_string();
        assert!(told.contains(right) && told.contains("similar"), "{typed:?}: {told}");
    }
}
