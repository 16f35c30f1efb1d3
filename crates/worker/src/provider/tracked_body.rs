//! A request body that remembers whether anybody asked for it.
//!
//! The HTTP client asks for the body when it has a connection and before it writes the first byte
//! to it. So while nobody has asked, surely nothing was sent and nothing can be billed.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Tells whether a request may have left.
#[derive(Clone, Debug, Default)]
pub(super) struct Departure(Arc<AtomicBool>);

impl Departure {
    pub(super) fn happened(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Bytes to be sent, once.
#[derive(Debug)]
pub(super) struct TrackedBody {
    bytes: Option<Bytes>,
    departure: Departure,
}

impl TrackedBody {
    pub(super) fn new(bytes: impl Into<Bytes>) -> (Self, Departure) {
        let departure = Departure::default();
        (Self { bytes: Some(bytes.into()), departure: departure.clone() }, departure)
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.departure.0.store(true, Ordering::Release);
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
