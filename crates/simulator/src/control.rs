//! What tests and operators ask of the simulator itself, under `/_simulator`.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Limits,
    body::{Ending, Manner, Piece, Sending},
    fault_table::FAULTS,
    pace,
    state::{Simulator, lock},
    validate::Format,
};

pub(crate) fn router() -> Router<Arc<Simulator>> {
    Router::new()
        .route("/invoice", get(invoice))
        .route("/invoice.csv", get(invoice_csv))
        .route("/state", get(state))
        .route("/faults", get(faults))
        .route("/pace", get(pace))
        .route("/limits", get(limits).post(change_limits))
        .route("/keys", post(change_keys))
        .route("/reset", post(reset))
        .route("/files/{name}", get(file))
}

#[derive(Debug, Deserialize)]
struct InvoiceQuery {
    totals: Option<String>,
}

async fn invoice(State(simulator): State<Arc<Simulator>>, Query(query): Query<InvoiceQuery>) -> Response {
    let in_flight = simulator.in_flight.count();
    let invoice = lock(&simulator.invoice);
    let totals = invoice.totals(in_flight);
    if query.totals.is_some_and(|wanted| wanted != "0") {
        return Json(totals).into_response();
    }
    match serde_json::to_value(&*invoice) {
        Ok(mut whole) => {
            whole["totals"] = totals;
            Json(whole).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn invoice_csv(State(simulator): State<Arc<Simulator>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], lock(&simulator.invoice).csv())
}

async fn state(State(simulator): State<Arc<Simulator>>) -> Json<Value> {
    Json(json!({
        "in_flight": simulator.in_flight.count(),
        "bodies_part_sent": simulator.bodies_part_sent.count(),
        "requests": simulator.requests.load(Ordering::Relaxed),
        "admitted": simulator.admitted.load(Ordering::Relaxed),
    }))
}

async fn faults() -> Json<Value> {
    Json(FAULTS.iter().map(|fault| fault.describe()).collect())
}

async fn limits(State(simulator): State<Arc<Simulator>>) -> Json<Limits> {
    Json(lock(&simulator.limiter).limits().clone())
}

/// Changes the limits that are named; null makes one unlimited.
async fn change_limits(State(simulator): State<Arc<Simulator>>, Json(change): Json<Value>) -> Response {
    let mut limiter = lock(&simulator.limiter);
    let now = simulator.now();
    match limiter.limits().changed(change) {
        Ok(limits) => {
            limiter.change(limits.clone(), now);
            Json(limits).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}

/// How the limits were used, as a whole and in parts of the time.
async fn pace(State(simulator): State<Arc<Simulator>>, Query(query): Query<PaceQuery>) -> Response {
    let spans = query.spans.as_deref().map(pace::spans).transpose();
    match spans {
        Ok(spans) => {
            let mut limiter = lock(&simulator.limiter);
            let now = simulator.now();
            let keys = lock(&simulator.keys);
            Json(limiter.pace(spans, now, |key| keys.fingerprint(key))).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}

#[derive(Debug, Deserialize)]
struct PaceQuery {
    /// `FROM-TO,FROM-TO` in milliseconds since the first request.
    spans: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct KeyChange {
    accept: Vec<SecretString>,
    revoke: Vec<SecretString>,
}

/// Lets API keys in, or no longer; requests that were let in go on.
async fn change_keys(State(simulator): State<Arc<Simulator>>, Json(change): Json<KeyChange>) -> StatusCode {
    let mut keys = lock(&simulator.keys);
    for (changed, let_in) in [(&change.accept, true), (&change.revoke, false)] {
        for key in changed {
            keys.set(key, let_in);
        }
    }
    StatusCode::NO_CONTENT
}

async fn reset(State(simulator): State<Arc<Simulator>>) -> StatusCode {
    simulator.reset();
    StatusCode::NO_CONTENT
}

async fn file(State(simulator): State<Arc<Simulator>>, Path(name): Path<String>) -> Response {
    let now = simulator.now();
    let Some(recipe) = lock(&simulator.files).get(&name, now) else {
        let body = "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthenticationFailed</Code><Message>Server \
                    failed to authenticate the request. Signature not valid in the specified time frame.</Message></Error>";
        return (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "application/xml")], body).into_response();
    };
    let picture = match simulator.draw((*recipe).clone()).await {
        Ok(picture) => picture,
        Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    };
    let pieces = picture.raw();
    let length: usize = pieces.iter().map(Piece::sent_len).sum();
    let content_type = match picture.format {
        Format::Png => "image/png",
        Format::Jpeg => "image/jpeg",
        Format::Webp => "image/webp",
    };
    let manner = Manner {
        ending: Ending::Whole,
        bytes_per_second: simulator.options.body_bytes_per_second,
        begun: simulator.bodies_part_sent.clone(),
        in_flight: None,
    };
    let headers =
        [(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    (headers, Body::new(Sending::new(pieces, manner))).into_response()
}
