//! `pictor verify`: compares what Redis, the store and the ledger say of a batch; changes nothing unless asked.

mod books;
mod compare;
mod deep;
mod finding;
mod remake;
mod report;

use std::{path::Path, sync::Arc};

use clap::Args;
use pictor_common::{
    batch::BatchId,
    ledger::Archive,
    queue::{BatchState, Queue},
    store::Store,
};

use super::{Context, known_batch, ledger::Ledger};
use crate::{
    exit::{Exit, refused},
    parts,
};
use {books::Books, compare::Comparison, report::Report};

#[derive(Debug, Args)]
#[command(
    after_help = "It ends with 0 when all is fine, 1 when something was found, 2 when there is no such batch, and 3 when Redis or \
    the store cannot be asked: an image is called gone only when the store says so. What a batch shares with others is \
    looked at as its own."
)]
pub(crate) struct VerifyArgs {
    /// The batch
    batch: String,
    /// Read every image as well: whether its bytes are those that were stored, and decode
    #[arg(long)]
    deep: bool,
    /// Make again what is done and gone from the store, or, with --deep, damaged: it is queued and paid as if it were new.
    /// Take what is in the store and not done from there, for nothing
    #[arg(long)]
    remake: bool,
    /// Do not ask before --remake
    #[arg(long, requires = "remake")]
    yes: bool,
    /// Let --remake go on though not one image of the batch is in the store
    #[arg(long, requires = "remake")]
    even_all: bool,
    /// The store the images are in, where the settings name none [default: pictor-out]
    #[arg(long, value_name = "DIR|URL")]
    store: Option<String>,
}

/// What is compared.
pub(super) struct Subject<'a> {
    pub(super) queue: &'a Queue,
    pub(super) store: Arc<dyn Store>,
    pub(super) batch: &'a BatchState,
    pub(super) id: BatchId,
    pub(super) context: &'a Context,
    pub(super) deep: bool,
}

impl Subject<'_> {
    /// The ledger: workers archive it where they put images.
    pub(super) fn ledger(&self) -> Ledger<'_> {
        let archive = Archive::new(Arc::clone(&self.store), self.queue.keys().namespace());
        Ledger::new(self.queue, Some(archive))
    }
}

pub(crate) async fn run(args: VerifyArgs, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let done = Box::pin(verify(&args, context, &opened.queue)).await;
    opened.close().await?;
    done
}

async fn verify(args: &VerifyArgs, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let batch = known_batch(queue, &args.batch).await?;
    if args.remake && batch.state == "cancelled" {
        let why = "was cancelled, so nothing of it is made again: submit its file under another --run-id";
        return Err(refused(format!("batch {} {why}", batch.id)));
    }
    let url = parts::store_url(&context.settings, args.store.as_deref());
    let id: BatchId = batch.id.parse()?;
    let store = open(context, url).await?;
    let subject = Subject { queue, store, batch: &batch, id, context, deep: args.deep };
    let mut books = Books::of(&subject).await?;
    books.read(&subject.ledger()).await?;

    let mut report = Report::begin(&subject, url)?;
    let compared = async {
        books.list(&*subject.store).await?;
        let mut comparison = Comparison::new(&subject, &mut books, &mut report);
        Box::pin(comparison.all()).await.map(|()| comparison.found())
    };
    let compared = Box::pin(compared).await;
    let changed = match compared {
        Ok(found) => {
            report.complete = true;
            if args.remake { Box::pin(remake::run(args, &subject, found, &mut report)).await } else { Ok(()) }
        }
        Err(error) => {
            let so_far = format!(
                "{} of {} images were compared, and nothing is known of the others; run it again",
                report.checked, batch.assets
            );
            Err(error.context(so_far))
        }
    };
    report.end(context)?;
    changed?;
    Ok(if report.found() { Exit::SomeFailed } else { Exit::Done })
}

/// Opens the store. A directory that is not there is not made: a disk that is not mounted has lost nothing.
pub(super) async fn open(context: &Context, url: &str) -> anyhow::Result<Arc<dyn Store>> {
    let path = url.strip_prefix("file://").or_else(|| (!url.contains("://")).then_some(url));
    if let Some(path) = path
        && !Path::new(path).join(".pictor").is_dir()
    {
        anyhow::bail!(
            "there is no store in {url}: is its disk mounted, and is store.url (PICTOR_STORE__URL) right? Nothing was looked at"
        );
    }
    parts::open_answering_store(&context.settings, url).await
}
