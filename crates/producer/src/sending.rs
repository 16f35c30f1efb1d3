//! Sends the rows of a batch in chunks: the next is made while others are on their way.

use std::{future::Future, pin::Pin};

use futures::{StreamExt as _, TryStreamExt as _, poll, stream, stream::FuturesOrdered};
use pictor_common::{
    batch::{BatchHead, Line, NewAsset},
    queue::{CHUNK, Chunk, Queue, QueueError, Submitted},
    stamp::Stamp,
    store::{Store, image_name},
};

use crate::{
    lookup::{Found, now},
    plan::PlannedRow,
    submit::SubmitError,
};

/// Chunks on their way at once.
const CHUNKS: usize = 4;
/// Objects looked up in the store at once.
const HEADS: usize = 64;

/// A batch on its way into the queue.
pub(crate) struct Sending<'a> {
    pub(crate) head: &'a BatchHead,
    pub(crate) queue: &'a Queue,
    pub(crate) store: &'a dyn Store,
    pub(crate) found: &'a Found,
    pub(crate) retry_failed: bool,
    assets: Vec<(u64, NewAsset)>,
    lines: Vec<Line>,
    /// Assets of the chunks before.
    cut: usize,
    /// Last row of the chunk before.
    after: u64,
    /// Last row that an earlier submission got in; a chunk ends there.
    was_in: u64,
    in_flight: FuturesOrdered<OnItsWay<'a>>,
    sums: Submitted,
    rows_in: u64,
}

type OnItsWay<'a> = Pin<Box<dyn Future<Output = (Chunk, u64, Result<Submitted, QueueError>)> + Send + 'a>>;

impl<'a> Sending<'a> {
    pub(crate) async fn new(
        head: &'a BatchHead,
        queue: &'a Queue,
        store: &'a dyn Store,
        found: &'a Found,
        retry_failed: bool,
    ) -> Result<Self, QueueError> {
        let was_in = queue.last_row(&head.id).await?;
        Ok(Self {
            head,
            queue,
            store,
            found,
            retry_failed,
            cut: 0,
            assets: Vec::with_capacity(CHUNK),
            lines: Vec::with_capacity(CHUNK),
            after: 0,
            was_in,
            in_flight: FuturesOrdered::new(),
            sums: Submitted::default(),
            rows_in: 0,
        })
    }

    /// Takes a row in; sends a chunk when one is full. Returns how many rows are in by now.
    pub(crate) async fn row(&mut self, row: PlannedRow) -> Result<u64, SubmitError> {
        let number = row.line.row;
        let full = self.lines.len() == CHUNK || self.assets.len() + row.assets.len() > CHUNK;
        let ends = self.lines.last().is_some_and(|last| last.row <= self.was_in && self.was_in < number);
        if full || ends {
            self.cut().await?;
        }
        self.assets.extend(row.assets.into_iter().map(|planned| (number, planned.asset)));
        self.lines.push(row.line);
        Ok(self.rows_in)
    }

    /// Sends what is left and waits for all of it.
    pub(crate) async fn finish(mut self) -> Result<Submitted, SubmitError> {
        self.cut().await?;
        while let Some(arrived) = self.in_flight.next().await {
            self.arrived(arrived).await?;
        }
        Ok(self.sums)
    }

    async fn cut(&mut self) -> Result<(), SubmitError> {
        let Some(last) = self.lines.last().map(|line| line.row) else { return Ok(()) };
        self.find_stored().await?;
        let upto = self.cut + self.assets.len();
        let relied = self.found.relied.get(self.cut..upto).unwrap_or(&[]);
        self.cut = upto;
        let (after, retry) = (Some(self.after), self.retry_failed);
        let chunk = self.queue.chunk(self.head, &self.assets, &self.lines, retry, after, relied)?;
        let (queue, rows) = (self.queue, self.lines.len() as u64);
        self.in_flight.push_back(Box::pin(async move {
            let answer = queue.send(&chunk).await;
            (chunk, rows, answer)
        }));
        self.after = last;
        self.assets.clear();
        self.lines.clear();
        let ready = if self.in_flight.len() >= CHUNKS {
            self.in_flight.next().await
        } else {
            now(poll!(self.in_flight.next()))
        };
        match ready {
            Some(arrived) => self.arrived(arrived).await,
            None => Ok(()),
        }
    }

    /// Chunks arrive in order. One that overtook another was refused; all before it are in now.
    async fn arrived(
        &mut self,
        (chunk, rows, answer): (Chunk, u64, Result<Submitted, QueueError>),
    ) -> Result<(), SubmitError> {
        let answer = match answer {
            Err(QueueError::Gap(_)) => self.queue.send(&chunk).await,
            other => other,
        };
        self.sums += answer?;
        self.rows_in += rows;
        Ok(())
    }

    /// Fetches what was made for those assets of the chunk that only the store knows.
    async fn find_stored(&mut self) -> Result<(), SubmitError> {
        let (store, stored) = (self.store, &self.found.stored);
        if stored.is_empty() {
            return Ok(());
        }
        let known = self.assets.iter_mut().map(|(_, asset)| asset);
        stream::iter(known.filter(|asset| stored.contains(&asset.key.bytes())).map(Ok))
            .try_for_each_concurrent(HEADS, |asset| async move {
                let object = store.head(&image_name(&asset.key, &asset.spec)).await?;
                // The plan had it for nothing.
                let Some(stamp) = object.as_ref().and_then(Stamp::of) else {
                    return Err(QueueError::Gone(asset.key.to_string()).into());
                };
                asset.made = Some(stamp.made);
                Ok(())
            })
            .await
    }
}
