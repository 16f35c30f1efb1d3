//! Says how far a long look is, to whoever watches.

use std::time::{Duration, Instant};

use crate::output::Output;

/// So often it is said.
const EVERY: Duration = Duration::from_secs(2);

/// How far a look through failures is.
pub(super) struct Progress<'o> {
    output: &'o Output,
    all: u64,
    seen: u64,
    told: Instant,
}

impl<'o> Progress<'o> {
    pub(super) fn of(output: &'o Output, all: u64) -> Self {
        Self { output, all, seen: 0, told: Instant::now() }
    }

    /// So many more were looked at, and so many fit so far.
    pub(super) fn seen(&mut self, more: usize, found: usize) {
        self.seen += more as u64;
        if self.output.terminal && self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            let (seen, all) = (self.seen, self.all.max(self.seen));
            self.output.note(&format!("looked at {seen} of {all} failures, {found} fit"));
        }
    }
}
