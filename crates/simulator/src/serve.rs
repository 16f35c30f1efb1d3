//! Runs a simulator on a listener, and lets faults break its connections.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{Options, routes, state::Simulator};

/// Serves until `shutdown` completes; then breaks every connection and stops every generation.
///
/// # Errors
/// Fails at once where the options name an unknown fault or contradict themselves.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let simulator = Simulator::new(options)?;
    let stopped = simulator.stopped.clone();
    let listener = Breakable { listener, stopped: stopped.clone() };
    let app = routes::router(Arc::clone(&simulator)).into_make_service_with_connect_info::<Connection>();
    let server = axum::serve(listener, app).with_graceful_shutdown(stopped.clone().cancelled_owned());
    let server = async move { server.await };
    tokio::pin!(server);
    let ended = tokio::select! {
        ended = &mut server => ended,
        () = shutdown => {
            stopped.cancel();
            server.await
        }
    };
    stopped.cancel();
    simulator.generations.close();
    simulator.generations.wait().await;
    Ok(ended?)
}

/// Breaks one connection when told to.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    severed: CancellationToken,
    reset: Arc<AtomicBool>,
}

impl Connection {
    /// Closes the connection at once; a reset makes the client's system report an error.
    pub(crate) fn sever(&self, reset: bool) {
        self.reset.store(reset, Ordering::Release);
        self.severed.cancel();
    }
}

impl Connected<IncomingStream<'_, Breakable>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Breakable>) -> Self {
        stream.io().connection.clone()
    }
}

#[derive(Debug)]
struct Breakable {
    listener: TcpListener,
    stopped: CancellationToken,
}

impl Listener for Breakable {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        let (tcp, address) = Listener::accept(&mut self.listener).await;
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let severed = self.stopped.child_token();
        let waiting = Box::pin(severed.clone().cancelled_owned());
        let connection = Connection { severed, reset: Arc::default() };
        (Stream { tcp, connection, waiting }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

struct Stream {
    tcp: TcpStream,
    connection: Connection,
    waiting: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Stream {
    fn check(&self) -> io::Result<()> {
        if !self.connection.severed.is_cancelled() {
            return Ok(());
        }
        if self.connection.reset.load(Ordering::Acquire) {
            self.tcp.set_zero_linger()?;
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.waiting.as_mut().poll(cx).is_ready() {
            return Poll::Ready(self.check());
        }
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}
