//! Finds ids that stand twice in a manifest.

use super::error::shortened;
use crate::seen::Seen;

/// Ids of rows, and of the lines that rows became where something varies.
#[derive(Debug, Default)]
pub(super) struct Ids {
    rows: Seen<First>,
    lines: Seen<u32>,
    any_lines: bool,
}

/// The row in which an id stood first.
#[derive(Clone, Copy, Debug)]
struct First(u32);

impl First {
    const VARIED: u32 = 1 << 31;

    fn new(row: u64, varied: bool) -> Self {
        let row = number(row);
        Self(if varied { row | Self::VARIED } else { row })
    }

    const fn row(self) -> u32 {
        self.0 & !Self::VARIED
    }

    /// Whether the row became lines with ids of their own.
    const fn varied(self) -> bool {
        self.0 & Self::VARIED != 0
    }
}

fn number(row: u64) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX).min(First::VARIED - 1)
}

impl Ids {
    /// Notes the id of a row and, where it varies, of its lines; says what is wrong when one stood before.
    /// `own` tells whether the row has an id of its own or is named by its number.
    pub(super) fn note(
        &mut self,
        id: &str,
        own: bool,
        row: u64,
        varies: bool,
        lines: &[&str],
    ) -> Option<String> {
        let clash = self.rows.text(id, First::new(row, varies)).map(First::row);
        let is_line = self.any_lines && !varies;
        let clash = clash.or_else(|| if is_line { self.lines.get(id) } else { None });
        self.any_lines |= varies;
        if let Some(first) = clash {
            return Some(if own {
                format!("the id {:?} is already that of row {first}; ids must differ", shortened(id))
            } else {
                format!("the row has no id, and its number {id} is already the id of row {first}")
            });
        }
        let taken = |ids: &mut Self, line: &str| {
            let plain = ids.rows.get(line).filter(|first| !first.varied()).map(First::row);
            ids.lines.text(line, number(row)).or(plain)
        };
        let (line, first) = lines.iter().find_map(|line| Some((*line, taken(self, line)?)))?;
        Some(format!(
            "with what varies the id becomes {:?}, which is already that of row {first}; ids must differ",
            shortened(line)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_lines_have_ids_of_their_own() {
        let mut ids = Ids::default();
        assert_eq!(ids.note("mug", true, 1, true, &["mug-red", "mug-blue"]), None);
        assert_eq!(ids.note("cup", true, 2, false, &[]), None);
        // The row became lines, so that its own id is free for a line.
        assert_eq!(ids.note("mug-red", true, 3, true, &["mug"]), None);
        for (id, lines, first) in [
            ("mug", &[][..], "row 1"),
            ("mug-blue", &[], "row 1"),
            ("jug", &["cup"], "row 2"),
            ("jar", &["mug-red"], "row 1"),
        ] {
            let why = ids.note(id, true, 9, !lines.is_empty(), lines);
            assert!(why.as_ref().is_some_and(|why| why.contains(first)), "{id}: {why:?}");
        }
    }
}
