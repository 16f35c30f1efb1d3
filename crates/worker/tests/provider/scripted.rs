//! Servers that answer as told, and one call against them.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use pictor_common::Spec;
use pictor_worker::provider::{
    Answer, Ask, Provider as _,
    openai_images::{Account, OpenAiImages},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub(crate) const KEY: &str = "sk-test-0123456789abcdef";

/// A server that stops when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a raw server does once it has written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    Close,
    Stall,
}

impl Server {
    /// Serves routes.
    pub(crate) async fn routes(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, connections: Arc::default(), task }
    }

    /// Reads each request whole, writes these bytes whatever it was, and then does as told.
    pub(crate) async fn raw(bytes: impl Into<Vec<u8>>, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (bytes, connections) = (Arc::new(bytes.into()), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer_raw(stream, Arc::clone(&bytes), then));
            }
        });
        Self { address, connections, task }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn answer_raw(mut stream: TcpStream, bytes: Arc<Vec<u8>>, then: Then) {
    read_request(&mut stream).await;
    // The client may hang up while it is written to.
    let _hung_up = stream.write_all(&bytes).await;
    if let Then::Stall = then {
        let mut rest = Vec::new();
        let _until_the_client_leaves = stream.read_to_end(&mut rest).await;
    }
}

async fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length =
                head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or("0");
            if body.len() >= length.trim().parse().unwrap() {
                return;
            }
        }
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// A response of HTTP/1.1 with a length.
pub(crate) fn response(status: &str, body: &str) -> Vec<u8> {
    response_of_length(status, body, body.len())
}

/// The same, with a length that need not be true.
pub(crate) fn response_of_length(status: &str, body: &str, length: usize) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body.as_bytes()].concat()
}

/// One call, with a spool of its own.
pub(crate) struct Call {
    pub(crate) account: Account,
    pub(crate) spec: Spec,
    pub(crate) timeout: Duration,
    spool: TempDir,
}

impl Call {
    pub(crate) fn to(base_url: String) -> Self {
        let spec = Spec { model: "gpt-image-2".into(), prompt: Some("a cat".into()), ..Spec::default() };
        let account = Account { base_url, api_key: Some(KEY.into()), ..Account::default() };
        Self { account, spec, timeout: Duration::from_secs(20), spool: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn sink(&self) -> PathBuf {
        self.spool.path().join("image")
    }

    /// Performs the call and checks what holds of every answer.
    pub(crate) async fn perform(&self) -> Answer {
        let provider = OpenAiImages::new(self.account.clone()).unwrap();
        let ask = Ask {
            spec: &self.spec,
            client_request_id: "01JTOKEN-7:1",
            timeout: self.timeout,
            sink: self.sink(),
        };
        let answer = provider.perform(ask).await;
        let shown = format!("{answer:?} {provider:?}");
        assert!(!shown.contains("0123456789abcdef"), "a secret shows: {shown}");
        let mut left: Vec<_> =
            std::fs::read_dir(self.spool.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let expected: &[&str] =
            if matches!(answer, Answer::Image(_)) { &["image", "image.told"] } else { &[] };
        assert_eq!(left, expected, "{answer:?}");
        answer
    }
}
