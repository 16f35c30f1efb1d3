//! What can go wrong, each under a stable name.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{errors::ApiError, fault_table::FAULTS, validate::ImageRequest};

/// One way to go wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// A generation runs to its end and is on the invoice.
    pub(crate) billed: bool,
    pub(crate) moment: Moment,
    pub(crate) effect: Effect,
}

/// When a fault shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Arrival,
    /// After the latency of the request.
    Completion,
}

/// What the client gets to see.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    /// A JSON error body.
    Api(Words),
    /// Any other body.
    Raw { status: u16, content_type: &'static str, body: &'static str },
    /// A picture that is not what was asked for.
    Spoilt(Spoil),
    /// A connection that fails.
    Wire(Wire),
}

/// An error of the API; `{model}` and `{size}` are filled in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) param: Option<&'static str>,
    pub(crate) message: &'static str,
    pub(crate) moderation_stage: Option<&'static str>,
    pub(crate) retry_after_ms: Option<u64>,
}

/// How a picture is spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Spoil {
    BadBase64,
    WrongFormat,
    WrongSize,
    Undecodable,
    NotAnImage,
    NoData,
    NoImage,
    UrlGone,
    NullImage,
    EmptyImage,
    TwoImages,
    /// Base64 in lines.
    InLines,
    /// Base64 behind `data:image/png;base64,`.
    AsDataUrl,
    /// The file ends in its middle, and the answer does not.
    Shortened,
    BadChecksum,
    /// A PNG that claims to be of 60,000 by 60,000 pixels.
    Bomb,
}

/// How a connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Closed after half of the body, whose length was promised.
    Truncated,
    /// Silent after half of the body.
    Stalled,
    /// Silent from the start.
    Hang,
    Cut(Stage),
    Reset(Stage),
}

/// Where in the answer a connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    BeforeHeaders,
    AfterHeaders,
    MidBody,
}

impl Fault {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        FAULTS.iter().find(|fault| fault.name == name)
    }

    /// The status the client sees; absent where it sees none.
    pub(crate) fn status(&self) -> Option<u16> {
        match self.effect {
            Effect::Api(words) => Some(words.status),
            Effect::Raw { status, .. } => Some(status),
            Effect::Spoilt(_) | Effect::Wire(Wire::Truncated | Wire::Stalled) => Some(200),
            Effect::Wire(Wire::Cut(stage) | Wire::Reset(stage)) => {
                (stage != Stage::BeforeHeaders).then_some(200)
            }
            Effect::Wire(Wire::Hang) => None,
        }
    }

    /// Whether the client gets the picture's own answer, at least in part.
    pub(crate) fn answers_with_picture(&self) -> bool {
        matches!(self.effect, Effect::Spoilt(_) | Effect::Wire(_)) && self.status().is_some()
    }

    /// Its row in the list of faults.
    pub(crate) fn describe(&self) -> Value {
        let code = match self.effect {
            Effect::Api(words) => words.code,
            _ => None,
        };
        json!({ "name": self.name, "status": self.status(), "billed": self.billed, "code": code })
    }
}

impl Words {
    /// The error as told to one request.
    pub(crate) fn error(&self, request: &ImageRequest, organization: &str) -> ApiError {
        let fill = |text: &str| {
            text.replace("{model}", request.model.id)
                .replace("{size}", &request.size.to_string())
                .replace("{organization}", organization)
        };
        ApiError {
            status: StatusCode::from_u16(self.status).expect("the table holds real statuses"),
            kind: self.kind,
            code: self.code,
            param: self.param.map(str::to_owned),
            message: fill(self.message),
            moderation_stage: self.moderation_stage,
            retry_after: self.retry_after_ms.map(Duration::from_millis),
        }
    }
}
