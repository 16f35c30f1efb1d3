//! A row as it stands in the file, before anything is made of it.

use minijinja::Value;

use crate::written;

/// One row; an empty text is an absent cell.
#[derive(Debug, Default)]
pub(super) struct RawRow {
    /// Data row, from 1.
    pub(super) row: u64,
    /// One text a column.
    pub(super) cells: Vec<String>,
    /// What each cell was in the file; shorter than `cells` where all the rest is text.
    pub(super) kinds: Vec<Kind>,
    /// Cells of a spreadsheet that may not be what was typed, and why.
    pub(super) odd: Vec<(usize, Odd)>,
}

/// Why a cell of a spreadsheet may not be what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// A date or a time.
    Date,
    /// An error such as `#N/A`.
    Error,
    /// A formula that nobody has calculated.
    Uncalculated,
    /// A number with more digits than a spreadsheet keeps.
    Inexact,
    /// A number shown as `1.2E+12`.
    Scientific,
    /// A number shown with so many digits, zeros in front.
    Padded(usize),
}

/// What a cell was in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Text,
    Number,
    Bool,
    /// Several values, written as a JSON array of texts, numbers and booleans.
    List,
}

impl RawRow {
    /// The trimmed text of a column; none where it is empty or the row ends before it.
    pub(super) fn get(&self, column: usize) -> Option<&str> {
        self.cells.get(column).map(|cell| cell.trim()).filter(|cell| !cell.is_empty())
    }

    /// Whether every cell is empty, as in the rows spreadsheets leave below a table.
    pub(super) fn is_blank(&self) -> bool {
        self.cells.iter().all(|cell| cell.trim().is_empty())
    }

    /// A cell as a template sees it.
    pub(super) fn variable(&self, column: usize) -> Option<Value> {
        Some(self.kind(column).value(self.get(column)?))
    }

    /// What a cell was in the file.
    pub(super) fn kind(&self, column: usize) -> Kind {
        self.kinds.get(column).copied().unwrap_or_default()
    }
}

impl Kind {
    /// A text as a template sees it.
    pub(super) fn value(self, text: &str) -> Value {
        match self {
            Self::Text | Self::List => Value::from(text),
            Self::Bool => Value::from(text == "true"),
            Self::Number => written::number(text),
        }
    }
}
