//! `pictor batch`: lists batches, shows one, and steers them.

mod show;
pub(crate) mod steer;

use clap::{Args, Subcommand, ValueEnum};
use pictor_common::{
    batch::{Band, OnUnknown},
    queue::{BatchState, Queue, TENANT_CAP, TENANT_DAY_CAP},
};

use super::{Context, watch::shown, when};
use crate::{
    exit::Exit,
    table::{some_of, table},
};
pub(crate) use show::show;
use steer::Change;

#[derive(Debug, Subcommand)]
pub(crate) enum BatchCommand {
    /// The newest batches
    List {
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// One batch: routes, lanes, pace, cost, failures, and why it waits
    Show {
        /// The batch
        batch: String,
    },
    /// Give batches up; what is sent is finished, stored and charged
    Cancel {
        #[command(flatten)]
        which: Batches,
        /// Why, for others to read
        #[arg(long, value_parser = super::reason, default_value = "cancelled by hand")]
        reason: String,
    },
    /// Let batches wait; what is sent is finished
    #[command(alias = "hold")]
    Pause {
        #[command(flatten)]
        which: Batches,
        /// Why, for others to read
        #[arg(long, value_parser = super::reason, default_value = "paused by hand")]
        reason: String,
    },
    /// Let paused batches go on
    Resume {
        #[command(flatten)]
        which: Batches,
    },
    /// Move batches to another band: a share of the workers, never an absolute order
    #[command(
        after_help = "Of 21 images that may be sent, 16 go to interactive, 4 to normal and 1 to bulk, while all three have work."
    )]
    Priority {
        #[command(flatten)]
        which: Batches,
        /// The band
        band: BandName,
        /// Why, for others to read
        #[arg(long, value_parser = super::reason, default_value = "moved by hand")]
        reason: String,
    },
}

/// Which batches.
#[derive(Debug, Args)]
pub(crate) struct Batches {
    /// The batches; all of them are checked before any is changed
    #[arg(required = true, value_name = "BATCH")]
    batches: Vec<String>,
}

/// A band, as people name it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BandName {
    /// Somebody waits for it
    #[value(alias = "high")]
    Interactive,
    Normal,
    Bulk,
}

impl From<BandName> for Band {
    fn from(name: BandName) -> Self {
        match name {
            BandName::Interactive => Self::Interactive,
            BandName::Normal => Self::Normal,
            BandName::Bulk => Self::Bulk,
        }
    }
}

pub(crate) async fn run(command: BatchCommand, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let done = Box::pin(perform(command, context, &opened.queue)).await;
    opened.close().await?;
    done
}

async fn perform(command: BatchCommand, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let (which, change) = match command {
        BatchCommand::List { limit } => {
            let batches = queue.batches(limit).await?;
            context.output.result(&batches, || list(&batches))?;
            return Ok(Exit::Done);
        }
        BatchCommand::Show { batch } => {
            Box::pin(show(&batch, context, queue)).await?;
            return Ok(Exit::Done);
        }
        BatchCommand::Cancel { which, reason } => (which, Change::Cancel(reason)),
        BatchCommand::Pause { which, reason } => (which, Change::Pause(reason)),
        BatchCommand::Resume { which } => (which, Change::Resume),
        BatchCommand::Priority { which, band, reason } => (which, Change::Band(band.into(), reason)),
    };
    steer::change(&which.batches, &change, context, queue).await
}

/// How a batch stands, in a few words.
pub(crate) fn state_of(batch: &BatchState) -> String {
    match (batch.held.as_deref(), batch.sealed) {
        _ if batch.state == "cancelled" => match &batch.reason {
            Some(reason) if batch.expired.is_some() => {
                format!("{}: {} given up", shown(reason), batch.open_assets())
            }
            Some(reason) => format!("cancelled: {}", shown(reason)),
            None => "cancelled".to_owned(),
        },
        (Some("cap"), _) if !batch.ended() => "paused: its cap is reached".to_owned(),
        (Some(TENANT_CAP), _) if !batch.ended() => "paused: its tenant's budget is reached".to_owned(),
        (Some(TENANT_DAY_CAP), _) if !batch.ended() => {
            "paused: its tenant's budget of the day is reached".to_owned()
        }
        (Some(reason), _) if !batch.ended() => format!("paused: {}", shown(reason)),
        (None, None) if !batch.ended() => "being submitted".to_owned(),
        _ => {
            let others = some_of(&[(batch.substituted, "substituted"), (batch.replaced, "replaced")]);
            format!("{}{others}", batch.state)
        }
    }
}

pub(crate) fn list(batches: &[BatchState]) -> String {
    if batches.is_empty() {
        return "no batches\n".to_owned();
    }
    let rows: Vec<Vec<String>> = batches
        .iter()
        .map(|batch| {
            let mut cells = counted(batch);
            cells.push(state_of(batch));
            cells
        })
        .collect();
    table(&[&COLUMNS[..], &["state"]].concat(), &RIGHT, &rows)
}

/// Titles of what [`counted`] gives.
pub(super) const COLUMNS: [&str; 8] =
    ["batch", "tenant", "band", "done", "failed", "open", "spent", "created"];
/// Those of them that are numbers.
pub(super) const RIGHT: [usize; 4] = [3, 4, 5, 6];

/// A batch in numbers.
pub(super) fn counted(batch: &BatchState) -> Vec<String> {
    vec![
        batch.id.clone(),
        batch.tenant.clone(),
        batch.band.clone(),
        batch.counts.done.to_string(),
        (batch.counts.failed + batch.counts.parked).to_string(),
        if batch.ended() { 0 } else { batch.open_assets() }.to_string(),
        batch.spent.to_string(),
        when(batch.created),
    ]
}

/// One batch for people.
pub(crate) fn told(batch: &BatchState) -> String {
    lines(&facts(batch))
}

/// What is known of a batch, by name.
pub(super) fn facts(batch: &BatchState) -> Vec<(&'static str, String)> {
    let moved = batch.band_reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let mut facts = vec![
        ("batch", batch.id.clone()),
        ("state", state_of(batch)),
        ("tenant", batch.tenant.clone()),
        ("band", format!("{}{moved}", batch.band)),
        ("source", batch.source.clone()),
        ("rows", batch.sealed.map_or_else(|| "not all submitted yet".to_owned(), |rows| rows.to_string())),
        ("assets", batch.assets.to_string()),
        ("done", batch.counts.done.to_string()),
        ("failed", batch.counts.failed.to_string()),
    ];
    if batch.counts.parked > 0 {
        let parked =
            format!("{}: they may have been billed; pictor failed list says what to do", batch.counts.parked);
        facts.push(("parked", parked));
    }
    if batch.replaced > 0 {
        facts.push(("replaced", format!("{} failures, by hand", batch.replaced)));
    }
    if let Some(model) = &batch.fallback {
        let so_far = if batch.substituted > 0 {
            format!(": {} substituted", batch.substituted)
        } else {
            String::new()
        };
        facts.push(("fallback", format!("{model}{so_far}")));
    }
    if batch.on_unknown.as_deref() == Some(OnUnknown::Park.as_str()) {
        facts.push((
            "unknown",
            "parks an image whose bill is unknown; nothing is sent again by itself".to_owned(),
        ));
    }
    facts.extend([
        ("open", if batch.ended() { 0 } else { batch.open_assets() }.to_string()),
        ("spent", format!("{}, {} set aside", batch.spent, batch.reserved)),
        ("cap", batch.cap.map(|cap| cap.to_string()).unwrap_or_default()),
        ("deadline", batch.deadline.map(when).unwrap_or_default()),
        ("created", when(batch.created)),
        ("ended", batch.completed.filter(|_| batch.ended()).map(when).unwrap_or_default()),
    ]);
    facts
}

/// Facts, one a line; what is empty is left out.
pub(super) fn lines(facts: &[(&'static str, String)]) -> String {
    let named = facts.iter().filter(|(_, text)| !text.is_empty());
    named.map(|(name, text)| format!("{name:<8} {text}\n")).collect()
}
