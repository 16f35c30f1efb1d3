//! The seam behind which image APIs are: one request per call.
//!
//! A provider sends one paid request, receives one answer and says exactly what happened. It does
//! not retry a paid request, wait for a limit, store, or decide what an answer means: that is
//! [`crate::verdict`].

mod answer;
mod beside;
mod error_body;
mod headers;
mod landing;
pub mod openai_images;
mod receive;
mod redact;
mod result_url;
mod tracked_body;
mod transport;
mod wide_streams;

use std::{fmt, path::PathBuf, time::Duration};

use async_trait::async_trait;
use pictor_common::Spec;

pub use answer::{
    Answer, ApiError, BodyShape, Echo, Moderation, ModerationStage, Received, RefusedKey, Stage, Unsent,
    Unusable, UnusableReason,
};
pub(crate) use beside::{Beside, remove_beside};
pub use headers::{AnswerHeaders, HeaderLimit};

/// How much longer than its timeout a call may last, to fetch an image that was answered as a
/// `url`. Whoever waits for a call must allow for it.
pub const FETCH_MARGIN: Duration = Duration::from_secs(20);

/// One request to be made.
#[derive(Debug)]
pub struct Ask<'a> {
    /// What is asked for.
    pub spec: &'a Spec,
    /// `token:attempt`, sent as `X-Client-Request-Id`; visible ASCII.
    pub client_request_id: &'a str,
    /// How long the request may take in all before it is given up.
    pub timeout: Duration,
    /// The file the image is written to: complete and synced when it appears under this name,
    /// beside it as `.part` until then. What came with it lies beside it as `.told`, and is there first.
    pub sink: PathBuf,
}

/// An image API of one dialect.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    /// Sends one request and receives its answer, within the timeout and [`FETCH_MARGIN`].
    ///
    /// When it returns anything but [`Answer::Image`], neither the sink nor anything beside it is left.
    /// Dropping the future abandons a request that may have been paid: callers must not.
    async fn perform(&self, ask: Ask<'_>) -> Answer;

    /// Tells the key that the next request would be sent with from others, and nothing else of it.
    async fn key(&self) -> Option<String> {
        None
    }
}
