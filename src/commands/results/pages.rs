//! Reads the lines of a batch, page by page, with what became of their images.

use std::{mem, sync::Arc};

use pictor_common::{
    AssetKey,
    batch::{BatchId, Line},
    queue::{AssetState, Queue},
};

const PAGE: u64 = 1_000;
/// Blank and skipped rows keep their numbers: so many pages in a row without a line end the search.
const EMPTY_PAGES: u32 = 20;
/// The same where lines are known to be missing.
const EMPTY_PAGES_BEFORE_MORE: u32 = 20_000;

/// One image of one line.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) line: Arc<Line>,
    pub(crate) take: u32,
    pub(crate) key: AssetKey,
    /// What the line was submitted with, where it has another asset now.
    pub(crate) original_key: Option<AssetKey>,
    /// The model that was asked first and could not make it.
    pub(crate) instead_of: Option<String>,
    /// In what a person had it made otherwise than was asked first.
    pub(crate) how: Option<String>,
    /// Whether another take was wanted of what was made first.
    pub(crate) redone: bool,
    pub(crate) state: AssetState,
}

/// What a line was submitted with, where it has another asset now.
#[derive(Debug, Default)]
struct Before {
    original_key: Option<AssetKey>,
    instead_of: Option<String>,
    how: Option<String>,
    redone: bool,
}

/// The lines of a batch, page by page.
pub(crate) struct Pages<'a> {
    queue: &'a Queue,
    batch: &'a BatchId,
    first: u64,
    found: u64,
    sealed: Option<u64>,
    empty: u32,
}

impl<'a> Pages<'a> {
    pub(crate) const fn new(queue: &'a Queue, batch: &'a BatchId, sealed: Option<u64>) -> Self {
        Self { queue, batch, first: 1, found: 0, sealed, empty: 0 }
    }

    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Vec<Line>>> {
        loop {
            let (enough, patience) = match self.sealed {
                Some(sealed) => (self.found >= sealed, EMPTY_PAGES_BEFORE_MORE),
                None => (false, EMPTY_PAGES),
            };
            if enough || self.empty >= patience {
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

    /// The next page, an item for each image.
    pub(crate) async fn items(&mut self) -> anyhow::Result<Option<Vec<Item>>> {
        let Some(lines) = self.next().await? else { return Ok(None) };
        let mut keys: Vec<_> = lines.iter().flat_map(|line| line.keys.iter().cloned()).collect();
        let before = self.follow(&mut keys).await?;
        let mut states = self.queue.assets(&keys).await?.into_iter();
        let mut found = keys.into_iter().zip(before);
        let mut items = Vec::with_capacity(found.len());
        for line in lines {
            let line = Arc::new(line);
            for (take, (key, before)) in (0..).zip(found.by_ref().take(line.keys.len())) {
                let Before { original_key, instead_of, how, redone } = before;
                let (line, state) = (Arc::clone(&line), states.next().flatten().unwrap_or_default());
                items.push(Item { line, take, key, original_key, instead_of, how, redone, state });
            }
        }
        Ok(Some(items))
    }

    /// Puts what stands in for assets into their place; tells what was there before.
    async fn follow(&self, keys: &mut [AssetKey]) -> anyhow::Result<Vec<Before>> {
        let others = self.queue.stand_ins(self.batch, keys).await?;
        let of = keys.iter().zip(&others).filter(|(_, other)| other.is_some());
        let replaced: Vec<AssetKey> = of.map(|(key, _)| key.clone()).collect();
        let mut states = self.queue.assets(&replaced).await?.into_iter();
        let current: Vec<AssetKey> = others.iter().flatten().cloned().collect();
        let mut how = self.queue.replaced_how(self.batch, &current).await?.into_iter();
        let mut takes = self.queue.takes_of(self.batch, &replaced).await?.into_iter();
        let mut all = Vec::with_capacity(keys.len());
        for (key, other) in keys.iter_mut().zip(others) {
            let Some(other) = other else {
                all.push(Before::default());
                continue;
            };
            let redone = takes.next().is_some_and(|takes| takes.contains(&other));
            let original_key = Some(mem::replace(key, other));
            let state = states.next().flatten().unwrap_or_default();
            let model = if state.model.is_empty() { "its own model".to_owned() } else { state.model };
            let how = how.next().flatten();
            all.push(Before { original_key, instead_of: (!redone).then_some(model), how, redone });
        }
        Ok(all)
    }
}
