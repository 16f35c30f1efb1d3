//! `pictor bench`: measures Pictor against its own simulator; costs nothing.

mod backlog;
mod case;
mod drain;
mod judge;
mod redis_load;
mod report;
mod stage;
mod workers;

use clap::Subcommand;

use super::Context;
use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// How much of a rate limit worker processes use, and how often they are refused
    Drain(Box<drain::DrainArgs>),
}

pub(crate) async fn run(command: BenchCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        BenchCommand::Drain(args) => Box::pin(drain::run(*args, context)).await,
    }
}
