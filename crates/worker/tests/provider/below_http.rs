//! What happens below HTTP: surely not sent, or unknown.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use pictor_common::spec::Operation;
use pictor_worker::provider::{Answer, Stage, UnusableReason};

use tokio::io::AsyncWriteExt as _;

use crate::scripted::{Call, KEY, Server, Then, response, response_of_length};

const SHORT: Duration = Duration::from_millis(400);

fn unsent_stage(answer: &Answer) -> Stage {
    match answer {
        Answer::Unsent(unsent) => unsent.stage,
        other => panic!("{other:?}"),
    }
}

async fn unusable(bytes: Vec<u8>, then: Then, max_image_bytes: u64) -> (UnusableReason, bool) {
    let server = Server::raw(bytes, then).await;
    let mut call = Call::to(server.url());
    call.timeout = SHORT;
    call.account.max_image_bytes = max_image_bytes;
    let answer = call.perform().await;
    assert_eq!(server.connections(), 1);
    match answer {
        Answer::Unusable(unusable) => (unusable.reason, unusable.saw_image),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn no_connection_is_surely_unsent() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let answer = Call::to(format!("http://{closed}")).perform().await;
    assert_eq!(unsent_stage(&answer), Stage::Connect);
    assert!(format!("{answer:?}").contains("refused"), "{answer:?}");
}

#[tokio::test]
async fn no_tls_is_surely_unsent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let call = Call::to(format!("https://{}", listener.local_addr().unwrap()));
    let plain = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    };
    let (answer, ()) = tokio::join!(call.perform(), plain);
    assert_eq!(unsent_stage(&answer), Stage::Connect);
}

#[tokio::test]
async fn a_handshake_that_hangs_is_surely_unsent() {
    let server = Server::raw("", Then::Stall).await;
    let mut call = Call::to(server.url().replace("http", "https"));
    call.timeout = SHORT;
    assert_eq!(unsent_stage(&call.perform().await), Stage::Connect);
}

#[tokio::test]
async fn what_cannot_be_asked_or_written_is_not_sent() {
    let server = Server::raw(response("200 OK", "{}"), Then::Close).await;
    let mut call = Call::to(server.url());
    call.spec.operation = Operation::Variation;
    assert_eq!(unsent_stage(&call.perform().await), Stage::Request);
    let call = Call::to(server.url());
    std::fs::create_dir(call.sink().with_extension("part")).unwrap();
    let provider = pictor_worker::provider::openai_images::OpenAiImages::new(call.account.clone()).unwrap();
    let ask = pictor_worker::provider::Ask {
        spec: &call.spec,
        client_request_id: "t:1",
        timeout: SHORT,
        sink: call.sink(),
    };
    let answer = pictor_worker::provider::Provider::perform(&provider, ask).await;
    assert_eq!(unsent_stage(&answer), Stage::Disk);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_unknown() {
    for bytes in ["", "HTTP/1.1 20"] {
        let server = Server::raw(bytes, Then::Close).await;
        let answer = Call::to(server.url()).perform().await;
        assert!(matches!(answer, Answer::Lost { timed_out: false, .. }), "{answer:?}");
        assert_eq!(server.connections(), 1, "it was sent again");
    }
}

#[tokio::test]
async fn no_answer_in_time_is_unknown() {
    let server = Server::raw("", Then::Stall).await;
    let mut call = Call::to(server.url());
    call.timeout = SHORT;
    let started = Instant::now();
    let answer = call.perform().await;
    assert!(matches!(answer, Answer::Lost { timed_out: true, .. }), "{answer:?}");
    assert!(started.elapsed() >= SHORT && started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn bodies_that_break_off_or_stall() {
    let in_image = || response_of_length("200 OK", r#"{"data":[{"b64_json":"aGVsbG8"#, 500);
    let before_image = || response_of_length("200 OK", r#"{"created":1,"data":"#, 500);
    for (then, reason) in [(Then::Close, UnusableReason::Truncated), (Then::Stall, UnusableReason::Stalled)] {
        assert_eq!(unusable(in_image(), then, 1000).await, (reason, true));
        assert_eq!(unusable(before_image(), then, 1000).await, (reason, false));
        assert_eq!(unusable(response_of_length("200 OK", "", 500), then, 1000).await, (reason, false));
    }
}

#[tokio::test]
async fn bodies_that_are_too_large_are_not_read_to_the_end() {
    let announced = response_of_length("200 OK", "", 1 << 30);
    assert_eq!(unusable(announced, Then::Stall, 1000).await, (UnusableReason::TooLarge, false));
    let image = "A".repeat(400_000);
    let unannounced = format!("HTTP/1.1 200 OK\r\n\r\n{{\"data\":[{{\"b64_json\":\"{image}");
    assert_eq!(unusable(unannounced.into_bytes(), Then::Stall, 1000).await, (UnusableReason::TooLarge, true));
    let padding = format!("HTTP/1.1 200 OK\r\n\r\n{{\"x\":\"{}", "y".repeat(2 << 20));
    assert_eq!(unusable(padding.into_bytes(), Then::Stall, 1000).await, (UnusableReason::TooLarge, false));
}

#[tokio::test]
async fn errors_name_no_secret_from_the_address() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut call = Call::to(format!("http://{closed}"));
    call.account.query.insert("api-key".into(), KEY.into());
    let answer = call.perform().await;
    assert!(!format!("{answer:?}").contains("api-key"), "{answer:?}");
}
