//! 429s: words, headers, waits, and limits that change.

use std::time::{Duration, Instant};

use pictor_simulator::Broken;
use serde_json::{Value, json};

use crate::server::{Server, body, header, instant, picture};

async fn limited(images: u64, window_seconds: f64) -> Server {
    let mut options = instant();
    options.limits.window_seconds = window_seconds;
    options.limits.dall_e_2.images = Some(images);
    Server::start(options).await
}

#[tokio::test]
async fn the_fourth_of_three_is_refused_in_the_words_of_the_api() {
    let server = limited(3, 60.0).await;
    for remaining in ["2", "1", "0"] {
        let response = server.small("x").send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "x-ratelimit-limit-images"), "3");
        assert_eq!(header(&response, "x-ratelimit-remaining-images"), remaining);
    }
    let response = server.small("x").send().await.unwrap();
    let retry: u64 = header(&response, "retry-after").parse().unwrap();
    let retry_ms: u64 = header(&response, "retry-after-ms").parse().unwrap();
    assert!(retry == 20 && retry_ms == 20_000, "{retry} {retry_ms}");
    assert!(header(&response, "x-ratelimit-reset-images").starts_with("59."));
    let (status, answer) = body(response).await;
    assert_eq!(status, 429);
    assert_eq!(answer["error"]["code"], "rate_limit_exceeded");
    assert_eq!(
        answer["error"]["message"],
        "Rate limit reached for dall-e-2 in organization org-simulator on images per min: Limit 3, Used 3, \
         Requested 1. Please try again in 20s."
    );
    let other = json!({ "model": "dall-e-3", "prompt": "x" });
    assert_eq!(server.post(&other).send().await.unwrap().status(), 200);
    assert_eq!(server.totals().await["by_code"]["rate_limit_exceeded"], 1);
}

#[tokio::test]
async fn who_waits_as_told_is_let_in() {
    let server = limited(4, 1.0).await;
    let began = Instant::now();
    let mut made = 0;
    while made < 8 {
        let response = server.small("x").send().await.unwrap();
        if response.status() == 200 {
            made += 1;
            continue;
        }
        let wait = header(&response, "retry-after-ms").parse().unwrap();
        tokio::time::sleep(Duration::from_millis(wait)).await;
        assert_eq!(server.small("x").send().await.unwrap().status(), 200);
        made += 1;
    }
    assert!(began.elapsed() >= Duration::from_millis(950), "{:?}", began.elapsed());
}

#[tokio::test]
async fn limits_change_at_run_time() {
    let server = limited(1, 60.0).await;
    assert_eq!(server.small("x").send().await.unwrap().status(), 200);
    assert_eq!(server.small("x").send().await.unwrap().status(), 429);
    let change = async |change: Value| {
        let url = format!("{}/_simulator/limits", server.url);
        server.client.post(url).json(&change).send().await.unwrap()
    };
    let changed = change(json!({ "dall-e-2": { "images": 10, "in_flight": 5 }, "headers": false })).await;
    let changed: Value = changed.json().await.unwrap();
    assert_eq!((&changed["dall-e-2"]["images"], &changed["window_seconds"]), (&json!(10), &json!(60.0)));
    let response = server.small("x").send().await.unwrap();
    assert_eq!((response.status().as_u16(), header(&response, "x-ratelimit-limit-images")), (200, ""));
    change(json!({ "dall-e-2": { "images": 0 } })).await;
    let (_, answer) = body(server.small("x").send().await.unwrap()).await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("Limit 0, Used 0, Requested 1"));
    change(json!({ "dall-e-2": { "images": null } })).await;
    assert_eq!(server.small("x").send().await.unwrap().status(), 200);
    assert_eq!(change(json!({ "dall-e-2": { "imags": 1 } })).await.status(), 400);
    assert_eq!(change(json!({ "window_seconds": 0 })).await.status(), 400);
}

#[tokio::test]
async fn keys_have_limits_of_their_own_and_in_flight_is_capped() {
    let mut options = instant();
    options.api_keys = vec!["sim-key".into(), "other-key".into()];
    options.latency_ms_p50 = Some(500);
    options.limits.dall_e_2.in_flight = Some(1);
    let server = Server::start(options).await;
    let first = tokio::spawn(server.small("x").send());
    server.until("state", |state| state["in_flight"] == 1).await;
    let (status, answer) = body(server.small("x").send().await.unwrap()).await;
    assert_eq!((status, &answer["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    let ask = json!({ "model": "dall-e-2", "prompt": "x", "size": "256x256" });
    let other = server.client.post(format!("{}/v1/images/generations", server.url)).bearer_auth("other-key");
    assert_eq!(other.json(&ask).send().await.unwrap().status(), 200);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn the_pace_is_told_by_key_and_span() {
    let mut options = instant();
    options.api_keys = vec!["sim-key".into(), "other-key".into()];
    options.broken = vec![Broken { api_key: "other-key".into(), fault: "server_error".to_owned() }];
    options.limits.window_seconds = 60.0;
    options.limits.dall_e_2.images = Some(3);
    options.one_picture = true;
    let server = Server::start(options).await;
    assert_eq!(server.control("pace").await, json!({ "now_ms": null, "lanes": [] }));
    let mut pictures = Vec::new();
    for (prompt, status) in [("a", 200), ("b", 200), ("c", 200), ("d", 429)] {
        let (seen, answer) = body(server.small(prompt).send().await.unwrap()).await;
        assert_eq!(seen, status);
        if status == 200 {
            pictures.push(picture(&answer));
        }
    }
    assert!(pictures.iter().all(|one| *one == pictures[0]), "one picture is enough");
    let ask = json!({ "model": "dall-e-2", "prompt": "x", "size": "256x256" });
    let other = server.client.post(format!("{}/v1/images/generations", server.url)).bearer_auth("other-key");
    assert_eq!(other.json(&ask).send().await.unwrap().status(), 500);
    let pace = server.control("pace?spans=0-20000,20000-30000").await;
    let lanes = pace["lanes"].as_array().unwrap();
    assert_eq!((lanes.len(), &lanes[0]["family"], &lanes[1]["key"]), (2, &json!("dall-e-2"), &json!(1)));
    assert_eq!(lanes[0]["total"], json!({ "requests": 3, "images": 3, "refused": 1 }));
    assert_eq!(lanes[1]["total"], json!({ "requests": 1, "images": 1, "refused": 0 }));
    let measured = &lanes[0]["measured"];
    assert_eq!((&measured["dimension"], &measured["taken"]), (&json!("images"), &json!(3)));
    // What is yet to come of a span does not count.
    assert!(measured["seconds"].as_f64().unwrap() < 20.0, "{measured}");
    let url = format!("{}/_simulator/pace?spans=2-1", server.url);
    assert_eq!(server.client.get(url).send().await.unwrap().status(), 400);
}
