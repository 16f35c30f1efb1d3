//! One signed request to an endpoint, within bounds: no redirects, no body read, little time.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use pictor_common::webhook::EventType;
use reqwest::{Client, StatusCode, Url, redirect};
use secrecy::ExposeSecret as _;

use super::{endpoint::Webhook, sign::signatures};
use crate::engine::wall_ms;

const PATIENCE: Duration = Duration::from_secs(15);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// What an endpoint made of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has taken it.
    Taken,
    /// It has not.
    Refused,
    /// It wants nothing any more.
    Gone,
}

/// A request that was sent, or could not be.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What became of it.
    pub verdict: Verdict,
    /// What was answered, for people.
    pub answer: String,
    /// How long that took.
    pub took: Duration,
}

/// Posts a body under an id.
pub(super) async fn send(webhook: &Webhook, id: &str, body: &str) -> Sent {
    let begun = Instant::now();
    let (verdict, answer) = match post(webhook, id, body).await {
        Ok(status) => (verdict(status), told(status)),
        Err(why) => (Verdict::Refused, why),
    };
    Sent { verdict, answer, took: begun.elapsed() }
}

/// Sends an event that says nothing, to find out whether the endpoint takes it.
pub async fn send_test(webhook: &Webhook, namespace: &str) -> Sent {
    let now = Timestamp::now();
    let body = serde_json::json!({
        "type": EventType::Test, "timestamp": now.to_string(), "data": { "namespace": namespace },
    });
    send(webhook, &format!("msg_test_{}", ulid::Ulid::generate()), &body.to_string()).await
}

async fn post(webhook: &Webhook, id: &str, body: &str) -> Result<StatusCode, String> {
    let keys = webhook.keys()?;
    let url = Url::parse(webhook.url.expose_secret()).map_err(|error| error.to_string())?;
    let at = wall_ms() / 1_000;
    let request = client(&url).map_err(words)?.post(url);
    let request = request
        .header("content-type", "application/json")
        .header("user-agent", concat!("Pictor/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", id)
        .header("webhook-timestamp", at)
        .header("webhook-signature", signatures(&keys, id, at, body))
        .body(body.to_owned());
    // What it says beyond the status is left unread.
    Ok(request.send().await.map_err(words)?.status())
}

/// Of its own for each request: hours may lie between two.
fn client(url: &Url) -> reqwest::Result<Client> {
    let builder = || {
        Client::builder()
            .timeout(PATIENCE)
            .connect_timeout(CONNECT_PATIENCE)
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(0)
    };
    match builder().build() {
        // A bare machine may have no root certificates, and plain HTTP needs none.
        Err(_no_roots) if url.scheme() == "http" => builder().tls_certs_only([]).build(),
        built => built,
    }
}

fn verdict(status: StatusCode) -> Verdict {
    match status {
        StatusCode::GONE => Verdict::Gone,
        status if status.is_success() => Verdict::Taken,
        _ => Verdict::Refused,
    }
}

fn told(status: StatusCode) -> String {
    let more = if status.is_redirection() { "; redirects are not followed" } else { "" };
    format!("{status}{more}")
}

/// An error without the address, with its cause.
fn words(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(deeper) = cause {
        let text = deeper.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = deeper.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2xx_is_taken_and_only_410_is_for_good() {
        let of = |status| verdict(StatusCode::from_u16(status).unwrap());
        for (status, expected) in [
            (200, Verdict::Taken),
            (204, Verdict::Taken),
            (302, Verdict::Refused),
            (404, Verdict::Refused),
            (410, Verdict::Gone),
            (500, Verdict::Refused),
        ] {
            assert_eq!(of(status), expected, "{status}");
        }
        assert_eq!(told(StatusCode::FOUND), "302 Found; redirects are not followed");
    }
}
