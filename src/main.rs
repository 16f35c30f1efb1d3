//! The `pictor` binary: arguments, settings, output.

mod accounts;
mod cli;
mod commands;
mod config;
mod exit;
mod output;
mod parts;
mod private_redis;
mod progress;
mod signals;
mod submission;
mod table;

/// A thousand bodies at once leave the system's allocator in pieces.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::start()
}
