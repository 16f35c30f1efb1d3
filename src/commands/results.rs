//! `pictor results`: what became of every row.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use pictor_common::{
    batch::{BatchId, Line},
    queue::{AssetState, BatchState, Queue},
    store::Store,
};
use pictor_producer::results::{Place, ResultRow, Shape, write_csv, write_jsonl};
use tokio::sync::mpsc;

use super::{Context, known_batch};
use crate::{exit::Exit, output::heard, parts};

const PAGE: u64 = 1_000;
/// Blank rows keep their numbers: so many pages in a row without a line end the search.
const EMPTY_PAGES: u32 = 20;

#[derive(Debug, Args)]
pub(crate) struct ResultsArgs {
    /// The batch
    batch: String,
    /// Write to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Format [default: as the file is named, else csv; jsonl with --json]
    #[arg(long)]
    format: Option<TableFormat>,
    /// The store the images are in, where the settings name none [default: pictor-out]
    #[arg(long, value_name = "DIR|URL")]
    store: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    Csv,
    Jsonl,
}

pub(crate) async fn run(args: ResultsArgs, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let written = Box::pin(write(&args, context, &opened.queue)).await;
    opened.close().await?;
    written
}

async fn write(args: &ResultsArgs, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let batch = known_batch(queue, &args.batch).await?;
    let url = parts::store_url(&context.settings, args.store.as_deref());
    let store = parts::open_store(&context.settings, url).await?;
    let by_name = args.out.as_ref().and_then(|path| match path.extension()?.to_str()? {
        "jsonl" | "json" | "ndjson" => Some(TableFormat::Jsonl),
        _ => Some(TableFormat::Csv),
    });
    let usual = if context.output.json { TableFormat::Jsonl } else { TableFormat::Csv };
    let format = args.format.or(by_name).unwrap_or(usual);
    match &args.out {
        Some(path) => write_file(queue, &store, url, &batch, format, path).await?,
        None => {
            let out = context.output.stream();
            heard(write_table(queue, &store, url, &batch, format, out).await?)?;
        }
    }
    let failed = batch.counts.failed + batch.counts.parked;
    Ok(if failed > 0 { Exit::SomeFailed } else { Exit::Done })
}

/// Writes a table beside its name, then moves it there.
pub(crate) async fn write_file(
    queue: &Queue,
    store: &Arc<dyn Store>,
    url: &str,
    batch: &BatchState,
    format: TableFormat,
    path: &Path,
) -> anyhow::Result<()> {
    let told = || format!("cannot write {}", path.display());
    let fresh = path.with_added_extension("part");
    let out = BufWriter::new(File::create(&fresh).with_context(told)?);
    write_table(queue, store, url, batch, format, out).await?.with_context(told)?;
    std::fs::rename(&fresh, path).with_context(told)?;
    Ok(())
}

async fn write_table(
    queue: &Queue,
    store: &Arc<dyn Store>,
    url: &str,
    batch: &BatchState,
    format: TableFormat,
    out: impl Write + Send + 'static,
) -> anyhow::Result<io::Result<()>> {
    let id: BatchId = batch.id.parse()?;
    let mut with_take = false;
    let mut pages = Pages::new(queue, &id, batch.sealed);
    while let Some(lines) = pages.next().await? {
        with_take |= lines.iter().any(|line| line.keys.len() > 1);
    }
    let place = if url.starts_with("s3://") { Place::Url } else { Place::File };
    let shape = Shape::new(&batch.columns, place, with_take);
    let (sender, mut receiver) = mpsc::channel::<ResultRow>(64);
    let writing = tokio::task::spawn_blocking(move || {
        let rows = std::iter::from_fn(|| receiver.blocking_recv());
        match format {
            TableFormat::Csv => write_csv(out, &shape, rows),
            TableFormat::Jsonl => write_jsonl(out, &shape, rows),
        }
    });
    let mut pages = Pages::new(queue, &id, batch.sealed);
    'pages: while let Some(lines) = pages.next().await? {
        let keys: Vec<_> = lines.iter().flat_map(|line| line.keys.iter().cloned()).collect();
        let mut states = queue.assets(&keys).await?.into_iter();
        for line in lines {
            for (take, key) in line.keys.iter().enumerate() {
                let state = states.next().flatten();
                let row = row(&line, take, key, state, &**store);
                if sender.send(row).await.is_err() {
                    // The writer failed and says why.
                    break 'pages;
                }
            }
        }
    }
    drop(sender);
    Ok(writing.await.context("the writer broke off")?.map(|_count| ()))
}

fn row(
    line: &Line,
    take: usize,
    key: &pictor_common::AssetKey,
    state: Option<AssetState>,
    store: &dyn Store,
) -> ResultRow {
    let state = state.unwrap_or_default();
    let error = state.made.is_none().then(|| match (state.phase.as_str(), state.failure) {
        ("failed", Some(failure)) => format!("{}: {}", failure.class, failure.message),
        ("parked", failure) => {
            let why = failure.map(|failure| failure.message).unwrap_or_default();
            format!("perhaps paid, outcome unknown: {why}")
        }
        ("" | "ready" | "claimed" | "sent" | "received" | "orphan", _) => "not made yet".to_owned(),
        (other, _) => other.to_owned(),
    });
    let made = state.made.unwrap_or_default();
    let has_image = error.is_none();
    ResultRow {
        cells: line.cells.clone(),
        take: u32::try_from(take).unwrap_or(u32::MAX),
        place: has_image.then(|| store.location(&made.object)),
        key: Some(key.clone()),
        cost: has_image.then_some(made.cost),
        model: state.model,
        revised_prompt: made.revised_prompt,
        error,
    }
}

/// The lines of a batch, page by page.
struct Pages<'a> {
    queue: &'a Queue,
    batch: &'a BatchId,
    first: u64,
    found: u64,
    sealed: Option<u64>,
    empty: u32,
}

impl<'a> Pages<'a> {
    const fn new(queue: &'a Queue, batch: &'a BatchId, sealed: Option<u64>) -> Self {
        Self { queue, batch, first: 1, found: 0, sealed, empty: 0 }
    }

    async fn next(&mut self) -> anyhow::Result<Option<Vec<Line>>> {
        loop {
            if self.sealed.is_some_and(|sealed| self.found >= sealed) || self.empty >= EMPTY_PAGES {
                return Ok(None);
            }
            let lines = self.queue.lines(self.batch, self.first, PAGE).await?;
            self.first += PAGE;
            self.found += lines.len() as u64;
            if lines.is_empty() {
                self.empty += 1;
                continue;
            }
            self.empty = 0;
            return Ok(Some(lines));
        }
    }
}
