//! Failures of one batch, grouped by cause.

use std::collections::BTreeMap;

use pictor_common::{
    AssetKey,
    batch::BatchId,
    queue::{AssetState, Queue, QueueError, Trait},
};
use serde::Serialize;

use super::PARKED;
use crate::table::{plain, shortened, table};

/// Failures that one look brings, and looks.
const PAGE: usize = 500;
const PAGES: usize = 40;
/// Failures that are grouped.
const GROUPED: u64 = 1_000;

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

impl Group {
    /// In one line.
    pub(crate) fn in_short(&self) -> String {
        let Self { count, class, .. } = self;
        format!("{count} {class}: {}", shortened(&self.message, 100))
    }
}

/// The newest failures of a batch by cause, the most frequent first; and whether there are more than were looked at.
///
/// Redis counts failures by cause and by batch, and not by both.
pub(crate) async fn of_batch(batch: &BatchId, queue: &Queue) -> Result<(Vec<Group>, bool), QueueError> {
    let traits = [Trait::Batch(batch.clone())];
    let (mut groups, mut after, mut found) = (Groups::default(), None, 0);
    for _page in 0..PAGES {
        let page = queue.failures_with(&traits, 0, after.as_ref(), PAGE).await?;
        for (place, state) in queue.failed_assets(&page.found).await? {
            groups.add(&place.key, state);
            found += 1;
        }
        after = page.next;
        if after.is_none() || found >= GROUPED {
            break;
        }
    }
    Ok((groups.sorted(), after.is_some()))
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
                shortened(&plain(&group.message), 60),
            ]
        })
        .collect();
    let parked = groups.iter().filter(|group| group.perhaps_billed).map(|group| group.count).sum();
    table(&["count", "ended", "class", "model", "example", "message"], &[0], &rows) + &of_parked(parked)
}

/// What to do about parked assets; nothing where there are none.
pub(super) fn of_parked(count: u64) -> String {
    if count == 0 {
        return String::new();
    }
    format!(
        "{count} parked: a request for each was sent and may have been billed, and no image came. Look them up in the provider's \
         records (pictor ledger reconcile INVOICE.csv, pictor ledger show KEY); pictor failed retry --parked sends them again, \
         and may pay twice; pictor failed discard --parked gives them up\n"
    )
}
