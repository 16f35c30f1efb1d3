//! Lanes whose API key the provider refused: this worker offers them no more until it has another key, or a
//! person lets the lane go on.
//!
//! Another worker's good key lifts the pause of the lane; without this, every lift would cost one more refusal.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What was refused, by lane.
#[derive(Debug, Default)]
pub(crate) struct Refused(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lanes: BTreeMap<String, Refusal>,
    /// How often people had let each lane go on when that was last looked at.
    resumed: HashMap<String, u64>,
}

#[derive(Debug)]
struct Refusal {
    /// Digest of the key.
    key: String,
    resumed: Option<u64>,
}

impl Refused {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a refusal; whether that is news.
    pub(crate) fn note(&self, lane: &str, key: &str) -> bool {
        let mut state = self.lock();
        let refusal = Refusal { key: key.to_owned(), resumed: state.resumed.get(lane).copied() };
        let before = state.lanes.insert(lane.to_owned(), refusal);
        before.is_none_or(|before| before.key != key)
    }

    /// Whether a lane's key was refused.
    pub(crate) fn has(&self, lane: &str) -> bool {
        self.lock().lanes.contains_key(lane)
    }

    /// All lanes whose key was refused.
    pub(crate) fn lanes(&self) -> Vec<String> {
        self.lock().lanes.keys().cloned().collect()
    }

    /// Takes note of the key a lane has now, and of how often people have let it go on; whether it is to be tried again.
    pub(crate) fn look(&self, lane: &str, key: Option<&str>, resumed: u64) -> bool {
        let mut state = self.lock();
        state.resumed.insert(lane.to_owned(), resumed);
        let Some(refusal) = state.lanes.get_mut(lane) else { return false };
        let seen = *refusal.resumed.get_or_insert(resumed);
        let again = seen != resumed || key.is_some_and(|key| key != refusal.key);
        if again {
            state.lanes.remove(lane);
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_key_is_tried_again_when_it_is_another_or_a_person_says_so() {
        let refused = Refused::default();
        assert!(!refused.look("a.m", Some("old"), 0));
        assert!(refused.note("a.m", "old"));
        assert!(!refused.note("a.m", "old"), "said once, however many requests were out");
        for _round in 0..3 {
            assert!(!refused.look("a.m", Some("old"), 0));
            assert!(!refused.look("a.m", None, 0), "no key is not another key");
        }
        assert!(refused.has("a.m") && !refused.has("b.m"));
        assert!(refused.look("a.m", Some("new"), 0));
        assert!(refused.lanes().is_empty());

        assert!(refused.note("a.m", "new"));
        assert!(refused.look("a.m", Some("new"), 1), "a person let the lane go on");
        assert!(!refused.has("a.m"));
        assert!(refused.note("a.m", "new"));
        assert!(!refused.look("a.m", Some("new"), 1), "what a person said before does not count");
    }

    #[test]
    fn a_refusal_before_the_first_look_counts_from_there() {
        let refused = Refused::default();
        refused.note("a.m", "old");
        assert!(!refused.look("a.m", Some("old"), 7));
        assert!(refused.look("a.m", Some("old"), 8));
    }
}
