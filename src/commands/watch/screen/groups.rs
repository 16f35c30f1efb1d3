//! Failures by group, as the screen shows them: by class and model, from a bounded page of the newest.

use pictor_common::queue::{Queue, QueueError};

use super::words::quoted;
use crate::commands::failed::{PARKED, Which};

/// Failures that are looked at.
const PAGE: usize = 500;

/// Failures of one cause, among those looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) class: String,
    pub(super) model: String,
    pub(super) count: u64,
    /// A request for each may have been billed.
    pub(super) parked: u64,
    /// The provider's words for the newest of them.
    pub(super) message: String,
    /// The newest of them.
    pub(super) example: String,
    /// When the newest failed, µs since 1970.
    pub(super) last: u64,
}

/// All groups, the most frequent first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Groups {
    pub(super) found: Vec<Group>,
    /// There are more failures than were looked at.
    pub(super) bounded: bool,
}

impl Group {
    /// What names it, also when it is looked at again.
    pub(super) fn id(&self) -> String {
        format!("{} {}", self.class, self.model)
    }

    /// Its failures, all there are.
    pub(super) fn which(&self) -> Which {
        Which::of(&self.class, &self.model)
    }

    /// What names it on the command line.
    pub(super) fn arguments(&self) -> String {
        format!("--class {} --model {}", quoted(&self.class), quoted(&self.model))
    }
}

/// Looks at the newest failures.
pub(super) async fn look(queue: &Queue) -> Result<Groups, QueueError> {
    let page = queue.failures(0, PAGE).await?;
    let bounded = page.len() >= PAGE;
    let mut found: Vec<Group> = Vec::new();
    for (key, state) in page {
        let failure = state.failure.unwrap_or_default();
        let same = |group: &&mut Group| group.class == failure.class && group.model == failure.model;
        let parked = u64::from(state.phase == PARKED);
        if let Some(group) = found.iter_mut().find(same) {
            group.count += 1;
            group.parked += parked;
            continue;
        }
        found.push(Group {
            class: failure.class,
            model: failure.model,
            count: 1,
            parked,
            message: failure.message,
            example: key.short().to_owned(),
            last: failure.at_ms * 1_000,
        });
    }
    found.sort_by_key(|group| std::cmp::Reverse(group.count));
    Ok(Groups { found, bounded })
}
