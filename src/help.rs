//! What help says beyond clap's own: examples of every command, and the first steps.

mod examples;

use clap::{Command, builder::StyledStr};

pub(crate) use examples::{Example, FIRST_STEPS};

/// A group without examples of its own shows one of each command below it, at most so many.
const OF_A_GROUP: usize = 4;

/// Changes a command and all below it; each is told its path, such as `failed list`.
pub(crate) fn everywhere(command: Command, path: &str, change: &dyn Fn(Command, &str) -> Command) -> Command {
    change(command, path).mut_subcommands(|sub| {
        let below = format!("{path} {}", sub.get_name());
        everywhere(sub, below.trim_start(), change)
    })
}

/// Ends the help of every command with examples.
pub(crate) fn with_examples(command: Command) -> Command {
    everywhere(command, "", &|command, path| {
        let examples = of(&command, path);
        if examples.is_empty() {
            return command;
        }
        let mut text = command.get_after_help().map_or_else(String::new, |own| format!("{}\n\n", own.ansi()));
        let header = command.get_styles().get_header();
        text += &format!("{header}Examples:{header:#}");
        for (what, line) in examples {
            text += &format!("\n  # {what}\n  {line}");
        }
        command.after_help(StyledStr::from(text))
    })
}

/// The examples of a command.
pub(crate) fn of(command: &Command, path: &str) -> Vec<Example> {
    if let Some((_, own)) = examples::all().find(|(of, _)| *of == path) {
        return own.to_vec();
    }
    let visible = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    visible
        .filter_map(|sub| of(sub, format!("{path} {}", sub.get_name()).trim_start()).first().copied())
        .take(OF_A_GROUP)
        .collect()
}

#[cfg(test)]
mod tests;
