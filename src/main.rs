//! The `pictor` binary: arguments, settings, output.

mod accounts;
mod cli;
mod commands;
mod completion;
mod config;
mod exit;
mod help;
mod man_page;
#[cfg(feature = "otel")]
mod otel;
mod output;
mod parts;
mod private_redis;
mod progress;
mod rehearsal;
mod rejected;
mod signals;
mod submission;
mod table;
mod templates;
mod topology;
mod waits;

fn main() -> std::process::ExitCode {
    cli::start()
}
