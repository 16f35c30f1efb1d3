//! Images that are answered as addresses.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Redirect},
    routing::{get, post},
};
use pictor_worker::provider::{Answer, Unusable, UnusableReason, openai_images::ResponseFormat};
use serde_json::{Value, json};

use crate::scripted::{Call, Server};

/// Answers with an address on itself, or with another one; the fetches are counted.
async fn server(address: &'static str, fetched: &Arc<AtomicUsize>) -> Server {
    let generate = move |headers: HeaderMap, Json(body): Json<Value>| async move {
        assert_eq!(body["response_format"], "url");
        let host = headers["host"].to_str().unwrap();
        let url =
            if address.starts_with('/') { format!("http://{host}{address}") } else { address.to_owned() };
        Json(json!({"created": 1, "data": [{"url": url, "revised_prompt": "A cat"}]}))
    };
    let flaky = |State(fetched): State<Arc<AtomicUsize>>, headers: HeaderMap| async move {
        assert!(!headers.contains_key(AUTHORIZATION), "the key is shown to the image host");
        if fetched.fetch_add(1, Ordering::SeqCst) == 0 {
            return StatusCode::NOT_FOUND.into_response();
        }
        "image bytes".into_response()
    };
    let moved = || async { Redirect::temporary("/flaky") };
    let large = || async { vec![0_u8; 3000] };
    let counted = |State(fetched): State<Arc<AtomicUsize>>| async move {
        fetched.fetch_add(1, Ordering::SeqCst);
        StatusCode::OK
    };
    let router: Router<Arc<AtomicUsize>> = Router::new()
        .route("/v1/images/generations", post(generate))
        .route("/flaky", get(flaky))
        .route("/moved", get(moved))
        .route("/large", get(large))
        .route("/empty", get(counted));
    Server::routes(router.with_state(Arc::clone(fetched))).await
}

fn call(server: &Server) -> Call {
    let mut call = Call::to(server.url());
    call.account.response_format = ResponseFormat::Url;
    call.spec.model = "dall-e-3".into();
    call
}

async fn fails(address: &'static str) -> (Unusable, usize) {
    let fetched = Arc::default();
    let server = server(address, &fetched).await;
    let mut call = call(&server);
    call.account.max_image_bytes = 2000;
    match call.perform().await {
        Answer::Unusable(unusable) => (*unusable, fetched.load(Ordering::SeqCst)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn it_is_fetched_at_once_and_again_if_need_be() {
    let fetched = Arc::default();
    let server = server("/flaky", &fetched).await;
    let call = call(&server);
    let Answer::Image(received) = call.perform().await else { panic!("no image") };
    assert_eq!(std::fs::read(call.sink()).unwrap(), b"image bytes");
    assert_eq!((received.bytes, received.revised_prompt.as_deref()), (11, Some("A cat")));
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_api_at_a_private_name_gives_its_images_out_there() {
    let server = server("/flaky", &Arc::default()).await;
    let mut call = call(&server);
    call.account.base_url = server.url().replace("127.0.0.1", "localhost");
    let answer = call.perform().await;
    assert!(matches!(answer, Answer::Image(_)), "{answer:?}");
}

#[tokio::test]
async fn foreign_hosts_are_not_asked() {
    let started = Instant::now();
    for address in
        ["https://images.example/i.png?sig=s3cret", "http://169.254.169.254/latest", "file:///etc/passwd"]
    {
        let (unusable, _) = fails(address).await;
        assert_eq!(unusable.reason, UnusableReason::HostRefused, "{address}");
        assert!(unusable.saw_image || !unusable.detail.is_empty());
        assert!(!unusable.detail.contains("s3cret"), "{}", unusable.detail);
    }
    assert!(started.elapsed().as_secs() < 15, "something was tried");
}

#[tokio::test]
async fn redirects_large_and_empty_images_are_refused() {
    let (moved, fetched) = fails("/moved").await;
    assert_eq!((moved.reason, fetched), (UnusableReason::FetchFailed, 0));
    assert!(moved.detail.contains("HTTP 307"), "{}", moved.detail);
    assert_eq!(fails("/large").await.0.reason, UnusableReason::TooLarge);
    let (empty, fetched) = fails("/empty").await;
    assert_eq!((empty.reason, fetched), (UnusableReason::FetchFailed, 3));
}

#[tokio::test]
async fn an_address_may_be_the_image_itself() {
    let server = server("data:image/png;base64,aGVsbG8=", &Arc::default()).await;
    let call = call(&server);
    let answer = call.perform().await;
    assert!(matches!(answer, Answer::Image(_)), "{answer:?}");
    assert_eq!(std::fs::read(call.sink()).unwrap(), b"hello");
}
