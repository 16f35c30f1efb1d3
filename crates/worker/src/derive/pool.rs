//! Bounds the work of deriving: so many threads, each with one image, below everything else, and so much memory.

use std::{io, sync::Arc};

use bytes::Bytes;
use pictor_common::derivative::Derivative;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use super::{
    NotDerived, derive_each,
    memory::{self, Needed},
};

/// How far a deriving thread gives way to those that send, receive and settle.
const NICE: i32 = 10;

/// Threads that derive, and the memory they share.
#[derive(Clone, Debug)]
pub struct Pool {
    threads: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    size: usize,
}

/// Some of the memory that is there to derive.
#[derive(Debug)]
pub(super) struct Share(OwnedSemaphorePermit);

/// Why an image is not derived from.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// It never will be.
    #[error(transparent)]
    Never(#[from] NotDerived),
    /// It takes more memory than was asked for before it was read: so many mebibytes.
    #[error("it takes {0} MiB of memory, more than was set aside")]
    Larger(u32),
    /// The system has no thread to give now.
    #[error("there is no thread to derive on: {0}")]
    NoThread(#[source] io::Error),
}

/// A derivative, in memory until it is dropped: the next is not begun before there is room.
#[derive(Debug)]
pub struct Made {
    /// What it is.
    pub derivative: Derivative,
    /// Its file.
    pub bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// Derivatives of one image on their way.
#[derive(Debug)]
pub struct Making {
    heard: mpsc::UnboundedReceiver<Result<Made, NotDerived>>,
    left: usize,
    _share: Arc<Share>,
}

impl Making {
    /// The next, in the order asked; none after the last, or after an error.
    pub async fn next(&mut self) -> Option<Result<Made, NotDerived>> {
        if self.left == 0 {
            return None;
        }
        let made = self.heard.recv().await.unwrap_or_else(|| Err(died()));
        self.left = if made.is_ok() { self.left - 1 } else { 0 };
        Some(made)
    }
}

impl Pool {
    /// A pool of so many threads; none is no pool, and one is the least.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let size = threads.max(1);
        let memory = Arc::new(Semaphore::new(memory::MOST_MIB as usize));
        Self { threads: Arc::new(Semaphore::new(size)), memory, size }
    }

    /// How many images it works on at once.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Derives from an image in memory, when there are a thread and the memory it takes. A decoder that panics ends its
    /// thread and nothing else.
    pub async fn derive(&self, image: Bytes, wanted: Vec<Derivative>) -> Result<Making, DeriveError> {
        let needed = looked_at(&image, wanted).await?;
        let share = self.share(needed.mib).await;
        self.begin(image, needed, share).await
    }

    /// Some of the memory, for an image that is still to be read.
    pub(super) async fn share(&self, mib: u32) -> Share {
        let share = Arc::clone(&self.memory).acquire_many_owned(mib.min(memory::MOST_MIB)).await;
        Share(share.expect("it is never closed"))
    }

    /// Derives from an image that was read for a share, and gives back what it does not take of that.
    pub(super) async fn derive_within(
        &self,
        mut share: Share,
        image: Bytes,
        wanted: Vec<Derivative>,
    ) -> Result<Making, DeriveError> {
        let needed = looked_at(&image, wanted).await?;
        match share.0.num_permits().checked_sub(needed.mib as usize) {
            Some(rest) => drop(share.0.split(rest)),
            None => return Err(DeriveError::Larger(needed.mib)),
        }
        self.begin(image, needed, share).await
    }

    /// Whoever waits for a thread has its memory, so that nobody waits for another in a circle.
    async fn begin(&self, image: Bytes, needed: Needed, share: Share) -> Result<Making, DeriveError> {
        let place = Arc::clone(&self.threads).acquire_owned().await.expect("it is never closed");
        let Needed { fitting, over, .. } = needed;
        let (told, heard) = mpsc::unbounded_channel();
        let left = fitting.len() + usize::from(over.is_some());
        let (share, runtime) = (Arc::new(share), Handle::current());
        // A thread of its own, since only so it can give way: nice is kept by each thread.
        let theirs = Arc::clone(&share);
        let work = move || {
            let (_place, _share) = (place, theirs);
            #[cfg(target_os = "linux")]
            let _lower = rustix::process::setpriority_process(None, NICE);
            let room = Arc::new(Semaphore::new(memory::WAITING_KIB as usize));
            let made = derive_each(&image, &fitting, |derivative, bytes| {
                let kib = u32::try_from(bytes.len() / 1024 + 1).unwrap_or(u32::MAX);
                let taken = Arc::clone(&room).acquire_many_owned(kib.min(memory::WAITING_KIB));
                let Ok(taken) = runtime.block_on(taken) else { return false };
                let made = Made { derivative, bytes: bytes.into(), _room: taken };
                // What is large is stored before another is begun.
                told.send(Ok(made)).is_ok() && runtime.block_on(room.acquire()).is_ok()
            });
            if let Some(why) = made.err().or(over) {
                let _gone = told.send(Err(why));
            }
        };
        let thread = std::thread::Builder::new().name("derive".to_owned()).spawn(work);
        thread.map_err(DeriveError::NoThread)?;
        Ok(Making { heard, left, _share: share })
    }
}

/// What an image takes, by what it claims to be.
async fn looked_at(image: &Bytes, wanted: Vec<Derivative>) -> Result<Needed, NotDerived> {
    let image = image.clone();
    let look = tokio::task::spawn_blocking(move || memory::needed(&image, &wanted));
    look.await.unwrap_or_else(|_panicked| Err(died()))
}

fn died() -> NotDerived {
    NotDerived("the decoder broke off on this image".to_owned())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    const CHILD: &str = "PICTOR_TEST_WITHOUT_THREADS";

    /// A PNG of one pixel.
    fn image() -> Bytes {
        let mut image = io::Cursor::new(Vec::new());
        image::RgbImage::new(1, 1).write_to(&mut image, image::ImageFormat::Png).unwrap();
        image.into_inner().into()
    }

    /// Leaves the process no memory for the stack of another thread.
    fn no_more_threads() -> Rlimit {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        let kib: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
        let before = getrlimit(Resource::As);
        setrlimit(Resource::As, Rlimit { current: Some((kib + 1_024) << 10), ..before }).unwrap();
        before
    }

    /// In a process of its own, since others need their threads.
    #[test]
    fn a_thread_that_cannot_be_had_is_no_fault_of_the_image() {
        if std::env::var_os(CHILD).is_none() {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            let name = "derive::pool::tests::a_thread_that_cannot_be_had_is_no_fault_of_the_image";
            let output = child.args(["--exact", name]).env(CHILD, "1").output().unwrap();
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && told.contains("1 passed"), "{told}");
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (pool, wanted) = (Pool::new(1), vec!["8w".parse().unwrap()]);
            // The thread that looks at images is there.
            looked_at(&image(), wanted.clone()).await.unwrap();
            let before = no_more_threads();
            let derived = pool.derive(image(), wanted.clone()).await;
            setrlimit(Resource::As, before).unwrap();
            assert!(matches!(derived, Err(DeriveError::NoThread(_))), "{derived:?}");
            assert!(pool.derive(image(), wanted).await.is_ok());
        });
    }
}
