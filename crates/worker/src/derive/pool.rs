//! Bounds the work of deriving: so many threads, each with one image, below everything else, and so much memory.

use std::sync::Arc;

use bytes::Bytes;
use pictor_common::derivative::Derivative;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use super::{NotDerived, derive_each, memory};

/// How far a deriving thread gives way to those that send, receive and settle.
const NICE: i32 = 10;

/// Threads that derive, and the memory they share.
#[derive(Clone, Debug)]
pub struct Pool {
    threads: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    size: usize,
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
    _memory: Arc<OwnedSemaphorePermit>,
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

    /// Derives from an image, when a thread is free and the memory it takes. A decoder that panics ends its thread and
    /// nothing else.
    pub async fn derive(&self, image: Bytes, wanted: Vec<Derivative>) -> Result<Making, NotDerived> {
        let Ok(place) = Arc::clone(&self.threads).acquire_owned().await else { return Err(died()) };
        let look = {
            let (image, wanted) = (image.clone(), wanted.clone());
            tokio::task::spawn_blocking(move || memory::needed(&image, &wanted))
        };
        let needed = look.await.unwrap_or_else(|_panicked| Err(died()))?;
        let memory = Arc::clone(&self.memory).acquire_many_owned(needed).await;
        let memory = Arc::new(memory.map_err(|_closed| died())?);
        let (told, heard) = mpsc::unbounded_channel();
        let (left, runtime) = (wanted.len(), Handle::current());
        // A thread of its own, since only so it can give way: nice is kept by each thread.
        let theirs = Arc::clone(&memory);
        let work = move || {
            let (_place, _memory) = (place, theirs);
            #[cfg(target_os = "linux")]
            let _lower = rustix::process::setpriority_process(None, NICE);
            let room = Arc::new(Semaphore::new(memory::WAITING_KIB as usize));
            let made = derive_each(&image, &wanted, |derivative, bytes| {
                let kib = u32::try_from(bytes.len() / 1024 + 1).unwrap_or(u32::MAX);
                let taken = Arc::clone(&room).acquire_many_owned(kib.min(memory::WAITING_KIB));
                let Ok(taken) = runtime.block_on(taken) else { return false };
                let made = Made { derivative, bytes: bytes.into(), _room: taken };
                // What is large is stored before another is begun.
                told.send(Ok(made)).is_ok() && runtime.block_on(room.acquire()).is_ok()
            });
            if let Err(why) = made {
                let _gone = told.send(Err(why));
            }
        };
        if let Err(error) = std::thread::Builder::new().name("derive".to_owned()).spawn(work) {
            return Err(NotDerived(format!("there is no thread to derive on: {error}")));
        }
        Ok(Making { heard, left, _memory: memory })
    }
}

fn died() -> NotDerived {
    NotDerived("the decoder broke off on this image".to_owned())
}
