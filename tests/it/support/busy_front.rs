//! An HTTP front that refuses some requests, or keeps them waiting, and forwards the others; one request a connection.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// How it treats a request that it does not simply forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// 503, as S3 says it.
    #[default]
    Busy,
    /// 409 to a PUT: another conditional write is under way.
    Conflict,
    /// 403: not with these credentials.
    Denied,
    /// Forwards it after a while.
    Slow(Duration),
}

impl Mood {
    /// Status, code and words; none of a request that is forwarded all the same.
    fn refusal(self, is_put: bool) -> Option<[&'static str; 3]> {
        match self {
            Self::Busy => Some(["503 Slow Down", "SlowDown", "Please reduce your request rate."]),
            Self::Conflict if is_put => {
                Some(["409 Conflict", "ConditionalRequestConflict", "A conflicting operation occurred."])
            }
            Self::Denied => Some(["403 Forbidden", "AccessDenied", "Access Denied"]),
            Self::Conflict | Self::Slow(_) => None,
        }
    }
}

/// Stands before an HTTP server; stops with its owner.
#[derive(Debug)]
pub(crate) struct BusyFront {
    address: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counts {
    percent: AtomicU64,
    asked: AtomicU64,
    refused: AtomicU64,
    mood: Mutex<Mood>,
}

impl BusyFront {
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::<Counts>::default();
        let task = tokio::spawn(serve(listener, target, Arc::clone(&counts)));
        Self { address, counts, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses about so many percent of requests from now on, evenly spread.
    pub(crate) fn refuse(&self, percent: u64) {
        self.be(Mood::Busy, percent);
    }

    /// Is in a mood to about so many percent of requests from now on, evenly spread.
    pub(crate) fn be(&self, mood: Mood, percent: u64) {
        *self.counts.mood.lock().unwrap() = mood;
        self.counts.percent.store(percent, Ordering::Relaxed);
    }

    /// Requests it was in a mood to so far.
    pub(crate) fn refused(&self) -> u64 {
        self.counts.refused.load(Ordering::Relaxed)
    }
}

impl Drop for BusyFront {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Counts {
    /// The mood to the next request, if any: of each hundred in a row exactly the percentage gets it.
    fn mood(&self) -> Option<Mood> {
        let (number, percent) =
            (self.asked.fetch_add(1, Ordering::Relaxed), self.percent.load(Ordering::Relaxed));
        // 37 and 100 share no factor, so that each of a hundred gets a place of its own.
        let refused = number * 37 % 100 < percent;
        self.refused.fetch_add(u64::from(refused), Ordering::Relaxed);
        refused.then(|| *self.mood.lock().unwrap())
    }
}

async fn serve(listener: TcpListener, target: SocketAddr, counts: Arc<Counts>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            client = listener.accept() => {
                let (client, counts) = (client.unwrap().0, Arc::clone(&counts));
                // A client that goes away ends its connection, and nothing else.
                connections.spawn(async move { drop(exchange(client, target, &counts).await) });
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

fn said(code: &str, words: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{words}</Message></Error>"
    )
}

async fn exchange(client: TcpStream, target: SocketAddr, counts: &Counts) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let at = head.len();
        if client.read_line(&mut head).await? == 0 {
            return Ok(());
        }
        let line = head[at..].trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mood = counts.mood();
    if let Some(Mood::Slow(time)) = mood {
        tokio::time::sleep(time).await;
    }
    if let Some([status, code, words]) = mood.and_then(|mood| mood.refusal(head.starts_with("PUT "))) {
        let said = said(code, words);
        tokio::io::copy(&mut (&mut client).take(length), &mut tokio::io::sink()).await?;
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            said.len()
        );
        // A HEAD has no body to read; what follows its answer is dropped with the connection.
        let body = if head.starts_with("HEAD ") { "" } else { &said };
        client.write_all(format!("{answer}{body}").as_bytes()).await?;
        return client.shutdown().await;
    }
    let mut server = TcpStream::connect(target).await?;
    let end = head.trim_end().len();
    server.write_all(format!("{}\r\nConnection: close\r\n\r\n", &head[..end]).as_bytes()).await?;
    let (mut answers, mut questions) = server.split();
    let (from_client, mut to_client) = tokio::io::split(client);
    let mut body = from_client.take(length);
    let asked = tokio::io::copy(&mut body, &mut questions);
    // The answer may come before the whole question was heard.
    let answered = async {
        tokio::io::copy(&mut answers, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(asked, answered).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn some_are_refused_and_the_others_forwarded() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move {
            loop {
                let mut client = listener.accept().await.unwrap().0;
                let mut asked = vec![0; 4_096];
                let mut length = 0;
                while !asked[..length].ends_with(b"hello") {
                    length += client.read(&mut asked[length..]).await.unwrap();
                }
                client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            }
        });
        let front = BusyFront::start(target).await;
        front.refuse(30);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        let busy_words = said("SlowDown", "Please reduce your request rate.");
        let mut statuses = [0_u64; 2];
        for _ in 0..100 {
            let asked = client.put(format!("http://{}/", front.address())).body("hello");
            let answer = asked.send().await.unwrap();
            let busy = answer.status() == 503;
            statuses[usize::from(busy)] += 1;
            let text = answer.text().await.unwrap();
            assert_eq!(text, if busy { &busy_words } else { "ok" });
        }
        assert_eq!((statuses, front.refused()), ([70, 30], 30));
    }
}
