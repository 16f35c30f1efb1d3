//! Where an image lands: a `.part` file that becomes the sink when it is complete and synced.
//!
//! All file work runs on the blocking pool. The `.part` is created before anything is sent, so
//! that a disk that cannot be written costs nothing. A write that fails later, on a full disk for
//! one, is tried again until the deadline: what it would lose is paid for.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use pictor_common::asset_key::hex;
use sha2::{Digest as _, Sha256};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tracing::warn;

use super::beside::{Beside, remove_beside};

const DISK_PAUSE: Duration = Duration::from_millis(500);

/// An image being written.
#[derive(Debug)]
pub(super) struct Landing {
    sink: PathBuf,
    part: PathBuf,
    deadline: Instant,
    progress: Option<Progress>,
    sealed: bool,
}

#[derive(Debug)]
struct Progress {
    // Opened with the first bytes: a request that waits for its answer holds no descriptor.
    file: Option<File>,
    digest: Sha256,
    written: u64,
}

impl Progress {
    fn new() -> Self {
        Self { file: None, digest: Sha256::new(), written: 0 }
    }

    fn append(&mut self, part: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(create(part)?),
        };
        file.write_all_at(bytes, self.written)?;
        self.digest.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }
}

impl Landing {
    /// Creates the `.part` of a sink.
    pub(super) async fn prepare(sink: &Path, deadline: Instant) -> io::Result<Self> {
        let mut part = sink.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let path = part.clone();
        blocking(move || create(&path).map(drop)).await?;
        Ok(Self { sink: sink.to_owned(), part, deadline, progress: None, sealed: false })
    }

    /// The name it will have.
    pub(super) fn sink(&self) -> &Path {
        &self.sink
    }

    /// Lets failing writes be tried again until a later time.
    pub(super) fn extend(&mut self, deadline: Instant) {
        self.deadline = self.deadline.max(deadline);
    }

    /// Forgets what was written.
    pub(super) fn restart(&mut self) {
        self.progress = None;
    }

    /// Appends bytes and gives the buffer back, empty.
    pub(super) async fn write(&mut self, mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut progress = self.progress.take().unwrap_or_else(Progress::new);
        loop {
            let part = self.part.clone();
            let outcome;
            (progress, buffer, outcome) = blocking(move || {
                let outcome = progress.append(&part, &buffer);
                Ok((progress, buffer, outcome))
            })
            .await?;
            match outcome {
                Ok(()) => break,
                Err(error) if is_for_good(&error) || Instant::now() >= self.deadline => return Err(error),
                Err(_full_or_busy) => sleep(DISK_PAUSE).await,
            }
        }
        self.progress = Some(progress);
        buffer.clear();
        Ok(buffer)
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.progress.as_ref().map_or(0, |progress| progress.written)
    }

    /// Says what came with it, syncs the file, gives it its name and syncs the directory; returns its SHA-256 in hex.
    pub(super) async fn seal(mut self, beside: Beside) -> io::Result<String> {
        let progress = self.progress.take().unwrap_or_else(Progress::new);
        let (part, sink) = (self.part.clone(), self.sink.clone());
        let digest = blocking(move || {
            // A disk that cannot sync may still give the bytes back, and they were paid for: they go
            // on to be verified and stored at once.
            if let Some(Err(error)) = progress.file.as_ref().map(File::sync_data) {
                warn!(%error, file = %sink.display(), "cannot sync an image to disk");
            }
            if let Err(error) = beside.write(&sink) {
                warn!(%error, file = %sink.display(), "cannot write what came with an image");
            }
            fs::rename(&part, &sink)?;
            let directory = sink.parent().filter(|parent| !parent.as_os_str().is_empty());
            let synced = File::open(directory.unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all());
            if let Err(error) = synced {
                warn!(%error, file = %sink.display(), "cannot sync the directory of an image to disk");
            }
            Ok(hex(&progress.digest.finalize()))
        })
        .await?;
        self.sealed = true;
        Ok(digest)
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.sealed {
            // What is left behind is swept with the spool.
            let _swept_later = fs::remove_file(&self.part).and(remove_beside(&self.sink));
        }
    }
}

/// Images are their owner's, also where the folder they lie in should not be.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn is_for_good(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    async fn landing(sink: &Path) -> Landing {
        Landing::prepare(sink, Instant::now() + Duration::from_secs(30)).await.unwrap()
    }

    #[tokio::test]
    async fn appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let sink = dir.path().join("image");
        let mut first = landing(&sink).await;
        let buffer = first.write(b"hel".to_vec()).await.unwrap();
        assert!(buffer.is_empty() && !sink.exists());
        first.write(b"lo".to_vec()).await.unwrap();
        assert_eq!(first.written(), 5);
        let digest = first.seal(Beside::default()).await.unwrap();
        assert_eq!(digest, hex(&Sha256::digest(b"hello")));
        assert_eq!(fs::read(&sink).unwrap(), b"hello");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "and what came with it");
        assert_eq!(fs::metadata(&sink).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn leaves_nothing_when_given_up_and_starts_over() {
        let dir = tempfile::tempdir().unwrap();
        let sink = dir.path().join("image");
        let mut given_up = landing(&sink).await;
        given_up.write(b"hello".to_vec()).await.unwrap();
        given_up.restart();
        given_up.write(b"hi".to_vec()).await.unwrap();
        assert_eq!(fs::read(dir.path().join("image.part")).unwrap(), b"hi");
        drop(given_up);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_disk_that_cannot_be_written_is_known_before_sending() {
        let missing = Path::new("/nonexistent/spool/image");
        assert_eq!(Landing::prepare(missing, Instant::now()).await.unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_failing_write_is_tried_until_it_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let sink = dir.path().join("image");
        let mut waiting = landing(&sink).await;
        let part = dir.path().join("image.part");
        fs::remove_file(&part).unwrap();
        fs::create_dir(&part).unwrap();
        let write = tokio::spawn(async move { waiting.write(b"hello".to_vec()).await.map(|_| waiting) });
        sleep(Duration::from_millis(50)).await;
        fs::remove_dir(&part).unwrap();
        let done = tokio::time::timeout(Duration::from_secs(20), write).await.unwrap().unwrap().unwrap();
        done.seal(Beside::default()).await.unwrap();
        assert_eq!(fs::read(&sink).unwrap(), b"hello");
    }
}
