//! The texts that the cells of a workbook share.

use super::xml::{Piece, Xml};

/// Longest text of a cell: 32,767 characters.
pub(super) const LONGEST_TEXT: usize = 4 * 32_767;

/// All shared texts, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Strings {
    text: String,
    ends: Vec<u32>,
}

impl Strings {
    pub(super) fn read(mut xml: Xml) -> Result<Self, String> {
        let mut strings = Self::default();
        let mut one = String::new();
        loop {
            match xml.next()? {
                Piece::Open(tag) if tag.name() == "si" => {
                    one.clear();
                    rich_text(&mut xml, &mut one)?;
                    strings.text.push_str(&one);
                    let end = u32::try_from(strings.text.len())
                        .map_err(|_too_long| "the spreadsheet holds more than 4 GB of text".to_owned())?;
                    strings.ends.push(end);
                }
                Piece::Open(_) | Piece::Text(_) => {}
                Piece::Close("sst") => break,
                Piece::Close(_) => {}
                Piece::End => return Err(xml.cut()),
            }
        }
        xml.finish()?;
        Ok(strings)
    }

    pub(super) fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)? as usize;
        let start =
            index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.text.get(start..end)
    }
}

/// Reads the text inside the element just opened: its runs, without how they are pronounced.
pub(super) fn rich_text(xml: &mut Xml, text: &mut String) -> Result<(), String> {
    let mut inside = 1_usize;
    let begun = text.len();
    while inside > 0 {
        match xml.next()? {
            Piece::Open(tag) => match tag.name() {
                "t" => xml.text(text, begun + LONGEST_TEXT)?,
                "rPh" | "phoneticPr" => xml.skip()?,
                _ => inside += 1,
            },
            Piece::Close(_) => inside -= 1,
            Piece::Text(_) => {}
            Piece::End => return Err(xml.cut()),
        }
    }
    if let Some(plain) = without_escapes(&text[begun..]) {
        text.truncate(begun);
        text.push_str(&plain);
    }
    Ok(())
}

/// Characters for escapes such as `_x000D_`, which stand where XML has no character.
fn without_escapes(text: &str) -> Option<String> {
    text.contains("_x").then(|| {
        let mut plain = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("_x") {
            plain.push_str(&rest[..at]);
            let escape = rest[at..].get(..7).filter(|escape| escape.ends_with('_'));
            let code = escape.and_then(|escape| u32::from_str_radix(&escape[2..6], 16).ok());
            if let Some(c) = code.and_then(char::from_u32) {
                plain.push(c);
                rest = &rest[at + 7..];
            } else {
                plain.push_str("_x");
                rest = &rest[at + 2..];
            }
        }
        plain + rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_once() {
        for (text, plain) in [
            ("a_x000D_\nb", "a\r\nb"),
            ("_x005F_x000D_", "_x000D_"),
            ("_x12_ _xZZZZ_ _x", "_x12_ _xZZZZ_ _x"),
            ("_xD83D_", "_xD83D_"),
            ("_xé", "_xé"),
        ] {
            assert_eq!(without_escapes(text).as_deref(), Some(plain), "{text}");
        }
        assert_eq!(without_escapes("plain"), None);
    }
}
