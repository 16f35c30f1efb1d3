//! `pictor retention`: what is kept, what would go, and archiving it now.

use clap::Subcommand;
use pictor_common::{
    batch::BatchId,
    queue::{BatchState, Queue},
    retention::{Archived, Gone, Retiring, Round, archived},
};
use serde_json::json;

use super::{Context, batch_id, newest, when};
use crate::{
    exit::{Exit, refused},
    parts,
};

/// Batches that are named.
const NAMED: usize = 20;
/// Batches that are looked for.
const MOST: usize = 100_000;

#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// What the settings keep, and what would go now
    Show,
    /// Archive and forget what is old now, as the workers do by themselves
    Run {
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) async fn run(command: RetentionCommand, context: &Context) -> anyhow::Result<Exit> {
    let store =
        parts::open_answering_store(&context.settings, parts::store_url(&context.settings, None)).await?;
    let opened = context.look().await?;
    let folder = tempfile::tempdir()?;
    let retiring = Retiring {
        queue: &opened.queue,
        store: &store,
        keep: &context.settings.retention,
        owner: &format!("{}-{}", crate::config::who(), std::process::id()).replace('/', "-"),
        folder: folder.path(),
    };
    let done = async {
        match command {
            RetentionCommand::Show | RetentionCommand::Run { dry_run: true } => {
                show(context, &retiring).await
            }
            RetentionCommand::Run { dry_run: false } => carry_out(context, &retiring).await,
        }
    };
    let done = Box::pin(done).await;
    opened.close().await?;
    done
}

async fn show(context: &Context, retiring: &Retiring<'_>) -> anyhow::Result<Exit> {
    let gone = retiring.plan(MOST).await?;
    let keep = &context.settings.retention;
    let value = json!({ "keeps": {
        "batches_seconds": keep.batches.map(|age| age.as_secs()), "max_batches": keep.max_batches,
        "failures_seconds": keep.failures.map(|age| age.as_secs()),
        "events_seconds": keep.events.map(|age| age.as_secs()),
        "assets_seconds": keep.assets.map(|age| age.as_secs()), "max_assets": keep.max_assets,
    }, "goes": gone });
    context.output.result(&value, || {
        let off =
            "everything is kept: set retention.batches, max_batches, failures, events,\nassets or max_assets to change that\n";
        let kept = if keep.is_off() { off } else { "" };
        kept.to_owned() + &counted(&gone, "would go to the store and from Redis")
    })?;
    Ok(Exit::Done)
}

async fn carry_out(context: &Context, retiring: &Retiring<'_>) -> anyhow::Result<Exit> {
    let (mut all, mut round) = (Gone::default(), Round::now());
    while !context.signals.stop.is_cancelled() {
        let gone = match retiring.step(&mut round).await {
            Err(error) if round.is_under_way() => {
                retiring.end().await?;
                return Err(error.into());
            }
            gone => gone?,
        };
        if gone.is_empty() && !round.is_under_way() {
            break;
        }
        if context.output.terminal {
            gone.batches.iter().for_each(|batch| context.output.note(&format!("archived {batch}")));
        }
        all.batches.extend(gone.batches);
        all.failures += gone.failures;
        all.events += gone.events;
        all.assets += gone.assets;
    }
    if round.is_under_way() {
        retiring.end().await?;
    }
    context.output.result(&all, || counted(&all, "went to the store and from Redis"))?;
    Ok(Exit::Done)
}

fn counted(gone: &Gone, what: &str) -> String {
    let Gone { batches, failures, events, assets } = gone;
    let many = |count: u64, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
    let (of_batches, failures) =
        (many(batches.len() as u64, "batch", "batches"), many(*failures, "failure", "failures"));
    let (events, assets) = (many(*events, "event", "events"), many(*assets, "done asset", "done assets"));
    let mut text = format!("{of_batches}, {failures}, {events} and {assets}\n{what}\n");
    for batch in batches.iter().take(NAMED) {
        text += &format!("  {batch}\n");
    }
    if batches.len() > NAMED {
        text += &format!("  and {} more\n", batches.len() - NAMED);
    }
    text
}

/// Finds a batch; one that is archived is told from one that is unknown.
pub(crate) async fn kept(text: &str, context: &Context, queue: &Queue) -> anyhow::Result<BatchState> {
    let id = batch_id(text)?;
    match queue.batch(&id).await? {
        Some(batch) => Ok(batch),
        None => Err(unknown(&id, context, queue).await),
    }
}

/// Says where a batch that Redis does not know is archived, if it is.
async fn unknown(id: &BatchId, context: &Context, queue: &Queue) -> anyhow::Error {
    let kept = async {
        let url = parts::store_url(&context.settings, None);
        let store = parts::open_store(&context.settings, url).await?;
        anyhow::Ok(archived(&*store, queue.keys().namespace(), id).await?)
    };
    let kept = kept.await.unwrap_or_else(|error| {
        tracing::debug!(%error, "the store was not looked through");
        Vec::new()
    });
    if let Some(Archived { place, completed, .. }) = kept.last() {
        return refused(format!(
            "batch {id}, complete on {}, is archived and no longer in Redis: each of its lines, what became of it and \
             where its image is, as compressed JSON lines, is in {place}; submitted again, it pays for nothing that is made",
            when(*completed)
        ));
    }
    match newest(queue).await {
        Ok(newest) => refused(format!("batch {id} is unknown{newest}")),
        Err(error) => error,
    }
}
