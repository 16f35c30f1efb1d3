//! Notes of what a Redis that goes back in time may forget.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

const MOST: usize = 50_000;

/// Notes in the order they were taken, some time of them.
#[derive(Debug)]
pub(crate) struct Notes<T> {
    kept: Duration,
    notes: VecDeque<Note<T>>,
}

#[derive(Debug)]
struct Note<T> {
    at: Instant,
    wall_ms: u64,
    of: T,
}

impl<T: Clone> Notes<T> {
    /// None yet; each is kept for so long, and no more than a bounded number.
    pub(crate) fn kept(kept: Duration) -> Self {
        Self { kept, notes: VecDeque::new() }
    }

    /// Takes a note. `answered` is when a Redis that knows all older ones last answered: the time of an outage makes no
    /// note older, since it may be forgotten as it comes back.
    pub(crate) fn push(&mut self, at: Instant, wall_ms: u64, answered: Option<Instant>, of: T) {
        self.prune(answered);
        if self.notes.len() >= MOST {
            self.notes.pop_front();
        }
        self.notes.push_back(Note { at, wall_ms, of });
    }

    /// All that may be forgotten, the newest first.
    pub(crate) fn newest_first(&mut self, answered: Option<Instant>) -> Vec<T> {
        self.prune(answered);
        self.notes.iter().rev().map(|note| note.of.clone()).collect()
    }

    /// When the oldest was taken, in milliseconds since 1970.
    pub(crate) fn oldest_ms(&self) -> Option<u64> {
        self.notes.iter().map(|note| note.wall_ms).min()
    }

    fn prune(&mut self, answered: Option<Instant>) {
        let Some(answered) = answered else { return };
        let is_old = |note: &Note<T>| answered.saturating_duration_since(note.at) > self.kept;
        let old = self.notes.iter().take_while(|note| is_old(note)).count();
        self.notes.drain(..old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Duration = Duration::from_secs(30);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn an_outage_makes_no_note_older() {
        let began = Instant::now();
        let mut notes = Notes::kept(KEPT);
        notes.push(began, 1_000, Some(began), 'a');
        notes.push(began + seconds(1), 2_000, Some(began), 'b');
        // Redis is away for ten minutes, and the first word to it afterwards is noted before it is told the rest.
        notes.push(began + seconds(600), 600_000, Some(began + seconds(1)), 'c');
        assert_eq!(notes.newest_first(Some(began + seconds(1))), ['c', 'b', 'a']);
        assert_eq!(notes.oldest_ms(), Some(1_000));
    }

    #[test]
    fn what_redis_has_known_for_long_is_let_go() {
        let began = Instant::now();
        let mut notes = Notes::kept(KEPT);
        notes.push(began, 0, None, 'a');
        notes.push(began + seconds(10), 0, None, 'b');
        assert_eq!(notes.newest_first(Some(began + KEPT)), ['b', 'a']);
        assert_eq!(notes.newest_first(Some(began + seconds(31))), ['b']);
        assert!(notes.newest_first(Some(began + seconds(41))).is_empty());
    }

    #[test]
    fn there_is_a_most() {
        let mut notes = Notes::kept(KEPT);
        for note in 0..=MOST {
            notes.push(Instant::now(), 0, None, note);
        }
        let kept = notes.newest_first(None);
        assert_eq!((kept.len(), kept.first(), kept.last()), (MOST, Some(&MOST), Some(&1)));
    }
}
