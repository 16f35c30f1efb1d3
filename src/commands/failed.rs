//! `pictor failed`: looks at what failed, by cause, and tries it again, mends it or gives it up.

pub(crate) mod act;
pub(crate) mod advice;
mod askers;
mod by_cause;
mod differs;
mod draft;
mod export;
mod groups;
mod list;
mod makers;
mod moment;
mod progress;
mod replace;
mod which;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use pictor_common::{
    MicroUsd,
    queue::{FailureAction, Queue},
};

pub(crate) use by_cause::{Group, grouped, of_batch};
use which::{Filter, Which};

use super::Context;
use crate::exit::{Exit, refused};

/// The phase of what ended with an outcome that nobody knows.
const PARKED: &str = "parked";

#[derive(Debug, Args)]
pub(crate) struct FailedArgs {
    /// How many causes are shown
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[command(subcommand)]
    command: Option<FailedCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FailedCommand {
    /// Failures one by one, newest first, by whatever they have in common
    List(list::ListArgs),
    /// One failure, with everything known of it: spec, lines, every attempt
    Show {
        /// The asset key, or its first digits
        key: String,
    },
    /// Try again, at once or at a time; or ask another model, or for something else
    #[command(
        long_about = "Try again, at once or at a time; or ask another model (--by-model), or for something else (--edit).\n\n\
        Without --by-model and --edit an asset is tried again for every batch that asks for it. With them only the \
        lines of the batches that are named by --batch or --tenant get the new asset, of all that ask where neither is \
        said and they are of one tenant; the others keep the failure, and nobody pays for the old spec again.\n\n\
        What may have been paid for is left out unless --parked is said; what was refused for its content, unless it is \
        named by key, --group or --class moderation.\n\n\
        The editor shows a table of TOML for each failure, with the id of its row: one --edit may mend several causes. Was a \
        replacement a mistake, then submit the same rows with another --run-id and --retry-failed, which pays for the \
        originals, and go back by pictor asset redo ID --batch BATCH --back."
    )]
    Retry(Box<RetryArgs>),
    /// Take off the list: nothing of it is tried again
    Discard(Discard),
    /// Write what failed to a CSV that can be mended and submitted as it is
    Export {
        /// Where to; - is stdout
        out: PathBuf,
        #[command(flatten)]
        filter: Filter,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    which: Which,
    /// Say how many there are, and what they may cost, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// When: +2h, 06:00, or 2026-11-23T06:00, in the time of this machine
    #[arg(long, value_name = "TIME", conflicts_with_all = ["by_model", "edit"])]
    at: Option<String>,
    /// Have this model make them
    #[arg(long, value_name = "MODEL")]
    by_model: Option<String>,
    /// Change their specs in $EDITOR first
    #[arg(long)]
    edit: bool,
    /// A draft to go on with, as an earlier --edit left it
    #[arg(long, value_name = "FILE", requires = "edit")]
    draft: Option<PathBuf>,
    /// With --edit or --by-model: refuse if what is asked for anew could cost more than this, in US dollars
    #[arg(long, value_name = "USD")]
    max_cost: Option<MicroUsd>,
    /// Why, for whoever asks later
    #[arg(long, default_value = "")]
    reason: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Discard {
    #[command(flatten)]
    which: Which,
    /// Say how many there are, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Why, for whoever asks later
    #[arg(long, default_value = "")]
    reason: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: FailedArgs, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let done = Box::pin(perform(args, context, &opened.queue)).await;
    opened.close().await?;
    done
}

async fn perform(args: FailedArgs, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    match args.command {
        None => groups::show(args.limit, context, queue).await,
        Some(FailedCommand::List(list)) => list::run(&list, context, queue).await,
        Some(FailedCommand::Show { key }) => show(&key, context, queue).await,
        Some(FailedCommand::Retry(retry)) if retry.edit || retry.by_model.is_some() => {
            replace::run(&retry, context, queue).await
        }
        Some(FailedCommand::Retry(retry)) if retry.max_cost.is_some() => Err(refused(
            "--max-cost goes with --edit or --by-model; as it is, a failure is tried again for what its batch was to pay",
        )),
        Some(FailedCommand::Retry(retry)) => {
            let due = retry.at.as_deref().map(|at| moment::ahead(at, moment::now())).transpose()?;
            let how = act::How {
                action: FailureAction::Retry,
                due,
                dry_run: retry.dry_run,
                yes: retry.yes,
                reason: &retry.reason,
            };
            act::run(&retry.which, &how, context, queue).await
        }
        Some(FailedCommand::Discard(discard)) => {
            let how = act::How {
                action: FailureAction::Discard,
                due: None,
                dry_run: discard.dry_run,
                yes: discard.yes,
                reason: &discard.reason,
            };
            act::run(&discard.which, &how, context, queue).await
        }
        Some(FailedCommand::Export { out, filter }) => export::run(&out, &filter, context, queue).await,
    }
}

async fn show(digits: &str, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let found = which::named(&[digits.to_owned()], queue).await?;
    let Some(place) = found.first() else {
        return Err(refused(format!("no failure begins with {digits}; pictor failed list names them")));
    };
    super::asset::show(&place.key, context, queue).await?;
    let state = queue.assets(std::slice::from_ref(&place.key)).await?.pop().flatten();
    if let (Some(state), false) = (state, context.output.json) {
        let class = state.failure.as_ref().map_or("", |failure| failure.class.as_str());
        let words = advice::words_of_one(class, state.phase == PARKED, place.key.short());
        context.output.line(&format!("\nto do     {words}"))?;
    }
    Ok(Exit::Done)
}
