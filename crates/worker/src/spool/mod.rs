//! The spool: a worker's own disk, where intents are written before sending and images
//! lie until the store has them.
//!
//! Layout: `<spool>/<incarnation>/{lock,journal,<token>.img,<token>.img.told}`. Whoever can take the lock
//! of another incarnation knows that its process is dead.

mod journal;
mod leftovers;
mod record;
mod room;

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;
pub(crate) use journal::Journal;
pub use leftovers::{Leftovers, leftovers};
use record::ended;
pub(crate) use record::{Image, Open, Record, read_journal};
pub(crate) use room::Room;
use rustix::fs::{FlockOperation, flock};
use tracing::{error, warn};

/// Length of an incarnation's name, a ULID.
const INCARNATION: usize = 26;

/// What this process's part of the spool takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Complete images.
    pub(crate) images: u64,
    /// Bytes of all files.
    pub(crate) bytes: u64,
    /// Bytes that the disk has left.
    pub(crate) available: u64,
}

/// This process's part of the spool, locked while it lives.
#[derive(Debug)]
pub(crate) struct Spool {
    root: PathBuf,
    incarnation: String,
    _lock: File,
}

impl Spool {
    /// Makes the directory of a new incarnation and takes its lock.
    pub(crate) fn create(root: &Path, incarnation: &str) -> anyhow::Result<Self> {
        let create = || -> io::Result<File> {
            make_dir(root)?;
            // Locked before it gets its name, so that nobody takes it for a dead one.
            let fresh = root.join(format!(".{incarnation}.new"));
            make_dir(&fresh)?;
            let lock = lock_file(&fresh)?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            // Without their names what is synced to them is lost with the power.
            journal::new_file(&journal_in(&fresh))?;
            sync_dir(&fresh)?;
            fs::rename(&fresh, root.join(incarnation))?;
            sync_dir(root)?;
            Ok(lock)
        };
        let lock = create().with_context(|| format!("cannot use the spool directory {}", root.display()))?;
        Ok(Self { root: root.to_owned(), incarnation: incarnation.to_owned(), _lock: lock })
    }

    /// The incarnation's directory.
    pub(crate) fn dir(&self) -> PathBuf {
        self.root.join(&self.incarnation)
    }

    /// Where the image of an attempt is received.
    pub(crate) fn image(&self, token: &str) -> PathBuf {
        image_in(&self.dir(), token)
    }

    /// What it takes now.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let disk = rustix::fs::statvfs(self.dir())?;
        let mut usage = Usage { available: disk.f_bavail.saturating_mul(disk.f_frsize), ..Usage::default() };
        for entry in fs::read_dir(self.dir())? {
            let entry = entry?;
            match entry.metadata() {
                Ok(file) => usage.bytes += file.len(),
                // It went to the store just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            usage.images += u64::from(entry.path().extension().is_some_and(|extension| extension == "img"));
        }
        Ok(usage)
    }

    /// Takes the locks of incarnations whose process is dead.
    pub(crate) fn dead(&self) -> io::Result<Vec<DeadSpool>> {
        let mut dead = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.')
                || name == self.incarnation
                || name.len() != INCARNATION
                || !entry.file_type()?.is_dir()
            {
                continue;
            }
            match DeadSpool::take(&entry.path(), &name) {
                Ok(Some(spool)) => dead.push(spool),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => warn!(%error, name, "cannot look at an entry of the spool"),
            }
        }
        Ok(dead)
    }

    /// Removes the directory, once nothing in it is needed.
    pub(crate) fn remove(&self) -> io::Result<()> {
        remove_dir(&self.dir())
    }
}

/// The spool of a process that is certainly dead; held by its lock.
#[derive(Debug)]
pub(crate) struct DeadSpool {
    /// The dead incarnation.
    pub(crate) incarnation: String,
    dir: PathBuf,
    _lock: File,
}

impl DeadSpool {
    fn take(dir: &Path, incarnation: &str) -> io::Result<Option<Self>> {
        let lock = OpenOptions::new().read(true).write(true).open(dir.join("lock"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if dir.exists() => {
                Ok(Some(Self { incarnation: incarnation.to_owned(), dir: dir.to_owned(), _lock: lock }))
            }
            Ok(()) | Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What had begun and not ended.
    pub(crate) fn open(&self) -> io::Result<Vec<Open>> {
        read_journal(&journal_in(&self.dir))
    }

    /// The complete image of an attempt, if it had arrived.
    pub(crate) fn image(&self, token: &str) -> Option<PathBuf> {
        let path = image_in(&self.dir, token);
        path.exists().then_some(path)
    }

    /// Counts that an image is about to be decoded; returns how often that was begun and not survived.
    pub(crate) fn take_up(&self, token: &str) -> io::Result<usize> {
        let path = self.dir.join(format!("{token}.deaths"));
        let before = fs::metadata(&path).map(|m| m.len()).unwrap_or(0);
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        io::Write::write_all(&mut file, b"x")?;
        file.sync_all()?;
        Ok(usize::try_from(before).unwrap_or(usize::MAX))
    }

    /// Takes note that decoding an image did not kill this process.
    pub(crate) fn survived(&self, token: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(format!("{token}.deaths")))
    }

    /// Removes the directory, once all of it was replayed. An image that nobody knows of is kept aside.
    pub(crate) fn remove(self) -> io::Result<()> {
        if holds_image(&self.dir, &ended(&journal_in(&self.dir))?)? {
            let kept = self.dir.with_file_name(format!(".kept-{}", self.incarnation));
            error!(kept = %kept.display(), "an image in the spool of a dead worker belongs to no intent; it is kept there");
            return fs::rename(&self.dir, kept);
        }
        remove_dir(&self.dir)
    }
}

/// Whether there is an image of which nobody has said that nothing is left to do: one that was removed is there again
/// when the power failed before the disk knew.
fn holds_image(dir: &Path, ended: &BTreeSet<String>) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let token = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "img") && !ended.contains(&token) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes a directory of which nothing is needed: its images for good before the journal that tells of them.
fn remove_dir(dir: &Path) -> io::Result<()> {
    sync_dir(dir)?;
    fs::remove_dir_all(dir)
}

fn journal_in(dir: &Path) -> PathBuf {
    dir.join("journal")
}

fn image_in(dir: &Path, token: &str) -> PathBuf {
    dir.join(format!("{token}.img"))
}

/// Makes a directory and those above it, for good.
fn make_dir(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).count();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    path.ancestors().skip(1).take(missing).try_for_each(sync_dir)
}

/// Makes the names in a directory durable.
fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)?.sync_all()
}

fn lock_file(dir: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(dir.join("lock"))
}
