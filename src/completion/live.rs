//! Names that exist now, from the settings and from a queue that answers at once.
//!
//! Whoever presses TAB waits: what does not answer in time has no names, and says nothing.

use std::{collections::BTreeSet, ffi::OsStr, path::Path, time::Duration};

use pictor_common::{
    AssetKey,
    catalogue::Model,
    keys::Keys,
    queue::{BatchState, Queue, QueueError, WorkerState},
};
use pictor_producer::gallery;
use pictor_worker::verdict::FailureClass;
use serde::{Deserialize, Serialize};

use super::{Source, remembered};
use crate::{
    config::{self, Flags, Settings},
    private_redis,
    table::shortened,
    topology,
};

const PATIENCE: Duration = Duration::from_millis(200);
const MOST_BATCHES: usize = 50;
const MOST_ASSETS: usize = 100;
/// Digits of a key that people use.
const SHORT: usize = 12;
const MEANING: usize = 60;

/// A value, and what it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Name {
    pub(super) value: String,
    pub(super) meaning: String,
}

/// Which batches an argument is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batches {
    All,
    Open,
    Held,
}

impl Batches {
    fn wants(self, batch: &BatchState) -> bool {
        match self {
            Self::All => true,
            Self::Open => !batch.ended(),
            Self::Held => batch.held.is_some() && !batch.ended(),
        }
    }
}

/// What an argument may be now.
pub(super) fn names(source: Source, current: &OsStr, typed: &Flags) -> Vec<Name> {
    match source {
        Source::Words(words) => words.iter().map(|word| bare(*word)).collect(),
        Source::FailureClasses => FailureClass::ALL.into_iter().map(|class| bare(class.as_str())).collect(),
        Source::Profiles => config::profile_names(typed).into_iter().map(bare).collect(),
        Source::Templates => {
            let shipped = gallery::shipped().into_iter();
            shipped.map(|template| Name { value: template.name, meaning: template.description }).collect()
        }
        Source::Webhooks => {
            let settings = config::load(typed).map(|settings| settings.webhooks).unwrap_or_default();
            settings.into_keys().map(bare).collect()
        }
        // Files are another's business.
        Source::Manifests | Source::TemplateFiles | Source::Directories => Vec::new(),
        source => config::load(typed).map(|settings| set(source, current, &settings)).unwrap_or_default(),
    }
}

fn set(source: Source, current: &OsStr, settings: &Settings) -> Vec<Name> {
    match source {
        Source::Models => {
            let models = settings.catalogue.models();
            models.map(|model| Name { value: model.id.clone(), meaning: model.family.clone() }).collect()
        }
        Source::Sizes => of_models(settings, |model| model.sizes()),
        Source::Qualities => of_models(settings, |model| model.qualities()),
        Source::Formats => of_models(settings, |model| model.formats()),
        source => {
            let alive = in_time(queued(source, current, settings));
            alive.or_else(|| remembered::names(source, &settings.data_dir)).unwrap_or_default()
        }
    }
}

fn bare(value: impl Into<String>) -> Name {
    Name { value: value.into(), ..Name::default() }
}

fn of_models(settings: &Settings, values: impl Fn(&Model) -> &[String]) -> Vec<Name> {
    let all: BTreeSet<&String> = settings.catalogue.models().flat_map(values).collect();
    all.into_iter().map(bare).collect()
}

/// Gives up when it takes too long; what is left of it ends with the process.
fn in_time<T>(asking: impl Future<Output = Option<T>>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await.ok().flatten() });
    // A name that is still being resolved must not hold us.
    runtime.shutdown_background();
    answer
}

/// Keeps the names of a private server that is about to end, for as long as it is not there.
pub(crate) async fn remember(queue: &Queue, data_dir: &Path) {
    if let Err(error) = remembered::write(queue, data_dir).await {
        tracing::debug!(%error, "names for completion were not kept");
    }
}

async fn queued(source: Source, current: &OsStr, settings: &Settings) -> Option<Vec<Name>> {
    let redis = match topology::of(&settings.redis).ok()? {
        Some(redis) => redis,
        None => private_redis::running(&settings.data_dir)?.into(),
    };
    let queue = Queue::peek(redis, Keys::new(&settings.redis.namespace).ok()?).await.ok()??;
    asked(source, current, &queue).await.ok()
}

pub(super) async fn asked(source: Source, current: &OsStr, queue: &Queue) -> Result<Vec<Name>, QueueError> {
    Ok(match source {
        Source::Batches(which) => {
            let batches = queue.batches(MOST_BATCHES).await?;
            batches.iter().filter(|batch| which.wants(batch)).map(batch).collect()
        }
        Source::Tenants => {
            let batches = queue.batches(MOST_BATCHES).await?;
            let tenants: BTreeSet<String> = batches.into_iter().map(|batch| batch.tenant).collect();
            tenants.into_iter().map(bare).collect()
        }
        Source::Schedules => {
            queue.schedules().await?.into_iter().map(|schedule| bare(schedule.name)).collect()
        }
        Source::Lanes => {
            let lanes = queue.lanes().await?;
            lanes
                .into_iter()
                .map(|lane| Name { value: lane.name, meaning: lane.paused.unwrap_or_default() })
                .collect()
        }
        Source::Workers => {
            let known = queue.workers().await?.workers;
            let name = |worker: WorkerState| Name {
                meaning: format!("{}:{}", worker.beat.host, worker.beat.pid),
                value: worker.incarnation,
            };
            known.into_iter().map(name).collect()
        }
        Source::Failures => failures(queue, if current.len() > SHORT { usize::MAX } else { SHORT }).await?,
        Source::Assets => {
            let mut names = failures(queue, usize::MAX).await?;
            for batch in queue.batches(2).await? {
                let Ok(id) = batch.id.parse() else { continue };
                let members = queue.members(&id, 0, MOST_ASSETS).await?;
                let ours =
                    |key: AssetKey| Name { value: key.to_string(), meaning: format!("in {}", batch.id) };
                names.extend(members.into_iter().map(ours));
            }
            let mut seen = BTreeSet::new();
            names.retain(|name| seen.insert(name.value.clone()));
            names
        }
        _ => Vec::new(),
    })
}

fn batch(batch: &BatchState) -> Name {
    let done = format!("{} of {} done", batch.counts.done, batch.assets);
    let failed = batch.counts.failed + batch.counts.parked;
    let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    Name { value: batch.id.clone(), meaning: format!("{done}{failed}, {}", batch.source) }
}

async fn failures(queue: &Queue, digits: usize) -> Result<Vec<Name>, QueueError> {
    let failures = queue.failures(0, MOST_ASSETS).await?;
    let named = failures.into_iter().map(|(key, state)| {
        let failure = state.failure.unwrap_or_default();
        Name {
            value: key.as_str().chars().take(digits).collect(),
            meaning: shortened(&format!("{}: {}", failure.class, failure.message), MEANING),
        }
    });
    Ok(named.collect())
}
