//! `pictor batch`: lists batches and steers them.

use clap::Subcommand;
use pictor_common::queue::{BatchState, Queue};
use serde_json::json;

use super::{Context, batch_id, known_batch, when};
use crate::{
    exit::{Exit, refused},
    table::table,
};

#[derive(Debug, Subcommand)]
pub(crate) enum BatchCommand {
    /// The newest batches
    List {
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// One batch
    Show {
        /// The batch
        batch: String,
    },
    /// Give a batch up; what is sent is finished, stored and charged
    Cancel {
        /// The batch
        batch: String,
        /// Why, for others to read
        #[arg(long, default_value = "cancelled by hand")]
        reason: String,
    },
    /// Let a batch wait
    Hold {
        /// The batch
        batch: String,
        /// Why, for others to read
        #[arg(long, default_value = "held by hand")]
        reason: String,
    },
    /// Let a held batch go on
    Resume {
        /// The batch
        batch: String,
    },
}

pub(crate) async fn run(command: BatchCommand, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let done = Box::pin(perform(command, context, &opened.queue)).await;
    opened.close().await?;
    done
}

async fn perform(command: BatchCommand, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let (batch, did, done) = match command {
        BatchCommand::List { limit } => {
            let batches = queue.batches(limit).await?;
            context.output.result(&batches, || list(&batches))?;
            return Ok(Exit::Done);
        }
        BatchCommand::Show { batch } => {
            let state = known_batch(queue, &batch).await?;
            context.output.result(&state, || told(&state))?;
            return Ok(Exit::Done);
        }
        BatchCommand::Cancel { batch, reason } => {
            let done = queue.cancel(&batch_id(&batch)?, &reason).await?;
            (batch, "cancelled", done)
        }
        BatchCommand::Hold { batch, reason } => {
            let done = queue.hold(&batch_id(&batch)?, Some(&reason)).await?;
            (batch, "held", done)
        }
        BatchCommand::Resume { batch } => {
            let done = queue.hold(&batch_id(&batch)?, None).await?;
            (batch, "resumed", done)
        }
    };
    if !done {
        return Err(refused(format!("batch {batch} is unknown, or has ended already")));
    }
    context.output.result(&json!({ "batch": batch, "did": did }), || format!("batch {batch} is {did}"))?;
    Ok(Exit::Done)
}

fn state_of(batch: &BatchState) -> String {
    match (&batch.held, batch.sealed) {
        (Some(reason), _) if !batch.ended() => format!("held: {reason}"),
        (None, None) if !batch.ended() => "being submitted".to_owned(),
        _ => batch.state.clone(),
    }
}

pub(crate) fn list(batches: &[BatchState]) -> String {
    if batches.is_empty() {
        return "no batches\n".to_owned();
    }
    let rows: Vec<Vec<String>> = batches
        .iter()
        .map(|batch| {
            vec![
                batch.id.clone(),
                batch.tenant.clone(),
                batch.counts.done.to_string(),
                (batch.counts.failed + batch.counts.parked).to_string(),
                batch.open_assets().to_string(),
                batch.spent.to_string(),
                when(batch.created),
                state_of(batch),
            ]
        })
        .collect();
    table(&["batch", "tenant", "done", "failed", "open", "spent", "created", "state"], &[2, 3, 4, 5], &rows)
}

/// One batch for people.
pub(crate) fn told(batch: &BatchState) -> String {
    let lines = [
        ("batch", batch.id.clone()),
        ("state", state_of(batch)),
        ("tenant", format!("{} ({})", batch.tenant, batch.band)),
        ("source", batch.source.clone()),
        ("rows", batch.sealed.map_or_else(|| "not all submitted yet".to_owned(), |rows| rows.to_string())),
        ("assets", batch.assets.to_string()),
        ("done", batch.counts.done.to_string()),
        ("failed", (batch.counts.failed + batch.counts.parked).to_string()),
        ("open", batch.open_assets().to_string()),
        ("spent", format!("{}, {} set aside", batch.spent, batch.reserved)),
        ("created", when(batch.created)),
        ("ended", batch.completed.map(when).unwrap_or_default()),
    ];
    lines
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| format!("{name:<8} {text}\n"))
        .collect()
}
