//! `pictor ledger show`: every entry of one image or one request.

use pictor_common::queue::LedgerEntry;
use serde::Serialize;

use super::Ledger;
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
}

pub(super) async fn run(id: &str, ledger: &Ledger<'_>, context: &Context) -> anyhow::Result<Exit> {
    let mut found = Found { entries: Vec::new() };
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
            "nothing was paid, or may have been, under {id}: give a key, or {DIGITS} of its first digits or more, a token or a request id"
        )));
    }
    context.output.result(&found, || told(&found.entries))?;
    Ok(Exit::Done)
}

fn names(id: &str, entry: &LedgerEntry) -> bool {
    let digits = id.len() >= DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    entry.token == id
        || entry.request_id == id
        || digits && entry.key.starts_with(&id.to_ascii_lowercase())
        || id.strip_prefix(&entry.token).and_then(|rest| rest.strip_prefix(':')) == Some(&entry.attempt)
}

fn told(entries: &[LedgerEntry]) -> String {
    let mut text = String::new();
    for of_one in entries.chunk_by(|a, b| a.key == b.key) {
        let rows: Vec<_> = of_one
            .iter()
            .map(|entry| {
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
            })
            .collect();
        let titles = ["when", "kind", "cost", "attempt", "batch", "lane", "token", "request id"];
        text += &format!("{}\n{}", of_one[0].key, table(&titles, &[2, 3], &rows));
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
