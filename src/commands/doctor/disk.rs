//! What a directory is like as a place for what must not be lost.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::finding::{Check, Finding, Group, size};

/// What was found of a directory.
#[derive(Debug)]
pub(super) struct DiskFacts {
    pub(super) dir: PathBuf,
    /// The directory itself, or the nearest above it that exists.
    pub(super) existing: PathBuf,
    /// How long it took to write a file so that it outlives a power cut.
    pub(super) written: io::Result<Duration>,
    /// Type of the file system, where the system tells.
    pub(super) kind: Option<String>,
    pub(super) free: Option<u64>,
    /// Files that can still be made; none where that is not limited.
    pub(super) files: Option<u64>,
}

/// Looks at a directory that need not exist yet; blocks.
pub(super) fn look(dir: &Path) -> DiskFacts {
    let dir = std::path::absolute(dir).unwrap_or_else(|_empty| dir.to_owned());
    let existing = nearest(&dir);
    let room = rustix::fs::statvfs(&existing).ok();
    let real = fs::canonicalize(&existing).unwrap_or_else(|_gone| existing.clone());
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok();
    DiskFacts {
        written: write_and_sync(&existing),
        kind: mounts.and_then(|mounts| kind_of(&mounts, &real)),
        free: room.as_ref().map(|room| room.f_bavail.saturating_mul(room.f_frsize)),
        files: room.filter(|room| room.f_files > 0).map(|room| room.f_favail),
        dir,
        existing,
    }
}

/// The nearest directory that exists, from a path upwards.
pub(super) fn nearest(dir: &Path) -> PathBuf {
    let found = dir.ancestors().find(|above| above.exists());
    found.unwrap_or_else(|| Path::new("/")).to_owned()
}

/// A file that goes when it is dropped.
struct Probe(PathBuf);

impl Drop for Probe {
    fn drop(&mut self) {
        let _left = fs::remove_file(&self.0);
    }
}

fn write_and_sync(dir: &Path) -> io::Result<Duration> {
    let begun = Instant::now();
    let name = format!(".pictor-doctor-{}", ulid::Ulid::generate());
    let (fresh, final_) = (Probe(dir.join(format!("{name}.part"))), Probe(dir.join(name)));
    let mut file = File::create_new(&fresh.0)?;
    file.write_all(&[0; 4096])?;
    file.sync_all()?;
    fs::rename(&fresh.0, &final_.0)?;
    match File::open(dir)?.sync_all() {
        // Some network file systems cannot sync a directory and need not.
        Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Err(error)
        }
        _synced => Ok(begun.elapsed()),
    }
}

/// The type of the file system that holds a path, from `/proc/self/mountinfo`.
fn kind_of(mounts: &str, path: &Path) -> Option<String> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?.replace("\\040", " ");
        let kind = after.split(' ').next()?;
        // Among mounts at one place the last is on top.
        if path.starts_with(&point) && best.is_none_or(|(length, _)| point.len() >= length) {
            best = Some((point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind.to_owned())
}

impl DiskFacts {
    /// The directory, and whether it is there.
    pub(super) fn place(&self) -> String {
        let made = if self.existing == self.dir { "" } else { " (will be made)" };
        format!("{}{made}", self.dir.display())
    }

    /// Whether files can be written, and outlive a power cut.
    pub(super) fn judge_writing(&self, group: Group, name: &str, setting: &str) -> Finding {
        let check = Check::new(group, name);
        let error = match &self.written {
            Ok(took) if *took < Duration::from_secs(1) => {
                return check.ok(format!("{}: a file is on disk in {} ms", self.place(), took.as_millis()));
            }
            Ok(took) => {
                return check.warning(
                    format!("{}: a file takes {} ms to be on disk", self.place(), took.as_millis()),
                    format!("every request waits for this twice: set {setting} to a quicker disk"),
                );
            }
            Err(error) => error,
        };
        let existing = self.existing.display();
        let mend = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                format!("chown {} {existing}, or set {setting} to a directory of this user's", whoami())
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                format!("set {setting} to a directory on a file system that can be written")
            }
            io::ErrorKind::NotADirectory => {
                format!("{existing} is a file: set {setting} to a directory")
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                format!("free room on the disk of {existing}, or set {setting} to another")
            }
            _ => format!("set {setting} to a directory on a disk that works"),
        };
        check.failed(format!("{}: cannot be written: {error}", self.place()), mend)
    }

    /// Whether the disk outlives the process.
    pub(super) fn judge_kind(&self, group: Group, name: &str, setting: &str) -> Finding {
        let check = Check::new(group, name);
        let Some(kind) = &self.kind else {
            return check.skipped("this system does not tell the type of the file system");
        };
        let why = match kind.as_str() {
            "tmpfs" | "ramfs" => "is memory: a restart loses images that were paid for",
            "overlay" | "aufs" => {
                "belongs to a container: it goes with it, and images that were paid for too"
            }
            _ => return check.ok(format!("on {kind}")),
        };
        check.warning(
            format!("{} is on {kind}, which {why}", self.place()),
            format!("set {setting} to a directory on a disk, or mount a volume there"),
        )
    }

    /// Whether so much fits.
    pub(super) fn judge_room(&self, group: Group, name: &str, need: &Need) -> Finding {
        let check = Check::new(group, name);
        let Some(free) = self.free else { return check.skipped("the system does not tell what is free") };
        let place = self.existing.display();
        if self.files.is_some_and(|files| files < need.files) {
            let found = format!("only {} more files fit on the disk of {place}", self.files.unwrap_or(0));
            return check.failed(found, "delete files there (df -i shows it), or take another disk");
        }
        let found = format!("{} free on the disk of {place}", size(free));
        let lower = |most: u64| format!("free room there, or set worker.concurrency to {most} or less");
        let fits = free / need.largest.max(1);
        if free < need.largest {
            return check
                .failed(format!("{found}; one image may take {}", size(need.largest)), "free room there");
        }
        if free < need.bytes() {
            let wanted = format!("{found}; {} images at once may take {}", need.at_once, size(need.bytes()));
            return check.warning(wanted, lower(fits));
        }
        check.ok(found)
    }
}

/// What must fit on a disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// Bytes of the largest image.
    pub(super) largest: u64,
    /// Images at once.
    pub(super) at_once: u64,
    /// Files at once.
    pub(super) files: u64,
}

impl Need {
    pub(super) const fn bytes(&self) -> u64 {
        self.largest.saturating_mul(self.at_once)
    }
}

fn whoami() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::Status;

    const MOUNTS: &str = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
        23 22 0:21 / /run rw - tmpfs tmpfs rw,size=4k\n\
        24 22 0:22 / /mnt/my\\040disk rw shared:1 - xfs /dev/vdb rw\n\
        25 22 0:23 / /var rw - ext3 /dev/vdc rw\n\
        26 22 0:24 / /var rw - overlay overlay rw\n";

    fn facts(written: io::Result<Duration>, kind: &str, free: u64) -> DiskFacts {
        let dir = PathBuf::from("/data/spool");
        DiskFacts {
            existing: dir.clone(),
            dir,
            written,
            kind: Some(kind.to_owned()),
            free: Some(free),
            files: Some(50),
        }
    }

    #[test]
    fn the_longest_mount_point_holds_a_path() {
        for (path, kind) in [
            ("/home/x", "ext4"),
            ("/run/pictor", "tmpfs"),
            ("/running", "ext4"),
            ("/mnt/my disk/a", "xfs"),
            ("/var/lib", "overlay"),
        ] {
            assert_eq!(kind_of(MOUNTS, Path::new(path)).as_deref(), Some(kind), "{path}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_told_with_the_setting() {
        let judge =
            |written| facts(written, "ext4", 0).judge_writing(Group::Machine, "spool", "worker.spool");
        assert_eq!(judge(Ok(Duration::from_millis(4))).status, Status::Ok);
        assert_eq!(judge(Ok(Duration::from_secs(3))).status, Status::Warning);
        for (kind, word) in [
            (io::ErrorKind::PermissionDenied, "chown"),
            (io::ErrorKind::ReadOnlyFilesystem, "can be written"),
            (io::ErrorKind::NotADirectory, "is a file"),
            (io::ErrorKind::StorageFull, "free room"),
            (io::ErrorKind::Other, "a disk that works"),
        ] {
            let finding = judge(Err(kind.into()));
            assert_eq!(finding.status, Status::Failed);
            let mend = finding.mend.unwrap();
            assert!(mend.contains(word) && (mend.contains("worker.spool")), "{mend}");
        }
    }

    #[test]
    fn memory_and_containers_are_no_disks() {
        let judge = |kind: &str| {
            facts(Ok(Duration::ZERO), kind, 0).judge_kind(Group::Machine, "disk", "worker.spool")
        };
        assert_eq!(judge("ext4").status, Status::Ok);
        for kind in ["tmpfs", "overlay"] {
            let finding = judge(kind);
            assert_eq!(finding.status, Status::Warning);
            assert!(finding.mend.unwrap().contains("worker.spool"));
        }
    }

    #[test]
    fn room_is_judged_by_images() {
        let need = Need { largest: 1 << 20, at_once: 10, files: 20 };
        let judge =
            |free: u64| facts(Ok(Duration::ZERO), "ext4", free).judge_room(Group::Machine, "room", &need);
        assert_eq!(judge(10 << 20).status, Status::Ok);
        let tight = judge(4 << 20);
        assert_eq!(tight.status, Status::Warning);
        assert!(tight.mend.unwrap().contains("worker.concurrency to 4 or less"));
        assert_eq!(judge(1000).status, Status::Failed);
        let full = DiskFacts { files: Some(3), ..facts(Ok(Duration::ZERO), "ext4", 1 << 40) };
        assert_eq!(full.judge_room(Group::Machine, "room", &need).status, Status::Failed);
    }

    #[test]
    fn a_probe_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        let facts = look(&deep);
        assert_eq!(facts.existing, dir.path());
        assert!(facts.written.is_ok() && facts.free.is_some());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let facts = look(&file.join("spool"));
        assert_eq!(facts.written.unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }
}
