//! The images API as OpenAI made it and many others serve it.
//!
//! HTTP/1.1 only: one HTTP/2 connection would carry all images of a worker through one window, and
//! a proxy that refuses a stream would be retried by the client. Neither redirects nor retries:
//! each call sends at most one paid request.

mod account;
mod request;
mod response;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use reqwest::{
    Body, Client, ClientBuilder, Response,
    header::{CONTENT_TYPE, HeaderMap, LOCATION},
    redirect, retry,
};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::scan::ImageText;

use super::{
    Ask, FETCH_MARGIN, Provider,
    answer::{
        Answer, ApiError, Moderation, ModerationStage, Received, Stage, Unsent, Unusable, UnusableReason,
    },
    error_body,
    headers::AnswerHeaders,
    landing::Landing,
    receive::{self, End, ReceivedJson, longest_body},
    redact::Redactor,
    result_url::{FetchProblem, Fetcher, ResultHosts},
    tracked_body::TrackedBody,
    transport,
    wide_streams::{BodyStream, Broken, WideStreams},
};

pub use account::{Account, AccountError, Auth, Paths, ResponseFormat};

use response::Told;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Below what servers and load balancers allow, the shortest being 5 s: a request on a connection
/// that is just being closed is lost, and nobody could say whether it was paid.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

const KEEPALIVE: Duration = Duration::from_secs(20);

/// How long the body of a refusal is waited for.
const ERROR_BODY: Duration = Duration::from_secs(15);

/// Bodies received at full speed at once; each takes up to 0.8 MiB.
const WIDE_STREAMS: usize = 16;

/// An account at an OpenAI-compatible image API.
pub struct OpenAiImages {
    account: Account,
    base: Url,
    client: Client,
    fetcher: Fetcher,
    redactor: Redactor,
    wide: WideStreams,
}

impl fmt::Debug for OpenAiImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiImages").field("host", &self.base.host_str()).finish_non_exhaustive()
    }
}

impl OpenAiImages {
    /// Checks an account's settings and sets up its connections; sends nothing.
    pub fn new(account: Account) -> Result<Self, AccountError> {
        let base = account.base()?;
        let host = base
            .host()
            .map(|host| host.to_owned())
            .ok_or_else(|| AccountError::BaseUrl("has no host".into()))?;
        let headers = account.header_map()?;
        let in_the_open = base.scheme() == "http";
        let hosts = ResultHosts::new(host, &account.result_hosts, account.allow_http || in_the_open);
        let client = build(in_the_open, |builder| builder.default_headers(headers.clone()))?;
        let fetch_client = build(in_the_open, |builder| builder.dns_resolver(hosts.clone()))?;
        Ok(Self {
            client,
            fetcher: Fetcher { client: fetch_client, hosts, max_image_bytes: account.max_image_bytes },
            redactor: Redactor::new(account.secrets()),
            wide: WideStreams::new(WIDE_STREAMS),
            base,
            account,
        })
    }

    async fn send(&self, ask: &Ask<'_>, body: &Value, deadline: Instant) -> Result<Response, Answer> {
        let model = request::model_name(&self.account, ask.spec);
        let endpoint = self.account.endpoint(&self.base, ask.spec.operation, model);
        let (body, departure) = TrackedBody::new(body.to_string());
        let sending = self
            .client
            .post(endpoint)
            .header(CONTENT_TYPE, "application/json")
            .header("x-client-request-id", ask.client_request_id)
            .body(Body::wrap(body))
            .send();
        match timeout_at(deadline, sending).await {
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

    async fn receive(&self, response: Response, mut landing: Landing, deadline: Instant) -> Answer {
        let status = response.status().as_u16();
        let headers = AnswerHeaders::read(response.headers());
        let unusable = |reason, saw_image, detail: &str| {
            let detail = self.redactor.clean(detail);
            Answer::Unusable(Box::new(Unusable { reason, saw_image, detail, headers: headers.clone() }))
        };
        let limit = self.account.max_image_bytes;
        if response.content_length().is_some_and(|length| length > longest_body(limit)) {
            return unusable(UnusableReason::TooLarge, true, "the answer announces more bytes than allowed");
        }
        let mut body = BodyStream::new(response, deadline, &self.wide);
        let got = receive::json(&mut body, &mut landing, limit).await;
        drop(body);
        let parsed = serde_json::from_slice::<Value>(&got.scanned.skeleton).ok();
        let cut = parsed.is_none();
        let told = parsed.as_ref().map(Told::read).unwrap_or_default();
        if let End::Disk(error) = &got.end {
            return unusable(UnusableReason::Disk, got.saw_image, &error.to_string());
        }
        if got.scanned.image != ImageText::Complete || landing.written() == 0 {
            match (imageless(&got), parsed, told.url.clone()) {
                (UnusableReason::NoImage, Some(body), _)
                    if error_body::states_error(&body) || told.withheld =>
                {
                    return Answer::Refused(Box::new(self.stated(status, headers, &body, told.withheld)));
                }
                (UnusableReason::NoImage, Some(_), Some(address)) => {
                    let deadline = deadline.max(Instant::now() + FETCH_MARGIN);
                    landing.extend(deadline);
                    if let Err(problem) =
                        self.fetcher.fetch(&address, &mut landing, deadline, &self.wide).await
                    {
                        let (reason, detail) = fetch_reason(problem);
                        return unusable(reason, true, &detail);
                    }
                }
                (reason, ..) => return unusable(reason, got.saw_image, &self.imageless_detail(&got)),
            }
        }
        let images = got.scanned.images.max(1);
        match self.keep(landing, told, headers.clone(), images, cut).await {
            Ok(received) => Answer::Image(Box::new(received)),
            Err(error) => unusable(UnusableReason::Disk, true, &error.to_string()),
        }
    }

    fn stated(&self, status: u16, headers: AnswerHeaders, body: &Value, withheld: bool) -> ApiError {
        let mut error = error_body::read(status, headers, body.to_string().as_bytes(), &self.redactor);
        if withheld && error.code.is_none() {
            error.message = "the image was withheld by moderation".to_owned();
            error.code = Some("moderation_blocked".to_owned());
            error.moderation = Some(Moderation { stage: ModerationStage::Output, categories: Vec::new() });
        }
        error
    }

    async fn keep(
        &self,
        landing: Landing,
        told: Told,
        headers: AnswerHeaders,
        images: u32,
        cut: bool,
    ) -> std::io::Result<Received> {
        let (file, bytes) = (landing.sink().to_owned(), landing.written());
        let sha256 = landing.seal().await?;
        let Told { revised_prompt, usage, echo, .. } = told;
        Ok(Received { file, bytes, sha256, revised_prompt, usage, echo, images, cut, headers })
    }

    fn imageless_detail(&self, got: &ReceivedJson) -> String {
        match &got.end {
            End::Broken(Broken::Connection(error)) => transport::describe(error),
            End::Broken(Broken::TimedOut) => "the answer did not arrive in time".to_owned(),
            _ => {
                let headers = AnswerHeaders::default();
                error_body::read(200, headers, &got.scanned.skeleton, &self.redactor).message
            }
        }
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
        match self.send(&ask, &body, deadline).await {
            Ok(response) if response.status().is_success() => self.receive(response, landing, deadline).await,
            Ok(response) => Answer::Refused(Box::new(self.refusal(response, deadline).await)),
            Err(answer) => answer,
        }
    }
}

fn build(
    in_the_open: bool,
    settings: impl Fn(ClientBuilder) -> ClientBuilder,
) -> Result<Client, AccountError> {
    let builder = || {
        settings(Client::builder())
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_CONNECTION)
            .tcp_keepalive(KEEPALIVE)
            .tcp_nodelay(true)
            .referer(false)
            .user_agent(concat!("pictor/", env!("CARGO_PKG_VERSION")))
    };
    match builder().build() {
        // A bare machine may have no root certificates, and plain HTTP needs none.
        Err(_no_roots) if in_the_open => builder().tls_certs_only([]).build().map_err(AccountError::Client),
        built => built.map_err(AccountError::Client),
    }
}

fn imageless(got: &ReceivedJson) -> UnusableReason {
    match (&got.end, got.scanned.image) {
        (_, ImageText::TooLarge) | (End::TooLarge, _) => UnusableReason::TooLarge,
        (_, ImageText::NotBase64) => UnusableReason::NotBase64,
        (End::Broken(Broken::TimedOut), _) => UnusableReason::Stalled,
        (End::Broken(Broken::Connection(_)), _) => UnusableReason::Truncated,
        (End::Disk(_), _) => UnusableReason::Disk,
        (End::Whole, ImageText::Cut) => UnusableReason::Truncated,
        (End::Whole, ImageText::Absent | ImageText::Complete) if got.scanned.skeleton_cut => {
            UnusableReason::NoImage
        }
        (End::Whole, ImageText::Absent | ImageText::Complete) => {
            let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&got.scanned.skeleton).is_ok();
            if is_json { UnusableReason::NoImage } else { UnusableReason::NotJson }
        }
    }
}

fn fetch_reason(problem: FetchProblem) -> (UnusableReason, String) {
    match problem {
        FetchProblem::HostRefused(detail) => (UnusableReason::HostRefused, detail),
        FetchProblem::TooLarge => (UnusableReason::TooLarge, "the image is larger than allowed".to_owned()),
        FetchProblem::Failed(detail) => (UnusableReason::FetchFailed, detail),
        FetchProblem::Disk(error) => (UnusableReason::Disk, error.to_string()),
    }
}

fn redirect_target(headers: &HeaderMap) -> String {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let host =
        location.and_then(|text| Url::parse(text).ok()).and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_else(|| "another address".to_owned())
}
