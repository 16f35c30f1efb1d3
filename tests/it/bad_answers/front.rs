//! An API that has each image made and billed by the simulator, and then spoils what it says.
//!
//! So the simulator's invoice stays the judge of what is paid, whatever the worker gets to see.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use super::{addresses, kinds::Kind};

/// What the API would have said.
#[derive(Clone, Debug, Default)]
pub(super) struct Honest {
    pub(super) request_id: String,
    pub(super) body: Vec<u8>,
    pub(super) base64: String,
    pub(super) png: Vec<u8>,
    /// Where this API gives images out.
    pub(super) files: String,
}

/// A piece of an answer.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Send(Vec<u8>),
    /// In twenty pieces, a moment apart.
    Slowly(Vec<u8>),
    /// Again and again until the client leaves.
    Endless(Vec<u8>),
    /// The same with a moment in between.
    Dripping(Vec<u8>),
    /// Lets what was sent arrive.
    Settle,
    /// Nothing more until the client leaves.
    Silence,
    Reset,
}

const MOMENT: Duration = Duration::from_millis(50);

/// What came for one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) requests: u32,
    pub(super) fetches: u32,
    pub(super) png: Vec<u8>,
}

#[derive(Debug)]
struct Shared {
    simulator: String,
    files: String,
    client: reqwest::Client,
    kinds: BTreeMap<&'static str, &'static Kind>,
    seen: Mutex<BTreeMap<String, Seen>>,
}

/// Stops with its owner.
#[derive(Debug)]
pub(super) struct Front {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Front {
    /// Stands before the simulator at `simulator`, which ends in `/v1`.
    pub(super) async fn start(simulator: String, kinds: impl Iterator<Item = &'static Kind>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            simulator,
            files: format!("http://{address}/files"),
            client: reqwest::Client::new(),
            kinds: kinds.map(|kind| (kind.name, kind)).collect(),
            seen: Mutex::default(),
        });
        let task = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { address, shared, task }
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What came for a kind so far.
    pub(super) fn seen(&self, kind: &str) -> Seen {
        self.shared.seen.lock().unwrap().get(kind).cloned().unwrap_or_default()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            client = listener.accept() => {
                let (client, shared) = (client.unwrap().0, Arc::clone(&shared));
                // A client that goes away ends its connection, and nothing else.
                connections.spawn(async move { drop(converse(client, &shared).await) });
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

struct Request {
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

async fn read(client: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if client.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let headers: BTreeMap<String, String> = lines
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    client.read_exact(&mut body).await?;
    Ok(Some(Request { path, headers, body }))
}

async fn converse(client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut client = BufReader::new(client);
    while let Some(request) = read(&mut client).await? {
        match respond(&request, shared).await {
            Ok(honest) => client.get_mut().write_all(&plain(&honest)).await?,
            Err(steps) => return play(client.get_mut(), steps).await,
        }
    }
    Ok(())
}

/// The honest answer, or what is played instead.
async fn respond(request: &Request, shared: &Shared) -> Result<Honest, Vec<Step>> {
    if let Some(path) = request.path.strip_prefix("/files/") {
        let (kind, how) = path.split_once('/').unwrap();
        let mut seen = shared.seen.lock().unwrap();
        let seen = seen.entry(kind.to_owned()).or_default();
        seen.fetches += 1;
        return Err(addresses::file(how, seen));
    }
    let asked: Value = serde_json::from_slice(&request.body).unwrap();
    let prompt = asked["prompt"].as_str().unwrap();
    let name = prompt.split("[[bad:").nth(1).and_then(|rest| rest.split("]]").next());
    let Some(kind) = name.map(|name| shared.kinds[name]) else { return Ok(shared.ask(request, "").await) };
    let number = {
        let mut seen = shared.seen.lock().unwrap();
        let seen = seen.entry(kind.name.to_owned()).or_default();
        seen.requests += 1;
        seen.requests
    };
    let honest = if kind.billed || number > kind.times {
        let honest = shared.ask(request, kind.name).await;
        shared.seen.lock().unwrap().get_mut(kind.name).unwrap().png.clone_from(&honest.png);
        honest
    } else {
        Honest { files: format!("{}/{}", shared.files, kind.name), ..Honest::default() }
    };
    if number > kind.times { Ok(honest) } else { Err((kind.answer)(&honest)) }
}

impl Shared {
    async fn ask(&self, request: &Request, kind: &str) -> Honest {
        let mut ask = self.client.post(format!("{}/images/generations", self.simulator));
        for name in ["authorization", "content-type", "x-client-request-id"] {
            ask = ask.header(name, &request.headers[name]);
        }
        let answer = ask.body(request.body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "the simulator refuses");
        let request_id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body = answer.bytes().await.unwrap().to_vec();
        let parsed: Value = serde_json::from_slice(&body).unwrap();
        let base64 = parsed["data"][0]["b64_json"].as_str().unwrap().to_owned();
        let png = base64_simd::STANDARD.decode_to_vec(&base64).unwrap();
        Honest { request_id, body, base64, png, files: format!("{}/{kind}", self.files) }
    }
}

fn plain(honest: &Honest) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: {}\r\ncontent-length: {}\r\n\r\n",
        honest.request_id,
        honest.body.len()
    );
    [head.as_bytes(), &honest.body].concat()
}

async fn play(client: &mut TcpStream, steps: Vec<Step>) -> io::Result<()> {
    for step in steps {
        match step {
            Step::Send(bytes) => client.write_all(&bytes).await?,
            Step::Slowly(bytes) => {
                for piece in bytes.chunks(bytes.len() / 20 + 1) {
                    client.write_all(piece).await?;
                    tokio::time::sleep(MOMENT).await;
                }
            }
            Step::Endless(bytes) => loop {
                client.write_all(&bytes).await?;
            },
            Step::Dripping(bytes) => loop {
                client.write_all(&bytes).await?;
                tokio::time::sleep(MOMENT).await;
            },
            Step::Settle => tokio::time::sleep(MOMENT * 6).await,
            Step::Silence => {
                let mut rest = Vec::new();
                client.read_to_end(&mut rest).await?;
            }
            Step::Reset => return client.set_zero_linger(),
        }
    }
    client.shutdown().await
}
