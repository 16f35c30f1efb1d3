//! Everything an image API can answer, with all that a verdict needs.

use std::path::PathBuf;

use pictor_common::price::Usage;

use super::headers::AnswerHeaders;

/// How one request ended.
#[derive(Clone, Debug)]
pub enum Answer {
    /// An image lies in the sink, synced to disk.
    Image(Box<Received>),
    /// The API answered, and not with an image.
    Refused(Box<ApiError>),
    /// The API answered with success, and yet there is no image to be had.
    Unusable(Box<Unusable>),
    /// Surely nothing was sent.
    Unsent(Unsent),
    /// Something was sent and no answer came: nobody knows whether it is paid for.
    Lost {
        /// Whether time ran out, or the connection broke.
        timed_out: bool,
        /// What happened, without secrets.
        detail: String,
    },
}

/// An image on the worker's disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Where it lies.
    pub file: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 (hex) of it.
    pub sha256: String,
    /// The prompt as the model rewrote it.
    pub revised_prompt: Option<String>,
    /// Tokens used, where the API says.
    pub usage: Option<Usage>,
    /// What the API says it did.
    pub echo: Echo,
    /// Images the answer held; only the first is kept.
    pub images: u32,
    /// The answer broke off after the image was complete, so what follows it is unknown.
    pub cut: bool,
    /// The headers that matter.
    pub headers: AnswerHeaders,
}

/// The parameters an API says it used; telling where `auto` was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Echo {
    /// `WIDTHxHEIGHT`.
    pub size: Option<String>,
    /// Quality.
    pub quality: Option<String>,
    /// Format.
    pub format: Option<String>,
    /// Background.
    pub background: Option<String>,
}

/// What kind of body came with a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyShape {
    /// An error object, or an error given as a JSON string.
    Json,
    /// A web page: a proxy speaks, not the API.
    Html,
    /// Nothing.
    #[default]
    Empty,
    /// Some other text, or JSON that names no error.
    Other,
}

/// An answer that is not an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status; may be 200.
    pub status: u16,
    /// What the body was.
    pub shape: BodyShape,
    /// The API's words, shortened and without secrets; empty if it said nothing.
    pub message: String,
    /// `error.type`.
    pub kind: Option<String>,
    /// `error.code`, unless it only repeats the status.
    pub code: Option<String>,
    /// `error.inner_error.code`, as Azure writes it.
    pub inner_code: Option<String>,
    /// `error.param`.
    pub param: Option<String>,
    /// What moderation says of itself.
    pub moderation: Option<Moderation>,
    /// The headers that matter.
    pub headers: AnswerHeaders,
    /// The key, where that is what was refused.
    pub refused_key: Option<RefusedKey>,
}

/// A key that the API does not accept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedKey {
    /// Tells it from other keys, and nothing else of it.
    pub digest: String,
    /// Another key is at hand.
    pub replaced: bool,
    /// Why no other key could be read, where one was looked for.
    pub trouble: Option<String>,
}

/// Details of a refusal on content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moderation {
    /// Where it was refused.
    pub stage: ModerationStage,
    /// For what.
    pub categories: Vec<String>,
}

/// Where moderation refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModerationStage {
    /// The prompt or an input image: nothing was made.
    Input,
    /// The image: it was made, and may be billed.
    Output,
    /// Not said.
    #[default]
    Unknown,
}

/// Why nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// How far it came.
    pub stage: Stage,
    /// What happened, without secrets.
    pub detail: String,
}

/// How far a request came that was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// This dialect cannot ask for that.
    Request,
    /// The sink cannot be written.
    Disk,
    /// The host's name was not resolved.
    Resolve,
    /// No connection, or no TLS, was established.
    Connect,
}

/// A success without an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Why.
    pub reason: UnusableReason,
    /// Whether part of an image, or the address of one, had arrived: it surely was made.
    pub saw_image: bool,
    /// What happened, without secrets.
    pub detail: String,
    /// The headers that matter.
    pub headers: AnswerHeaders,
}

/// Why a success holds no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnusableReason {
    /// The connection broke inside the body.
    Truncated,
    /// Time ran out inside the body.
    Stalled,
    /// The body is not JSON.
    NotJson,
    /// The JSON holds neither an image nor the address of one.
    NoImage,
    /// The image string is not base64.
    NotBase64,
    /// More bytes than allowed.
    TooLarge,
    /// The image's address is not one this account may fetch from.
    HostRefused,
    /// The image's address did not give the image.
    FetchFailed,
    /// The image could not be written.
    Disk,
}
