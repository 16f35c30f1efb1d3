//! Bounds the work of deriving: so many threads, each with one image, below everything else.

use std::sync::Arc;

use bytes::Bytes;
use pictor_common::derivative::Derivative;
use tokio::sync::{Semaphore, oneshot};

use super::{NotDerived, derive};

/// How far a deriving thread gives way to those that send, receive and settle.
const NICE: i32 = 10;

/// Threads that derive.
#[derive(Clone, Debug)]
pub struct Pool {
    threads: Arc<Semaphore>,
    size: usize,
}

impl Pool {
    /// A pool of so many threads; none is no pool, and one is the least.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let size = threads.max(1);
        Self { threads: Arc::new(Semaphore::new(size)), size }
    }

    /// How many images it works on at once.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Derives from an image, when a thread is free. A decoder that panics ends its thread and nothing else.
    pub async fn derive(&self, image: Bytes, wanted: Vec<Derivative>) -> Result<Vec<Vec<u8>>, NotDerived> {
        let threads = Arc::clone(&self.threads);
        let Ok(place) = threads.acquire_owned().await else { return Err(died()) };
        let (told, heard) = oneshot::channel();
        // A thread of its own, since only so it can give way: nice is kept by each thread.
        let work = move || {
            let _place = place;
            #[cfg(target_os = "linux")]
            let _lower = rustix::process::setpriority_process(None, NICE);
            let _gone = told.send(derive(&image, &wanted));
        };
        if let Err(error) = std::thread::Builder::new().name("derive".to_owned()).spawn(work) {
            return Err(NotDerived(format!("there is no thread to derive on: {error}")));
        }
        heard.await.unwrap_or_else(|_panicked| Err(died()))
    }
}

fn died() -> NotDerived {
    NotDerived("the decoder broke off on this image".to_owned())
}
