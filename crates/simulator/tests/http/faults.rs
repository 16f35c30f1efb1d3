//! Every fault, by the table the simulator itself gives.

use std::time::Duration;

use pictor_simulator::{Options, Scheduled};
use serde_json::{Value, json};

use crate::server::{Server, body, header, instant, picture};

/// What a client saw of one request.
#[derive(Debug)]
struct Seen {
    status: Option<u16>,
    /// The whole body; absent where it broke off or never came.
    body: Option<Vec<u8>>,
}

async fn ask(server: &Server, prompt: &str) -> Seen {
    let short = Duration::from_millis(1500);
    let Ok(Ok(response)) = tokio::time::timeout(short, server.small(prompt).send()).await else {
        return Seen { status: None, body: None };
    };
    let status = Some(response.status().as_u16());
    let body = tokio::time::timeout(short, response.bytes()).await.ok().and_then(Result::ok);
    Seen { status, body: body.map(|body| body.to_vec()) }
}

#[tokio::test]
async fn every_fault_is_as_listed() {
    let server = Server::start(instant()).await;
    let faults = server.control("faults").await;
    let faults = faults.as_array().unwrap();
    assert!(faults.len() >= 60);
    for fault in faults {
        let name = fault["name"].as_str().unwrap();
        let before = server.totals().await["images"].as_u64().unwrap();
        let seen = ask(&server, &format!("a mug [[sim:{name}]]")).await;
        assert_eq!(seen.status.map_or(Value::Null, |status| json!(status)), fault["status"], "{name}");
        let billed = server.totals().await["images"].as_u64().unwrap() > before;
        assert_eq!(json!(billed), fault["billed"], "{name}");
        let wire =
            ["body", "hang", "cut_", "reset_"].iter().any(|part| name.contains(part)) && name != "empty_body";
        assert_eq!(seen.body.is_none(), wire, "{name}: {seen:?}");
        if let (Some(code), Some(body)) = (fault["code"].as_str(), &seen.body) {
            let answer: Value = serde_json::from_slice(body).unwrap();
            assert_eq!(answer["error"]["code"], code);
            assert!(!answer["error"]["message"].as_str().unwrap().contains('{'), "{answer}");
        }
    }
    server.until("invoice?totals=1", |totals| totals["in_flight"] == 0).await;
    assert_eq!(server.control("state").await["bodies_part_sent"], 0);
}

#[tokio::test]
async fn error_bodies_are_faithful() {
    let server = Server::start(instant()).await;
    let error = async |name: &str| {
        let response = server.small(&format!("[[sim:{name}]]")).send().await.unwrap();
        let retry = header(&response, "retry-after").to_owned() + "/" + header(&response, "retry-after-ms");
        let (_, mut answer) = body(response).await;
        (answer["error"].take(), retry)
    };
    let (blocked, _) = error("moderation_blocked_output").await;
    assert_eq!(blocked["type"], "image_generation_user_error");
    assert_eq!(blocked["moderation_details"]["moderation_stage"], "output");
    let (unverified, _) = error("organization_unverified").await;
    assert!(
        unverified["code"].is_null() && unverified["message"].as_str().unwrap().contains("must be verified")
    );
    let (limited, retry) = error("rate_limit_tokens").await;
    assert!(limited["message"].as_str().unwrap().ends_with("Please try again in 534ms."));
    assert_eq!((limited["type"].as_str(), retry.as_str()), (Some("tokens"), "1/534"));
    let (quota, retry) = error("insufficient_quota").await;
    assert_eq!((quota["type"].as_str(), retry.as_str()), (Some("insufficient_quota"), "/"));
    assert_eq!(error("error_string").await.0, "out of memory");
    let html = server.small("[[sim:bad_gateway_html]]").send().await.unwrap();
    assert_eq!(header(&html, "content-type"), "text/html");
    let unknown = server.small("[[sim:typo]]").send().await.unwrap();
    assert_eq!(unknown.status(), 400);
}

#[tokio::test]
async fn spoilt_pictures_are_spoilt_as_named() {
    let server = Server::start(instant()).await;
    let answer =
        async |name: &str| body(server.small(&format!("[[sim:{name}]]")).send().await.unwrap()).await.1;
    assert_eq!(answer("no_data").await["data"], json!([]));
    assert_eq!(answer("no_image").await["data"], json!([{}]));
    let bad = answer("bad_base64").await;
    assert!(base64_simd::STANDARD.decode_to_vec(bad["data"][0]["b64_json"].as_str().unwrap()).is_err());
    let jpeg = picture(&answer("wrong_format").await);
    assert_eq!(image::guess_format(&jpeg).unwrap(), image::ImageFormat::Jpeg);
    let small = image::load_from_memory(&picture(&answer("wrong_size").await)).unwrap();
    assert_eq!((small.width(), small.height()), (128, 128));
    let broken = picture(&answer("undecodable_image").await);
    assert!(broken.starts_with(b"\x89PNG") && image::load_from_memory(&broken).is_err());
    assert!(image::guess_format(&picture(&answer("not_an_image").await)).is_err());
    for spoilt in ["shortened_image", "bad_checksum", "bomb_image"] {
        let broken = picture(&answer(spoilt).await);
        assert!(broken.starts_with(b"\x89PNG") && image::load_from_memory(&broken).is_err(), "{spoilt}");
    }
    assert_eq!(answer("null_image").await["data"], json!([{ "b64_json": null }]));
    assert_eq!(answer("empty_image").await["data"], json!([{ "b64_json": "" }]));
    assert_eq!(answer("two_images").await["data"].as_array().unwrap().len(), 2);
    let told = async |name: &str| answer(name).await["data"][0]["b64_json"].as_str().unwrap().to_owned();
    assert!(told("base64_in_lines").await.lines().count() > 10);
    assert!(told("base64_as_data_url").await.starts_with("data:image/png;base64,iVBOR"));

    let ask = json!({ "model": "dall-e-3", "prompt": "[[sim:url_gone]]" });
    let (_, gone) = body(server.post(&ask).send().await.unwrap()).await;
    let file = server.client.get(gone["data"][0]["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(file.status(), 403);
}

#[tokio::test]
async fn a_truncated_body_promises_more_than_it_sends() {
    let server = Server::start(instant()).await;
    let response = server.small("[[sim:truncated_body]]").send().await.unwrap();
    let promised: usize = header(&response, "content-length").parse().unwrap();
    let mut stream = response;
    let mut received = 0;
    let error = loop {
        match stream.chunk().await {
            Ok(Some(chunk)) => received += chunk.len(),
            Ok(None) => panic!("the body ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(received, promised / 2);
}

#[tokio::test]
async fn schedule_counts_admitted_requests() {
    let mut options = instant();
    options.schedule = vec![Scheduled { request: 2, fault: "server_error".to_owned() }];
    let server = Server::start(options).await;
    let mut statuses = Vec::new();
    for prompt in ["a", "b", "c", "d [[sim:slow_down*1]]", "d [[sim:slow_down*1]]"] {
        statuses.push(ask(&server, prompt).await.status.unwrap());
    }
    assert_eq!(statuses, [200, 500, 200, 429, 200]);
}

#[tokio::test]
async fn chance_strikes_as_often_as_asked() {
    let faults = [("server_is_overloaded".to_owned(), 0.5)].into();
    let server = Server::start(Options { faults, ..instant() }).await;
    let mut refused = 0;
    for index in 0..60 {
        refused += u32::from(ask(&server, &index.to_string()).await.status == Some(503));
    }
    assert!((15..=45).contains(&refused), "{refused}");
}
