//! Where something stands in a sheet, as the program that made it says.

use std::{
    fmt,
    num::{NonZeroU16, NonZeroU32},
};

use serde::{Serialize, Serializer};

/// A cell or a row of a sheet; written as `B3` or `row 3 of the sheet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    row: NonZeroU32,
    column: Option<NonZeroU16>,
}

impl Place {
    /// A row, from 1.
    pub(super) fn of_row(row: u32) -> Self {
        Self { row: NonZeroU32::new(row).unwrap_or(NonZeroU32::MIN), column: None }
    }

    /// A cell: its column, from 0, and its row, from 1.
    pub(crate) fn of_cell(column: usize, row: u32) -> Self {
        let column = u16::try_from(column).ok().and_then(|column| NonZeroU16::MIN.checked_add(column));
        Self { column, ..Self::of_row(row) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(column) = self.column else { return write!(f, "row {} of the sheet", self.row) };
        let mut letters = Vec::new();
        let mut left = u32::from(column.get());
        while left > 0 {
            letters.push(char::from_u32(u32::from(b'A') + (left - 1) % 26).expect("a letter"));
            left = (left - 1) / 26;
        }
        write!(f, "{}{}", letters.into_iter().rev().collect::<String>(), self.row)
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_names() {
        for (column, name) in
            [(0, "A7"), (25, "Z7"), (26, "AA7"), (701, "ZZ7"), (702, "AAA7"), (16_383, "XFD7")]
        {
            assert_eq!(Place::of_cell(column, 7).to_string(), name);
        }
        assert_eq!(Place::of_row(7).to_string(), "row 7 of the sheet");
    }
}
