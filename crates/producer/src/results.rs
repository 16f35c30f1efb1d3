//! Writes what became of a batch: its own columns and, beside them, ours.

mod csv;
mod jsonl;
mod layout;

use pictor_common::{AssetKey, MicroUsd};

pub use crate::formula::defused;
use crate::manifest::normalized;

pub use self::{
    csv::write_csv,
    jsonl::write_jsonl,
    layout::{Clash, Image, Layout, LayoutError, Name, Nameless, Names},
};

/// One line and take of a batch, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultRow {
    /// The line's cells, in the order of the batch's columns.
    pub cells: Vec<String>,
    /// Which of the line's images, from 0.
    pub take: u32,
    /// Where the image is: a path or a URL; none while there is none.
    pub place: Option<String>,
    /// When a URL that is signed ends.
    pub expires: Option<String>,
    /// Key of the asset.
    pub key: Option<AssetKey>,
    /// Key of what the line was submitted with, where that is another.
    pub original_key: Option<AssetKey>,
    /// What it cost; none while that is not known.
    pub cost: Option<MicroUsd>,
    /// The model that was asked.
    pub model: String,
    /// The prompt as the model rewrote it.
    pub revised_prompt: Option<String>,
    /// Why there is no image.
    pub error: Option<String>,
    /// In what the image differs from what was asked, when it does.
    pub note: Option<String>,
}

/// Whether images are files or URLs; names the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Files in a directory.
    File,
    /// Objects behind a URL.
    Url,
    /// Objects behind a URL that ends.
    SignedUrl,
}

/// Columns of ours that not every batch has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct With {
    /// Some line has more than one image.
    pub take: bool,
    /// Some line has another asset than it was submitted with.
    pub original_key: bool,
}

/// Which columns results have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    titles: Vec<String>,
    with: With,
    with_expiry: bool,
    originals: usize,
}

impl Shape {
    /// Works the columns out: the batch's own, then ours. A column of the batch that is named like
    /// one of ours gets a suffix.
    #[must_use]
    pub fn new(columns: &[String], place: Place, with: With) -> Self {
        let mut ours = vec!["take"];
        if !with.take {
            ours.clear();
        }
        ours.push(match place {
            Place::File => "file",
            Place::Url | Place::SignedUrl => "url",
        });
        if place == Place::SignedUrl {
            ours.push("url_expires");
        }
        ours.push("key");
        if with.original_key {
            ours.push("original_key");
        }
        ours.extend(["cost", "model", "revised_prompt", "error", "note"]);
        let mut titles: Vec<String> = Vec::with_capacity(columns.len() + ours.len());
        for (i, column) in columns.iter().enumerate() {
            let wanted = if column.trim().is_empty() { format!("column_{}", i + 1) } else { column.clone() };
            let taken = |title: &str| {
                let name = normalized(title);
                let elsewhere = columns.iter().enumerate().filter(|(other, _)| *other != i);
                ours.contains(&name.as_str())
                    || titles.iter().any(|other| normalized(other) == name)
                    || (title != wanted && elsewhere.into_iter().any(|(_, other)| normalized(other) == name))
            };
            let suffixes = std::iter::once(String::new())
                .chain(std::iter::once("_original".to_owned()))
                .chain((2..).map(|n| format!("_original_{n}")));
            let title = suffixes.map(|suffix| format!("{wanted}{suffix}")).find(|title| !taken(title));
            titles.push(title.expect("the numbers do not end"));
        }
        let originals = titles.len();
        titles.extend(ours.into_iter().map(str::to_owned));
        Self { titles, with, with_expiry: place == Place::SignedUrl, originals }
    }

    /// All column titles, in order.
    #[must_use]
    pub fn titles(&self) -> &[String] {
        &self.titles
    }
}

/// Dollars as a plain decimal number, so that a spreadsheet can add them up.
#[must_use]
pub fn dollars(amount: MicroUsd) -> String {
    amount.to_string().trim_start_matches('$').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_clash_get_a_suffix() {
        let columns = ["id", "Key", "key-original", "cost", "", "Take"].map(str::to_owned);
        let shape = Shape::new(&columns, Place::Url, With::default());
        assert_eq!(
            shape.titles(),
            [
                "id",
                "Key_original_2",
                "key-original",
                "cost_original",
                "column_5",
                "Take",
                "url",
                "key",
                "cost",
                "model",
                "revised_prompt",
                "error",
                "note"
            ]
        );
        let with = With { take: true, original_key: true };
        assert_eq!(Shape::new(&columns, Place::File, with).titles()[5..8], ["Take_original", "take", "file"]);
        assert_eq!(Shape::new(&columns, Place::File, with).titles()[8..10], ["key", "original_key"]);
        let shape = Shape::new(&[], Place::SignedUrl, With::default());
        assert_eq!(shape.titles()[..4], ["url", "url_expires", "key", "cost"]);
    }
}
