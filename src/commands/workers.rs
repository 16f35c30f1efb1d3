//! `pictor workers`: who works here, and ending one of them in good order.

mod drain;
mod list;

use clap::Subcommand;

use super::Context;
use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum WorkersCommand {
    /// Every worker: where it runs, its version, since when, what it holds, and its state
    List,
    /// Tell workers to take nothing new and to end once what they sent is stored
    Drain {
        /// The worker, as list names it: the end of its name, HOST:PID, or a host
        #[arg(required_unless_present = "all")]
        workers: Vec<String>,
        /// Every worker that is alive
        #[arg(long, conflicts_with = "workers")]
        all: bool,
        /// Wait until they have left
        #[arg(long)]
        wait: bool,
        /// Why, for others to read
        #[arg(long, value_parser = super::reason, default_value = "drained by hand")]
        reason: String,
        /// Only say who would be told
        #[arg(long)]
        dry_run: bool,
        /// Do not ask before every worker is told
        #[arg(long)]
        yes: bool,
    },
    /// Tell workers that were to end, and have not yet, to go on
    Undrain {
        /// The worker, as list names it: the end of its name, HOST:PID, or a host
        #[arg(required_unless_present = "all")]
        workers: Vec<String>,
        /// Every worker that was told to end
        #[arg(long, conflicts_with = "workers")]
        all: bool,
    },
}

pub(crate) async fn run(command: WorkersCommand, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let done = async {
        match command {
            WorkersCommand::List => list::list(context, &opened.queue).await,
            WorkersCommand::Drain { workers, all: _, wait, reason, dry_run, yes } => {
                let order = drain::Order { wanted: &workers, wait, reason, dry_run, yes };
                order.carry_out(context, &opened.queue).await
            }
            WorkersCommand::Undrain { workers, all: _ } => {
                drain::undrain(&workers, context, &opened.queue).await
            }
        }
    };
    let ended = Box::pin(done).await;
    opened.close().await?;
    ended
}
