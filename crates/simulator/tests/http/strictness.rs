//! Requests that the API refuses, and keys it does not know.

use pictor_simulator::Options;
use serde_json::{Value, json};

use crate::server::{Server, body, instant};

#[tokio::test]
async fn refuses_forbidden_parameters_and_bills_nothing() {
    let server = Server::start(instant()).await;
    for (ask, status, code) in [
        (
            json!({"model": "gpt-image-2", "prompt": "x", "response_format": "b64_json"}),
            400,
            "unknown_parameter",
        ),
        (json!({"model": "dall-e-3", "prompt": "x", "n": 3}), 400, "invalid_value"),
        (json!({"model": "dall-e-3", "prompt": "x", "size": "512x512"}), 400, "invalid_value"),
        (json!({"model": "dall-e-3"}), 400, "missing_required_parameter"),
        (json!({"model": "dall-e-4", "prompt": "x"}), 404, "model_not_found"),
    ] {
        let (seen, answer) = body(server.post(&ask).send().await.unwrap()).await;
        assert_eq!((seen, &answer["error"]["code"]), (status, &json!(code)), "{ask}");
        assert_eq!(answer["error"]["type"], "invalid_request_error");
    }
    let totals = server.totals().await;
    assert_eq!((&totals["images"], &totals["refusals"]), (&json!(0), &json!(5)));
    assert_eq!(totals["by_code"]["invalid_value"], 2);
}

#[tokio::test]
async fn asks_for_a_known_key_and_does_not_repeat_it() {
    let server =
        Server::start(Options { api_keys: vec!["one-key".into(), "two-key".into()], ..instant() }).await;
    let ask = |name: &str, value: &str| {
        let post = server.client.post(format!("{}/images/generations", server.url)).header(name, value);
        post.json(&json!({ "model": "dall-e-3", "prompt": "x" })).send()
    };
    for (name, value, status) in [
        ("authorization", "Bearer one-key", 200),
        ("api-key", "two-key", 200),
        ("authorization", "Bearer wrong-key", 401),
        ("x-none", "x", 401),
    ] {
        let (seen, answer) = body(ask(name, value).await.unwrap()).await;
        assert_eq!(seen, status, "{answer}");
        assert!(!answer.to_string().contains("wrong-key"));
        assert_eq!(status == 401, answer["error"]["code"] == "invalid_api_key");
    }
    let invoice = server.control("invoice").await;
    let prints: Vec<_> =
        invoice["images"].as_array().unwrap().iter().map(|image| &image["api_key_fingerprint"]).collect();
    assert_eq!(prints, [&json!("key"), &json!("key")]);
}

#[tokio::test]
async fn other_paths_and_methods_are_json_errors() {
    let server = Server::start(instant()).await;
    let get = |path: &str| server.client.get(format!("{}{path}", server.url)).bearer_auth("sim-key").send();
    let (status, answer) = body(get("/v1/images/generations").await.unwrap()).await;
    assert_eq!((status, &answer["error"]["code"]), (405, &json!("method_not_supported")));
    let (status, answer) = body(get("/v1/nothing").await.unwrap()).await;
    assert_eq!((status, &answer["error"]["message"]), (404, &json!("Invalid URL (GET /v1/nothing)")));
    let (status, answer) = body(get("/v1/models/gpt-image-1").await.unwrap()).await;
    assert_eq!((status, &answer["shutdown_date"]), (200, &json!("2026-10-23")));
    assert_eq!(get("/v1/models/none").await.unwrap().status(), 404);
    let response = server.client.post(format!("{}/v1/images/variations", server.url)).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (404, ""));
}

#[tokio::test]
async fn options_that_mean_nothing_are_refused() {
    let misspelt: Options = serde_json::from_value(json!({ "faults": { "sevrer_error": 0.1 } })).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = pictor_simulator::serve(listener, misspelt, std::future::pending()).await.unwrap_err();
    assert!(error.to_string().contains("sevrer_error"));
    let unknown: Result<Options, _> = serde_json::from_value(json!({ "sped": 2 }));
    assert!(unknown.unwrap_err().to_string().contains("sped"));
    assert_eq!(
        serde_json::from_value::<Options>(Value::Object(serde_json::Map::new())).unwrap().url_seconds,
        3600
    );
}
