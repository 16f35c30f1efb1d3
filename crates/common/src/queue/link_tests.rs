//! Servers that say what the test wants, and fall silent.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::*;
use crate::queue::Access;

const MOMENT: Duration = Duration::from_secs(2);

/// Answers as a master, and as a Sentinel that knows one.
struct Fake {
    address: SocketAddr,
    accepted: Arc<AtomicU64>,
    /// So many connections, the first ones, are not answered any more.
    silent: Arc<AtomicU64>,
    /// The port that it names as a Sentinel.
    master: Arc<Mutex<u16>>,
    _tasks: JoinSet<()>,
}

impl Fake {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, silent) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let master = Arc::<Mutex<u16>>::default();
        let mut tasks = JoinSet::new();
        let (count, quiet, named) = (Arc::clone(&accepted), Arc::clone(&silent), Arc::clone(&master));
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let client = listener.accept().await.unwrap().0;
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                clients.spawn(serve(client, number, Arc::clone(&quiet), Arc::clone(&named)));
            }
        });
        Self { address, accepted, silent, master, _tasks: tasks }
    }

    fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Answers new connections alone.
    fn forget(&self) {
        self.silent.store(self.accepted(), Ordering::SeqCst);
    }

    /// Answers nobody, ever again.
    fn hang(&self) {
        self.silent.store(u64::MAX, Ordering::SeqCst);
    }

    fn names(&self, master: &Self) {
        *self.master.lock().unwrap() = master.address.port();
    }
}

async fn serve(client: TcpStream, number: u64, silent: Arc<AtomicU64>, master: Arc<Mutex<u16>>) {
    let mut client = BufReader::new(client);
    while let Some(words) = command(&mut client).await {
        if number <= silent.load(Ordering::SeqCst) {
            continue;
        }
        let port = master.lock().unwrap().to_string();
        let answer = match words[0].as_str() {
            "SENTINEL" => format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len()),
            "PING" => "+PONG\r\n".to_owned(),
            _other => "+OK\r\n".to_owned(),
        };
        if client.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads a command; none at the end.
async fn command(client: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for _ in 0..number(client).await? {
        let length = number(client).await?;
        let mut word = vec![0; length + 2];
        client.read_exact(&mut word).await.ok()?;
        words.push(String::from_utf8_lossy(&word[..length]).into_owned());
    }
    Some(words)
}

/// The number of `*3` or `$5`.
async fn number(client: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    client.read_line(&mut line).await.ok()?;
    line.trim().get(1..)?.parse().ok()
}

fn connection(url: &str) -> Connection {
    Connection::new(Topology::open(url, &Access::default()).unwrap(), "{it}:schema".to_owned(), 0)
}

async fn ping(connection: &Connection) -> RedisResult<String> {
    redis::cmd("PING").query_async(&mut connection.clone()).await
}

#[tokio::test]
async fn a_connection_that_stays_silent_is_replaced() {
    let server = Fake::start().await;
    let waits = connection(&format!("redis://{}", server.address));
    let goes = waits.another();
    ping(&waits).await.unwrap();
    ping(&goes).await.unwrap();
    server.forget();
    let begun = Instant::now();
    timeout(Duration::from_millis(100), ping(&goes)).await.unwrap_err();
    let (first, second) = tokio::join!(ping(&waits), async {
        sleep(MOMENT).await;
        ping(&waits).await
    });
    assert!(first.unwrap_err().is_timeout());
    assert!(second.unwrap_err().is_connection_dropped(), "it need not wait as long again");
    assert!(begun.elapsed() < RESPONSE_TIMEOUT + MOMENT);
    for connection in [&waits, &goes] {
        timeout(MOMENT, ping(connection)).await.expect("it waits for the old one").unwrap();
    }
    assert_eq!(server.accepted(), 4);
    ping(&goes).await.unwrap();
    assert_eq!(server.accepted(), 4, "what answers is kept");
}

#[tokio::test]
async fn sentinels_are_asked_while_a_call_waits() {
    let (old, new, sentinel) = tokio::join!(Fake::start(), Fake::start(), Fake::start());
    sentinel.names(&old);
    let connection = connection(&format!("redis+sentinel://{}/shop", sentinel.address));
    ping(&connection).await.unwrap();
    old.hang();
    let promoted = async {
        sleep(MOMENT / 2).await;
        sentinel.names(&new);
    };
    let waits = timeout(MOMENT / 2 + LOOK_EVERY + MOMENT, ping(&connection));
    let (answer, ()) = tokio::join!(waits, promoted);
    let error = answer.expect("it waits for the old master").unwrap_err();
    assert!(error.is_connection_dropped(), "{error}");
    timeout(MOMENT, ping(&connection)).await.unwrap().unwrap();
}

/// Sends back whatever comes, as a connection does that has come to be its own other end.
#[tokio::test]
async fn an_echo_is_no_server() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut clients = JoinSet::new();
        loop {
            let mut client = listener.accept().await.unwrap().0;
            clients.spawn(async move {
                let (mut from, mut to) = client.split();
                // Ends when the client leaves.
                let _end = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    let error =
        timeout(MOMENT, connection(&url).ready()).await.expect("it is found out at once").unwrap_err();
    assert!(error.to_string().contains("is no Redis"), "{error}");
}
