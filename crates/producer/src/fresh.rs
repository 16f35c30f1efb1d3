//! A file that appears whole under its name, or not at all.
//!
//! It is written beside its place and locked meanwhile. What a killed process left there is locked by nobody, and the
//! next one that writes the same file removes it.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// Ends the names of files that are on their way.
const PART: &str = ".part";
/// Times that a name is taken away from us by somebody who thought it left behind.
const TRIES: u32 = 10;

/// A file on its way; removed unless it arrives.
#[derive(Debug)]
pub struct Fresh {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Fresh {
    /// Begins a file that will be `target`, and removes what killed processes left of it.
    pub fn of(target: &Path) -> io::Result<Self> {
        sweep(target);
        let process = std::process::id();
        for number in 0..TRIES {
            let path = target.with_added_extension(format!("{process}-{number}{PART}"));
            let file = match File::create_new(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            match file.try_lock() {
                // Between making and locking it somebody may have removed it.
                Ok(()) if fs::symlink_metadata(&path).is_ok() => {
                    return Ok(Self { file, path, target: target.to_owned() });
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                // A file system without locks: nobody sweeps there either.
                Err(TryLockError::Error(_)) => return Ok(Self { file, path, target: target.to_owned() }),
            }
        }
        Err(io::Error::other("others write the same file; try again"))
    }

    /// The file, to write to.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Where it is meanwhile.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets it appear under its name, in place of what is there; a link there is replaced, not followed.
    pub fn arrive(self) -> io::Result<()> {
        fs::rename(&self.path, &self.target)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // Mostly it arrived.
        let _gone = fs::remove_file(&self.path);
    }
}

/// Removes files on their way to a name that no process holds any more.
fn sweep(target: &Path) {
    let (Some(parent), Some(name)) = (target.parent(), target.file_name().and_then(|name| name.to_str()))
    else {
        return;
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let marked =
            found.to_str().and_then(|found| found.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(PART));
        let is_plain = entry.file_type().is_ok_and(|kind| kind.is_file());
        if marked.is_some_and(is_mark) && is_plain {
            let removed = File::open(entry.path()).and_then(|file| match file.try_lock() {
                Ok(()) => fs::remove_file(entry.path()),
                Err(_held) => Ok(()),
            });
            if let Err(error) = removed {
                tracing::debug!(%error, "a leftover stays");
            }
        }
    }
}

/// `PROCESS-NUMBER`, and what earlier versions wrote: `PROCESS` or a ULID.
fn is_mark(mark: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let ulid =
        mark.len() == 26 && mark.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    ulid || digits(mark)
        || mark.split_once('-').is_some_and(|(process, number)| digits(process) && digits(number))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn leftovers_go_and_what_others_write_stays() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("results.csv");
        let ulid = "results.csv.01JDJ0000000000000000000AB.part";
        for left in ["results.csv.4711.part", "results.csv.4711-0.part", ulid] {
            fs::write(dir.path().join(left), "half a").unwrap();
        }
        let kept = ["results.csv.mine.part", "results.csv.old", "results.csv2.4711.part"];
        for kept in kept {
            fs::write(dir.path().join(kept), "a").unwrap();
        }
        let other = Fresh::of(&target).unwrap();
        let own = Fresh::of(&target).unwrap();
        assert_eq!(names(dir.path()).len(), kept.len() + 2, "{:?}", names(dir.path()));
        own.file().unwrap().write_all(b"whole").unwrap();
        own.arrive().unwrap();
        drop(other);
        assert_eq!(names(dir.path()), ["results.csv", kept[0], kept[1], kept[2]]);
        assert_eq!(fs::read_to_string(target).unwrap(), "whole");
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (target, outside) = (dir.path().join("results.csv"), dir.path().join("mine"));
        fs::write(&outside, "mine").unwrap();
        std::os::unix::fs::symlink(&outside, &target).unwrap();
        let fresh = Fresh::of(&target).unwrap();
        fresh.file().unwrap().write_all(b"whole").unwrap();
        fresh.arrive().unwrap();
        assert_eq!(fs::read_to_string(outside).unwrap(), "mine");
        assert!(fs::symlink_metadata(target).unwrap().is_file());
    }
}
