//! Manual pages: what clap knows of a command, its examples, and what holds for all of Pictor.

use std::io;

use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, bold, italic, roman},
};

use crate::help;

const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "Everything asked for was made or done."),
    ("1", "Some of it failed; pictor-failed-list(1) says what."),
    ("2", "The input is wrong; nothing was queued."),
    ("3", "Something around Pictor is wrong: no API key, no Redis, no bucket; nothing was queued."),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "PICTOR_SECTION__NAME",
        "The setting \"name\" of a section of the settings file, such as PICTOR_WORKER__CONCURRENCY. It wins over the \
         file; a flag wins over it.",
    ),
    ("PICTOR_REDIS__URL", "The shared Redis. Without it, a private server is started in the data directory."),
    ("PICTOR_STORE__URL", "Where images go: s3://bucket/prefix, or a directory."),
    ("PICTOR_CONFIG", "The settings file."),
    ("PICTOR_DATA_DIR", "Where the private Redis and the spool live."),
    ("OPENAI_API_KEY", "The key of the account that is there where none is set."),
    ("NO_COLOR", "Nothing is coloured."),
];

const FILES: &[(&str, &str)] = &[
    ("pictor.toml", "Settings, in the working directory; or the file that --config names."),
    ("~/.config/pictor/pictor.toml", "Settings of this user, where the working directory has none."),
    (
        ".pictor",
        "Queue and spool of what is run in this directory. What is paid for is remembered here: keep it.",
    ),
    ("pictor-out", "Images, and a table of results for each batch."),
];

/// File names and texts of all pages.
pub(crate) fn all(command: Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    below(&command, "", None, &mut pages)?;
    Ok(pages)
}

fn below(
    command: &Command,
    path: &str,
    parent: Option<&Command>,
    pages: &mut Vec<(String, Vec<u8>)>,
) -> io::Result<()> {
    pages.push((format!("{}.1", title(command)), page(command, path, parent)?));
    for sub in visible(command) {
        below(sub, format!("{path} {}", sub.get_name()).trim_start(), Some(command), pages)?;
    }
    Ok(())
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set())
}

/// `pictor-failed-list`, once the command is built.
fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, path: &str, parent: Option<&Command>) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .title(title(command).to_uppercase())
        .source(concat!("Pictor ", env!("CARGO_PKG_VERSION")))
        .manual("Pictor Manual");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if visible(command).next().is_some() {
        man.render_subcommands_section(&mut text)?;
    }
    let mut rest = Roff::new();
    if let Some(own) = command.get_after_help().filter(|_| parent.is_some()) {
        notes(&mut rest, &own.to_string());
    }
    examples(&mut rest, &help::of(command, path));
    list(&mut rest, "EXIT STATUS", EXIT_STATUS);
    list(&mut rest, "ENVIRONMENT", ENVIRONMENT);
    list(&mut rest, "FILES", FILES);
    see_also(&mut rest, command, parent);
    text.extend_from_slice(rest.to_roff().as_bytes());
    Ok(ascii(&String::from_utf8_lossy(&text)).into_bytes())
}

/// Formatters differ in what they take a file's encoding to be.
fn ascii(page: &str) -> String {
    let escaped = page.chars().map(|c| match c {
        c if c.is_ascii() => c.to_string(),
        c => format!("\\[u{:04X}]", u32::from(c)),
    });
    escaped.collect()
}

/// What a command's help says after its options; examples have a section of their own.
fn notes(page: &mut Roff, own: &str) {
    let own = own.split("Examples:").next().unwrap_or_default().trim();
    if own.is_empty() {
        return;
    }
    page.control("SH", ["NOTES"]);
    for line in own.lines() {
        match line.trim() {
            "" => page.control("PP", []),
            line => page.text([roman(line)]).control("br", []),
        };
    }
}

fn examples(page: &mut Roff, examples: &[help::Example]) {
    page.control("SH", ["EXAMPLES"]);
    for (what, line) in examples {
        page.control("PP", []).text([roman(format!("{what}:"))]);
        page.control("PP", []).control("RS", ["4"]).control("nf", []);
        page.text([bold(*line)]).control("fi", []).control("RE", []);
    }
}

fn list(page: &mut Roff, heading: &str, entries: &[(&str, &str)]) {
    page.control("SH", [heading]);
    for (name, meaning) in entries {
        page.control("TP", []).text([bold(*name)]).text([roman(*meaning)]);
    }
}

fn see_also(page: &mut Roff, command: &Command, parent: Option<&Command>) {
    let family = parent.into_iter().chain(parent.into_iter().flat_map(visible)).chain(visible(command));
    let mut names: Vec<String> = family.map(|one| title(one).to_owned()).collect();
    names.retain(|name| name != title(command));
    let mut words = Vec::new();
    for name in names {
        words.extend([if words.is_empty() { roman("") } else { roman(", ") }, italic(name), roman("(1)")]);
    }
    if !words.is_empty() {
        page.control("SH", ["SEE ALSO"]).text(words);
    }
}

#[cfg(test)]
mod tests;
