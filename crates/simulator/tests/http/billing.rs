//! The invoice: what was made is paid, heard or not.

use std::time::Duration;

use pictor_simulator::Options;
use serde_json::{Value, json};

use crate::server::{Server, body, instant};

#[tokio::test]
async fn a_client_that_leaves_is_billed_all_the_same() {
    let server = Server::start(Options { latency_ms_p50: Some(300), ..instant() }).await;
    let left =
        server.small("gone").header("x-client-request-id", "attempt-1").timeout(Duration::from_millis(100));
    left.send().await.unwrap_err();
    assert_eq!(server.totals().await["images"], 0);
    let totals = server.until("invoice?totals=1", |totals| totals["images"] == 1).await;
    assert_eq!(totals["cost_micro_usd"], 16_000);
    server.until("invoice?totals=1", |totals| totals["completed_after_disconnect"] == 1).await;
    server.until("state", |state| state["in_flight"] == 0).await;
    assert_eq!(server.control("invoice").await["images"][0]["client_request_id"], "attempt-1");
}

#[tokio::test]
async fn the_invoice_lists_pictures_and_refusals() {
    let server = Server::start(instant()).await;
    let ask = json!({ "model": "gpt-image-1", "prompt": "abcd", "quality": "low", "n": 2 });
    let response = server.post(&ask).header("x-client-request-id", "a,1").send().await.unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let (_, answer) = body(response).await;
    server.small("x [[sim:server_error]]").header("x-client-request-id", "b").send().await.unwrap();
    server.small("y [[sim:moderation_blocked_output]]").send().await.unwrap();

    let invoice = server.control("invoice").await;
    let images = invoice["images"].as_array().unwrap();
    assert_eq!(images.len(), 3);
    assert_eq!(images[0]["request_id"], id);
    let costs: u64 = images[..2].iter().map(|image| image["cost_micro_usd"].as_u64().unwrap()).sum();
    let usage = &answer["usage"];
    let tokens = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(costs, tokens("input_tokens") * 5 + tokens("output_tokens") * 40);
    let digest = "88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589";
    assert_eq!(images[0]["prompt_sha256"], digest);
    assert_eq!(images[2]["fault"], "moderation_blocked_output");
    let codes: Vec<_> =
        invoice["refusals"].as_array().unwrap().iter().map(|refusal| &refusal["code"]).collect();
    assert_eq!(codes, ["server_error", "moderation_blocked"]);
    assert_eq!(invoice["refusals"][0]["client_request_id"], "b");
    assert_eq!(invoice["totals"], server.totals().await);
    assert_eq!(invoice["totals"]["distinct_prompts"], 2);

    let csv = server.client.get(format!("{}/_simulator/invoice.csv", server.url)).send().await.unwrap();
    let csv = csv.text().await.unwrap();
    assert_eq!(csv.lines().count(), 4);
    assert!(
        csv.lines().nth(1).unwrap().starts_with(&format!("{id},\"a,1\",key,gpt-image-1,1024x1024,low,")),
        "{csv}"
    );
}

#[tokio::test]
async fn reset_forgets() {
    let server = Server::start(instant()).await;
    let prompt = "x [[sim:server_error*1]]";
    let statuses = async || server.small(prompt).send().await.unwrap().status().as_u16();
    assert_eq!((statuses().await, statuses().await), (500, 200));
    let reset = server.client.post(format!("{}/_simulator/reset", server.url)).send().await.unwrap();
    assert_eq!(reset.status(), 204);
    let totals = server.totals().await;
    assert_eq!((&totals["images"], &totals["refusals"]), (&json!(0), &json!(0)));
    assert_eq!((statuses().await, statuses().await), (500, 200));
}

#[tokio::test]
async fn slow_bodies_are_seen_part_sent_and_are_billed() {
    let mut options = instant();
    options.image_bytes = Some(1 << 20);
    options.body_bytes_per_second = Some(100_000);
    let server = Server::start(options).await;
    let asks: Vec<_> = (0..25).map(|index| tokio::spawn(server.small(&index.to_string()).send())).collect();
    let mut answers = Vec::new();
    for ask in asks {
        answers.push(ask.await.unwrap().unwrap());
    }
    let state = server.until("state", |state| state["bodies_part_sent"] == 25).await;
    assert_eq!((&state["in_flight"], &state["requests"]), (&json!(25), &json!(25)));
    let totals = server.totals().await;
    assert_eq!((&totals["images"], &totals["completed_after_disconnect"]), (&json!(25), &json!(0)));
    drop(answers);
    let none = |state: &Value| state["bodies_part_sent"] == 0 && state["in_flight"] == 0;
    server.until("state", none).await;
}

#[tokio::test]
async fn shutdown_breaks_what_hangs() {
    let mut server = Server::start(Options { latency_ms_p50: Some(60_000), ..instant() }).await;
    let waiting = tokio::spawn(server.small("slow").send());
    server.until("state", |state| state["in_flight"] == 1).await;
    tokio::time::timeout(Duration::from_secs(5), server.stop()).await.unwrap();
    waiting.await.unwrap().unwrap_err();
}
