//! The images API as OpenAI made it and many others serve it.
//!
//! HTTP/1.1 only: one HTTP/2 connection would carry all images of a worker through one window, and
//! a proxy that refuses a stream would be retried by the client. Neither redirects nor retries:
//! each call sends at most one paid request.

mod account;
mod key;
mod key_command;
mod models;
mod receiving;
mod request;
mod response;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{
    Body, Client, ClientBuilder, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, LOCATION},
    redirect, retry,
};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;

use key::{Key, LiveKey};

use super::{
    Ask, Provider,
    answer::{Answer, ApiError, Stage, Unsent},
    error_body,
    headers::AnswerHeaders,
    landing::Landing,
    receive,
    redact::Redactor,
    result_url::{Fetcher, ResultHosts},
    tracked_body::TrackedBody,
    transport,
    wide_streams::{BodyStream, WideStreams},
};

pub use account::{Account, AccountError, Auth, Paths, ResponseFormat};
pub use key::KeyError;
pub use key_command::KeyCommand;
pub use models::{Listed, ListedModel, Listing, Unreached};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Below what servers and load balancers allow, the shortest being 5 s: a request on a connection
/// that is just being closed is lost, and nobody could say whether it was paid.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

const KEEPALIVE: Duration = Duration::from_secs(20);

/// How long the body of a refusal is waited for.
const ERROR_BODY: Duration = Duration::from_secs(15);

/// Bodies received at full speed at once; measured, each takes 3 MiB at its peak.
const WIDE_STREAMS: usize = 12;

/// An account at an OpenAI-compatible image API.
pub struct OpenAiImages {
    account: Arc<Account>,
    key: Arc<LiveKey>,
    base: Url,
    client: Client,
    fetcher: Fetcher,
    redactor: Arc<Redactor>,
    wide: WideStreams,
}

impl fmt::Debug for OpenAiImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiImages").field("host", &self.base.host_str()).finish_non_exhaustive()
    }
}

impl OpenAiImages {
    /// Checks an account's settings, reads its key and sets up its connections; sends nothing.
    ///
    /// Blocks while the key's file is read or its command runs.
    pub fn new(account: Account) -> Result<Self, AccountError> {
        let base = account.base()?;
        let host = base
            .host()
            .map(|host| host.to_owned())
            .ok_or_else(|| AccountError::BaseUrl("has no host".into()))?;
        let account = Arc::new(account);
        let redactor = Arc::new(Redactor::new(account.secrets()));
        let key = LiveKey::first(&account, &redactor)?;
        let headers = account.plain_headers()?;
        let in_the_open = base.scheme() == "http";
        let on_this_machine = account::is_loopback(&host);
        let hosts = ResultHosts::new(host, &account.result_hosts, account.allow_http || in_the_open);
        let client = build(in_the_open, on_this_machine, |builder| {
            builder.default_headers(headers.clone()).dns_resolver(hosts.api())
        })?;
        let fetch_client =
            build(in_the_open, on_this_machine, |builder| builder.dns_resolver(hosts.clone()))?;
        Ok(Self {
            client,
            fetcher: Fetcher { client: fetch_client, hosts, max_image_bytes: account.max_image_bytes },
            redactor,
            wide: WideStreams::new(WIDE_STREAMS),
            base,
            key: Arc::new(key),
            account,
        })
    }

    async fn send(
        &self,
        ask: &Ask<'_>,
        body: &Value,
        key: Option<&Key>,
        deadline: Instant,
    ) -> Result<Response, Answer> {
        let model = request::model_name(&self.account, ask.spec);
        let endpoint = self.account.endpoint(&self.base, ask.spec.operation, model);
        let (body, departure) = TrackedBody::new(body.to_string());
        let mut request = self
            .client
            .post(endpoint)
            .header(CONTENT_TYPE, "application/json")
            .header("x-client-request-id", ask.client_request_id);
        if let Some(key) = key {
            let (name, value) = key.header.clone();
            request = request.header(name, value);
        }
        match timeout_at(deadline, request.body(Body::wrap(body)).send()).await {
            Ok(sent) => sent.map_err(|error| transport::failed(&error, &departure, &self.redactor)),
            Err(_elapsed) => Err(transport::timed_out(ask.timeout, &departure)),
        }
    }

    async fn refusal(&self, response: Response, deadline: Instant) -> ApiError {
        let status = response.status();
        let headers = AnswerHeaders::read(response.headers());
        let redirected = status.is_redirection().then(|| redirect_target(response.headers()));
        let deadline = deadline.min(Instant::now() + ERROR_BODY);
        let body = receive::error(&mut BodyStream::new(response, deadline, &self.wide)).await;
        let mut error = error_body::read(status.as_u16(), headers, &body, &self.redactor);
        if let Some(target) = redirected {
            error.message = format!("the API redirects to {target}; redirects are not followed");
        }
        error
    }
}

#[async_trait]
impl Provider for OpenAiImages {
    async fn perform(&self, ask: Ask<'_>) -> Answer {
        let deadline = Instant::now() + ask.timeout;
        let unsent = |stage, detail| Answer::Unsent(Unsent { stage, detail });
        let body = match request::body(&self.account, ask.spec) {
            Ok(body) => body,
            Err(detail) => return unsent(Stage::Request, detail),
        };
        let landing = match Landing::prepare(&ask.sink, deadline).await {
            Ok(landing) => landing,
            Err(error) => return unsent(Stage::Disk, format!("{}: {error}", ask.sink.display())),
        };
        let key = self.key.current();
        let response = match self.send(&ask, &body, key.as_deref(), deadline).await {
            Ok(response) => response,
            Err(answer) => return answer,
        };
        let let_in = response.status() != StatusCode::UNAUTHORIZED;
        if let Some(key) = key.as_deref().filter(|_| let_in) {
            key.accept();
        }
        if response.status().is_success() {
            return self.receive(response, landing, deadline).await;
        }
        let mut error = self.refusal(response, deadline).await;
        if let Some(key) = key.as_deref().filter(|_| !let_in) {
            error.refused_key = Some(self.key.refused(key).await);
        }
        Answer::Refused(Box::new(error))
    }

    async fn key(&self) -> Option<String> {
        self.key.current().map(|key| key.digest().to_owned())
    }
}

fn build(
    in_the_open: bool,
    on_this_machine: bool,
    settings: impl Fn(ClientBuilder) -> ClientBuilder,
) -> Result<Client, AccountError> {
    let builder = || {
        let builder = settings(Client::builder())
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_CONNECTION)
            .tcp_keepalive(KEEPALIVE)
            .tcp_nodelay(true)
            .referer(false)
            .user_agent(concat!("pictor/", env!("CARGO_PKG_VERSION")));
        // A proxy from the environment would look for this machine's loopback on its own.
        if on_this_machine { builder.no_proxy() } else { builder }
    };
    match builder().build() {
        // A bare machine may have no root certificates, and plain HTTP needs none.
        Err(_no_roots) if in_the_open => builder().tls_certs_only([]).build().map_err(AccountError::Client),
        built => built.map_err(AccountError::Client),
    }
}

fn redirect_target(headers: &HeaderMap) -> String {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let host =
        location.and_then(|text| Url::parse(text).ok()).and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_else(|| "another address".to_owned())
}
