//! Who is told of the budget by a webhook gets each alert once, as it is documented.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use pictor_simulator::Options;
use serde_json::Value;

use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(60);

/// One request that came.
#[derive(Clone, Debug)]
struct Heard {
    line: String,
    headers: Vec<String>,
    body: Value,
}

/// Listens on a thread of its own, and answers 204.
struct Ear {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ear {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, over) = (Arc::<Mutex<Vec<Heard>>>::default(), Arc::new(AtomicBool::new(false)));
        let (notes, stop) = (Arc::clone(&heard), Arc::clone(&over));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let request = read(stream.unwrap());
                notes.lock().unwrap().push(request);
            }
        });
        Self { address, heard, over, thread: Some(thread) }
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(!matches!(ended, Some(Err(_))) || thread::panicking(), "the listener failed");
    }
}

fn read(stream: TcpStream) -> Heard {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let headers: Vec<String> = head[1..].iter().map(|line| line.to_lowercase()).collect();
    let length = headers.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    reader.into_inner().write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
    Heard { line: head[0].clone(), headers, body: serde_json::from_slice(&body).unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_gets_each_alert_once_as_json() {
    let ear = Ear::open();
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    let settings = fs::read_to_string(world.path("pictor.toml")).unwrap();
    let url = format!("http://{}/hooks/t0p-s3cret?room=7", ear.address);
    let settings = format!("{settings}\n[budget]\nper_day = \"1.60\"\nalert_url = {url:?}\n");
    fs::write(world.path("pictor.toml"), settings).unwrap();
    let file = world.catalogue("c.csv", 0..10);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "b", "--cap", "0.16"]);
    // Several workers: whoever crosses a part tells of it, and nobody else.
    let workers = [world.worker("one", 2, &[]), world.worker("two", 2, &[])];
    assert_eq!(world.ended("b", PATIENCE).await.counts.done, 10);
    let deadline = Instant::now() + PATIENCE;
    while ear.heard().len() < 3 {
        assert!(Instant::now() < deadline, "{:?}", ear.heard());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for mut worker in workers {
        // A worker that stops tells what is left to tell.
        worker.proc.signal(rustix::process::Signal::TERM);
        assert!(worker.proc.wait(PATIENCE).success());
        let log = worker.proc.stderr();
        assert!(!log.contains("t0p-s3cret") && !log.contains("has failed"), "{log}");
    }
    let mut heard = ear.heard();
    heard.sort_by_key(|heard| heard.body["percent"].as_u64());
    let percents: Vec<u64> = heard.iter().map(|heard| heard.body["percent"].as_u64().unwrap()).collect();
    assert_eq!(percents, [50, 80, 100], "of the batch; the day is at 10 %");
    for (heard, spent) in heard.iter().zip([80_000, 128_000, 160_000]) {
        assert_eq!(heard.line, "POST /hooks/t0p-s3cret?room=7 HTTP/1.1");
        assert!(heard.headers.contains(&"content-type: application/json".to_owned()), "{:?}", heard.headers);
        let percent = heard.body["percent"].as_u64().unwrap();
        let dollars = |micros: u64| format!("${}.{:02}", micros / 1_000_000, micros % 1_000_000 / 10_000);
        let mut expected = serde_json::json!({
            "kind": "budget", "namespace": "it", "scope": "batch", "name": "b", "day": null,
            "percent": percent, "cap": 160_000, "spent": spent,
        });
        let (text, at) = (heard.body["text"].as_str().unwrap(), heard.body["at"].clone());
        assert!(text.starts_with(&format!("{percent} % of the cap of batch b is spent: ")), "{text}");
        assert!(text.ends_with(&format!(" of {}", dollars(160_000))), "{text}");
        assert!(at.as_u64().unwrap() > 1_700_000_000_000_000, "{at}");
        expected["text"] = text.into();
        expected["at"] = at;
        assert_eq!(heard.body, expected);
    }
}
