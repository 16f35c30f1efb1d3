//! `pictor worker`: works on what is queued, until stopped.

use clap::Args;

use super::Context;
use crate::{accounts, exit::Exit, parts, private_redis::Use};

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// Requests at once in this process
    #[arg(long, value_name = "COUNT")]
    concurrency: Option<usize>,
}

pub(crate) async fn run(args: WorkerArgs, context: &Context) -> anyhow::Result<Exit> {
    let settings = &context.settings;
    let lanes = accounts::lanes(settings, None, &parts::today())?;
    let url = parts::store_url(settings, None);
    let store = parts::open_store(settings, url).await?;
    let used = parts::absolute(url);
    let opened = Box::pin(parts::open_queue(settings, &context.signals, Use::Work(&used))).await?;
    let concurrency = args.concurrency.unwrap_or(settings.worker.concurrency).max(1);
    let work = async {
        parts::apply_budget(settings, &opened.queue).await?;
        let parts = parts::worker(settings, &opened.queue, &store, lanes, concurrency).await?;
        pictor_worker::run(parts, context.signals.stop.clone()).await
    };
    let ended = Box::pin(work).await;
    opened.close().await?;
    ended.map(|()| Exit::Done)
}
