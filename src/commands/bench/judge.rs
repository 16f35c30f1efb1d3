//! The simulator on a thread of its own, and what it says of the pace.

use std::{
    net::{Ipv4Addr, SocketAddr},
    thread::{self, JoinHandle},
};

use anyhow::Context as _;
use pictor_simulator::Options;
use serde::Deserialize;
use tokio::sync::oneshot;

/// A simulator that ends with this.
#[derive(Debug)]
pub(super) struct Judge {
    address: SocketAddr,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

/// What came to the limits of all lanes.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Pace {
    /// Since the first request.
    pub(super) now_ms: Option<u64>,
    pub(super) lanes: Vec<LanePace>,
}

/// What came to the limits of one lane.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct LanePace {
    /// Its place among the keys, from 0.
    pub(super) key: usize,
    /// Since the first request.
    pub(super) total: Counts,
    /// In the times that are measured.
    pub(super) measured: Measured,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) refused: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Measured {
    pub(super) seconds: f64,
    #[serde(flatten)]
    pub(super) counts: Counts,
    #[serde(flatten)]
    pub(super) used: Used,
}

/// How the limit was used.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Used {
    pub(super) taken: u64,
    pub(super) possible: f64,
    pub(super) utilisation: f64,
    pub(super) wait_p50_ms: f64,
    pub(super) wait_p99_ms: f64,
}

impl Judge {
    pub(super) fn start(options: Options) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.context("cannot listen on 127.0.0.1")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let stopped = async {
                    let _dropped = stopped.await;
                };
                pictor_simulator::serve(listener, options, stopped).await
            })
        };
        let thread = thread::Builder::new().name("simulator".to_owned()).spawn(serve)?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { address, client, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What came in some spans, in milliseconds since the first request.
    pub(super) async fn pace(&self, spans: &[(u64, u64)]) -> anyhow::Result<Pace> {
        let spans: Vec<String> = spans.iter().map(|(from, to)| format!("{from}-{to}")).collect();
        let spans = if spans.is_empty() { "0-0".to_owned() } else { spans.join(",") };
        let url = format!("http://{}/_simulator/pace?spans={spans}", self.address);
        let told = self.client.get(url).send().await?.error_for_status()?.json().await;
        told.context("the simulator does not tell the pace")
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && let Ok(Err(error)) = thread.join()
        {
            tracing::warn!(%error, "the simulator failed");
        }
    }
}
