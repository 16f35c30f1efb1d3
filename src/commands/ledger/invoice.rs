//! Reads an invoice: a CSV file with a request id and an amount in each line.
//!
//! A line takes 56 bytes of memory, however long its ids are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufReader},
    path::Path,
};

use anyhow::Context as _;
use csv::{ReaderBuilder, StringRecord, Trim};
use pictor_common::MicroUsd;
use sha2::{Digest as _, Sha256};

use crate::exit::refused;

/// Which columns are read.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub(super) request: String,
    pub(super) amount: Option<String>,
    pub(super) client: String,
}

/// Names of the amount's column where none is given.
const AMOUNTS: &[&str] = &["cost_micro_usd", "amount_micro_usd", "amount", "cost", "amount_usd", "cost_usd"];

/// An id, short enough to keep a million of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id([u8; 16]);

impl Id {
    /// The id a text stands for; an empty one is none.
    pub(super) fn of(text: &str) -> Option<Self> {
        let digest = Sha256::digest(text.as_bytes());
        let half = digest.first_chunk::<16>().expect("a SHA-256 has 32 bytes");
        (!text.is_empty()).then_some(Self(*half))
    }
}

/// One image that was charged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) amount: MicroUsd,
    /// As a person counts rows: the header is the first.
    pub(super) row: u64,
}

/// All lines, and where to find them by id.
#[derive(Debug, Default)]
pub(super) struct Invoice {
    pub(super) lines: Vec<Line>,
    by_request: Vec<(Id, u32)>,
    by_client: Vec<(Id, u32)>,
    /// Whether it has the ids that Pictor gave.
    pub(super) has_client: bool,
    /// Lines whose request id stood on one before.
    pub(super) repeated: Vec<u32>,
}

struct Places {
    request: usize,
    amount: usize,
    micro: bool,
    client: Option<usize>,
}

impl Invoice {
    pub(super) fn open(path: &Path, columns: &Columns) -> anyhow::Result<Self> {
        let name = path.display();
        let file = File::open(path).map_err(|error| refused(format!("cannot read {name}: {error}")))?;
        Self::read(file, columns).map_err(|error| match error.downcast_ref::<csv::Error>() {
            Some(cause) => refused(format!("{name} is not a CSV file: {cause}")),
            None => error.context(format!("{name}")),
        })
    }

    pub(super) fn read(file: impl io::Read, columns: &Columns) -> anyhow::Result<Self> {
        let mut reader = reader(file);
        let places = Places::find(reader.headers()?, columns)?;
        let mut invoice = Self { has_client: places.client.is_some(), ..Self::default() };
        let mut record = StringRecord::new();
        for row in 2.. {
            if !reader.read_record(&mut record)? {
                break;
            }
            let at = u32::try_from(invoice.lines.len()).context("more than 4 billion lines")?;
            invoice.lines.push(Line { amount: places.amount(&record, row)?, row });
            let id = |place: usize| Some((Id::of(record.get(place).unwrap_or_default())?, at));
            invoice.by_request.extend(id(places.request));
            invoice.by_client.extend(places.client.and_then(id));
        }
        invoice.by_request.sort_unstable();
        invoice.by_client.sort_unstable();
        let again = |pair: &[(Id, u32)]| pair[0].0 == pair[1].0;
        invoice.repeated =
            invoice.by_request.windows(2).filter(|pair| again(pair)).map(|pair| pair[1].1).collect();
        Ok(invoice)
    }

    /// The line of a request: by the provider's id, else by ours.
    pub(super) fn find(&self, request: &str, client: &str) -> Option<u32> {
        let look = |ids: &[(Id, u32)], id: Option<Id>| {
            let id = id?;
            let at = ids.partition_point(|(other, _)| *other < id);
            ids.get(at).filter(|(other, _)| *other == id).map(|(_, line)| *line)
        };
        look(&self.by_request, Id::of(request)).or_else(|| look(&self.by_client, Id::of(client)))
    }

    /// Request ids of some rows, read once more.
    pub(super) fn ids(
        path: &Path,
        columns: &Columns,
        rows: &BTreeSet<u64>,
    ) -> anyhow::Result<BTreeMap<u64, String>> {
        let mut found = BTreeMap::new();
        let Some(last) = rows.last() else { return Ok(found) };
        let mut reader = reader(File::open(path)?);
        let places = Places::find(reader.headers()?, columns)?;
        let mut record = StringRecord::new();
        for row in 2..=*last {
            if !reader.read_record(&mut record)? {
                break;
            }
            if rows.contains(&row) {
                found.insert(row, record.get(places.request).unwrap_or_default().to_owned());
            }
        }
        Ok(found)
    }
}

fn reader<R: io::Read>(file: R) -> csv::Reader<BufReader<R>> {
    ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(BufReader::new(file))
}

impl Places {
    fn find(titles: &StringRecord, columns: &Columns) -> anyhow::Result<Self> {
        let plain = |title: &str| title.trim_start_matches('\u{feff}').to_lowercase();
        let place = |name: &str| titles.iter().position(|title| plain(title) == name.to_lowercase());
        let lacking = |name: &str, flag: &str| {
            let there: Vec<&str> = titles.iter().collect();
            refused(format!("there is no column {name:?}; {flag} names one of: {}", there.join(", ")))
        };
        let request = place(&columns.request).ok_or_else(|| lacking(&columns.request, "--request-column"))?;
        let amount = match &columns.amount {
            Some(name) => place(name).ok_or_else(|| lacking(name, "--amount-column"))?,
            None => AMOUNTS
                .iter()
                .find_map(|name| place(name))
                .ok_or_else(|| lacking("amount", "--amount-column"))?,
        };
        let micro = plain(&titles[amount]).ends_with("micro_usd");
        Ok(Self { request, amount, micro, client: place(&columns.client) })
    }

    fn amount(&self, record: &StringRecord, row: u64) -> anyhow::Result<MicroUsd> {
        let text = record.get(self.amount).unwrap_or_default();
        amount(text, self.micro).ok_or_else(|| {
            let what = if self.micro {
                "millionths of a US dollar, such as 40000"
            } else {
                "US dollars, such as 0.04"
            };
            refused(format!("row {row}: {text:?} is not an amount in {what}; leave sums and credits out"))
        })
    }
}

/// Reads an amount; digits beyond a millionth must be zeros.
fn amount(text: &str, micro: bool) -> Option<MicroUsd> {
    if micro {
        return text.parse().ok().map(MicroUsd);
    }
    let plain = text.trim_start_matches('$');
    match plain.split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{}", fraction.trim_end_matches('0')).parse().ok(),
        None => plain.parse().ok(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn columns() -> Columns {
        Columns { request: "request_id".to_owned(), amount: None, client: "client_request_id".to_owned() }
    }

    #[test]
    fn lines_are_found_by_either_id() {
        let text = "request_id,client_request_id,model,cost_micro_usd\n\
                    req-1,T-1:1,dall-e-2,16000\n,T-2:1,dall-e-2,18000\nreq-1,T-3:1,x,1\n";
        let invoice = Invoice::read(text.as_bytes(), &columns()).unwrap();
        assert_eq!(invoice.find("req-1", ""), Some(0));
        assert_eq!(invoice.find("", "T-2:1"), Some(1));
        assert_eq!(invoice.find("other", "T-2:1"), Some(1));
        assert_eq!((invoice.find("", ""), invoice.find("x", "y")), (None, None));
        assert_eq!((invoice.lines[1].amount, invoice.lines[1].row), (MicroUsd(18_000), 3));
        assert_eq!(invoice.repeated, [2]);
        assert_eq!(size_of::<Line>() + 2 * size_of::<(Id, u32)>(), 56);
    }

    #[test]
    fn amounts_are_dollars_unless_the_column_says_otherwise() {
        let read = |title: &str, cell: &str| {
            let text = format!("\u{feff}Id,{title}\nr,{cell}\n");
            let columns = Columns { request: "id".to_owned(), amount: Some(title.to_owned()), ..columns() };
            Invoice::read(text.as_bytes(), &columns).map(|invoice| invoice.lines[0].amount.0)
        };
        assert_eq!(read("Amount", "0.040000000").unwrap(), 40_000);
        assert_eq!(read("Amount", "$1.5").unwrap(), 1_500_000);
        assert_eq!(read("Amount", "2").unwrap(), 2_000_000);
        assert_eq!(read("Cost_micro_USD", "2").unwrap(), 2);
        for bad in ["-0.04", "0.0000001", "", "four", "0.0.4"] {
            let error = read("Amount", bad).unwrap_err().to_string();
            assert!(error.starts_with("row 2: "), "{error}");
        }
        let none = Invoice::read("a,b\n1,2\n".as_bytes(), &columns()).unwrap_err().to_string();
        assert_eq!(none, "there is no column \"request_id\"; --request-column names one of: a, b");
    }
}
