//! `pictor asset`: one image, with everything known of it.

pub(super) mod find;
mod redo;
mod remove;
mod trace;

use clap::Subcommand;
use pictor_common::{
    AssetKey,
    queue::{AssetState, Queue},
};

use super::{Context, when};
use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum AssetCommand {
    /// Where it is, who paid, every attempt, who asked, and why it waits
    Show {
        /// The id of a line, or the asset key, or at least 8 of its first digits
        asset: String,
        /// Look for the id in this batch alone [default: the newest twenty]
        #[arg(long)]
        batch: Option<String>,
        /// Which of several images of the line: 0, 1, 2, …
        #[arg(long)]
        take: Option<usize>,
    },
    /// Ask for another take of a picture that is not liked, or go back to an earlier one
    Redo(redo::RedoArgs),
    /// Take a picture out of the store for good, with all that was made of it; it stays paid
    Remove(remove::RemoveArgs),
}

pub(crate) async fn run(command: AssetCommand, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let done = Box::pin(perform(command, context, &opened.queue)).await;
    opened.close().await?;
    done
}

async fn perform(command: AssetCommand, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    match command {
        AssetCommand::Show { asset, batch, take } => {
            let wanted = find::Wanted { text: &asset, batch: batch.as_deref(), take };
            let key = wanted.find(context, queue).await?;
            trace::show(&key, context, queue).await.map(|()| Exit::Done)
        }
        AssetCommand::Redo(args) => redo::run(&args, context, queue).await,
        AssetCommand::Remove(args) => Box::pin(remove::run(&args, context, queue)).await,
    }
}

/// Shows everything known of an asset.
pub(crate) async fn show(key: &AssetKey, context: &Context, queue: &Queue) -> anyhow::Result<()> {
    trace::show(key, context, queue).await
}

/// What is known of an asset, by name.
fn facts(key: &AssetKey, state: &AssetState) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("key", key.to_string()),
        ("phase", state.phase.clone()),
        ("route", state.route.clone()),
        ("lane", state.lane.clone().unwrap_or_default()),
        ("attempts", format!("{} ({} unknown)", state.attempts, state.unknowns)),
    ];
    for other in &state.stand_ins {
        facts.push(("instead", format!("{} by {}, where a batch allows it", other.key, other.model)));
    }
    if let Some(spec) = &state.spec {
        facts.push(("spec", serde_json::to_string(spec).unwrap_or_default()));
    }
    if let Some(made) = &state.made {
        let bytes = format!("{}, {} bytes, {}x{}", made.content_type, made.bytes, made.width, made.height);
        facts.push(("made", bytes));
        facts.push(("cost", made.cost.to_string()));
        facts.push(("revised", made.revised_prompt.clone().unwrap_or_default()));
        facts.push(("mismatch", made.mismatch.clone().unwrap_or_default()));
        facts.push(("stored", when(made.at_ms * 1_000)));
    }
    if let Some(removed) = &state.removed {
        facts.push(("removed", when(removed.at)));
        facts.push(("cost", format!("{}, and it stays paid", removed.made.cost)));
    }
    if let Some(failure) = &state.failure {
        let status = failure.status.map(|status| format!("HTTP {status} ")).unwrap_or_default();
        let code = failure.code.as_ref().map(|code| format!("{code} ")).unwrap_or_default();
        facts.push(("failure", format!("{}: {status}{code}{}", failure.class, failure.message)));
        facts.push(("when", when(failure.at_ms * 1_000)));
        facts.push(("request", failure.request_id.clone().unwrap_or_default()));
    }
    facts
}

fn lines(facts: &[(&'static str, String)]) -> String {
    let named = facts.iter().filter(|(_, text)| !text.is_empty());
    named.map(|(name, text)| format!("{name:<9} {text}\n")).collect()
}
