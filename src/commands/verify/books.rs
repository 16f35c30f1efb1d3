//! What the ledger and a listing of the store say of each image of a batch.
//!
//! Memory: about 150 bytes for each image, and what reading the ledger takes.

use std::collections::HashMap;

use pictor_common::{
    AssetKey, MicroUsd,
    batch::BatchId,
    ledger::{Kind, Requests},
    queue::{LedgerEntry, Queue},
    store::{Store, StoreError},
};

use super::Subject;
use crate::commands::ledger::Ledger;

/// Keys a call brings.
const PAGE: usize = 5_000;
/// Names a call brings.
const NAMES: usize = 1_000;
/// So many names for each image of the batch, or fewer, are listed instead of looking at each image. An image has two.
const NAMES_FOR_EACH: usize = 4;
/// Below so many images the store is not listed.
const FEW: usize = 64;
/// What a clock may be off, and what happened just before, µs.
const EARLIER: u64 = 600_000_000;

const EXTENSIONS: [&str; 5] = ["png", "jpg", "webp", "gif", "svg"];

/// What is known of one image besides what Redis says of it.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) requests: Requests,
    /// The kind of file that was listed.
    listed: Option<u8>,
    /// It was compared.
    pub(super) seen: bool,
}

/// What is known of all images of a batch.
#[derive(Debug)]
pub(super) struct Books {
    slots: HashMap<[u8; 32], Slot>,
    /// The whole store was listed.
    listed: bool,
    /// What was settled lately, and up to which entry of the ledger that is known.
    lately: HashMap<[u8; 32], Vec<MicroUsd>>,
    upto: String,
}

impl Slot {
    /// Name of the image that was listed.
    pub(super) fn name(&self, key: &AssetKey) -> Option<String> {
        let extension = EXTENSIONS.get(usize::from(self.listed?))?;
        Some(format!("assets/{}/{key}.{extension}", &key.as_str()[..2]))
    }
}

impl Books {
    /// Takes in which images the batch has.
    pub(super) async fn of(subject: &Subject<'_>) -> anyhow::Result<Self> {
        let micros = jiff::Timestamp::now().as_microsecond();
        let began = u64::try_from(micros).unwrap_or(0).saturating_sub(EARLIER);
        let upto = format!("{}-0", began / 1_000);
        let mut books = Self { slots: HashMap::new(), listed: false, lately: HashMap::new(), upto };
        books.take_members(subject.queue, &subject.id).await?;
        Ok(books)
    }

    async fn take_members(&mut self, queue: &Queue, batch: &BatchId) -> anyhow::Result<()> {
        let mut first = 0;
        loop {
            let page = queue.members(batch, first, PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            first += page.len();
            for key in page {
                self.slots.entry(key.bytes()).or_default();
            }
        }
    }

    /// Takes in what the ledger says of them.
    pub(super) async fn read(&mut self, ledger: &Ledger<'_>) -> anyhow::Result<()> {
        ledger
            .each(None, |entry| {
                if let Some(slot) = key_of(&entry).and_then(|key| self.slots.get_mut(&key)) {
                    slot.requests.add(&entry);
                }
                Ok(())
            })
            .await
    }

    /// Takes in what was settled since the ledger was read, or shortly before.
    pub(super) async fn catch_up(&mut self, queue: &Queue) -> anyhow::Result<()> {
        loop {
            let page = queue.ledger(&self.upto, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            self.upto.clone_from(last);
            for (_, entry) in page.iter().filter(|(_, entry)| entry.meaning() == Some(Kind::Settled)) {
                if let Some(key) = key_of(entry).filter(|key| self.slots.contains_key(key)) {
                    self.lately.entry(key).or_default().push(entry.amount());
                }
            }
        }
    }

    /// Whether a request for an image was charged by now, at this cost or at any.
    pub(super) fn is_charged(&self, key: &AssetKey, cost: Option<MicroUsd>) -> bool {
        let key = key.bytes();
        let lately = self.lately.get(&key);
        let requests = self.slots.get(&key).map(|slot| &slot.requests);
        match cost {
            None => lately.is_some() || requests.is_some_and(Requests::is_settled),
            Some(cost) => {
                lately.is_some_and(|costs| costs.contains(&cost))
                    || requests.is_some_and(|requests| requests.charged(cost))
            }
        }
    }

    /// Lists the store, where that is cheaper than a look at each image.
    pub(super) async fn list(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let most = self.slots.len().saturating_mul(NAMES_FOR_EACH);
        if self.slots.len() < FEW {
            return Ok(());
        }
        let (mut after, mut names) = (None::<String>, 0);
        while names < most {
            let page = store.list("assets/", after.as_deref(), NAMES).await?;
            names += page.len();
            for name in &page {
                self.note(name);
            }
            if page.len() < NAMES {
                self.listed = true;
                return Ok(());
            }
            after = page.last().cloned();
        }
        // A fuller store than the batch is large: each image is looked at.
        Ok(())
    }

    fn note(&mut self, name: &str) {
        let noted = || {
            let (stem, extension) = name.rsplit('/').next()?.split_once('.')?;
            let kind = EXTENSIONS.iter().position(|known| *known == extension)?;
            let key: AssetKey = stem.parse().ok()?;
            Some((key.bytes(), u8::try_from(kind).ok()?))
        };
        if let Some((key, kind)) = noted()
            && let Some(slot) = self.slots.get_mut(&key)
        {
            slot.listed = Some(kind);
        }
    }

    /// Whether a listing says which images are there.
    pub(super) const fn listed(&self) -> bool {
        self.listed
    }

    pub(super) fn slot(&mut self, key: &AssetKey) -> &mut Slot {
        self.slots.entry(key.bytes()).or_default()
    }
}

fn key_of(entry: &LedgerEntry) -> Option<[u8; 32]> {
    Some(entry.key.parse::<AssetKey>().ok()?.bytes())
}
