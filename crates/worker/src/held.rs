//! The assets this worker holds: what the lease thread re-asserts and the drain gives back.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use pictor_common::{
    AssetKey,
    queue::{Grant, HeldAsset, HeldPhase},
};

/// Assets in hand, by token.
#[derive(Debug, Default)]
pub(crate) struct Held {
    by_token: Mutex<HashMap<String, HeldAsset>>,
}

/// How much is held, by phase.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) claimed: usize,
    pub(crate) sent: usize,
    pub(crate) received: usize,
    pub(crate) sent_by_lane: BTreeMap<String, usize>,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, HeldAsset>> {
        self.by_token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a claimed asset.
    pub(crate) fn claimed(&self, grant: &Grant) {
        let held = HeldAsset {
            key: grant.key.clone(),
            token: grant.token.clone(),
            phase: HeldPhase::Claimed,
            lane: grant.lane.clone(),
            payer: grant.payer.clone(),
            tenant: grant.tenant.clone(),
            ceiling: grant.ceiling,
            attempt: grant.attempts,
            deadline: 0,
        };
        self.lock().insert(grant.token.clone(), held);
    }

    /// Takes over what a dead worker held.
    pub(crate) fn adopt(&self, held: HeldAsset) {
        self.lock().insert(held.token.clone(), held);
    }

    /// Takes note that the request goes out.
    pub(crate) fn sent(&self, token: &str, attempt: u32, deadline: u64) {
        if let Some(held) = self.lock().get_mut(token) {
            held.phase = HeldPhase::Sent;
            held.attempt = attempt;
            held.deadline = deadline;
        }
    }

    /// Takes note that the image is on disk.
    pub(crate) fn received(&self, token: &str) {
        if let Some(held) = self.lock().get_mut(token) {
            held.phase = HeldPhase::Received;
        }
    }

    /// Lets an asset go.
    pub(crate) fn ended(&self, token: &str) {
        self.lock().remove(token);
    }

    /// Whether an asset is still in hand.
    pub(crate) fn has(&self, token: &str) -> bool {
        self.lock().contains_key(token)
    }

    /// All that is held now.
    pub(crate) fn all(&self) -> Vec<HeldAsset> {
        self.lock().values().cloned().collect()
    }

    /// How many are held now.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// How many are held now, by phase.
    pub(crate) fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for held in self.lock().values() {
            match held.phase {
                HeldPhase::Claimed => summary.claimed += 1,
                HeldPhase::Received => summary.received += 1,
                HeldPhase::Sent => {
                    summary.sent += 1;
                    *summary.sent_by_lane.entry(held.lane.clone()).or_default() += 1;
                }
            }
        }
        summary
    }

    /// What is held and not sent.
    pub(crate) fn unsent(&self) -> Vec<(AssetKey, String)> {
        let lock = self.lock();
        let unsent = lock.values().filter(|held| held.phase == HeldPhase::Claimed);
        unsent.map(|held| (held.key.clone(), held.token.clone())).collect()
    }
}
