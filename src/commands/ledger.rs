//! `pictor ledger`: what was paid, or may have been.

mod export;
mod invoice;
mod matching;
mod of_batch;
mod period;
mod reconcile;
mod show;
mod totals;

use std::{io, path::Path};

use clap::{Args, Subcommand};
use pictor_common::{
    ledger::{Archive, ReadError, read_all},
    queue::{LedgerEntry, Queue},
};

use super::Context;
use crate::{exit::Exit, parts};
use export::ExportArgs;
use period::Period;
use reconcile::ReconcileArgs;
use totals::TotalsArgs;

const PAGE: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Every entry of one image or one request, and whether it may have been paid twice; of a batch, its sums and every
    /// image that may have been paid more than once
    Show {
        /// Key of an image or its first digits, token or id of a request, or a batch
        #[arg(value_name = "KEY|TOKEN|REQUEST_ID|BATCH")]
        id: String,
        #[command(flatten)]
        from: From,
    },
    /// Sums, to compare with an invoice
    Totals {
        #[command(flatten)]
        args: TotalsArgs,
        #[command(flatten)]
        from: From,
    },
    /// Every entry, one JSON object a line
    List {
        #[command(flatten)]
        from: From,
    },
    /// Every entry of a time as a table, for a spreadsheet or another program
    Export {
        #[command(flatten)]
        args: ExportArgs,
        #[command(flatten)]
        from: From,
    },
    /// Compare with an invoice, request by request; ends with 1 when they differ
    #[command(
        after_help = "The invoice is a CSV file with a line for each image that was charged: the provider's request id and \
                            an amount in US dollars, or in millionths of one where the column's name ends with micro_usd. Unknown \
                            outcomes often have no request id; they are found by the id that Pictor gave the request, where the \
                            invoice has it in a column, else only by number and amount, and the answer says so."
    )]
    Reconcile {
        #[command(flatten)]
        args: ReconcileArgs,
        #[command(flatten)]
        from: From,
    },
}

/// Where the ledger is read.
#[derive(Debug, Args)]
pub(crate) struct From {
    /// Read only what is still in Redis, and not what was archived to the store
    #[arg(long)]
    no_archive: bool,
}

/// The ledger, in Redis and in the store.
#[derive(Debug)]
pub(crate) struct Ledger<'a> {
    queue: &'a Queue,
    archive: Option<Archive>,
}

pub(crate) async fn run(command: LedgerCommand, context: &Context) -> anyhow::Result<Exit> {
    let (LedgerCommand::Show { from, .. }
    | LedgerCommand::Totals { from, .. }
    | LedgerCommand::List { from }
    | LedgerCommand::Export { from, .. }
    | LedgerCommand::Reconcile { from, .. }) = &command;
    let opened = context.look().await?;
    let done = async {
        let archive = if from.no_archive { None } else { archive(context, &opened.queue).await? };
        let ledger = Ledger { queue: &opened.queue, archive };
        match &command {
            LedgerCommand::Show { id, .. } => show::run(id, &ledger, context).await,
            LedgerCommand::Totals { args, .. } => totals::run(args, &ledger, context).await,
            LedgerCommand::List { .. } => list(&ledger, context).await,
            LedgerCommand::Export { args, .. } => export::run(args, &ledger, context).await,
            LedgerCommand::Reconcile { args, .. } => reconcile::run(args, &ledger, context).await,
        }
    };
    let done = Box::pin(done).await;
    opened.close().await?;
    done
}

/// The archive in the store of the settings; a directory that is not there has none.
async fn archive(context: &Context, queue: &Queue) -> anyhow::Result<Option<Archive>> {
    let url = parts::store_url(&context.settings, None);
    if !url.contains("://") && !Path::new(url).exists() {
        return Ok(None);
    }
    let store = parts::open_store(&context.settings, url).await?;
    Ok(Some(Archive::new(store, queue.keys().namespace())))
}

impl<'a> Ledger<'a> {
    /// The ledger in Redis, and its archive where there is one.
    pub(crate) const fn new(queue: &'a Queue, archive: Option<Archive>) -> Self {
        Self { queue, archive }
    }

    /// Shows every entry once, in the order written: with `since`, in µs, at least those from then on.
    pub(crate) async fn each(
        &self,
        since: Option<u64>,
        visit: impl FnMut(LedgerEntry) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let read = Box::pin(read_all(self.queue, self.archive.as_ref(), since, visit)).await;
        read.map_err(|error| match error {
            ReadError::Archive(error) => anyhow::Error::from(error).context(
                "cannot read the archived ledger in the store; --no-archive reads only what is in Redis",
            ),
            ReadError::Queue(error) => error.into(),
            ReadError::Visit(error) => error.into(),
        })
    }
}

async fn list(ledger: &Ledger<'_>, context: &Context) -> anyhow::Result<Exit> {
    let mut out = context.output.stream();
    export::ended(ledger.each(None, |entry| export::json_line(&mut out, &entry)).await)?;
    export::flush(&mut out)?;
    Ok(Exit::Done)
}

/// All entries in Redis after one.
pub(crate) async fn entries_after(queue: &Queue, after: &str) -> anyhow::Result<Vec<LedgerEntry>> {
    let (mut after, mut entries) = (after.to_owned(), Vec::new());
    loop {
        let page = queue.ledger(&after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(entries) };
        after.clone_from(last);
        entries.extend(page.into_iter().map(|(_, entry)| entry));
    }
}
