//! APIs and keys that are wrong in one way.

use super::{
    Report,
    stub::{Response, Stub},
    world,
};
use crate::{
    support::ports,
    world::{World, told},
};

const ONLY: &[&str] = &["--only", "api"];
const BASE_URL: &str = "PICTOR_ACCOUNTS__SIM__BASE_URL";
const LIST: &str = r#"{"object":"list","data":[{"id":"gpt-image-2","shutdown_date":null}]}"#;

fn at(world: &World, response: Response) -> Report {
    let stub = Stub::start(move |request| {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/v1/models"));
        response.clone()
    });
    Report::of(world, ONLY, &[(BASE_URL, &stub.url())])
}

fn json(status: u16, body: &str) -> Response {
    Response::new(status, body).header("content-type", "application/json")
}

#[test]
fn keys_that_are_missing_or_refused() {
    let world = world();
    let with_key = |key: &str| Report::of(&world, ONLY, &[("SIM_API_KEY", key)]);
    let refused = with_key("sk-another-key-0123456789");
    refused.says("sim key", "ok", &["environment variable SIM_API_KEY"]);
    refused.says("sim models", "failed", &["is refused: 401 invalid_api_key", "SIM_API_KEY"]);
    assert!(!told(&refused.output).contains("sk-another-key"));
    let missing = with_key("");
    missing.says("sim key", "failed", &["set the environment variable SIM_API_KEY"]);
    assert_eq!(missing.failed(), ["sim key"]);
    Report::of(&world, ONLY, &[]).says("sim models", "ok", &["gpt-image-2", "dall-e-3"]);
}

#[test]
fn answers_that_are_no_list_are_named() {
    let world = world();
    at(&world, json(200, LIST)).says("sim models", "ok", &["gpt-image-2; not "]);
    at(&world, json(200, r#"{"data":[{"id":"gpt-image-2.5-flare"}]}"#)).says(
        "sim models",
        "failed",
        &["default model gpt-image-2 is not open", "gpt-image-2.5-flare"],
    );
    at(&world, json(404, r#"{"error":{"message":"Invalid URL"}}"#)).says(
        "sim models",
        "warning",
        &["not checked", "404"],
    );
    let forbidden =
        r#"{"error":{"message":"Country, region, or territory not supported","code":"unsupported"}}"#;
    at(&world, json(403, forbidden)).says("sim models", "failed", &["403 unsupported: Country"]);
    let page = Response::new(200, "<html><title>Sign in</title>").header("content-type", "text/html");
    at(&world, page).says("sim reach", "failed", &["no image API", "Sign in"]);
    let moved = Response::new(301, "").header("location", "https://new.example/v1/models");
    at(&world, moved).says("sim reach", "failed", &["new.example", "accounts.sim.base_url"]);
    let soon = jiff::Zoned::now().date().saturating_add(jiff::ToSpan::days(20));
    let list = LIST.replace("null", &format!("\"{soon}\""));
    at(&world, json(200, &list)).says("sim retirement", "warning", &[&format!("gpt-image-2 on {soon}")]);
}

#[test]
fn a_default_that_was_retired_fails_with_its_replacement() {
    let world = world();
    std::fs::write(
        world.path("models.toml"),
        "default = \"dall-e-3\"\n[models.dall-e-3.retires.\"127.0.0.1\"]\non = \"2026-05-12\"\nreplacement = \"gpt-image-2\"\n",
    )
    .unwrap();
    let file = world.path("models.toml");
    let report = Report::of(&world, ONLY, &[("PICTOR_CATALOGUE__FILE", file.to_str().unwrap())]);
    report.says("sim retirement", "failed", &["dall-e-3 on 2026-05-12", "for example gpt-image-2"]);
}

#[test]
fn ways_of_not_answering_are_told_apart() {
    let world = world();
    let at = |url: &str| Report::of(&world, ONLY, &[(BASE_URL, url)]);
    let nobody = format!("127.0.0.1:{}", ports::free());
    at(&format!("http://{nobody}/v1")).says("sim reach", "failed", &["no connection", "firewall"]);
    at("https://no-such-host.invalid/v1").says("sim reach", "failed", &["no-such-host.invalid is unknown"]);
    let plain = Stub::start(|_| Response::new(400, "this is plain HTTP"));
    at(&plain.url().replace("http:", "https:")).says("sim reach", "failed", &["does not speak TLS"]);
    at("http://images.example/v1").says("sim reach", "failed", &["plain HTTP", "[accounts.sim]"]);

    let proxy = Stub::start(|_| Response::new(407, ""));
    let through = [(BASE_URL, "https://images.example/v1"), ("HTTPS_PROXY", &*proxy.url())];
    Report::of(&world, ONLY, &through).says("sim reach", "failed", &["the proxy", "HTTPS_PROXY"]);
}
