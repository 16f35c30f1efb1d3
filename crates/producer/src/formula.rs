//! Keeps a spreadsheet from running a cell as a formula, and gives the cell back as it was.

use std::borrow::Cow;

/// A cell with a quote before what a spreadsheet would run; plain numbers stay numbers.
#[must_use]
pub fn defused(cell: &str) -> Cow<'_, str> {
    if is_live(cell) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// The cell that was [`defused`].
pub(crate) fn restored(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| is_live(rest)).unwrap_or(cell)
}

/// Quotes before it count as part of it: what stood there with a quote comes back with it.
fn is_live(cell: &str) -> bool {
    let behind = cell.trim_start_matches('\'');
    behind.starts_with(['=', '+', '-', '@', '\t', '\r']) && !(behind == cell && is_number(cell))
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    plain(whole) && plain(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formulas_are_defused_and_numbers_are_not() {
        for (cell, safe) in [
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-2+3", "'-2+3"),
            ("\tx", "'\tx"),
            ("-", "'-"),
            ("-5", "-5"),
            ("+49.50", "+49.50"),
            ("'-5", "''-5"),
            ("it's", "it's"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(defused(cell), safe);
        }
    }

    proptest! {
        #[test]
        fn every_cell_comes_back(cell in "['=+@0-9a-z\t.-]{0,6}") {
            let safe = defused(&cell).into_owned();
            prop_assert_eq!(restored(&safe), cell.as_str());
            prop_assert!(!safe.starts_with(['=', '+', '-', '@', '\t', '\r']) || is_number(&safe));
        }
    }
}
