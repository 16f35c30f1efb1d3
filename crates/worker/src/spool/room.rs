//! Whether the spool's disk has room for what a worker may receive: without it nothing is claimed.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// What an image takes until one came: a PNG of 1536x1024 with much detail.
const FIRST_GUESS: u64 = 4 << 20;

/// The disk of a spool, as far as this process needs it.
#[derive(Debug)]
pub(crate) struct Room {
    dir: PathBuf,
    /// Bytes that are left to others.
    keep_free: u64,
    /// Bytes of the largest image so far.
    largest: AtomicU64,
    full: AtomicBool,
}

impl Room {
    pub(crate) const fn new(dir: PathBuf, keep_free: u64) -> Self {
        Self { dir, keep_free, largest: AtomicU64::new(FIRST_GUESS), full: AtomicBool::new(false) }
    }

    /// Learns how large images are.
    pub(crate) fn note(&self, bytes: u64) {
        self.largest.fetch_max(bytes, Ordering::Relaxed);
    }

    /// How many images fit; blocks for a moment. A disk that does not tell what is free is taken to have room: writing
    /// to it tells.
    pub(crate) fn places(&self) -> usize {
        let disk = rustix::fs::statvfs(&self.dir);
        disk.map_or(usize::MAX, |disk| self.fitting(disk.f_bavail.saturating_mul(disk.f_frsize)))
    }

    /// Images that fit into so many free bytes.
    fn fitting(&self, free: u64) -> usize {
        let images = free.saturating_sub(self.keep_free) / self.largest.load(Ordering::Relaxed);
        usize::try_from(images).unwrap_or(usize::MAX)
    }

    /// Takes note that the disk is full, or is not any more; whether that is news.
    pub(crate) fn is_full(&self, full: bool) -> bool {
        self.full.swap(full, Ordering::Relaxed) != full
    }

    /// Whether the disk was full at the last look.
    pub(crate) fn full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_what_is_kept_free_have_their_room() {
        let dir = tempfile::tempdir().unwrap();
        let room = Room::new(dir.path().to_owned(), 100 << 20);
        assert_eq!([room.fitting(0), room.fitting(103 << 20), room.fitting(140 << 20)], [0, 0, 10]);
        room.note(1 << 20);
        assert_eq!(room.fitting(140 << 20), 10);
        room.note(20 << 20);
        assert_eq!(room.fitting(140 << 20), 2);

        assert!(room.places() > 0, "a disk with more than 120 MiB free");
        assert_eq!(Room::new(dir.path().to_owned(), u64::MAX).places(), 0);
        assert_eq!(Room::new(dir.path().join("gone"), u64::MAX).places(), usize::MAX);
    }

    #[test]
    fn news_are_told_once() {
        let room = Room::new(PathBuf::new(), 0);
        assert_eq!([false, true, true, false].map(|full| room.is_full(full)), [false, true, false, true]);
    }
}
