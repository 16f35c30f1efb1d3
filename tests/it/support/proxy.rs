//! A TCP proxy that can be told to misbehave while it runs.

use std::{
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use super::ports;

/// What the proxy does to connections, present and future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Forwards.
    Pass,
    /// Accepts and stays silent in both directions; what was on its way goes on after the fault.
    BlackHole,
    /// Never forwards anything again on the connections there are, whatever comes after; forwards on new ones.
    Forget,
    /// Closes connections and listens no more.
    Refuse,
    /// Accepts and resets.
    Reset,
    /// Holds every piece back for a while.
    Delay(Duration),
    /// Lets this many bytes of answers through on each connection, then resets it.
    CutAfter(u64),
    /// Lets this many bytes of answers through on each connection, then none until the fault is over.
    Stall(u64),
    /// Lets this many bytes of answers through on each connection, then ends the answers and still takes questions.
    HalfClose(u64),
}

impl Fault {
    /// Bytes of answers that pass on a connection.
    const fn lets_through(self) -> Option<u64> {
        match self {
            Self::CutAfter(bytes) | Self::Stall(bytes) | Self::HalfClose(bytes) => Some(bytes),
            Self::Pass | Self::BlackHole | Self::Forget | Self::Refuse | Self::Reset | Self::Delay(_) => None,
        }
    }
}

/// Forwards from a loopback port to a target; stops with its owner.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    target: watch::Sender<SocketAddr>,
    accepted: Arc<AtomicU64>,
    /// How many of those accepted, the first ones, are silent for ever.
    forgotten: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let address = (Ipv4Addr::LOCALHOST, ports::free()).into();
        let (fault, watched) = watch::channel(Fault::Pass);
        let accepted = Arc::new(AtomicU64::new(0));
        let listener = TcpListener::bind(address).await.unwrap();
        let (target, aim) = watch::channel(target);
        let (forgotten, silent) = watch::channel(0);
        let task = tokio::spawn(serve(listener, aim, watched, Arc::clone(&accepted), silent));
        Self { address, fault, target, accepted, forgotten, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Forwards new connections elsewhere from now on.
    pub(crate) fn aim(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// Changes what happens from now on.
    pub(crate) fn set(&self, fault: Fault) {
        if fault == Fault::Forget {
            self.forgotten.send_replace(self.accepted());
        }
        self.fault.send_replace(fault);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    first: TcpListener,
    target: watch::Receiver<SocketAddr>,
    mut fault: watch::Receiver<Fault>,
    accepted: Arc<AtomicU64>,
    forgotten: watch::Receiver<u64>,
) {
    let address = first.local_addr().unwrap();
    let mut listener = Some(first);
    // Dropped with this task, and their sockets with them.
    let mut connections = JoinSet::new();
    loop {
        let now = *fault.borrow_and_update();
        if now == Fault::Refuse {
            listener = None;
            connections.abort_all();
            fault.changed().await.expect("the owner aborts this task first");
            continue;
        }
        if listener.is_none() {
            listener = Some(TcpListener::bind(address).await.unwrap());
        }
        let Some(open) = &listener else { continue };
        tokio::select! {
            changed = fault.changed() => changed.expect("the owner aborts this task first"),
            client = open.accept() => {
                let number = accepted.fetch_add(1, Ordering::Relaxed) + 1;
                let (target, fault, mut forgotten) = (target.clone(), fault.clone(), forgotten.clone());
                connections.spawn(async move {
                    let mut client = client.unwrap().0;
                    let Some(mut server) = reach(&client, target, fault.clone()).await else { return };
                    tokio::select! {
                        () = forward(&mut client, &mut server, fault) => {}
                        // Neither side hears of it: both sockets stay open.
                        () = silence(number, &mut forgotten) => pending().await,
                    }
                });
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// Waits until the connection of this number is forgotten.
async fn silence(number: u64, forgotten: &mut watch::Receiver<u64>) {
    if forgotten.wait_for(|most| number <= *most).await.is_err() {
        // The owner aborts all of them.
        pending::<()>().await;
    }
}

/// Connects to the target for a client, as soon as the fault lets it.
async fn reach(
    client: &TcpStream,
    target: watch::Receiver<SocketAddr>,
    mut fault: watch::Receiver<Fault>,
) -> Option<TcpStream> {
    if open(&mut fault).await.is_err() {
        client.set_zero_linger().unwrap();
        return None;
    }
    let target = *target.borrow();
    let server = TcpStream::connect(target).await.ok()?;
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    Some(server)
}

async fn forward(client: &mut TcpStream, server: &mut TcpStream, fault: watch::Receiver<Fault>) {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let forwarded = tokio::try_join!(
        pump(from_client, to_server, fault.clone(), false),
        pump(from_server, to_client, fault, true),
    );
    if forwarded.is_err() {
        // The other side may have gone already, which is as good as a reset.
        let _gone = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// Forwards until the end of input; an error asks for a reset.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut fault: watch::Receiver<Fault>,
    is_answer: bool,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    // Bytes that the present fault has let through.
    let mut passed = (Fault::Pass, 0);
    loop {
        open(&mut fault).await?;
        let length = tokio::select! {
            read = from.read(&mut buffer) => read?,
            _changed = fault.changed() => continue,
        };
        if length == 0 {
            return to.shutdown().await;
        }
        let mut piece = &buffer[..length];
        let mut now = open(&mut fault).await?;
        while let Some(most) = now.lets_through().filter(|_| is_answer) {
            if passed.0 != now {
                passed = (now, 0);
            }
            let fits = usize::try_from(most - passed.1).unwrap_or(usize::MAX).min(piece.len());
            to.write_all(&piece[..fits]).await?;
            passed.1 += fits as u64;
            piece = &piece[fits..];
            if passed.1 < most {
                break;
            }
            match now {
                Fault::HalfClose(_) => return to.shutdown().await,
                Fault::CutAfter(_) => return Err(io::ErrorKind::ConnectionReset.into()),
                _stall => {}
            }
            fault.wait_for(|next| *next != now).await.map_err(io::Error::other)?;
            now = open(&mut fault).await?;
        }
        if let Fault::Delay(time) = now {
            sleep(time).await;
        }
        to.write_all(piece).await?;
    }
}

/// Waits while the proxy is a black hole; an error asks for a reset.
async fn open(fault: &mut watch::Receiver<Fault>) -> io::Result<Fault> {
    let allowed = *fault.wait_for(|now| *now != Fault::BlackHole).await.map_err(io::Error::other)?;
    match allowed {
        Fault::Reset => Err(io::ErrorKind::ConnectionReset.into()),
        allowed => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{task::yield_now, time::timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const SILENCE: Duration = Duration::from_millis(200);

    /// Sends back what it gets.
    async fn echo() -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let mut client = listener.accept().await.unwrap().0;
                clients.spawn(async move {
                    let (mut from, mut to) = client.split();
                    // Ends when the proxy cuts the connection.
                    let _end = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        (address, tasks)
    }

    async fn round_trip(stream: &mut TcpStream, text: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(text).await?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn faults_come_and_go() {
        let (target, _echo) = echo().await;
        let proxy = Proxy::start(target).await;
        let mut old = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(round_trip(&mut old, b"one").await.unwrap(), b"one");
        assert_eq!(proxy.accepted(), 1);

        proxy.set(Fault::Delay(SILENCE));
        let begun = std::time::Instant::now();
        round_trip(&mut old, b"slow").await.unwrap();
        assert!(begun.elapsed() >= SILENCE * 2, "both directions are held back");

        proxy.set(Fault::BlackHole);
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        timeout(SILENCE, round_trip(&mut new, b"two")).await.unwrap_err();
        timeout(SILENCE, round_trip(&mut old, b"two")).await.unwrap_err();
        proxy.set(Fault::Pass);
        let mut answer = [0; 3];
        for stream in [&mut old, &mut new] {
            timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
            assert_eq!(&answer, b"two", "what was on its way must go on");
        }

        proxy.set(Fault::CutAfter(4));
        assert_eq!(round_trip(&mut old, b"abc").await.unwrap(), b"abc");
        old.write_all(b"def").await.unwrap();
        assert_eq!(old.read_u8().await.unwrap(), b'd');
        assert!(old.read_u8().await.is_err());

        proxy.set(Fault::Reset);
        assert_eq!(new.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);

        proxy.set(Fault::Refuse);
        timeout(PATIENCE, async {
            while TcpStream::connect(proxy.address()).await.is_ok() {
                yield_now().await;
            }
        })
        .await
        .expect("it still accepts");
        proxy.set(Fault::Pass);
        let back = async {
            loop {
                if let Ok(mut stream) = TcpStream::connect(proxy.address()).await {
                    break round_trip(&mut stream, b"back").await.unwrap();
                }
                yield_now().await;
            }
        };
        assert_eq!(timeout(PATIENCE, back).await.unwrap(), b"back");
    }

    #[tokio::test]
    async fn forgotten_connections_stay_silent_beside_new_ones() {
        let (target, _echo) = echo().await;
        let proxy = Proxy::start(target).await;
        let mut old = TcpStream::connect(proxy.address()).await.unwrap();
        round_trip(&mut old, b"one").await.unwrap();
        for fault in [Fault::Forget, Fault::Pass] {
            proxy.set(fault);
            timeout(SILENCE, round_trip(&mut old, b"two")).await.expect_err("an answer, or an end");
            let mut new = TcpStream::connect(proxy.address()).await.unwrap();
            assert_eq!(timeout(PATIENCE, round_trip(&mut new, b"on")).await.unwrap().unwrap(), b"on");
        }
    }

    #[tokio::test]
    async fn a_stalled_answer_goes_on_after_the_fault() {
        let (target, _echo) = echo().await;
        let proxy = Proxy::start(target).await;
        proxy.set(Fault::Stall(4));
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(b"abcdef").await.unwrap();
        let mut answer = [0; 6];
        timeout(PATIENCE, stream.read_exact(&mut answer[..4])).await.unwrap().unwrap();
        timeout(SILENCE, stream.read_u8()).await.expect_err("more than was let through");
        proxy.set(Fault::Pass);
        timeout(PATIENCE, stream.read_exact(&mut answer[4..])).await.unwrap().unwrap();
        assert_eq!(&answer, b"abcdef", "nothing is lost on the way");
        assert_eq!(round_trip(&mut stream, b"on").await.unwrap(), b"on");
    }

    #[tokio::test]
    async fn a_half_closed_connection_ends_its_answers_and_still_takes_questions() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap()).await;
        proxy.set(Fault::HalfClose(2));
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        let mut server = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap().0;
        server.write_all(b"abcd").await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, client.read_to_end(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer, b"ab");
        client.write_all(b"still here").await.unwrap();
        let mut asked = [0; 10];
        timeout(PATIENCE, server.read_exact(&mut asked)).await.unwrap().unwrap();
        assert_eq!(&asked, b"still here");
    }

    #[tokio::test]
    async fn connections_of_before_the_fault_are_reset_after_so_many_bytes() {
        let (target, _echo) = echo().await;
        let proxy = Proxy::start(target).await;
        let mut old = TcpStream::connect(proxy.address()).await.unwrap();
        round_trip(&mut old, b"more bytes than the fault lets through").await.unwrap();
        proxy.set(Fault::CutAfter(3));
        old.write_all(b"abcdef").await.unwrap();
        let mut answer = [0; 3];
        timeout(PATIENCE, old.read_exact(&mut answer)).await.unwrap().unwrap();
        let end = timeout(PATIENCE, old.read_u8()).await.unwrap().unwrap_err();
        assert_eq!((&answer, end.kind()), (b"abc", io::ErrorKind::ConnectionReset));
    }
}
