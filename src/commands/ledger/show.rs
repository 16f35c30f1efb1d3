//! `pictor ledger show`: every entry of one image or one request, and whether it may have been paid twice.

use pictor_common::{
    batch::BatchId,
    ledger::{RequestSums, Requests},
    queue::LedgerEntry,
};
use serde::Serialize;

use super::{Ledger, of_batch};
use crate::{
    commands::{Context, when},
    exit::{Exit, refused},
    table::table,
};

/// Fewer digits of a key could be anything.
const DIGITS: usize = 8;

#[derive(Debug, Serialize)]
struct Found {
    entries: Vec<LedgerEntry>,
    /// What they add up to, an image each.
    images: Vec<Image>,
}

#[derive(Debug, Serialize)]
struct Image {
    key: String,
    #[serde(flatten)]
    sums: RequestSums,
}

pub(super) async fn run(id: &str, ledger: &Ledger<'_>, context: &Context) -> anyhow::Result<Exit> {
    if let Ok(batch) = id.parse::<BatchId>()
        && ledger.queue.batch(&batch).await?.is_some()
    {
        return of_batch::run(&batch, ledger, context).await;
    }
    let mut found = Found { entries: Vec::new(), images: Vec::new() };
    ledger
        .each(None, |entry| {
            if names(id, &entry) {
                found.entries.push(entry);
            }
            Ok(())
        })
        .await?;
    if found.entries.is_empty() {
        return Err(refused(format!(
            "nothing was paid, or may have been, under {id}: give a key, or {DIGITS} of its first digits or more, a token, a request id, or a batch that Redis knows"
        )));
    }
    // The entries of one image together, in the order in which the images came first.
    let mut order: Vec<String> = Vec::new();
    for entry in &found.entries {
        if !order.contains(&entry.key) {
            order.push(entry.key.clone());
        }
    }
    found.entries.sort_by_key(|entry| order.iter().position(|key| *key == entry.key));
    for of_one in found.entries.chunk_by(|a, b| a.key == b.key) {
        let mut requests = Requests::default();
        of_one.iter().for_each(|entry| requests.add(entry));
        found.images.push(Image { key: of_one[0].key.clone(), sums: requests.sums() });
    }
    context.output.result(&found, || {
        let of_each = found.entries.chunk_by(|a, b| a.key == b.key).zip(&found.images);
        of_each.map(|(entries, image)| told(entries, &image.sums)).collect()
    })?;
    Ok(Exit::Done)
}

fn names(id: &str, entry: &LedgerEntry) -> bool {
    let digits = id.len() >= DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    entry.token == id
        || entry.request_id == id
        || digits && entry.key.starts_with(&id.to_ascii_lowercase())
        || id.strip_prefix(&entry.token).and_then(|rest| rest.strip_prefix(':')) == Some(&entry.attempt)
}

/// The entries of one image, and what they come to.
pub(super) fn told(entries: &[LedgerEntry], sums: &RequestSums) -> String {
    let row = |entry: &LedgerEntry| {
        let sign = if entry.spent() < 0 { "-" } else { "" };
        vec![
            when(entry.moment()),
            entry.kind.clone(),
            format!("{sign}{}", entry.amount()),
            entry.attempt.clone(),
            entry.batch.clone(),
            entry.lane.clone(),
            entry.token.clone(),
            entry.request_id.clone(),
        ]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    let titles = ["when", "kind", "cost", "attempt", "batch", "lane", "token", "request id"];
    let key = entries.first().map(|entry| entry.key.as_str()).unwrap_or_default();
    let mut text = format!("{key}\n{}", table(&titles, &[2, 3], &rows));
    let words = sums.told();
    if !words.is_empty() {
        text += &format!("=> {words}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::matching::tests::entry;
    use super::*;

    #[test]
    fn an_entry_is_known_by_key_token_and_request_id() {
        let entry = LedgerEntry { key: "0123456789abcdef".to_owned(), ..entry("settled", "T-1", "req-1", 1) };
        for id in ["0123456789abcdef", "01234567", "0123456789ABCDEF", "T-1", "T-1:1", "req-1"] {
            assert!(names(id, &entry), "{id}");
        }
        for id in ["0123456", "req", "T-", "T-1:2", "", "12345678"] {
            assert!(!names(id, &entry), "{id}");
        }
    }
}
