//! The ledger of one batch: its sums, and every image that may have been paid more than once.
//!
//! Memory: about 100 bytes for each image that the batch paid for.

use std::collections::HashMap;

use pictor_common::{
    AssetKey, MicroUsd,
    batch::BatchId,
    ledger::{RequestSums, Requests},
    queue::LedgerEntry,
};
use serde::Serialize;

use super::{Ledger, show};
use crate::{commands::Context, exit::Exit};

/// Images that are shown to people one by one.
const SHOWN: usize = 20;

#[derive(Debug, Serialize)]
struct OfBatch<'a> {
    batch: &'a BatchId,
    /// Images it was, or may have been, charged for.
    images: u64,
    total: RequestSums,
    /// Images with more to tell of than one bill.
    odd: Vec<Odd>,
}

#[derive(Debug, Serialize)]
struct Odd {
    key: AssetKey,
    #[serde(flatten)]
    sums: RequestSums,
    entries: Vec<LedgerEntry>,
}

pub(super) async fn run(batch: &BatchId, ledger: &Ledger<'_>, context: &Context) -> anyhow::Result<Exit> {
    let mut images: HashMap<[u8; 32], Requests> = HashMap::new();
    let key = |entry: &LedgerEntry| entry.key.parse::<AssetKey>().ok().map(|key| key.bytes());
    // Another batch may have paid for an attempt at the same image: all that concerns it is looked at.
    ledger
        .each(None, |entry| {
            if entry.batch == batch.as_str()
                && let Some(key) = key(&entry)
            {
                images.entry(key).or_default().add(&entry);
            }
            Ok(())
        })
        .await?;
    let mut total = RequestSums::default();
    for requests in images.values() {
        add(&mut total, &requests.sums());
    }
    let count = images.len() as u64;
    images.retain(|_, requests| requests.sums().is_odd());
    let mut entries: HashMap<[u8; 32], Vec<LedgerEntry>> = HashMap::new();
    if !images.is_empty() {
        ledger
            .each(None, |entry| {
                if let Some(key) = key(&entry).filter(|key| images.contains_key(key)) {
                    entries.entry(key).or_default().push(entry);
                }
                Ok(())
            })
            .await?;
    }
    let of_one = |(key, entries): ([u8; 32], Vec<LedgerEntry>)| {
        let mut requests = Requests::default();
        entries.iter().for_each(|entry| requests.add(entry));
        Odd { key: AssetKey::of_bytes(key), sums: requests.sums(), entries }
    };
    let mut odd: Vec<Odd> = entries.into_iter().map(of_one).collect();
    odd.sort_by_key(|odd| odd.entries.first().map(LedgerEntry::moment));
    let found = OfBatch { batch, images: count, total, odd };
    context.output.result(&found, || told(&found))?;
    Ok(Exit::Done)
}

fn add(total: &mut RequestSums, one: &RequestSums) {
    total.settled += one.settled;
    total.settled_cost = total.settled_cost + one.settled_cost;
    total.unknown += one.unknown;
    total.unknown_cost = total.unknown_cost + one.unknown_cost;
    total.remade += one.remade;
    total.removed += one.removed;
    total.perhaps_twice = total.perhaps_twice + one.perhaps_twice;
    total.charged_again += one.charged_again;
}

fn told(found: &OfBatch<'_>) -> String {
    let RequestSums { settled, settled_cost, unknown, unknown_cost, perhaps_twice, .. } = found.total;
    let mut text = format!(
        "batch {}: {} images, {settled} requests charged, {settled_cost}; {unknown} may have been, {unknown_cost}\n",
        found.batch, found.images
    );
    if perhaps_twice > MicroUsd::ZERO {
        text += &format!("may have been paid twice: {perhaps_twice}\n");
    }
    for Odd { entries, sums, .. } in found.odd.iter().take(SHOWN) {
        text += &format!("\n{}", show::told(entries, sums));
    }
    let more = found.odd.len().saturating_sub(SHOWN);
    if more > 0 {
        text += &format!("\nand {more} more: --json lists all\n");
    }
    if found.odd.is_empty() {
        text += "every image was paid once; pictor ledger show KEY lists the requests of one\n";
    }
    text
}
