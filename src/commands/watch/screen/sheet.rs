//! Columns that give way: what fits into a width, and how wide each becomes.

use super::words::{cut, width};

/// Between two columns.
const GAP: usize = 2;

/// A column and how it gives way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) right: bool,
    /// Columns of the highest rank go first; those of rank 0 stay.
    pub(super) rank: u8,
    /// It is not made narrower than this.
    pub(super) least: usize,
    /// It is not made wider than this.
    pub(super) most: usize,
}

impl Column {
    /// A column as wide as what is in it.
    pub(super) const fn of(title: &'static str, rank: u8) -> Self {
        Self { title, right: false, rank, least: 40, most: 40 }
    }

    /// One of numbers.
    pub(super) const fn number(title: &'static str, rank: u8) -> Self {
        Self { right: true, ..Self::of(title, rank) }
    }

    /// A column that takes what is left, between these widths.
    pub(super) const fn between(self, least: usize, most: usize) -> Self {
        Self { least, most, ..self }
    }
}

/// How a row looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    Good,
    Waits,
    Bad,
    Past,
}

/// A row; `id` is how it is found again when others come before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) cells: Vec<String>,
    pub(super) tone: Tone,
}

/// Rows under columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Sheet {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
    /// What is said when there is no row.
    pub(super) empty: String,
}

impl Sheet {
    /// The width of each column; 0 of those that went.
    pub(super) fn widths(&self, room: usize) -> Vec<usize> {
        let wish = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.cells.get(at)).map(|cell| width(cell));
            let column = &self.columns[at];
            cells.max().unwrap_or(0).clamp(width(column.title), column.most.max(width(column.title)))
        };
        let wishes: Vec<usize> = (0..self.columns.len()).map(wish).collect();
        let least: Vec<usize> =
            wishes.iter().zip(&self.columns).map(|(wish, column)| (*wish).min(column.least)).collect();
        let mut there: Vec<usize> = (0..self.columns.len()).collect();
        let taken = |there: &[usize], of: &[usize]| {
            there.iter().map(|at| of[*at]).sum::<usize>() + GAP * there.len().saturating_sub(1)
        };
        // A column that stays wants half as much again before others are shown beside it.
        let wanted: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| if column.rank == 0 { wishes[at].min(least[at] * 3 / 2) } else { least[at] })
            .collect();
        while taken(&there, &wanted) > room {
            let ranks = there.iter().enumerate().map(|(place, at)| (self.columns[*at].rank, place));
            match ranks.max() {
                Some((rank, place)) if rank > 0 => there.remove(place),
                _ => break,
            };
        }
        let mut widths = vec![0; self.columns.len()];
        for at in &there {
            widths[*at] = least[*at];
        }
        let mut left = room.saturating_sub(taken(&there, &least));
        there.sort_by_key(|at| self.columns[*at].rank > 0);
        for at in &there {
            let more = (wishes[*at] - least[*at]).min(left);
            widths[*at] += more;
            left -= more;
        }
        widths
    }

    /// The titles in one line.
    pub(super) fn head(&self, widths: &[usize]) -> String {
        self.line(widths, &mut self.columns.iter().map(|column| column.title))
    }

    /// A row in one line.
    pub(super) fn body(&self, widths: &[usize], row: &Row) -> String {
        self.line(widths, &mut row.cells.iter().map(String::as_str))
    }

    fn line(&self, widths: &[usize], cells: &mut dyn Iterator<Item = &str>) -> String {
        let mut parts = Vec::new();
        for ((cell, room), column) in cells.zip(widths).zip(&self.columns).filter(|((_, room), _)| **room > 0)
        {
            let cell = cut(cell, *room);
            let gap = " ".repeat(room.saturating_sub(width(&cell)));
            parts.push(if column.right { gap + &cell } else { cell + &gap });
        }
        parts.join(&" ".repeat(GAP))
    }

    /// Only rows in which a text is found, whatever its case.
    pub(super) fn filtered(mut self, text: &str) -> Self {
        if !text.is_empty() {
            let wanted = text.to_lowercase();
            let has = |row: &Row| row.cells.iter().any(|cell| cell.to_lowercase().contains(&wanted));
            self.rows.retain(|row| has(row) || row.id.to_lowercase().contains(&wanted));
            self.empty = format!("nothing here has {text:?}");
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let row = |id: &str, n: &str, why: &str| Row {
            id: id.to_owned(),
            cells: vec![id.to_owned(), n.to_owned(), why.to_owned()],
            tone: Tone::Plain,
        };
        Sheet {
            columns: vec![
                Column::of("batch", 0).between(6, 20),
                Column::number("n", 2),
                Column::of("why", 1).between(8, 100),
            ],
            rows: vec![
                row("a-long-name-of-a-batch", "7", "paused: waits for a person"),
                row("漢字漢字", "12", ""),
            ],
            empty: String::new(),
        }
    }

    #[test]
    fn columns_give_way_before_anything_is_lost() {
        let sheet = sheet();
        assert_eq!(sheet.widths(80), [20, 2, 26]);
        assert_eq!(sheet.widths(40), [20, 2, 14]);
        assert_eq!(sheet.widths(23), [9, 2, 8]);
        assert_eq!(sheet.widths(22), [12, 0, 8]);
        assert_eq!(sheet.widths(10), [10, 0, 0]);
    }

    #[test]
    fn every_line_is_as_wide_as_its_columns() {
        let sheet = sheet();
        for room in [19, 20, 31, 40, 80] {
            let widths = sheet.widths(room);
            for row in &sheet.rows {
                assert_eq!(width(&sheet.body(&widths, row)), width(&sheet.head(&widths)));
                assert!(width(&sheet.body(&widths, row)) <= room);
            }
        }
    }

    #[test]
    fn a_filter_looks_at_every_cell() {
        assert_eq!(sheet().filtered("PERSON").rows.len(), 1);
        assert_eq!(sheet().filtered("漢").rows.len(), 1);
        assert!(sheet().filtered("x").rows.is_empty());
    }
}
