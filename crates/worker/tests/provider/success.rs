//! Images that arrive inside the answer.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, header::AUTHORIZATION},
    routing::post,
};
use pictor_common::price::Usage;
use pictor_worker::provider::{Answer, Received};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::scripted::{Call, KEY, Server, Then, response, response_of_length};

type Seen = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

fn image_of(answer: Answer) -> Received {
    match answer {
        Answer::Image(received) => *received,
        other => panic!("no image: {other:?}"),
    }
}

fn noise(length: usize) -> Vec<u8> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

async fn generate(
    State(seen): State<Seen>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (HeaderMap, Json<Value>) {
    seen.lock().await.push((headers, body));
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", "req_42".parse().unwrap());
    headers.insert("x-ratelimit-remaining-requests", "9".parse().unwrap());
    let answer = json!({
        "created": 1, "size": "1024x1024", "quality": "high", "output_format": "png",
        "data": [{"b64_json": base64(&noise(200_000)), "revised_prompt": "A cat"}],
        "usage": {"input_tokens": 12, "output_tokens": 4160, "input_tokens_details": {"text_tokens": 12}},
    });
    (headers, Json(answer))
}

#[tokio::test]
async fn an_image_arrives_with_all_that_is_said_of_it() {
    let seen = Seen::default();
    let router = Router::new().route("/v1/images/generations", post(generate)).with_state(Arc::clone(&seen));
    let server = Server::routes(router).await;
    let mut call = Call::to(server.url());
    call.account.organization = Some("org-1".into());
    call.account.headers.insert("x-extra".into(), "extra".into());
    let received = image_of(call.perform().await);
    assert_eq!(std::fs::read(call.sink()).unwrap(), noise(200_000));
    assert_eq!(
        (received.file, received.bytes, received.images, received.cut),
        (call.sink(), 200_000, 1, false)
    );
    assert_eq!(received.sha256.len(), 64);
    assert_eq!(received.revised_prompt.as_deref(), Some("A cat"));
    assert_eq!(received.usage, Some(Usage { text_input: 12, image_output: 4160, ..Usage::default() }));
    assert_eq!(received.echo.quality.as_deref(), Some("high"));
    assert_eq!(received.headers.request_id.as_deref(), Some("req_42"));
    assert_eq!(received.headers.limits["requests"].remaining, Some(9));

    let seen = seen.lock().await;
    let [(headers, body)] = seen.as_slice() else { panic!("{} requests", seen.len()) };
    assert_eq!(body, &json!({"model": "gpt-image-2", "prompt": "a cat", "n": 1}));
    assert_eq!(headers[AUTHORIZATION], format!("Bearer {KEY}"));
    assert_eq!(headers["x-client-request-id"], "01JTOKEN-7:1");
    assert_eq!(headers["openai-organization"], "org-1");
    assert_eq!(headers["x-extra"], "extra");
    assert!(headers.contains_key("content-length"), "{headers:?}");
}

#[tokio::test]
async fn an_image_survives_what_breaks_after_it() {
    let body = r#"{"data":[{"b64_json":"aGVsbG8="}],"usage":{"in"#;
    for (bytes, then) in [
        (response_of_length("200 OK", body, 500), Then::Close),
        (response_of_length("200 OK", body, 500), Then::Stall),
        (response("200 OK", r#"{"data":[{"b64_json":"aGVsbG8="}]} trailing"#), Then::Close),
    ] {
        let server = Server::raw(bytes, then).await;
        let mut call = Call::to(server.url());
        call.timeout = Duration::from_millis(700);
        let received = image_of(call.perform().await);
        assert!(received.cut);
        assert_eq!(std::fs::read(call.sink()).unwrap(), b"hello");
    }
}

#[tokio::test]
async fn many_large_images_arrive_at_once() {
    let body = Bytes::from(format!(r#"{{"data":[{{"b64_json":"{}"}}]}}"#, base64(&noise(1_500_000))));
    let router = Router::new().route("/v1/images/generations", post(move || async move { body }));
    let server = Server::routes(router).await;
    let calls = (0..60).map(|_| async {
        let call = Call::to(server.url());
        let received = image_of(call.perform().await);
        (received.bytes, received.sha256)
    });
    let mut digests = futures::future::join_all(calls).await;
    digests.dedup();
    assert_eq!(digests.len(), 1);
    assert_eq!(digests[0].0, 1_500_000);
}
