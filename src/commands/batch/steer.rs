//! Changes batches: all are checked before any is changed, and each is told before and after.

use pictor_common::{
    batch::{Band, BatchId},
    queue::{BatchState, Moved, Note, Queue},
};
use serde::Serialize;

use super::state_of;
use crate::{
    commands::{Context, batch_id},
    config::who,
    exit::{Exit, refused},
};

/// What is done to a batch.
#[derive(Debug)]
pub(super) enum Change {
    Cancel(String),
    Pause(String),
    Resume,
    Band(Band, String),
}

#[derive(Debug, Serialize)]
struct Changed {
    batch: String,
    did: &'static str,
    changed: bool,
    before: String,
    after: String,
}

/// Changes batches, or refuses and changes none.
pub(super) async fn change(
    names: &[String],
    change: &Change,
    context: &Context,
    queue: &Queue,
) -> anyhow::Result<Exit> {
    let mut ids: Vec<BatchId> = Vec::with_capacity(names.len());
    for name in names {
        let id = batch_id(name)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let before = queue.batch_states(&ids).await?;
    let wrong: Vec<String> = ids.iter().filter_map(|id| change.refuses(id, find(&before, id))).collect();
    if !wrong.is_empty() {
        let none = if ids.len() > 1 { "\nno batch was changed" } else { "" };
        return Err(refused(wrong.join("\n") + none));
    }
    for id in &ids {
        change.carry_out(id, queue).await?;
    }
    let after = queue.batch_states(&ids).await?;
    let changed: Vec<Changed> = ids
        .iter()
        .filter_map(|id| {
            let (before, after) = (change.shown(find(&before, id)?), change.shown(find(&after, id)?));
            Some(Changed {
                batch: id.to_string(),
                did: change.did(),
                changed: before != after,
                before,
                after,
            })
        })
        .collect();
    let who = who();
    for one in changed.iter().filter(|one| one.changed) {
        let of = format!("batch {}", one.batch);
        queue.note(&Note { who: &who, what: one.did, of: &of, count: 1, why: change.reason() }).await?;
    }
    context.output.result(&changed, || changed.iter().map(told).collect())?;
    Ok(Exit::Done)
}

fn find<'s>(states: &'s [BatchState], id: &BatchId) -> Option<&'s BatchState> {
    states.iter().find(|state| state.id == id.as_str())
}

fn told(changed: &Changed) -> String {
    let Changed { batch, before, after, .. } = changed;
    if changed.changed {
        format!("{batch}: {before} -> {after}\n")
    } else {
        format!("{batch}: {after} (as before)\n")
    }
}

fn unknown(id: &BatchId) -> String {
    format!("batch {id} is unknown; pictor batch list names those there are")
}

impl Change {
    const fn did(&self) -> &'static str {
        match self {
            Self::Cancel(_) => "cancelled",
            Self::Pause(_) => "paused",
            Self::Resume => "resumed",
            Self::Band(..) => "moved",
        }
    }

    const fn reason(&self) -> &str {
        match self {
            Self::Cancel(reason) | Self::Pause(reason) | Self::Band(_, reason) => reason.as_str(),
            Self::Resume => "",
        }
    }

    /// What of a batch this changes.
    fn shown(&self, batch: &BatchState) -> String {
        match self {
            Self::Band(..) => batch.band.clone(),
            Self::Cancel(_) | Self::Pause(_) | Self::Resume => state_of(batch),
        }
    }

    fn refuses(&self, id: &BatchId, batch: Option<&BatchState>) -> Option<String> {
        let Some(batch) = batch else { return Some(unknown(id)) };
        let again = matches!(self, Self::Cancel(_)) && batch.state == "cancelled";
        if !batch.ended() || again {
            return None;
        }
        let ended = if batch.state == "cancelled" { "was cancelled" } else { "is complete" };
        let nothing = match self {
            Self::Cancel(_) => "there is nothing to cancel",
            Self::Pause(_) => "there is nothing to pause",
            Self::Resume => "it does not go on by itself: submit its file again with another --run-id",
            Self::Band(..) => "nothing of it waits",
        };
        Some(format!("batch {id} {ended}: {nothing}"))
    }

    async fn carry_out(&self, id: &BatchId, queue: &Queue) -> anyhow::Result<()> {
        let done = match self {
            Self::Cancel(reason) => queue.cancel(id, reason).await?,
            Self::Pause(reason) => queue.hold(id, Some(reason)).await?,
            Self::Resume => queue.hold(id, None).await?,
            Self::Band(band, reason) => match queue.prioritise(id, *band, reason).await? {
                Moved::From(_) | Moved::Same => true,
                Moved::Ended | Moved::Missing => false,
            },
        };
        if done { Ok(()) } else { Err(refused(format!("batch {id} has ended meanwhile"))) }
    }
}
