//! Spans: what log lines and exported traces say of an attempt.

use pictor_common::queue::{Attempt, Billed};
use tracing::{Span, error_span, field::Empty};

/// A step of an attempt. Logs leave it out, unless they tell of `pictor_worker::stage` at debug level.
macro_rules! stage {
    ($name:literal) => {
        tracing::debug_span!(target: "pictor_worker::stage", $name)
    };
}
pub(crate) use stage;

/// All that happens to an attempt happens within it. Its level is that of an error: also where little is logged, what is
/// logged says of which attempt.
pub(crate) fn attempt(attempt: &Attempt) -> Span {
    let span = error_span!(
        "attempt",
        batch = attempt.payer,
        asset = %attempt.key,
        lane = attempt.lane,
        model = attempt.model,
        token = attempt.token,
        attempt = Empty,
        request_id = Empty,
        status = Empty,
        billed = Empty,
    );
    if let Some(id) = &attempt.request_id {
        span.record("request_id", id);
    }
    span
}

/// The attempt at hand has this number.
pub(crate) fn begun(number: u32) {
    Span::current().record("attempt", number);
}

/// It was answered.
pub(crate) fn answered(request_id: Option<&str>, status: Option<u16>) {
    let span = Span::current();
    if let Some(id) = request_id {
        span.record("request_id", id);
    }
    if let Some(status) = status {
        span.record("status", status);
    }
}

/// It is known whether it costs anything.
pub(crate) fn billed(billed: Billed) {
    let word = match billed {
        Billed::No => "no",
        Billed::Yes => "yes",
        Billed::Unknown => "unknown",
    };
    Span::current().record("billed", word);
}
