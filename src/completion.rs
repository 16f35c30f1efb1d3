//! Completion of words in shells: which argument takes which values.

mod live;
mod remembered;

use std::{
    ffi::{OsStr, OsString},
    sync::Arc,
};

use clap::{Arg, Command};
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _},
};
use pictor_producer::manifest::ENCODINGS;

use crate::{cli, config::Flags, help};
pub(crate) use live::remember;
use live::{Batches, Name};

/// A shell that asks sets this variable to its name.
pub(crate) const VARIABLE: &str = "PICTOR_COMPLETE";

/// Derivatives that many shops want.
const DERIVATIVES: &[&str] = &["256x256 cover webp q80", "1200w jpeg", "2048 contain png"];

/// Where values of an argument come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Batches that are known to the queue.
    Batches(Batches),
    /// Asset keys, of failures and of the newest batches.
    Assets,
    /// First digits of what failed.
    Failures,
    Lanes,
    Schedules,
    /// Ends of workers' names.
    Workers,
    Tenants,
    Profiles,
    /// Endpoints of the settings.
    Webhooks,
    Models,
    Sizes,
    Qualities,
    Formats,
    FailureClasses,
    /// Always the same.
    Words(&'static [&'static str]),
    /// Files with rows.
    Manifests,
    /// Prompt templates: those that ship, and files.
    Templates,
    /// Files with a prompt template.
    TemplateFiles,
    Directories,
}

/// By the path of the command, or `*` for any, and the id of the argument.
const PLACES: &[(&str, &str, Source)] = &[
    ("*", "batch", Source::Batches(Batches::All)),
    ("*", "batches", Source::Batches(Batches::Open)),
    ("watch", "batch", Source::Batches(Batches::Open)),
    ("batch resume", "batches", Source::Batches(Batches::Held)),
    ("*", "run_id", Source::Batches(Batches::All)),
    ("failed show", "key", Source::Failures),
    ("failed retry", "keys", Source::Failures),
    ("failed discard", "keys", Source::Failures),
    ("*", "lane", Source::Lanes),
    ("failed retry", "by_model", Source::Models),
    ("asset show", "asset", Source::Assets),
    ("asset redo", "asset", Source::Assets),
    ("asset remove", "asset", Source::Assets),
    ("workers drain", "workers", Source::Workers),
    ("workers undrain", "workers", Source::Workers),
    ("lane show", "lane", Source::Lanes),
    ("lane pause", "lane", Source::Lanes),
    ("lane limit", "lane", Source::Lanes),
    ("lane resume", "lane", Source::Lanes),
    ("*", "schedule", Source::Schedules),
    (
        "*",
        "time_zone",
        Source::Words(&["UTC", "Europe/Berlin", "Europe/London", "America/New_York", "Asia/Tokyo"]),
    ),
    ("webhooks show", "name", Source::Webhooks),
    ("webhooks retry", "name", Source::Webhooks),
    ("webhooks test", "name", Source::Webhooks),
    ("*", "webhook", Source::Webhooks),
    ("", "profile", Source::Profiles),
    ("*", "class", Source::FailureClasses),
    ("*", "tenant", Source::Tenants),
    ("*", "model", Source::Models),
    ("*", "fallback", Source::Models),
    ("*", "size", Source::Sizes),
    ("*", "quality", Source::Qualities),
    ("*", "format", Source::Formats),
    ("*", "style", Source::Words(&["vivid", "natural"])),
    ("*", "background", Source::Words(&["transparent", "opaque", "auto"])),
    ("*", "on_unknown", Source::Words(&["retry", "park"])),
    ("*", "moderation", Source::Words(&["auto", "low"])),
    ("*", "encoding", Source::Words(ENCODINGS)),
    ("*", "log", Source::Words(&["error", "warn", "info", "debug", "trace"])),
    ("*", "template", Source::Templates),
    ("template show", "name", Source::Templates),
    ("*", "template_file", Source::TemplateFiles),
    ("*", "file", Source::Manifests),
    ("ledger reconcile", "invoice", Source::Manifests),
    ("run", "out", Source::Directories),
    ("results", "store", Source::Directories),
    ("results", "to", Source::Directories),
    ("derive", "store", Source::Directories),
    ("derive", "image", Source::Assets),
    ("*", "derive", Source::Words(DERIVATIVES)),
    ("*", "derivative", Source::Words(DERIVATIVES)),
    ("gallery", "store", Source::Directories),
    ("verify", "store", Source::Directories),
    ("budget set", "words", Source::Words(&["total", "per-day", "tenant", "batch", "none", "settings"])),
];

/// Answers a shell that asks for the rest of a word and ends the process; otherwise does nothing.
pub(crate) fn answer_shell() {
    let words = rejoined(std::env::args_os().skip_while(|word| word != "--").skip(1));
    let command = || {
        let typed = Arc::new(cli::flags(&words));
        attached(cli::command(), &typed)
    };
    CompleteEnv::with_factory(command).var(VARIABLE).bin("pictor").complete();
}

/// Bash hands over `--config=FILE` as three words.
fn rejoined(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut whole: Vec<OsString> = Vec::new();
    for word in words {
        let open = whole.last().is_some_and(|last| last.as_encoded_bytes().ends_with(b"="));
        match whole.last_mut() {
            Some(last) if word == "=" || open => last.push(word),
            _ => whole.push(word),
        }
    }
    whole
}

/// Gives every argument of the table its values.
fn attached(command: Command, typed: &Arc<Flags>) -> Command {
    help::everywhere(command, "", &|command, path| {
        command.mut_args(|arg| match source(path, &arg) {
            Some(source) => completed(arg, source, Arc::clone(typed)),
            None => arg,
        })
    })
}

/// A command's own entry wins; the one for all leaves alone what has a list of its own.
fn source(path: &str, arg: &Arg) -> Option<Source> {
    if !arg.get_action().takes_values() {
        return None;
    }
    let entry = |at: &str| PLACES.iter().find(|(path, id, _)| *path == at && arg.get_id() == *id);
    let common = || entry("*").filter(|_| arg.get_possible_values().is_empty());
    entry(path).or_else(common).map(|(_, _, source)| *source)
}

fn completed(arg: Arg, source: Source, typed: Arc<Flags>) -> Arg {
    arg.add(ArgValueCompleter::new(move |current: &OsStr| match source {
        Source::Manifests => with_extension(&["csv", "tsv", "jsonl", "ndjson", "json", "xlsx", "txt"])
            .stdio()
            .complete(current),
        Source::Templates => {
            let mut found = matching(live::names(source, current, &typed), current);
            found.extend(template_files(current));
            found
        }
        Source::TemplateFiles => template_files(current),
        Source::Directories => PathCompleter::dir().complete(current),
        source => matching(live::names(source, current, &typed), current),
    }))
}

fn template_files(current: &OsStr) -> Vec<CompletionCandidate> {
    with_extension(&["j2", "jinja", "jinja2", "txt"]).complete(current)
}

fn with_extension(extensions: &'static [&'static str]) -> PathCompleter {
    PathCompleter::file().filter(|path| {
        let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
        path.is_file() && extension.is_some_and(|extension| extensions.contains(&extension.as_str()))
    })
}

fn matching(names: Vec<Name>, current: &OsStr) -> Vec<CompletionCandidate> {
    let begun = current.to_string_lossy();
    let wanted = names.into_iter().filter(|name| name.value.starts_with(&*begun));
    wanted
        .map(|name| {
            let help = (!name.meaning.is_empty()).then(|| name.meaning.into());
            CompletionCandidate::new(name.value).help(help)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn arguments() -> BTreeSet<(String, String)> {
        let found = std::cell::RefCell::new(BTreeSet::new());
        help::everywhere(cli::command(), "", &|command, path| {
            for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
                found.borrow_mut().insert((path.to_owned(), arg.get_id().to_string()));
                found.borrow_mut().insert(("*".to_owned(), arg.get_id().to_string()));
            }
            command
        });
        found.into_inner()
    }

    #[test]
    fn every_entry_names_an_argument_that_exists() {
        let arguments = arguments();
        let lost: Vec<(&str, &str)> = PLACES
            .iter()
            .map(|(path, id, _)| (*path, *id))
            .filter(|(path, id)| !arguments.contains(&((*path).to_owned(), (*id).to_owned())))
            .collect();
        assert!(lost.is_empty(), "src/completion.rs attaches values to nothing at {lost:?}");
    }

    #[test]
    fn a_flag_is_one_word_whatever_the_shell_makes_of_it() {
        let joined = |words: &[&str]| rejoined(words.iter().map(OsString::from));
        assert_eq!(
            joined(&["pictor", "--config", "=", "a.toml", "run"]),
            ["pictor", "--config=a.toml", "run"]
        );
        assert_eq!(joined(&["pictor", "--config", "a.toml"]), ["pictor", "--config", "a.toml"]);
    }

    #[test]
    fn an_argument_with_a_list_of_its_own_keeps_it() {
        let command = cli::command();
        let arg = |path: &str, id: &str| {
            let found = path.split(' ').try_fold(&command, |command, name| command.find_subcommand(name));
            found.unwrap().get_arguments().find(|arg| arg.get_id() == id).unwrap().clone()
        };
        assert_eq!(source("results", &arg("results", "format")), None);
        assert_eq!(source("run", &arg("run", "format")), Some(Source::Formats));
        assert_eq!(source("run", &arg("run", "verbatim")), None);
        assert_eq!(source("failed retry", &arg("failed retry", "keys")), Some(Source::Failures));
    }
}
