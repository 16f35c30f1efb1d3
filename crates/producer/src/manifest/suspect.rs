//! Cells that are probably not what somebody meant, found before they are paid for.
//!
//! The rules, for cells that are used:
//! - An error (`#N/A`), a formula without a result, a date and a number of more than 15 digits are
//!   refused everywhere: nobody can say what should stand there.
//! - A prompt or an id that is a yes or no of a spreadsheet is refused.
//! - An id that is a number is taken in plain digits if it certainly is what was typed. Refused is one
//!   shown as `1.2E+12` (a cell in scientific format, or in General format from 12 digits on with
//!   less than 10 that say something), one shown with zeros in front, one with a fraction (`1.10`
//!   becomes 1.1), and one shorter than an id of the same column that is a text with zeros in front.
//! - An id that is the text `4.00638E+12` is refused in every format: digits are gone.
//! - An id must be a file name everywhere: no device of Windows, no drive, no hidden file, nothing
//!   that cannot be seen. [`super::field::check_id`] refuses paths.

use super::{
    RowError,
    cell::{Kind, Odd, RawRow},
    columns::{Use, is_invisible},
    error::shortened,
    layout::Layout,
};

const AS_TEXT: &str = "format the column as Text and enter the ids again";
/// What spreadsheets show where a formula fails, also in what they save as text.
const FAILED: &[&str] =
    &["#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"];
const DEVICES: &[&str] = &["con", "prn", "aux", "nul", "com", "lpt"];

/// Finds the cells of a row that are in doubt, with their columns.
pub(super) fn doubts(raw: &RawRow, layout: &Layout, titles: &[String]) -> Vec<(usize, RowError)> {
    let mut doubts = Vec::new();
    let typed = raw.kinds.is_empty() && raw.odd.is_empty();
    for (column, (what, cell)) in layout.uses.iter().zip(&raw.cells).enumerate() {
        if typed && is_plain(cell, *what) {
            continue;
        }
        let Some(text) = raw.get(column) else { continue };
        let variable = *what == Use::Other && layout.variables.contains(&Some(column));
        if !variable && matches!(what, Use::Other | Use::Unnamed) {
            continue;
        }
        let cell = Cell { text, what: *what, variable, kind: raw.kind(column), odd: raw.odd(column) };
        if let Some(message) = cell.doubt() {
            let field = match what {
                Use::Field(field) => Some((*field).to_owned()),
                _ => None,
            };
            let error = RowError::cell(raw.row, &titles[column], text, message);
            doubts.push((column, RowError { field, ..error }));
        }
    }
    doubts
}

/// Whether a text is beyond doubt at a glance, as nearly all are.
fn is_plain(text: &str, what: Use) -> bool {
    let bytes = text.as_bytes();
    match what {
        Use::Unnamed | Use::Derive => true,
        Use::Count | Use::Field(_) => bytes.first().is_none_or(|byte| byte.is_ascii_alphanumeric()),
        Use::Other => bytes.first() != Some(&b'#') && bytes.iter().all(|byte| (b' '..=b'~').contains(byte)),
        Use::Id => {
            bytes.len() > 4
                && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        }
    }
}

/// A row whose doubtful cells say nothing more, so that each is told once.
pub(super) fn without(raw: &RawRow, doubts: &[(usize, RowError)], layout: &Layout) -> RawRow {
    let mut cells = raw.cells.clone();
    for (column, _) in doubts {
        let stand_in = if layout.uses[*column] == Use::Other { "x" } else { "" };
        stand_in.clone_into(&mut cells[*column]);
    }
    let mut kinds = raw.kinds.clone();
    for (column, _) in doubts {
        if let Some(kind) = kinds.get_mut(*column) {
            *kind = Kind::Text;
        }
    }
    RawRow { row: raw.row, cells, kinds, odd: Vec::new() }
}

struct Cell<'c> {
    text: &'c str,
    what: Use,
    variable: bool,
    kind: Kind,
    odd: Option<Odd>,
}

impl Cell<'_> {
    fn doubt(&self) -> Option<String> {
        let is_id = self.what == Use::Id;
        self.unusable(is_id).or_else(|| if is_id { self.no_id() } else { None }).or_else(|| {
            let control = self.variable.then(|| control_character(self.text)).flatten()?;
            Some(format!("holds the control character U+{:04X}; remove it", u32::from(control)))
        })
    }

    /// What no cell that is used may be.
    fn unusable(&self, is_id: bool) -> Option<String> {
        let text = shortened(self.text);
        Some(match self.odd {
            Some(Odd::Date) if is_id => format!("the id is a date ({text}); {AS_TEXT}"),
            Some(Odd::Date) => {
                format!("a date ({text}); format the cell as Text and write what shall stand there")
            }
            Some(Odd::Error) => failed(&text),
            Some(Odd::Uncalculated) => {
                "a formula without a result; open the file in a spreadsheet and save it there".to_owned()
            }
            Some(Odd::Inexact) => format!(
                "the number {text} has more than the 15 digits that a spreadsheet keeps; format the column as Text and \
                 enter it again"
            ),
            _ if self.text.starts_with('#') && FAILED.contains(&self.text) => failed(&text),
            _ if self.kind == Kind::Bool && (is_id || self.what == Use::Field("prompt")) => {
                format!("{text} is a yes or no, not a text; write it as text")
            }
            _ => return None,
        })
    }

    fn no_id(&self) -> Option<String> {
        let text = shortened(self.text);
        match self.odd {
            Some(Odd::Scientific) => {
                return Some(format!(
                    "Excel turned the id into a number, {text}, and shows it as {}; {AS_TEXT}",
                    scientific(self.text)
                ));
            }
            Some(Odd::Padded(digits)) => {
                return Some(format!(
                    "the id is the number {text}, which is only shown as {text:0>digits$}; {AS_TEXT}"
                ));
            }
            _ => {}
        }
        if self.kind == Kind::Number && self.text.contains(['.', 'e', 'E']) {
            let zeros = if self.text.contains(['e', 'E']) {
                String::new()
            } else {
                format!(", which may have lost zeros ({text}0)")
            };
            return Some(format!("the id is the number {text}{zeros}; write it as text"));
        }
        if is_scientific(self.text) {
            return Some(format!(
                "Excel turned the id into {text} and its digits are lost; in the spreadsheet, {AS_TEXT}, then save it again"
            ));
        }
        no_file_name(self.text)
    }
}

impl RawRow {
    fn odd(&self, column: usize) -> Option<Odd> {
        self.odd.iter().find(|(other, _)| *other == column).map(|(_, odd)| *odd)
    }
}

fn failed(text: &str) -> String {
    format!("the error {text} of a spreadsheet; mend the formula, or write the value itself")
}

fn control_character(text: &str) -> Option<char> {
    text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

/// A number as a spreadsheet shows it where it has not the room.
fn scientific(digits: &str) -> String {
    let number = digits.parse::<f64>().unwrap_or_default();
    let text = format!("{number:.5e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits}E+{power:0>2}")
}

/// `4.00638E+12`, with a comma too: one digit, perhaps others, a sign and a power.
fn is_scientific(text: &str) -> bool {
    let Some((digits, power)) = text.split_once(['E', 'e']) else { return false };
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(power) = power.strip_prefix('+') else { return false };
    match digits.split_once(['.', ',']) {
        Some((whole, rest)) => whole.len() == 1 && all_digits(whole) && all_digits(rest) && all_digits(power),
        None => digits.len() == 1 && all_digits(digits) && all_digits(power),
    }
}

fn no_file_name(id: &str) -> Option<String> {
    let shown = shortened(id);
    if id.bytes().all(|byte| byte.is_ascii_alphanumeric()) && id.len() > 4 {
        return None;
    }
    if let Some(unseen) = id.chars().find(|c| is_invisible(*c)) {
        return Some(format!("the id holds U+{:04X}, which cannot be seen; remove it", u32::from(unseen)));
    }
    if id.contains(['/', '\\']) || matches!(id, "." | "..") {
        // A path, which is told elsewhere.
        return None;
    }
    if id.starts_with('.') {
        return Some(format!("the id {shown:?} would be a hidden file; begin it with another character"));
    }
    if matches!(id.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return Some(format!("the id {shown:?} would be a drive; leave out the colon"));
    }
    let stem = id.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let name = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = matches!(name, "com" | "lpt");
    if DEVICES.contains(&name)
        && numbered == (stem.len() == name.len() + 1)
        && stem.len() <= 4
        && (numbered || stem == name)
    {
        return Some(format!("the id {shown:?} is the name of a device on Windows; choose another"));
    }
    None
}

/// Data frames write the id 7 as 7.0.
pub(super) fn with_whole_id(raw: &mut RawRow, layout: &Layout) {
    let Some(column) = layout.id.filter(|column| raw.kind(*column) == Kind::Number) else { return };
    let Some(id) = raw.cells.get_mut(column) else { return };
    if let Some((whole, zeros)) = id.split_once('.')
        && zeros.bytes().all(|byte| byte == b'0')
    {
        id.truncate(whole.len());
    }
}

/// Watches the ids of a spreadsheet: where one is a text with zeros in front, a shorter number has
/// probably lost its own.
#[derive(Debug, Default)]
pub(super) struct LostZeros {
    /// Row and length of the longest text with zeros in front.
    text: Option<(u64, String)>,
    /// Row of the shortest number before it.
    number: Option<(u64, String)>,
}

impl LostZeros {
    /// Sees the id of a row; returns what is wrong and in which row, this or an earlier one.
    pub(super) fn see(&mut self, row: u64, id: &str, kind: Kind) -> Option<(u64, String, String)> {
        if !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        if kind == Kind::Number {
            if let Some((other, text)) = self.text.as_ref().filter(|(_, text)| id.len() < text.len()) {
                return Some((row, id.to_owned(), lost(id, *other, text)));
            }
            if self.number.as_ref().is_none_or(|(_, number)| id.len() < number.len()) {
                self.number = Some((row, id.to_owned()));
            }
            return None;
        }
        if !id.starts_with('0') || id.len() < 2 {
            return None;
        }
        if self.text.as_ref().is_none_or(|(_, text)| id.len() > text.len()) {
            self.text = Some((row, id.to_owned()));
        }
        let (earlier, number) = self.number.take_if(|(_, number)| number.len() < id.len())?;
        let message = lost(&number, row, id);
        Some((earlier, number, message))
    }
}

fn lost(number: &str, row: u64, text: &str) -> String {
    format!(
        "the id is the number {number}, while row {row} has the text {:?}; Excel may have dropped its zeros; {AS_TEXT}",
        shortened(text)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scientific_texts_are_seen_and_ids_are_not() {
        for text in ["1.2E+12", "4.00638E+12", "1,2E+12", "5E+10", "1.2e+12"] {
            assert!(is_scientific(text), "{text}");
        }
        for text in ["12E4", "1E5", "SKU-1E+3", "E+5", "1.2E12", "1.E+12", "12.3E+10", "1E+", "1E+x"] {
            assert!(!is_scientific(text), "{text}");
        }
        assert_eq!(scientific("1200000000000"), "1.2E+12");
        assert_eq!(scientific("100"), "1E+02");
    }

    #[test]
    fn whole_numbers_of_data_frames_are_ids() {
        let layout = Layout { id: Some(0), ..Layout::default() };
        for (written, id) in [("7.0", "7"), ("7.00", "7"), ("7", "7"), ("7.50", "7.50"), ("7e1", "7e1")] {
            let mut raw = RawRow::default();
            raw.put(0, written.to_owned(), Kind::Number);
            with_whole_id(&mut raw, &layout);
            assert_eq!(raw.cells[0], id);
        }
    }

    #[test]
    fn file_names_are_good_everywhere() {
        for id in
            ["sku-1", "console", "com", "com10", "con-1", "nul1", "a:b:c d", "sku:1", "Ä.png", "..", "12"]
        {
            let fine = id != "a:b:c d";
            assert_eq!(no_file_name(id).is_none(), fine, "{id}");
        }
        for id in [".hidden", "C:x", "con", "NUL.txt", "Com1", "lpt9.png", "sku\u{200b}-1"] {
            assert!(no_file_name(id).is_some(), "{id}");
        }
    }

    #[test]
    fn lost_zeros_are_seen_in_both_directions() {
        let mut watch = LostZeros::default();
        assert_eq!(watch.see(1, "42", Kind::Number), None);
        assert_eq!(watch.see(2, "12345", Kind::Number), None);
        let (row, id, message) = watch.see(3, "00043", Kind::Text).unwrap();
        assert_eq!((row, id.as_str()), (1, "42"));
        assert!(message.contains("row 3 has the text \"00043\""), "{message}");
        assert_eq!(watch.see(4, "00044", Kind::Text), None, "told once");
        assert_eq!(watch.see(5, "777", Kind::Number).unwrap().0, 5);
        assert_eq!(watch.see(6, "99999", Kind::Number), None);
        assert_eq!(watch.see(7, "A-1", Kind::Text), None);
    }
}
