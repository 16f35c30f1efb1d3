//! `pictor worker`: works on what is queued, until stopped.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;
use clap::Args;

use super::Context;
use crate::{accounts, exit::Exit, parts, private_redis::Use};

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// Requests at once in this process
    #[arg(long, value_name = "COUNT")]
    concurrency: Option<usize>,
    /// Answer /healthz, /readyz and /metrics at this address and port, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
}

pub(crate) async fn run(args: WorkerArgs, context: &Context) -> anyhow::Result<Exit> {
    let settings = &context.settings;
    // First of all: a worker that nobody can look at is not what was asked for.
    let listener = args.listen.or(settings.worker.listen).map(listen).transpose()?;
    let lanes = accounts::lanes(settings, None, &parts::today())?;
    let url = parts::store_url(settings, None);
    let store = parts::open_store(settings, url).await?;
    let used = parts::absolute(url);
    let opened = Box::pin(parts::open_queue(settings, &context.signals, Use::Work(&used))).await?;
    let concurrency = args.concurrency.unwrap_or(settings.worker.concurrency).max(1);
    let work = async {
        parts::apply_budget(settings, &opened.queue).await?;
        let parts = parts::worker(settings, &opened.queue, &store, lanes, concurrency).await?;
        let stop = context.signals.stop.clone();
        match listener {
            Some(listener) => pictor_worker::run_observed(parts, listener, stop).await,
            None => pictor_worker::run(parts, stop).await,
        }
    };
    let ended = Box::pin(work).await;
    opened.close().await?;
    ended.map(|()| Exit::Done)
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| {
        format!(
            "cannot listen at {address} for probes and metrics; each worker of a host wants a port of its own: \
             --listen, or worker.listen (PICTOR_WORKER__LISTEN)"
        )
    })
}
