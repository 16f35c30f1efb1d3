//! Bounds the memory that fast bodies take.
//!
//! The HTTP client doubles its read buffer up to 400 KiB while a body fills it, so a thousand
//! bodies at loopback speed would take a gigabyte. Bodies that arrive in small pieces pass freely;
//! one that has become wide needs a permit for its next piece, and gives it back as soon as it has
//! to wait for the network, so that a stalled body holds up nobody.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout, timeout_at},
};

/// What the client's buffer starts with; a larger piece says that it has grown.
const WIDE: usize = 8 * 1024;

/// How long a wide body keeps its permit while nothing arrives.
const PATIENCE: Duration = Duration::from_millis(2);

/// Permits for wide bodies.
#[derive(Debug)]
pub(super) struct WideStreams(Semaphore);

impl WideStreams {
    pub(super) fn new(permits: usize) -> Self {
        Self(Semaphore::new(permits))
    }
}

/// Why a body ended before its end.
#[derive(Debug)]
pub(super) enum Broken {
    TimedOut,
    Connection(reqwest::Error),
}

/// The body of one response.
#[derive(Debug)]
pub(super) struct BodyStream<'w> {
    response: Response,
    deadline: Instant,
    wide: &'w WideStreams,
    is_wide: bool,
    permit: Option<SemaphorePermit<'w>>,
}

impl<'w> BodyStream<'w> {
    pub(super) fn new(response: Response, deadline: Instant, wide: &'w WideStreams) -> Self {
        Self { response, deadline, wide, is_wide: false, permit: None }
    }

    /// Waits for the next piece; `None` at the end. What has arrived by the deadline is given out
    /// even after it.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        if self.is_wide && self.permit.is_none() {
            self.permit = self.wide.0.acquire().await.ok();
        }
        let quick = match self.permit {
            Some(_) => timeout(PATIENCE, self.response.chunk()).await.ok(),
            None => None,
        };
        let piece = match quick {
            Some(piece) => piece,
            None => {
                self.permit = None;
                timeout_at(self.deadline, self.response.chunk()).await.map_err(|_elapsed| Broken::TimedOut)?
            }
        };
        let piece = piece.map_err(Broken::Connection)?;
        self.is_wide = piece.as_ref().is_some_and(|bytes| bytes.len() > WIDE);
        Ok(piece)
    }
}
