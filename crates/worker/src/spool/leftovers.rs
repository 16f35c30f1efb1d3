//! Counts what dead workers left in a spool, and changes nothing.

use std::{fs, io, path::Path};

use super::{DeadSpool, INCARNATION};

/// What lies in a spool directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Workers that live.
    pub live: usize,
    /// Workers that are dead and were not replayed.
    pub dead: usize,
    /// What these had begun and not ended.
    pub intents: usize,
    /// Complete images among that.
    pub images: usize,
    /// Directories kept aside, since an image in them belongs to no intent.
    pub kept: usize,
    /// Dead workers whose journal cannot be read.
    pub unreadable: usize,
}

/// Looks through a spool directory; none where there is no such directory.
pub fn leftovers(root: &Path) -> io::Result<Leftovers> {
    let mut found = Leftovers::default();
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if name.starts_with(".kept-") {
            found.kept += 1;
        } else if name.len() == INCARNATION && !name.starts_with('.') {
            found.look_into(&entry.path(), &name);
        }
    }
    Ok(found)
}

impl Leftovers {
    fn look_into(&mut self, dir: &Path, incarnation: &str) {
        // The lock is given back at the end: a worker that wants it just now comes again.
        let spool = match DeadSpool::take(dir, incarnation) {
            Ok(Some(spool)) => spool,
            Ok(None) => {
                self.live += 1;
                return;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_unreadable) => {
                self.unreadable += 1;
                return;
            }
        };
        self.dead += 1;
        match spool.open() {
            Ok(open) => {
                self.intents += open.len();
                self.images +=
                    open.iter().filter(|intent| spool.image(&intent.attempt.token).is_some()).count();
            }
            Err(_unreadable) => self.unreadable += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Spool;

    const LIVE: &str = "01JC0000000000000000000001";
    const DEAD: &str = "01JC0000000000000000000002";

    #[test]
    fn the_dead_are_counted_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(leftovers(&root.path().join("none")).unwrap(), Leftovers::default());
        let _alive = Spool::create(root.path(), LIVE).unwrap();
        drop(Spool::create(root.path(), DEAD).unwrap());
        fs::write(root.path().join(DEAD).join("journal"), "").unwrap();
        fs::create_dir(root.path().join(".kept-x")).unwrap();
        let expected = Leftovers { live: 1, dead: 1, kept: 1, ..Leftovers::default() };
        for _again in 0..2 {
            assert_eq!(leftovers(root.path()).unwrap(), expected);
        }
    }
}
