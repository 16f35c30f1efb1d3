//! What a failure below HTTP means: surely not sent, or unknown.

use std::{error::Error, time::Duration};

use super::{
    answer::{Answer, Stage, Unsent},
    redact::Redactor,
    tracked_body::Departure,
};

/// Judges a request that got no answer.
pub(super) fn failed(error: &reqwest::Error, departure: &Departure, redactor: &Redactor) -> Answer {
    let detail = redactor.clean(&describe(error));
    if error.is_connect() || error.is_builder() || !departure.happened() {
        let stage = match (error.is_builder(), error.is_dns()) {
            (true, _) => Stage::Request,
            (false, true) => Stage::Resolve,
            (false, false) => Stage::Connect,
        };
        return Answer::Unsent(Unsent { stage, detail });
    }
    Answer::Lost { timed_out: error.is_timeout(), detail }
}

/// Judges a request whose time ran out.
pub(super) fn timed_out(timeout: Duration, departure: &Departure) -> Answer {
    let seconds = timeout.as_secs_f64();
    if departure.happened() {
        return Answer::Lost { timed_out: true, detail: format!("no answer within {seconds} s") };
    }
    Answer::Unsent(Unsent { stage: Stage::Connect, detail: format!("no connection within {seconds} s") })
}

/// The causes of an error, without the URL, which may hold secrets.
pub(super) fn describe(error: &reqwest::Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        // The client's own errors write the URL, and are only wrappers.
        let text = if cause.is::<reqwest::Error>() { String::new() } else { cause.to_string() };
        if !text.is_empty() && causes.last().is_none_or(|last| !last.ends_with(&text)) {
            causes.push(text);
        }
        next = cause.source();
    }
    if causes.is_empty() { "the request failed".to_owned() } else { causes.join(": ") }
}
