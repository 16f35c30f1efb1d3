//! Bad rows as a table: the manifest's own columns, and ours.

use std::borrow::Cow;

use super::{ERROR, told};
use crate::{
    formula::defused,
    manifest::{BadRow, Kind, Skipped},
};

pub(super) struct Table<'a> {
    skipped: &'a Skipped,
}

impl<'a> Table<'a> {
    pub(super) const fn of(skipped: &'a Skipped) -> Self {
        Self { skipped }
    }

    /// The manifest's own columns, nameless ones for what stands behind the last, and ours.
    pub(super) fn titles(&self) -> Vec<String> {
        let Skipped { titles, .. } = self.skipped;
        let named = titles.iter().enumerate().filter(|(column, _)| !self.is_old_error(*column));
        let mut all: Vec<String> = named.map(|(_, title)| defused(title).into_owned()).collect();
        all.extend((titles.len()..self.skipped.width).map(|_| String::new()));
        if self.skipped.id.is_none() {
            all.push("id".to_owned());
        }
        all.push(ERROR.to_owned());
        all
    }

    pub(super) fn row(&self, bad: &BadRow) -> Vec<(String, Kind)> {
        let width = self.skipped.titles.len().max(self.skipped.width);
        let number = bad.row.map(|row| row.to_string()).unwrap_or_default();
        let mut cells = Vec::new();
        for column in (0..width).filter(|column| !self.is_old_error(*column)) {
            let text = bad.cells.get(column).map_or("", String::as_str);
            cells.push(match bad.kinds.get(column).copied().unwrap_or_default() {
                Kind::Text if self.skipped.id == Some(column) && text.trim().is_empty() => {
                    (number.clone(), Kind::Text)
                }
                Kind::Text => (defused(text).into_owned(), Kind::Text),
                kind => (text.to_owned(), kind),
            });
        }
        if self.skipped.id.is_none() {
            cells.push((number, Kind::Text));
        }
        cells.push((Cow::into_owned(defused(&told(bad))), Kind::Text));
        cells
    }

    /// The errors of an earlier round make room for those of this one.
    fn is_old_error(&self, column: usize) -> bool {
        self.skipped.mended == Some(column)
    }
}
