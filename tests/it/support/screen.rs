//! What a terminal shows of bytes: cells, the cursor, and the few sequences that full screens write.

/// Cells and what is still read of a sequence.
pub(crate) struct Screen {
    cells: Vec<Vec<String>>,
    at: (usize, usize),
    pending: Vec<u8>,
    /// The other screen is shown, and this one comes back.
    alternate: Option<Vec<Vec<String>>>,
}

fn blank(columns: usize, rows: usize) -> Vec<Vec<String>> {
    vec![vec![" ".to_owned(); columns]; rows]
}

impl Screen {
    pub(crate) fn new(columns: usize, rows: usize) -> Self {
        Self { cells: blank(columns, rows), at: (0, 0), pending: Vec::new(), alternate: None }
    }

    pub(crate) fn resize(&mut self, columns: usize, rows: usize) {
        *self = Self {
            pending: std::mem::take(&mut self.pending),
            alternate: self.alternate.take(),
            ..Self::new(columns, rows)
        };
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.cells.iter().map(|row| row.concat().trim_end().to_owned()).collect()
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.pending);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let Some(taken) = self.take(rest) else { break };
            rest = &rest[taken..];
        }
        self.pending = rest.to_vec();
    }

    /// Takes one character or sequence; `None` while some of it is to come.
    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        match bytes[0] {
            0x1b => self.sequence(bytes),
            b'\r' => {
                self.at.0 = 0;
                Some(1)
            }
            b'\n' => {
                self.at.1 = (self.at.1 + 1).min(self.cells.len() - 1);
                Some(1)
            }
            0..0x20 => Some(1),
            first => {
                let length = match first {
                    0xf0.. => 4,
                    0xe0.. => 3,
                    0xc0.. => 2,
                    _ => 1,
                };
                let text = std::str::from_utf8(bytes.get(..length)?).unwrap_or("?");
                self.put(text);
                Some(length)
            }
        }
    }

    fn put(&mut self, text: &str) {
        let width = console::measure_text_width(text);
        let (column, row) = self.at;
        let Some(line) = self.cells.get_mut(row) else { return };
        if width == 0 {
            if let Some(cell) = column.checked_sub(1).and_then(|before| line.get_mut(before)) {
                cell.push_str(text);
            }
            return;
        }
        for (at, cell) in line.iter_mut().enumerate().skip(column).take(width) {
            *cell = if at == column { text.to_owned() } else { String::new() };
        }
        self.at.0 = column + width;
    }

    fn sequence(&mut self, bytes: &[u8]) -> Option<usize> {
        if *bytes.get(1)? != b'[' {
            return Some(2);
        }
        let end = 2 + bytes[2..].iter().position(|byte| (0x40..0x7f).contains(byte))?;
        let words = String::from_utf8_lossy(&bytes[2..end]).into_owned();
        let mut numbers = words.trim_start_matches('?').split(';').map(|n| n.parse::<usize>().unwrap_or(0));
        let first = numbers.next().unwrap_or(0);
        let second = numbers.next().unwrap_or(0);
        let (columns, rows) = (self.cells[0].len(), self.cells.len());
        match bytes[end] {
            b'H' => self.at = (second.max(1) - 1, first.max(1) - 1),
            b'C' => self.at.0 = (self.at.0 + first.max(1)).min(columns - 1),
            b'J' => self.cells = blank(columns, rows),
            b'K' => {
                let (column, row) = self.at;
                self.cells[row].iter_mut().skip(column).for_each(|cell| " ".clone_into(cell));
            }
            b'h' if words == "?1049" && self.alternate.is_none() => {
                self.alternate = Some(std::mem::replace(&mut self.cells, blank(columns, rows)));
            }
            b'l' if words == "?1049" => {
                self.cells = blank(columns, rows);
                self.at = (0, 0);
                self.alternate = None;
            }
            _ => {}
        }
        Some(end + 1)
    }
}
