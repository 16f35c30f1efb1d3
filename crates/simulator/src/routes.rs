//! Which path answers what.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;

use crate::{
    answer::{error_response, tagged},
    auth::authenticate,
    control,
    errors::ApiError,
    generate::generate,
    models::{MODELS, find},
    state::{Simulator, lock},
};

/// The API, with and without `/v1`, and what tests and operators ask of the simulator itself.
pub(crate) fn router(simulator: Arc<Simulator>) -> Router {
    let api = Router::new()
        .route("/images/generations", post(generate))
        .route("/models", get(list_models))
        .route("/models/{id}", get(one_model));
    Router::new()
        .nest("/v1", api.clone())
        .merge(api)
        .nest("/_simulator", control::router())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(simulator)
}

async fn list_models(State(simulator): State<Arc<Simulator>>, headers: HeaderMap) -> Response {
    let answer = authenticate(&headers, &lock(&simulator.keys)).map(|_key| {
        let data: Vec<_> = MODELS.iter().map(|model| model.describe()).collect();
        json!({ "object": "list", "data": data })
    });
    finished(&simulator, answer)
}

async fn one_model(
    State(simulator): State<Arc<Simulator>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let answer = authenticate(&headers, &lock(&simulator.keys)).and_then(|_key| {
        find(&id).map(|model| model.describe()).ok_or_else(|| ApiError::model_not_found(&id))
    });
    finished(&simulator, answer)
}

fn finished(simulator: &Simulator, answer: Result<serde_json::Value, ApiError>) -> Response {
    let response = match answer {
        Ok(value) => Json(value).into_response(),
        Err(error) => error_response(&error),
    };
    let id = format!("req_{}", simulator.unique());
    tagged(response, &id, &simulator.options.organization, None)
}

async fn unknown_path(State(simulator): State<Arc<Simulator>>, method: Method, uri: Uri) -> Response {
    let path = uri.path();
    // The real API answers this retired path with nothing at all.
    if path.ends_with("/images/variations") {
        return StatusCode::NOT_FOUND.into_response();
    }
    simulator.requests.fetch_add(u64::from(path.contains("/images/")), Ordering::Relaxed);
    let message = format!("Invalid URL ({method} {path})");
    finished(&simulator, Err(ApiError { status: StatusCode::NOT_FOUND, ..ApiError::invalid(message) }))
}

async fn wrong_method(State(simulator): State<Arc<Simulator>>, method: Method, uri: Uri) -> Response {
    let message = format!("Not allowed to {method} on {}.", uri.path());
    let error = ApiError { status: StatusCode::METHOD_NOT_ALLOWED, ..ApiError::invalid(message) };
    finished(&simulator, Err(error.code("method_not_supported")))
}
