//! The command line.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::{commands, completion, config::Flags, exit, help, output::Output};

/// Turns a catalogue of prompts into images through paid image APIs, and never pays twice.
#[derive(Debug, Parser)]
#[command(name = "pictor", version, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 all made, 1 some failed, 2 bad input, 3 environment.")]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    asked: Option<Asked>,
}

/// What needs settings, and what speaks only of Pictor itself.
#[derive(Debug, Subcommand)]
enum Asked {
    #[command(flatten)]
    Work(Command),
    #[command(flatten)]
    Itself(Itself),
}

/// What is said of Pictor itself, whatever the settings are.
#[derive(Debug, Subcommand)]
enum Itself {
    /// Print a script with which a shell completes commands, options and names
    Completions(commands::completions::CompletionsArgs),
    /// Write manual pages
    Man(commands::man::ManArgs),
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
struct Global {
    /// Settings file [default: pictor.toml here, else pictor/pictor.toml in the user's configuration]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Key, namespace, store and caps that belong together: dev, staging, prod, or [profiles.NAME] of the settings
    #[arg(long, value_name = "NAME", global = true)]
    profile: Option<String>,
    /// Where the private Redis and the spool live [default: .pictor]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Log level: error, warn, info, debug, trace, or per module as in `pictor_worker=debug`
    #[arg(long, value_name = "LEVEL", global = true)]
    log: Option<String>,
    /// How logs are written: text, or json for machines
    #[arg(long, value_name = "FORMAT", global = true, hide_possible_values = true)]
    log_format: Option<LogFormat>,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

impl LogFormat {
    /// Its name in the settings.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the images of a file, or of one prompt, on this machine
    Run(Box<commands::run::RunArgs>),
    /// Make a sample catalogue, or a file of yours, against a built-in simulator; costs nothing
    Demo(Box<commands::demo::DemoArgs>),
    /// Queue the jobs of a file for workers
    Submit(Box<commands::submit::SubmitArgs>),
    /// Submit files by the clock, as cron does
    #[command(subcommand)]
    Schedule(Box<commands::schedule::ScheduleCommand>),
    /// Work on queued jobs until stopped
    Worker(commands::worker::WorkerArgs),
    /// Who works here; end one of them in good order
    #[command(subcommand)]
    Workers(commands::workers::WorkersCommand),
    /// Show what is queued, running or paused, and why
    Status(commands::status::StatusArgs),
    /// Watch a batch until it has ended: pace, time left, cost, and why it waits
    Watch(commands::watch::WatchArgs),
    /// Look at jobs that failed, by cause; try them again, mend them or give them up
    ///
    /// Without a subcommand: the causes, the most frequent first, and what to do about each.
    Failed(Box<commands::failed::FailedArgs>),
    /// Who retried, discarded, replaced, paused, resumed, cancelled or raised a cap, when and why
    Audit(commands::audit::AuditArgs),
    /// Steer batches
    #[command(subcommand)]
    Batch(commands::batch::BatchCommand),
    /// Write a table of rows, images, costs and errors
    Results(commands::results::ResultsArgs),
    /// What has ended and is old: archive it in the store, and forget it
    #[command(subcommand)]
    Retention(commands::retention::RetentionCommand),
    /// Make resized or re-encoded copies of images that are there; costs nothing
    Derive(commands::derive::DeriveArgs),
    /// Write one page with small pictures of a batch, to look through, search and send around
    Gallery(commands::gallery::GalleryArgs),
    /// Compare what Redis, the store and the ledger say of a batch; make again what is gone, where asked
    Verify(commands::verify::VerifyArgs),
    /// Know prices before you start
    #[command(subcommand)]
    Price(commands::price::PriceCommand),
    /// Prompt templates that ship with Pictor; what a row becomes with one
    #[command(subcommand)]
    Template(commands::template::TemplateCommand),
    /// List the models, and until when they live
    Models,
    /// What was paid, or may have been
    #[command(subcommand)]
    Ledger(commands::ledger::LedgerCommand),
    /// What may be spent: in all, a day, by a tenant, on a batch
    #[command(subcommand)]
    Budget(commands::budget::BudgetCommand),
    /// What may send, how fast, and why one waits
    #[command(subcommand)]
    Lane(commands::lane::LaneCommand),
    /// Who is told of batches and failures, and what waits to be told
    #[command(subcommand)]
    Webhooks(commands::webhooks::WebhooksCommand),
    /// Look at one image
    #[command(subcommand)]
    Asset(commands::asset::AssetCommand),
    /// Check Redis, store, keys and this machine, and say how to mend what is wrong
    Doctor(commands::doctor::DoctorArgs),
    /// What is set, and by whom
    #[command(subcommand)]
    Config(commands::config::ConfigCommand),
    /// Run an image API that behaves like the real one
    Simulate(Box<commands::simulate::SimulateArgs>),
    /// Measure Pictor against its own simulator; costs nothing
    #[command(subcommand)]
    Bench(commands::bench::BenchCommand),
}

impl Global {
    fn into_flags(self) -> Flags {
        Flags {
            file: self.config,
            profile: self.profile,
            data_dir: self.data_dir,
            log: self.log,
            log_format: self.log_format,
        }
    }
}

/// The whole command line, with examples.
pub(crate) fn command() -> clap::Command {
    help::with_examples(Cli::command())
}

/// Reads words that somebody typed.
pub(crate) fn parse(
    words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(words)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// What words that are still being typed say of settings.
pub(crate) fn flags(words: &[OsString]) -> Flags {
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(words);
    let global = matches.and_then(|matches| Global::from_arg_matches(&matches));
    global.map(Global::into_flags).unwrap_or_default()
}

/// Reads the arguments, does what they ask and says how it ended.
pub(crate) fn start() -> ExitCode {
    completion::answer_shell();
    let Cli { global, asked } = parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let output = Output::new(global.json);
    let command = match asked {
        Some(Asked::Work(command)) => command,
        Some(Asked::Itself(Itself::Completions(args))) => {
            return exit::report(commands::completions::run(&args, &output), &output);
        }
        Some(Asked::Itself(Itself::Man(args))) => {
            return exit::report(commands::man::run(&args, &output), &output);
        }
        None => {
            output.note(help::FIRST_STEPS);
            return ExitCode::from(2);
        }
    };
    let flags = global.into_flags();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(pictor_worker::FILE_THREADS)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(Err(error.into()), &output),
    };
    let ended = runtime.block_on(Box::pin(commands::perform(command, &flags, &output)));
    // A blocked read of stdin must not keep the process.
    runtime.shutdown_background();
    exit::report(ended, &output)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn verify_cli() {
        Cli::command().debug_assert();
    }

    #[test]
    fn only_what_writes_bad_rows_down_asks_where() {
        let takes = |words: &[&str]| {
            let flags = ["a.csv", "--skip-bad", "--rejected", "bad.csv", "--id-column", "SKU"];
            let parsed = |flags: &[&str]| Cli::try_parse_from([&["pictor"], words, flags].concat()).is_ok();
            assert!(parsed(&[flags[0], flags[1], flags[4], flags[5]]), "{words:?}");
            parsed(&flags)
        };
        for (words, expected) in [
            (&["run"][..], true),
            (&["demo"], true),
            (&["submit"], true),
            (&["price", "estimate"], false),
            (&["template", "preview"], false),
        ] {
            assert_eq!(takes(words), expected, "{words:?}");
        }
    }
}
