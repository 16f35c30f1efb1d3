//! How a workbook shows its numbers: which of them are dates, and which hide what was typed.

use std::collections::HashMap;

use super::xml::{Piece, Xml};

/// Formats of cells a workbook has at most.
const MOST_STYLES: usize = 65_536;

/// How a number is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shown {
    /// As a number, from 12 digits on as `1.2E+12`.
    #[default]
    General,
    /// As a number with all its digits.
    Plain,
    /// As a date or a time.
    Date,
    /// As `1.2E+12`.
    Scientific,
    /// With so many digits, zeros in front.
    Padded(usize),
}

/// What the styles of cells make of a number, by the style's place.
#[derive(Debug, Default)]
pub(super) struct Styles(Vec<Shown>);

impl Styles {
    pub(super) fn read(mut xml: Xml) -> Result<Self, String> {
        let mut own = HashMap::new();
        let mut styles = Vec::new();
        let mut of_cells = false;
        loop {
            match xml.next()? {
                Piece::Open(tag) => match tag.name() {
                    "numFmt" => {
                        let code = tag.attribute("formatCode").map(|code| shown(&code));
                        let id = tag.attribute("numFmtId").and_then(|id| id.parse::<u32>().ok());
                        if let (Some(id), Some(code)) = (id, code) {
                            own.insert(id, code);
                        }
                    }
                    "cellXfs" => of_cells = true,
                    "xf" if of_cells => {
                        let id = tag.attribute("numFmtId").and_then(|id| id.parse::<u32>().ok()).unwrap_or(0);
                        styles.push(own.get(&id).copied().unwrap_or_else(|| built_in(id)));
                    }
                    _ => {}
                },
                Piece::Close("cellXfs") => of_cells = false,
                Piece::Close(_) | Piece::Text(_) => {}
                Piece::End => break,
            }
            if styles.len() > MOST_STYLES || own.len() > MOST_STYLES {
                return Err(format!(
                    "the spreadsheet has more than {MOST_STYLES} cell formats; save it as \"CSV UTF-8\""
                ));
            }
        }
        Ok(Self(styles))
    }

    pub(super) fn shown(&self, style: usize) -> Shown {
        self.0.get(style).copied().unwrap_or_default()
    }
}

/// The formats that every workbook has; what East Asian ones show differs, but all are dates.
const fn built_in(id: u32) -> Shown {
    match id {
        0 => Shown::General,
        11 | 48 => Shown::Scientific,
        14..=22 | 27..=36 | 45..=47 | 50..=58 => Shown::Date,
        _ => Shown::Plain,
    }
}

/// Reads a format code; of its sections, for positive and other numbers, only the first.
fn shown(code: &str) -> Shown {
    let mut bare = String::new();
    let mut chars = code.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => while chars.next().is_some_and(|c| c != '"') {},
            '\\' | '_' | '*' => {
                chars.next();
            }
            '[' => {
                let inside: String = chars.by_ref().take_while(|c| *c != ']').collect();
                if !inside.is_empty()
                    && inside.chars().all(|c| matches!(c.to_ascii_lowercase(), 'h' | 'm' | 's'))
                {
                    return Shown::Date;
                }
            }
            ';' => break,
            c => bare.push(c.to_ascii_lowercase()),
        }
    }
    if bare == "general" {
        return Shown::General;
    }
    let digits = bare.bytes().filter(|byte| *byte == b'0').count();
    if bare.contains(['d', 'm', 'y', 'h', 's']) {
        Shown::Date
    } else if bare.contains("e+") || bare.contains("e-") {
        Shown::Scientific
    } else if bare.trim_start().starts_with("00") {
        Shown::Padded(digits)
    } else {
        Shown::Plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_how_numbers_are_shown() {
        for (code, expected) in [
            ("General", Shown::General),
            ("#,##0.00 \"pcs\"", Shown::Plain),
            ("0.00;[Red]-0.00", Shown::Plain),
            ("_-* #,##0.00\\ [$kr-41D]_-", Shown::Plain),
            ("@", Shown::Plain),
            ("0", Shown::Plain),
            ("yyyy-mm-dd", Shown::Date),
            ("[$-409]d-mmm-yy;@", Shown::Date),
            ("[h]:mm", Shown::Date),
            ("[hh]", Shown::Date),
            ("0.00E+00", Shown::Scientific),
            ("##0.0E+0", Shown::Scientific),
            ("00000", Shown::Padded(5)),
            ("00000\\-0000", Shown::Padded(9)),
            ("\"SKU-\"0000", Shown::Padded(4)),
        ] {
            assert_eq!(shown(code), expected, "{code}");
        }
    }
}
