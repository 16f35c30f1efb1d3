//! Asks an API which models an account may use; free of charge.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{
    Response, StatusCode,
    header::{CONTENT_TYPE, DATE, HeaderMap},
};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{OpenAiImages, redirect_target};
use crate::provider::{
    answer::{ApiError, BodyShape},
    error_body,
    headers::AnswerHeaders,
    transport,
    wide_streams::BodyStream,
};

/// Longer than any list of models.
const LONGEST_LIST: usize = 4 * 1024 * 1024;

/// What became of the question.
#[derive(Debug)]
pub struct Listing {
    /// What was answered.
    pub answer: Listed,
    /// The clock of whoever answered, by the `Date` of the answer.
    pub date: Option<Timestamp>,
    /// How long the answer took to begin.
    pub took: Duration,
}

/// The answer to the question which models there are.
#[derive(Debug)]
pub enum Listed {
    /// They are listed.
    Models(Vec<ListedModel>),
    /// The API lists no models at this place: 404, 405 or 501.
    NoList(u16),
    /// The API refused.
    Refused(Box<ApiError>),
    /// The API sends the question elsewhere.
    Redirected(String),
    /// Something answered that is no image API; in its words.
    NotApi(String),
    /// Nothing answered.
    Unreached(Unreached, String),
}

/// Why nothing answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// The host's name is unknown.
    Name,
    /// Something listens that does not speak TLS as it should.
    Tls,
    /// The proxy that leads there refused.
    Proxy,
    /// Nothing listens, or no way leads there.
    Connection,
    /// No answer came in time.
    Late,
    /// The connection broke.
    Broken,
}

/// A model as the API lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ListedModel {
    /// Its id.
    pub id: String,
    /// The day it is shut down (`YYYY-MM-DD`), where the API says so.
    #[serde(default)]
    pub shutdown_date: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Wrapped { data: Vec<ListedModel> },
    Bare(Vec<ListedModel>),
}

impl OpenAiImages {
    /// Asks which models there are, within `patience`.
    pub async fn models(&self, patience: Duration) -> Listing {
        let asked = Instant::now();
        let deadline = asked + patience;
        let mut request = self.client.get(self.account.models_endpoint(&self.base));
        if let Some(key) = self.key.current() {
            let (name, value) = key.header.clone();
            request = request.header(name, value);
        }
        let sending = request.send();
        let unanswered = |answer| Listing { answer, date: None, took: asked.elapsed() };
        let response = match timeout_at(deadline, sending).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let detail = self.redactor.clean(&transport::describe(&error));
                return unanswered(Listed::Unreached(why(&error, &detail), detail));
            }
            Err(_elapsed) => {
                let detail = format!("no answer within {} s", patience.as_secs_f64());
                return unanswered(Listed::Unreached(Unreached::Late, detail));
            }
        };
        let (took, date) = (asked.elapsed(), date(response.headers()));
        Listing { answer: self.read_list(response, deadline).await, date, took }
    }

    async fn read_list(&self, response: Response, deadline: Instant) -> Listed {
        let status = response.status();
        if status.is_redirection() {
            return Listed::Redirected(redirect_target(response.headers()));
        }
        let headers = AnswerHeaders::read(response.headers());
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or("no content type").to_owned();
        let body = match self.body(response, deadline).await {
            Ok(body) => body,
            Err(broken) => return broken,
        };
        if status.is_success() {
            return match serde_json::from_slice(&body) {
                Ok(Body::Wrapped { data: models } | Body::Bare(models)) => Listed::Models(models),
                Err(_other) => self.no_list(status, headers, &body, &kind),
            };
        }
        let error = error_body::read(status.as_u16(), headers, &body, &self.redactor);
        match status {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                Listed::NoList(status.as_u16())
            }
            _ if error.shape == BodyShape::Html => Listed::NotApi(said(&error)),
            _ => Listed::Refused(Box::new(error)),
        }
    }

    /// Judges a success that is no list.
    fn no_list(&self, status: StatusCode, headers: AnswerHeaders, body: &[u8], kind: &str) -> Listed {
        let error = error_body::read(status.as_u16(), headers, body, &self.redactor);
        match error.shape {
            BodyShape::Json => Listed::Refused(Box::new(error)),
            BodyShape::Html => Listed::NotApi(said(&error)),
            BodyShape::Empty => Listed::NotApi(format!("{} with an empty body", status.as_u16())),
            BodyShape::Other => {
                Listed::NotApi(format!("{} with {kind} that lists no models", status.as_u16()))
            }
        }
    }

    async fn body(&self, response: Response, deadline: Instant) -> Result<Vec<u8>, Listed> {
        let mut stream = BodyStream::new(response, deadline, &self.wide);
        let mut body = Vec::new();
        loop {
            match stream.next().await {
                Ok(Some(piece)) if body.len() + piece.len() <= LONGEST_LIST => body.extend_from_slice(&piece),
                Ok(Some(_too_long)) => return Err(Listed::NotApi("an answer without end".to_owned())),
                Ok(None) => return Ok(body),
                Err(broken) => {
                    let detail = format!("the answer broke off after {} bytes", body.len());
                    tracing::debug!(?broken, "the list of models broke off");
                    return Err(Listed::Unreached(Unreached::Broken, detail));
                }
            }
        }
    }
}

fn said(error: &ApiError) -> String {
    format!("{} with a web page: {}", error.status, error.message)
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(DATE)?.to_str().ok()?;
    rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

fn why(error: &reqwest::Error, detail: &str) -> Unreached {
    let detail = detail.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| detail.contains(word));
    if error.is_dns() {
        Unreached::Name
    } else if error.is_timeout() {
        Unreached::Late
    } else if says(&["proxy", "tunnel"]) {
        Unreached::Proxy
    } else if says(&["certificate", "fatal alert", "corrupt message", "tls", "handshake"]) {
        Unreached::Tls
    } else if error.is_connect() {
        Unreached::Connection
    } else {
        Unreached::Broken
    }
}
