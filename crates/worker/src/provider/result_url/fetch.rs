//! One image, fetched from its address.

use std::{io, time::Duration};

use reqwest::{Client, StatusCode};
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use crate::provider::{
    landing::Landing,
    receive::{self, End},
    transport::describe,
    wide_streams::{BodyStream, Broken, WideStreams},
};

use super::hosts::ResultHosts;

const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Why an image was not fetched; messages name at most the host.
#[derive(Debug)]
pub(crate) enum FetchProblem {
    HostRefused(String),
    TooLarge,
    Failed(String),
    Disk(io::Error),
}

/// Fetches images for one account.
#[derive(Debug)]
pub(crate) struct Fetcher {
    pub(crate) client: Client,
    pub(crate) hosts: ResultHosts,
    pub(crate) max_image_bytes: u64,
}

impl Fetcher {
    /// Fetches an image to the landing.
    pub(crate) async fn fetch(
        &self,
        address: &str,
        landing: &mut Landing,
        deadline: Instant,
        wide: &WideStreams,
    ) -> Result<(), FetchProblem> {
        let address: Url = address.parse().map_err(|error| {
            FetchProblem::HostRefused(format!("the image's address is not a URL: {error}"))
        })?;
        self.hosts.check(&address).map_err(FetchProblem::HostRefused)?;
        let mut tried = 0;
        loop {
            tried += 1;
            let (problem, may_pass) = match self.try_once(&address, landing, deadline, wide).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if !may_pass || tried == TRIES || Instant::now() + PAUSE >= deadline {
                return Err(problem);
            }
            sleep(PAUSE).await;
            landing.restart();
        }
    }

    async fn try_once(
        &self,
        address: &Url,
        landing: &mut Landing,
        deadline: Instant,
        wide: &WideStreams,
    ) -> Result<(), (FetchProblem, bool)> {
        let host = address.host_str().unwrap_or_default();
        let failed = |what: &str| FetchProblem::Failed(format!("fetching the image from {host}: {what}"));
        let response = match timeout_at(deadline, self.client.get(address.clone()).send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err((failed(&describe(&error)), true)),
            Err(_elapsed) => return Err((failed("no answer in time"), false)),
        };
        let status = response.status();
        if status != StatusCode::OK {
            // A blob may take a moment to appear at the address that was given out for it.
            let may_pass = status.is_server_error() || matches!(status.as_u16(), 404 | 408 | 429);
            return Err((failed(&format!("HTTP {}", status.as_u16())), may_pass));
        }
        if response.content_length().is_some_and(|length| length > self.max_image_bytes) {
            return Err((FetchProblem::TooLarge, false));
        }
        let mut body = BodyStream::new(response, deadline, wide);
        match receive::raw(&mut body, landing, self.max_image_bytes).await {
            End::Whole if landing.written() > 0 => Ok(()),
            End::Whole => Err((failed("it is empty"), true)),
            End::TooLarge => Err((FetchProblem::TooLarge, false)),
            End::Disk(error) => Err((FetchProblem::Disk(error), false)),
            End::Broken(Broken::TimedOut) => Err((failed("it did not arrive in time"), false)),
            End::Broken(Broken::Connection(error)) => Err((failed(&describe(&error)), true)),
        }
    }
}
