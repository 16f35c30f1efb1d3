//! `pictor failed`: looks at what failed, by cause, and tries it again or gives it up.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use pictor_common::{
    AssetKey,
    queue::{AssetState, FailureAction, Queue},
};
use serde::Serialize;
use serde_json::json;

use super::{Context, when};
use crate::{
    exit::{Exit, refused},
    table::{shortened, table},
};

const PAGE: usize = 500;
/// The phase of what ended with an outcome that nobody knows.
pub(crate) const PARKED: &str = "parked";

#[derive(Debug, Subcommand)]
pub(crate) enum FailedCommand {
    /// Failures grouped by cause
    List {
        /// One line for each failure
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        which: Which,
    },
    /// One failure, with everything known of it
    Show {
        /// The asset key, or its first digits
        key: String,
    },
    /// Try again
    Retry(Which),
    /// Take off the list
    Discard(Which),
}

/// Which failures.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Which {
    /// Asset keys, or their first digits; without any, all
    keys: Vec<String>,
    /// Only those of this class
    #[arg(long)]
    class: Option<String>,
    /// Only those of this model
    #[arg(long)]
    model: Option<String>,
    /// Only those that are parked: they may have been billed
    #[arg(long)]
    parked: bool,
    /// All of them, where no key and no filter says which
    #[arg(long = "everything")]
    everything: bool,
}

/// Failures of one cause.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Group {
    class: String,
    code: Option<String>,
    model: String,
    phase: String,
    count: u64,
    message: String,
    example: String,
    /// A request for each may have been billed, and nobody knows.
    perhaps_billed: bool,
}

pub(crate) async fn run(command: FailedCommand, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let done = Box::pin(perform(command, context, &opened.queue)).await;
    opened.close().await?;
    done
}

async fn perform(command: FailedCommand, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    match command {
        FailedCommand::List { all, which } => list(all, &which, context, queue).await,
        FailedCommand::Show { key } => show(&key, context, queue).await,
        FailedCommand::Retry(which) => act(&which, FailureAction::Retry, context, queue).await,
        FailedCommand::Discard(which) => act(&which, FailureAction::Discard, context, queue).await,
    }
}

impl Which {
    /// Those of one class and model.
    pub(crate) fn of(class: &str, model: &str) -> Self {
        Self { class: Some(class.to_owned()), model: Some(model.to_owned()), ..Self::default() }
    }

    fn wants(&self, key: &AssetKey, state: &AssetState) -> bool {
        let failure = state.failure.clone().unwrap_or_default();
        (self.keys.is_empty() || self.keys.iter().any(|digits| key.as_str().starts_with(digits.as_str())))
            && self.class.as_ref().is_none_or(|class| *class == failure.class)
            && self.model.as_ref().is_none_or(|model| *model == failure.model)
            && (!self.parked || state.phase == PARKED)
    }
}

/// Visits every failure that is wanted.
async fn each(
    which: &Which,
    queue: &Queue,
    mut visit: impl FnMut(AssetKey, AssetState) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut first = 0;
    loop {
        let page = queue.failures(first, PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        first += PAGE;
        for (key, state) in page {
            if which.wants(&key, &state) {
                visit(key, state)?;
            }
        }
    }
}

/// Groups failures by cause, the most frequent first.
pub(crate) fn groups(failures: impl IntoIterator<Item = (AssetKey, AssetState)>) -> Vec<Group> {
    let mut groups = Groups::default();
    for (key, state) in failures {
        groups.add(&key, state);
    }
    groups.sorted()
}

#[derive(Debug, Default)]
struct Groups(BTreeMap<(String, Option<String>, String, String), Group>);

impl Groups {
    fn add(&mut self, key: &AssetKey, state: AssetState) {
        let failure = state.failure.unwrap_or_default();
        let name = (failure.class.clone(), failure.code.clone(), failure.model.clone(), state.phase.clone());
        let group = self.0.entry(name).or_insert_with(|| Group {
            class: failure.class,
            code: failure.code,
            model: failure.model,
            perhaps_billed: state.phase == PARKED,
            phase: state.phase,
            message: failure.message,
            example: key.to_string(),
            count: 0,
        });
        group.count += 1;
    }

    fn sorted(self) -> Vec<Group> {
        let mut groups: Vec<Group> = self.0.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
    }
}

async fn list(all: bool, which: &Which, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    if all {
        return list_all(which, context, queue).await;
    }
    let mut groups = Groups::default();
    each(which, queue, |key, state| {
        groups.add(&key, state);
        Ok(())
    })
    .await?;
    let groups = groups.sorted();
    context.output.result(&groups, || grouped(&groups))?;
    Ok(Exit::Done)
}

async fn list_all(which: &Which, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let mut rows = Vec::new();
    each(which, queue, |key, state| {
        rows.push((key, state.phase, state.failure.unwrap_or_default()));
        Ok(())
    })
    .await?;
    let values: Vec<_> = rows
        .iter()
        .map(|(key, phase, failure)| json!({ "key": key, "phase": phase, "failure": failure }))
        .collect();
    context.output.result(&values, || {
        let cells = rows.iter().map(|(key, phase, failure)| {
            vec![
                key.short().to_owned(),
                phase.clone(),
                failure.class.clone(),
                failure.model.clone(),
                when(failure.at_ms * 1_000),
                shortened(&failure.message, 60),
            ]
        });
        let parked = rows.iter().filter(|(_, phase, _)| phase == PARKED).count() as u64;
        table(&["key", "ended", "class", "model", "when", "message"], &[], &cells.collect::<Vec<_>>())
            + &of_parked(parked)
    })?;
    Ok(Exit::Done)
}

/// Groups for people.
pub(crate) fn grouped(groups: &[Group]) -> String {
    if groups.is_empty() {
        return "nothing failed".to_owned();
    }
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|group| {
            let class = group
                .code
                .as_ref()
                .map_or_else(|| group.class.clone(), |code| format!("{} ({code})", group.class));
            vec![
                group.count.to_string(),
                group.phase.clone(),
                class,
                group.model.clone(),
                group.example.get(..12).unwrap_or_default().to_owned(),
                shortened(&group.message, 60),
            ]
        })
        .collect();
    let parked = groups.iter().filter(|group| group.perhaps_billed).map(|group| group.count).sum();
    table(&["count", "ended", "class", "model", "example", "message"], &[0], &rows) + &of_parked(parked)
}

/// What to do about parked assets; nothing where there are none.
fn of_parked(count: u64) -> String {
    if count == 0 {
        return String::new();
    }
    format!(
        "{count} parked: a request for each was sent and may have been billed, and no image came. Look them up in the provider's \
         records (pictor ledger reconcile INVOICE.csv, pictor ledger show KEY); pictor failed retry --parked sends them again, \
         and may pay twice; pictor failed discard --parked gives them up\n"
    )
}

async fn show(digits: &str, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let which = Which { keys: vec![digits.to_owned()], ..Which::default() };
    let mut found = None;
    each(&which, queue, |key, state| {
        if found.replace((key, state)).is_some() {
            return Err(refused(format!("several failures begin with {digits}; give more digits")));
        }
        Ok(())
    })
    .await?;
    let Some((key, state)) = found else {
        return Err(refused(format!("no failure begins with {digits}; pictor failed list --all names them")));
    };
    context.output.result(&json!({ "key": key, "asset": state }), || super::asset::told(&key, &state))?;
    Ok(Exit::Done)
}

/// The failures that are wanted, and how many of them are parked.
pub(crate) async fn chosen(which: &Which, queue: &Queue) -> anyhow::Result<(Vec<AssetKey>, u64)> {
    let (mut keys, mut parked) = (Vec::new(), 0);
    each(which, queue, |key, state| {
        keys.push(key);
        parked += u64::from(state.phase == PARKED);
        Ok(())
    })
    .await?;
    Ok((keys, parked))
}

/// What became of failures that were acted on.
pub(crate) struct Acted {
    pub(crate) found: usize,
    pub(crate) changed: u64,
    pub(crate) parked: u64,
}

/// Retries or discards the failures that are wanted.
pub(crate) async fn acted(which: &Which, action: FailureAction, queue: &Queue) -> anyhow::Result<Acted> {
    let (keys, parked) = chosen(which, queue).await?;
    let changed = queue.act_on_failures(&keys, action).await?;
    Ok(Acted { found: keys.len(), changed, parked })
}

async fn act(which: &Which, action: FailureAction, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let named = !which.keys.is_empty() || which.class.is_some() || which.model.is_some() || which.parked;
    if !named && !which.everything {
        return Err(refused("say which: keys, --class, --model, --parked, or --everything"));
    }
    let Acted { found, changed, parked } = acted(which, action, queue).await?;
    let word = match action {
        FailureAction::Retry => "to be tried again",
        FailureAction::Discard => "discarded",
    };
    context
        .output
        .result(&json!({ "found": found, "changed": changed, "parked": parked }), || match (action, parked) {
            (FailureAction::Retry, 1..) => {
                format!("{changed} {word}; {parked} of them may have been billed already, and may be paid twice now")
            }
            _ => format!("{changed} {word}"),
        })?;
    Ok(Exit::Done)
}
