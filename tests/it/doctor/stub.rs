//! Servers that are wrong in one way: an HTTP server that answers as told, and an S3 one with faults.

use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// A request as it came.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// An answer to be sent.
#[derive(Clone, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Response {
    pub(super) fn new(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Answer = dyn Fn(&Request) -> Response + Send + Sync;

/// An HTTP server that stops when it is dropped.
pub(super) struct Stub {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    listening: Option<thread::JoinHandle<()>>,
}

impl Stub {
    pub(super) fn start(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stopped, answer): (_, Arc<Answer>) = (Arc::new(AtomicBool::new(false)), Arc::new(answer));
        let ended = Arc::clone(&stopped);
        let listening = thread::spawn(move || {
            for client in listener.incoming() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                let answer = Arc::clone(&answer);
                thread::spawn(move || serve(client.unwrap(), &*answer));
            }
        });
        Self { address, stopped, listening: Some(listening) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        let _woken = TcpStream::connect(self.address);
        if let Some(listening) = self.listening.take() {
            listening.join().unwrap();
        }
    }
}

/// Serves a connection until the client closes it.
fn serve(client: TcpStream, answer: &Answer) {
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut writer = client.try_clone().unwrap();
    let mut reader = BufReader::new(client);
    while let Some(request) = read(&mut reader) {
        let response = answer(&request);
        let mut head = format!("HTTP/1.1 {} Stub\r\n", response.status);
        for (name, value) in &response.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let length = response.headers.iter().any(|(name, _)| name == "content-length");
        if !length {
            head += &format!("content-length: {}\r\n", response.body.len());
        }
        let body: &[u8] = if request.method == "HEAD" { &[] } else { &response.body };
        if writer.write_all(&[head.as_bytes(), b"\r\n", body].concat()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: HashMap<String, String> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}

/// How an S3 server is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Nothing,
    /// If-None-Match is ignored.
    Overwrites,
    /// Looks first and writes later.
    Races,
    /// 501 to a write with a condition.
    NoConditions,
    /// Deleting is not allowed.
    KeepsAll,
    /// Nothing may be written.
    ReadOnly,
    /// Metadata is lost.
    Forgets,
    /// Bodies come back changed.
    Garbles,
}

struct Kept {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// An S3 server in memory, wrong in one way.
pub(super) struct StubS3 {
    pub(super) server: Stub,
    objects: Arc<Mutex<BTreeMap<String, Kept>>>,
}

impl StubS3 {
    pub(super) fn start(wrong: Wrong) -> Self {
        let objects = Arc::new(Mutex::new(BTreeMap::new()));
        let kept = Arc::clone(&objects);
        let server = Stub::start(move |request| answer(request, wrong, &kept));
        Self { server, objects }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }
}

fn refusal(status: u16, code: &str) -> Response {
    Response::new(status, &format!("<Error><Code>{code}</Code><Message>says the stub</Message></Error>"))
}

fn answer(request: &Request, wrong: Wrong, objects: &Mutex<BTreeMap<String, Kept>>) -> Response {
    let name = request.path.split('?').next().unwrap().to_owned();
    match request.method.as_str() {
        "GET" if request.path.contains("list-type=2") => {
            Response::new(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
        }
        "PUT" => put(request, name, wrong, objects),
        "DELETE" if wrong == Wrong::KeepsAll => refusal(403, "AccessDenied"),
        "DELETE" => {
            objects.lock().unwrap().remove(&name);
            Response::new(204, "")
        }
        _ => match objects.lock().unwrap().get(&name) {
            None => refusal(404, "NoSuchKey"),
            Some(kept) => {
                let mut response = Response { status: 200, headers: Vec::new(), body: kept.body.clone() }
                    .header("content-length", &kept.body.len().to_string());
                for (name, value) in &kept.headers {
                    response = response.header(name, value);
                }
                response
            }
        },
    }
}

fn put(request: &Request, name: String, wrong: Wrong, objects: &Mutex<BTreeMap<String, Kept>>) -> Response {
    let conditional = request.headers.contains_key("if-none-match");
    if wrong == Wrong::ReadOnly {
        return refusal(403, "AccessDenied");
    }
    if wrong == Wrong::NoConditions && conditional {
        return refusal(501, "NotImplemented");
    }
    let mut guard = objects.lock().unwrap();
    if conditional && wrong != Wrong::Overwrites && guard.contains_key(&name) {
        return refusal(412, "PreconditionFailed");
    }
    if wrong == Wrong::Races {
        drop(guard);
        thread::sleep(Duration::from_millis(100));
        guard = objects.lock().unwrap();
    }
    let keeps = |header: &str| header == "content-type" || header.starts_with("x-amz-meta-");
    let headers = request.headers.iter().filter(|(header, _)| keeps(header) && wrong != Wrong::Forgets);
    let headers = headers.map(|(header, value)| (header.clone(), value.clone())).collect();
    let mut body = request.body.clone();
    if wrong == Wrong::Garbles {
        body[0] = !body[0];
    }
    guard.insert(name, Kept { headers, body });
    Response::new(200, "")
}
