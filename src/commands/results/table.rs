//! Writes the table of a batch, row by row in order, while images are put where they belong.

use std::{
    collections::VecDeque,
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use pictor_common::{
    batch::BatchId,
    derivative::Derivative,
    queue::{BatchState, Queue},
    store::Store,
};
use pictor_producer::{
    fresh::Fresh,
    results::{ResultRow, Shape, write_csv, write_jsonl},
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    TableFormat,
    guard::Guard,
    laying::Laying,
    links::Links,
    pages::Pages,
    rows::Way,
    survey::{self, Survey, survey},
};
use crate::{config::Settings, output::Output};

/// Images on their way at once.
const AT_ONCE: usize = 16;
const NOTE_EVERY: Duration = Duration::from_secs(10);

/// A batch that is told of.
#[derive(Debug)]
pub(crate) struct Telling<'a> {
    queue: &'a Queue,
    batch: &'a BatchState,
    id: BatchId,
    way: Arc<Way>,
    survey: Survey,
    /// Hears how it goes, where it may take long.
    output: Option<&'a Output>,
    stop: CancellationToken,
}

impl<'a> Telling<'a> {
    /// Tells where a store has the images, as the settings say.
    pub(crate) async fn usual(
        settings: &Settings,
        queue: &'a Queue,
        batch: &'a BatchState,
        store: &Arc<dyn Store>,
        url: &str,
    ) -> anyhow::Result<Self> {
        let links = Links::usual(settings.store.public_base_url.as_ref(), url);
        Self::of_store(queue, batch, store, links, None).await
    }

    pub(super) async fn of_store(
        queue: &'a Queue,
        batch: &'a BatchState,
        store: &Arc<dyn Store>,
        links: Links,
        derivative: Option<Derivative>,
    ) -> anyhow::Result<Self> {
        let id: BatchId = batch.id.parse()?;
        let survey = survey(queue, batch, &id).await?;
        let way = Arc::new(Way::Stored { store: Arc::clone(store), links, derivative });
        Ok(Self { queue, batch, id, way, survey, output: None, stop: CancellationToken::new() })
    }

    /// Gives every image its name; refuses when one cannot be given.
    pub(super) async fn laid(
        queue: &'a Queue,
        batch: &'a BatchState,
        laying: Laying,
        guard: &Guard,
        output: &'a Output,
    ) -> anyhow::Result<Self> {
        let id: BatchId = batch.id.parse()?;
        let survey = survey::names(queue, batch, &id, &laying, guard, output).await?;
        let way = Arc::new(Way::Laid(laying));
        Ok(Self { queue, batch, id, way, survey, output: Some(output), stop: CancellationToken::new() })
    }

    /// Breaks off when a stop is asked for.
    pub(super) fn until(mut self, stop: &CancellationToken) -> Self {
        self.stop = stop.clone();
        self
    }

    /// The name of the batch.
    pub(super) fn batch(&self) -> &str {
        &self.batch.id
    }

    pub(super) fn laying(&self) -> Option<&Laying> {
        match &*self.way {
            Way::Stored { .. } => None,
            Way::Laid(laying) => Some(laying),
        }
    }

    /// Says what a person should know of how it went.
    pub(super) fn warn(&self, output: &Output) {
        let warnings = [
            self.laying().and_then(|laying| laying.target.warning()),
            self.way.links().warning().map(str::to_owned),
        ];
        for warning in warnings.iter().flatten() {
            output.note(warning);
        }
    }

    /// Writes the table beside its name, then moves it there.
    pub(crate) async fn write_file(&self, format: TableFormat, path: &Path) -> anyhow::Result<()> {
        let told = || format!("cannot write {}", path.display());
        let fresh = Fresh::of(path).with_context(told)?;
        let out = BufWriter::new(fresh.file().with_context(told)?);
        self.write(format, out).await?.with_context(told)?;
        fresh.arrive().with_context(told)
    }

    pub(super) async fn write(
        &self,
        format: TableFormat,
        out: impl Write + Send + 'static,
    ) -> anyhow::Result<io::Result<()>> {
        let shape = Shape::new(&self.batch.columns, self.way.links().place(), self.survey.with);
        let (sender, mut receiver) = mpsc::channel::<ResultRow>(64);
        let writing = tokio::task::spawn_blocking(move || {
            let rows = std::iter::from_fn(|| receiver.blocking_recv());
            match format {
                TableFormat::Csv => write_csv(out, &shape, rows),
                TableFormat::Jsonl => write_jsonl(out, &shape, rows),
            }
        });
        let mut line = VecDeque::with_capacity(AT_ONCE);
        let fed = self.feed(&mut line, &sender).await;
        // What has begun is ended, also after a failure: nothing is left half-way.
        for begun in line {
            let _told = begun.await;
        }
        drop(sender);
        let written = writing.await.context("the writer broke off")?;
        fed?;
        Ok(written.map(|_count| ()))
    }

    async fn feed(
        &self,
        line: &mut VecDeque<JoinHandle<anyhow::Result<ResultRow>>>,
        sender: &mpsc::Sender<ResultRow>,
    ) -> anyhow::Result<()> {
        let mut pages = Pages::new(self.queue, &self.id, self.batch.sealed);
        let (mut begun, mut said) = (0_u64, Instant::now());
        while let Some(items) = pages.items().await? {
            for item in items {
                anyhow::ensure!(!self.stop.is_cancelled(), "stopped; the same command goes on from here");
                if line.len() == AT_ONCE && !next(line, sender).await? {
                    return Ok(());
                }
                let way = Arc::clone(&self.way);
                line.push_back(tokio::spawn(async move { way.row(item).await }));
                begun += 1;
                if let Some(output) = self.output.filter(|_| said.elapsed() > NOTE_EVERY) {
                    said = Instant::now();
                    output.note(&format!("{begun} of {} images", self.survey.images));
                }
            }
        }
        while !line.is_empty() && next(line, sender).await? {}
        Ok(())
    }
}

/// Passes the oldest row on; whether anybody still wants rows. When the writer failed, it says why.
async fn next(
    line: &mut VecDeque<JoinHandle<anyhow::Result<ResultRow>>>,
    sender: &mpsc::Sender<ResultRow>,
) -> anyhow::Result<bool> {
    let Some(begun) = line.pop_front() else { return Ok(true) };
    let row = begun.await.context("an image broke off")??;
    Ok(sender.send(row).await.is_ok())
}
