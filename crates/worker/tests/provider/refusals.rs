//! Answers that are no images.

use std::time::Duration;

use pictor_worker::{
    provider::{Answer, ApiError, BodyShape, UnusableReason},
    verdict::{Billed, FailureClass, Next, Patience, Tries, judge},
};

use crate::scripted::{Call, KEY, Server, Then, response};

async fn refused(bytes: Vec<u8>) -> ApiError {
    let server = Server::raw(bytes, Then::Close).await;
    let answer = Call::to(server.url()).perform().await;
    assert_eq!(server.connections(), 1, "it was sent more than once");
    match answer {
        Answer::Refused(error) => *error,
        other => panic!("{other:?}"),
    }
}

fn judged(error: ApiError) -> (Billed, Next, Option<FailureClass>) {
    let verdict = judge(
        &Answer::Refused(Box::new(error)),
        &Tries { attempt: 1, ..Tries::default() },
        &Patience::default(),
    );
    (verdict.billed, verdict.next, verdict.class)
}

#[tokio::test]
async fn an_error_arrives_with_all_its_parts() {
    let body = r#"{"error":{"message":"Rate limit reached for m on images per min: Limit 5, Used 5, Requested 1. Please try again in 12s.","type":"images","param":null,"code":"rate_limit_exceeded"}}"#;
    let bytes = format!(
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nretry-after-ms: 534\r\nx-request-id: req_1\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let error = refused(bytes.into_bytes()).await;
    assert_eq!((error.status, error.shape), (429, BodyShape::Json));
    assert_eq!(error.headers.retry_after, Some(Duration::from_millis(534)));
    assert_eq!(error.headers.request_id.as_deref(), Some("req_1"));
    let (billed, Next::Refused(limit), _) = judged(error) else { panic!("not a rate limit") };
    assert_eq!((billed, limit.wait), (Billed::No, Some(Duration::from_secs(12))));
}

#[tokio::test]
async fn proxies_pages_and_nothing() {
    let page = "<html><head><title>502 Bad Gateway</title></head></html>";
    let error = refused(response("502 Bad Gateway", page)).await;
    assert_eq!((error.shape, error.message.as_str()), (BodyShape::Html, "502 Bad Gateway"));
    assert_eq!(judged(error), (Billed::Unknown, Next::Retry, Some(FailureClass::Gateway)));
    assert_eq!(refused(response("500 Oops", "")).await.shape, BodyShape::Empty);
    let error = refused(response("500 Oops", r#"{"error":"model is loading"}"#)).await;
    assert_eq!((error.shape, error.message.as_str()), (BodyShape::Json, "model is loading"));
    assert_eq!(judged(error), (Billed::No, Next::Retry, Some(FailureClass::ServerError)));
}

#[tokio::test]
async fn an_error_body_that_is_cut_or_endless_still_counts() {
    let cut = crate::scripted::response_of_length("500 Oops", r#"{"error":{"mess"#, 400);
    assert_eq!(refused(cut).await.status, 500);
    let endless = response("400 Bad Request", &"x".repeat(3 << 20));
    let error = refused(endless).await;
    assert_eq!(error.status, 400);
    assert!(error.message.len() < 1000);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Server::raw(response("200 OK", "{}"), Then::Close).await;
    let bytes = format!(
        "HTTP/1.1 307 Moved\r\nlocation: {}/x?key={KEY}\r\ncontent-length: 0\r\n\r\n",
        elsewhere.url()
    );
    let error = refused(bytes.into_bytes()).await;
    assert_eq!(error.status, 307);
    assert!(error.message.contains("redirects to 127.0.0.1"), "{}", error.message);
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_success_may_be_an_error() {
    let error = refused(response("200 OK", r#"{"error":{"message":"no","code":"server_error"}}"#)).await;
    assert_eq!((error.status, error.message.as_str()), (200, "no"));
    assert_eq!(judged(error).0, Billed::No);
    let withheld = refused(response("200 OK", r#"{"data":[{"url":"","respect_moderation":false}]}"#)).await;
    assert_eq!(judged(withheld), (Billed::Unknown, Next::Fail, Some(FailureClass::Moderation)));
}

#[tokio::test]
async fn a_success_may_hold_nothing() {
    let rows = [
        ("<html><title>Sign in</title>", UnusableReason::NotJson, false),
        ("", UnusableReason::NotJson, false),
        ("{}", UnusableReason::NoImage, false),
        (r#"{"data":[]}"#, UnusableReason::NoImage, false),
        (r#"{"data":[{"b64_json":null}]}"#, UnusableReason::NoImage, false),
        (r#"{"data":[{"b64_json":"!!!!"}]}"#, UnusableReason::NotBase64, true),
    ];
    for (body, reason, saw_image) in rows {
        let server = Server::raw(response("200 OK", body), Then::Close).await;
        match Call::to(server.url()).perform().await {
            Answer::Unusable(unusable) => {
                assert_eq!((unusable.reason, unusable.saw_image), (reason, saw_image), "{body}");
            }
            other => panic!("{body}: {other:?}"),
        }
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn secrets_that_are_echoed_are_not_repeated() {
    let body = format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}. And Bearer {KEY}"}}}}"#);
    let error = refused(response("401 Unauthorized", &body)).await;
    assert_eq!(error.message, "Incorrect API key provided: [secret]. And Bearer [secret]");
    let page = format!("<title>{KEY}</title>");
    assert!(!refused(response("502 Bad", &page)).await.message.contains(KEY));
}
