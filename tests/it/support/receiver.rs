//! Listens for webhooks and answers as a test says.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// One request that came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) head: Vec<String>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) answer: u16,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> String {
        let of = |line: &String| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then(|| value.to_owned())
        };
        self.head.iter().find_map(of).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> String {
        self.header("webhook-id")
    }

    pub(crate) fn body(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub(crate) fn event(&self) -> String {
        self.body()["type"].as_str().unwrap().to_owned()
    }
}

/// What is answered to the request of this number, from 0; 0 leaves the connection open without a word.
type Answers = dyn Fn(usize, &Heard) -> u16 + Send + Sync;

/// Listens on threads of its own.
pub(crate) struct Receiver {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    pub(crate) fn open(answers: impl Fn(usize, &Heard) -> u16 + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, over) = (Arc::<Mutex<Vec<Heard>>>::default(), Arc::new(AtomicBool::new(false)));
        let (notes, stop) = (Arc::clone(&heard), Arc::clone(&over));
        let answers: Arc<Answers> = Arc::new(answers);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (notes, answers) = (Arc::clone(&notes), Arc::clone(&answers));
                thread::spawn(move || serve(stream.unwrap(), &notes, &answers));
            }
        });
        Self { address, heard, over, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks/t0p-s3cret", self.address)
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until what came is enough.
    pub(crate) async fn until(&self, what: &str, enough: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let heard = self.heard();
            if enough(&heard) {
                return heard;
            }
            assert!(Instant::now() < deadline, "{what}: {heard:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(stream: TcpStream, notes: &Mutex<Vec<Heard>>, answers: &Arc<Answers>) {
    let Some(mut heard) = read(&stream) else { return };
    let answer = {
        let mut notes = notes.lock().unwrap();
        heard.answer = answers(notes.len(), &heard);
        notes.push(heard.clone());
        heard.answer
    };
    if answer == 0 {
        thread::sleep(PATIENCE);
        return;
    }
    let more = if answer / 100 == 3 { "location: http://127.0.0.1:1/elsewhere\r\n" } else { "" };
    let head = format!("HTTP/1.1 {answer} So\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n");
    // A sender that was killed does not hear it.
    let _heard = (&stream).write_all(head.as_bytes());
}

fn read(stream: &TcpStream) -> Option<Heard> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let mut heard = Heard { head, bytes: Vec::new(), answer: 0 };
    heard.bytes = vec![0; heard.header("content-length").parse().ok()?];
    reader.read_exact(&mut heard.bytes).ok()?;
    Some(heard)
}
