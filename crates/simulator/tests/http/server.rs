//! A simulator of its own for each test, and a client that knows its key.

use std::time::{Duration, Instant};

use pictor_simulator::{Limits, Options};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) client: Client,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<anyhow::Result<()>>>,
}

/// Options of a simulator that answers at once and never refuses.
pub(crate) fn instant() -> Options {
    Options { latency_ms_p50: Some(0), limits: Limits::none(), ..Options::default() }
}

impl Server {
    pub(crate) async fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(pictor_simulator::serve(listener, options, async {
            stopped.await.unwrap_or_default();
        }));
        let client = Client::builder().no_proxy().build().unwrap();
        Self { url, client, stop: Some(stop), serving: Some(serving) }
    }

    /// Ends the simulator, and waits until it has ended.
    pub(crate) async fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.serving.take().unwrap().await.unwrap().unwrap();
    }

    pub(crate) fn post(&self, body: &Value) -> RequestBuilder {
        self.client.post(format!("{}/v1/images/generations", self.url)).bearer_auth("sim-key").json(body)
    }

    /// Asks for one small picture.
    pub(crate) fn small(&self, prompt: &str) -> RequestBuilder {
        self.post(&json!({
            "model": "dall-e-2", "prompt": prompt, "size": "256x256", "response_format": "b64_json"
        }))
    }

    pub(crate) async fn control(&self, path: &str) -> Value {
        let url = format!("{}/_simulator/{path}", self.url);
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn totals(&self) -> Value {
        self.control("invoice?totals=1").await
    }

    /// Waits until the simulator's totals or state are as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let seen = self.control(path).await;
            if wanted(&seen) {
                return seen;
            }
            assert!(Instant::now() < deadline, "{path} stays {seen}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).unwrap_or_default();
        }
    }
}

pub(crate) async fn body(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// The bytes of the first picture of an answer.
pub(crate) fn picture(answer: &Value) -> Vec<u8> {
    let base64 = answer["data"][0]["b64_json"].as_str().unwrap_or_else(|| panic!("no picture in {answer}"));
    base64_simd::STANDARD.decode_to_vec(base64).unwrap()
}
