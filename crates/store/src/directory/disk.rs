//! The file operations behind a directory store; everything here blocks.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use pictor_common::store::{Body, NewObject, Put, StoreError, StoreErrorKind, StoredObject};
use serde::{Deserialize, Serialize};

use super::list::{Wanted, walk};
use crate::{object::RESERVED, unsupported};

const LOCKS: u32 = 64;
/// No writer takes this long, on any disk.
const LEFTOVER: Duration = Duration::from_hours(24);

#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    /// Folders whose names this process has synced.
    durable: Mutex<HashSet<PathBuf>>,
}

#[derive(Default, Serialize, Deserialize)]
struct Sidecar {
    content_type: Option<String>,
    metadata: BTreeMap<String, String>,
}

/// A file being written, removed when it is not kept.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing to remove, and what cannot be removed is swept later.
        let _left = fs::remove_file(&self.0);
    }
}

impl Disk {
    pub(super) fn open(root: PathBuf) -> Result<Self, StoreError> {
        let disk = Self { root, durable: Mutex::default() };
        let make = |path: &Path| DirBuilder::new().mode(0o700).recursive(true).create(path);
        for part in ["tmp", "meta", "lock"] {
            let path = disk.own(part);
            let missing =
                path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
            let missing: Vec<&Path> = missing.collect();
            make(&path).map_err(|cause| failed("create", &path, cause))?;
            missing.into_iter().try_for_each(sync_parent)?;
        }
        disk.sweep();
        Ok(disk)
    }

    pub(super) fn object(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn create(&self, object: &NewObject) -> Result<Put, StoreError> {
        let path = self.object(&object.name);
        if let Some(found) = self.head(&object.name)? {
            return Ok(Put::Exists(found));
        }
        let body = self.write_body(object)?;
        let _lock = self.lock(&object.name)?;
        if let Some(found) = self.look(&object.name)? {
            return Ok(Put::Exists(found));
        }
        self.write_sidecar(object)?;
        self.make_parents(&path)?;
        match fs::hard_link(&body.0, &path) {
            Ok(()) => sync_parent(&path).map(|()| Put::Created),
            // Where locks do not reach other hosts, the link still lets one writer win.
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => match self.look(&object.name)? {
                Some(found) => Ok(Put::Exists(found)),
                None => Err(failed("create", &path, cause)),
            },
            Err(cause) => Err(failed("create", &path, cause)),
        }
    }

    pub(super) fn replace(&self, object: &NewObject) -> Result<(), StoreError> {
        let path = self.object(&object.name);
        let body = self.write_body(object)?;
        let _lock = self.lock(&object.name)?;
        self.make_parents(&path)?;
        self.write_sidecar(object)?;
        fs::rename(&body.0, &path).map_err(|cause| failed("replace", &path, cause))?;
        sync_parent(&path)
    }

    pub(super) fn head(&self, name: &str) -> Result<Option<StoredObject>, StoreError> {
        let _lock = self.lock_shared(name)?;
        self.look(name)
    }

    pub(super) fn read(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let path = self.object(name);
        if self.length(&path)?.is_none() {
            return Ok(None);
        }
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(cause) if is_absent(&cause) => Ok(None),
            Err(cause) => Err(failed("read", &path, cause)),
        }
    }

    pub(super) fn save(&self, name: &str, to: &Path) -> Result<bool, StoreError> {
        let path = self.object(name);
        if self.length(&path)?.is_none() {
            return Ok(false);
        }
        let mut from = match File::open(&path) {
            Err(cause) if is_absent(&cause) => return Ok(false),
            opened => opened.map_err(|cause| failed("read", &path, cause))?,
        };
        let mut file = File::create_new(to).map_err(|cause| failed("create", to, cause))?;
        io::copy(&mut from, &mut file).map(|_| true).map_err(|cause| failed("write", to, cause))
    }

    pub(super) fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.check_present()?;
        let mut found = Vec::new();
        walk(&self.root, "", &Wanted { prefix, after, limit }, &mut found)
            .map_err(|cause| failed("list", &self.root, cause))?;
        Ok(found)
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.object(name);
        let _lock = self.lock(name)?;
        if self.length(&path)?.is_none() {
            return Ok(());
        }
        for path in [path, self.sidecar(name)] {
            match fs::remove_file(&path) {
                Ok(()) => sync_parent(&path)?,
                Err(cause) if is_absent(&cause) => {}
                Err(cause) => return Err(failed("delete", &path, cause)),
            }
        }
        Ok(())
    }

    fn own(&self, part: &str) -> PathBuf {
        self.root.join(RESERVED).join(part)
    }

    fn sidecar(&self, name: &str) -> PathBuf {
        self.own("meta").join(format!("{name}.meta.json"))
    }

    /// An unmounted volume must not look like a store in which nothing was made yet.
    fn check_present(&self) -> Result<(), StoreError> {
        let marker = self.root.join(RESERVED);
        fs::symlink_metadata(&marker).map(drop).map_err(|cause| failed("find the store by", &marker, cause))
    }

    fn length(&self, path: &Path) -> Result<Option<u64>, StoreError> {
        match fs::symlink_metadata(path) {
            Ok(found) => Ok(found.is_file().then_some(found.len())),
            Err(cause) if is_absent(&cause) => self.check_present().map(|()| None),
            Err(cause) => Err(failed("look at", path, cause)),
        }
    }

    fn look(&self, name: &str) -> Result<Option<StoredObject>, StoreError> {
        let Some(length) = self.length(&self.object(name))? else { return Ok(None) };
        let path = self.sidecar(name);
        let Sidecar { content_type, metadata } = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|cause| failed("read", &path, cause.into()))?,
            // A file that another program put here.
            Err(cause) if is_absent(&cause) => Sidecar::default(),
            Err(cause) => return Err(failed("read", &path, cause)),
        };
        Ok(Some(StoredObject { name: name.to_owned(), length, content_type, metadata }))
    }

    fn write_body(&self, object: &NewObject) -> Result<Temporary, StoreError> {
        match &object.body {
            Body::Bytes(bytes) => self.write_temporary(|file| file.write_all(bytes)),
            Body::File(source) => {
                let mut from = File::open(source).map_err(|cause| match cause.kind() {
                    ErrorKind::NotFound => {
                        crate::invalid(format!("there is no file {} to store", source.display()))
                    }
                    _ => failed("read", source, cause),
                })?;
                self.write_temporary(|file| io::copy(&mut from, file).map(drop))
            }
            Body::Remote(remote) => {
                Err(unsupported(format!("a directory cannot copy s3://{}/{}", remote.bucket, remote.key)))
            }
        }
    }

    fn write_temporary(
        &self,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<Temporary, StoreError> {
        let path = self.own("tmp").join(format!("{}-{:016x}", process::id(), rand::random::<u64>()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.map_err(|cause| failed("create", &path, cause))?;
        let temporary = Temporary(path);
        fill(&mut file)
            .and_then(|()| file.sync_all())
            .map_err(|cause| failed("write", &temporary.0, cause))?;
        Ok(temporary)
    }

    fn write_sidecar(&self, object: &NewObject) -> Result<(), StoreError> {
        let sidecar =
            Sidecar { content_type: Some(object.content_type.clone()), metadata: object.metadata.clone() };
        let text = serde_json::to_vec(&sidecar).expect("text serializes");
        let path = self.sidecar(&object.name);
        self.make_parents(&path)?;
        let written = self.write_temporary(|file| file.write_all(&text))?;
        fs::rename(&written.0, &path).map_err(|cause| failed("write", &path, cause))?;
        sync_parent(&path)
    }

    /// Creates the folders between the root and `path`, so that they outlive a power cut.
    fn make_parents(&self, path: &Path) -> Result<(), StoreError> {
        let durable = || self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let folders: Vec<_> = path.ancestors().skip(1).take_while(|folder| *folder != self.root).collect();
        for folder in folders.into_iter().rev() {
            if durable().contains(folder) && folder.is_dir() {
                continue;
            }
            match DirBuilder::new().mode(0o700).create(folder) {
                Err(cause) if cause.kind() != ErrorKind::AlreadyExists => {
                    return Err(failed("create", folder, cause));
                }
                // Another writer may have made it just now and not synced it yet.
                _made => sync_parent(folder)?,
            }
            durable().insert(folder.to_owned());
        }
        Ok(())
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        self.own("lock").join(format!("{:02x}", crc32fast::hash(name.as_bytes()) % LOCKS))
    }

    fn lock(&self, name: &str) -> Result<File, StoreError> {
        let path = self.lock_path(name);
        let open = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let locked = open.and_then(|file| file.lock().map(|()| file));
        locked.map_err(|cause| failed("lock", &path, cause))
    }

    /// Nobody may have written under this lock yet, or the file system may be read-only.
    fn lock_shared(&self, name: &str) -> Result<Option<File>, StoreError> {
        let path = self.lock_path(name);
        let locked = File::open(&path).and_then(|file| file.lock_shared().map(|()| file));
        match locked {
            Ok(file) => Ok(Some(file)),
            Err(cause) if is_absent(&cause) => Ok(None),
            Err(cause) => Err(failed("lock", &path, cause)),
        }
    }

    fn sweep(&self) {
        let is_left = |entry: &fs::DirEntry| {
            let written = entry.metadata().and_then(|found| found.modified());
            written.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > LEFTOVER))
        };
        let entries = fs::read_dir(self.own("tmp")).into_iter().flatten().flatten();
        for entry in entries.filter(is_left) {
            let path = entry.path();
            match fs::remove_file(&path) {
                Ok(()) => tracing::info!(path = %path.display(), "removed what a killed writer left"),
                Err(cause) => tracing::warn!(path = %path.display(), %cause, "cannot remove a leftover"),
            }
        }
    }
}

fn is_absent(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    match File::open(parent).and_then(|folder| folder.sync_all()) {
        // Some network file systems cannot sync a directory and need not.
        Err(cause) if !matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Err(failed("sync", parent, cause))
        }
        _synced => Ok(()),
    }
}

fn failed(what: &str, path: &Path, cause: io::Error) -> StoreError {
    let kind = match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StoreErrorKind::Full,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreErrorKind::Denied,
        ErrorKind::NotFound => StoreErrorKind::NotFound,
        ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::AlreadyExists
        | ErrorKind::DirectoryNotEmpty
        | ErrorKind::InvalidFilename
        | ErrorKind::InvalidInput
        | ErrorKind::Unsupported => StoreErrorKind::Invalid,
        _ => StoreErrorKind::Unavailable,
    };
    StoreError { kind, message: format!("cannot {what} {}", path.display()), source: Some(cause.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_full_from_away() {
        const ENOSPC: i32 = 28;
        const EIO: i32 = 5;
        const EACCES: i32 = 13;
        for (code, expected) in [
            (ENOSPC, StoreErrorKind::Full),
            (EIO, StoreErrorKind::Unavailable),
            (EACCES, StoreErrorKind::Denied),
        ] {
            let error = failed("write", Path::new("a"), io::Error::from_raw_os_error(code));
            assert_eq!(error.kind, expected, "{code}");
        }
    }
}
