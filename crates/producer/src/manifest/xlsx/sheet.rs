//! Reads the rows of a sheet one at a time.

use std::sync::Arc;

use super::{
    strings::{LONGEST_TEXT, Strings, rich_text},
    styles::{Shown, Styles},
    xml::{Piece, Tag, Xml},
};
use crate::manifest::{input::LONGEST_ROW, place::Place};

const LAST_ROW: u32 = 1_048_576;
const LAST_COLUMN: u32 = 16_384;

/// A row with at least one cell in it.
#[derive(Debug)]
pub(super) struct SheetRow {
    /// Its number in the sheet, from 1.
    pub(super) number: u32,
    /// Column, from 0, and value of each cell that has one.
    pub(super) cells: Vec<(usize, Value)>,
}

/// What a cell holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(f64, Shown),
    Bool(bool),
    /// A date as text, which some programs write.
    Date(String),
    Error(String),
    /// A formula without a result.
    Uncalculated,
}

/// A sheet, read from its first row on.
#[derive(Debug)]
pub(super) struct Sheet {
    xml: Xml,
    strings: Arc<Strings>,
    styles: Arc<Styles>,
    row: u32,
    ended: bool,
}

impl Sheet {
    pub(super) fn open(mut xml: Xml, strings: Arc<Strings>, styles: Arc<Styles>) -> Result<Self, String> {
        loop {
            match xml.next()? {
                Piece::Open(tag) if tag.name() == "sheetData" => break,
                Piece::Open(_) | Piece::Close(_) | Piece::Text(_) => {}
                Piece::End => return Err(xml.cut()),
            }
        }
        Ok(Self { xml, strings, styles, row: 0, ended: false })
    }

    /// Whether any cell has a value; reads up to the first.
    pub(super) fn has_cells(mut self) -> Result<bool, String> {
        Ok(self.next_row()?.is_some())
    }

    /// The next row that has a value.
    pub(super) fn next_row(&mut self) -> Result<Option<SheetRow>, String> {
        while !self.ended {
            match self.xml.next()? {
                Piece::Open(tag) if tag.name() == "row" => {
                    self.row = self.row_number(&tag)?;
                    let cells = self.cells()?;
                    if !cells.is_empty() {
                        return Ok(Some(SheetRow { number: self.row, cells }));
                    }
                }
                Piece::Open(_) => self.xml.skip()?,
                Piece::Close("sheetData") => {
                    self.ended = true;
                    self.xml.finish()?;
                }
                Piece::Close(_) | Piece::Text(_) => {}
                Piece::End => return Err(self.xml.cut()),
            }
        }
        Ok(None)
    }

    fn row_number(&self, tag: &Tag) -> Result<u32, String> {
        let number = match tag.attribute("r") {
            Some(text) => text.parse::<u32>().ok(),
            None => self.row.checked_add(1),
        };
        let in_order = number.filter(|number| (self.row + 1..=LAST_ROW).contains(number));
        in_order.ok_or_else(|| {
            format!(
                "the spreadsheet is damaged: what follows row {} of the sheet is out of order; save it again",
                self.row
            )
        })
    }

    fn cells(&mut self) -> Result<Vec<(usize, Value)>, String> {
        let mut cells = Vec::new();
        let (mut column, mut length) = (0_u32, 0_usize);
        loop {
            match self.xml.next()? {
                Piece::Open(tag) if tag.name() == "c" => {
                    let at = match tag.attribute("r") {
                        Some(name) => {
                            column_of(&name).filter(|(_, row)| *row == self.row).map(|(column, _)| column)
                        }
                        None => Some(column + 1),
                    };
                    let at = at.filter(|at| (column + 1..=LAST_COLUMN).contains(at));
                    column = at.ok_or_else(|| {
                        format!("the spreadsheet is damaged: row {} of the sheet has cells out of order; save it again", self.row)
                    })?;
                    if let Some(value) = self.cell(&tag, column)? {
                        if let Value::Text(text) | Value::Date(text) | Value::Error(text) = &value {
                            length += text.len();
                        }
                        cells.push((column as usize - 1, value));
                    }
                }
                Piece::Open(_) => self.xml.skip()?,
                Piece::Close(_) => return Ok(cells),
                Piece::Text(_) => {}
                Piece::End => return Err(self.xml.cut()),
            }
            if length > LONGEST_ROW {
                return Err(format!("row {} of the sheet is longer than 1 MiB", self.row));
            }
        }
    }

    /// The value of the cell just opened.
    fn cell(&mut self, tag: &Tag, column: u32) -> Result<Option<Value>, String> {
        let style = tag.attribute("s").and_then(|style| style.parse().ok()).unwrap_or(0);
        let kind = tag.attribute("t");
        let kind = kind.as_deref().unwrap_or("n");
        let (mut given, mut inline, mut formula) = (None, None, false);
        loop {
            match self.xml.next()? {
                Piece::Open(tag) => match tag.name() {
                    "v" => self.xml.text(given.insert(String::new()), LONGEST_TEXT)?,
                    "is" => rich_text(&mut self.xml, inline.insert(String::new()))?,
                    "f" => {
                        formula = true;
                        self.xml.skip()?;
                    }
                    _ => self.xml.skip()?,
                },
                Piece::Close(_) => break,
                Piece::Text(_) => {}
                Piece::End => return Err(self.xml.cut()),
            }
        }
        let given = match (given, kind) {
            (_, "inlineStr") => return Ok(inline.filter(|text| !text.is_empty()).map(Value::Text)),
            (Some(given), _) if kind == "str" || !given.trim().is_empty() => given,
            _ => return Ok(formula.then_some(Value::Uncalculated)),
        };
        self.value(kind, given, style).map_err(|why| {
            let place = Place::of_cell(column as usize - 1, self.row);
            format!("the spreadsheet is damaged: cell {place} {why}; save it again")
        })
    }

    fn value(&self, kind: &str, given: String, style: usize) -> Result<Option<Value>, &'static str> {
        let text = given.trim();
        Ok(Some(match kind {
            "s" => {
                let shared = text.parse().ok().and_then(|index| self.strings.get(index));
                match shared.ok_or("refers to a text that is not in the file")? {
                    "" => return Ok(None),
                    shared => Value::Text(shared.to_owned()),
                }
            }
            "str" if given.is_empty() => return Ok(None),
            "str" => Value::Text(given),
            "b" => Value::Bool(match text {
                "1" | "true" => true,
                "0" | "false" => false,
                _ => return Err("is neither true nor false"),
            }),
            "e" => Value::Error(text.to_owned()),
            "d" => Value::Date(text.to_owned()),
            "n" => {
                let digits =
                    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
                let number = text.parse::<f64>().ok().filter(|number| digits && number.is_finite());
                Value::Number(number.ok_or("holds no number")?, self.styles.shown(style))
            }
            _ => return Err("is of a kind that is not known"),
        }))
    }
}

/// Column and row, both from 1, of a cell's name such as `B3`.
fn column_of(name: &str) -> Option<(u32, u32)> {
    let letters = name.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (letters, digits) = name.split_at(letters);
    if !(1..=3).contains(&letters.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let column =
        letters.bytes().fold(0, |sum, letter| sum * 26 + u32::from(letter.to_ascii_uppercase() - b'A') + 1);
    Some((column, digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_cells_are_read() {
        for (name, column) in [("A7", 1), ("z7", 26), ("AA7", 27), ("XFD7", 16_384)] {
            assert_eq!(column_of(name), Some((column, 7)), "{name}");
        }
        for name in ["", "7", "A", "AAAA1", "A-1", "A1B", "A99999999999", "É1"] {
            assert_eq!(column_of(name), None, "{name}");
        }
    }
}
