//! What stands between the cells of a CSV file.

use super::{
    columns::{field_named, normalized},
    error::shortened,
};

/// Those that are looked for, the likeliest first.
const USUAL: [u8; 4] = [b',', b';', b'\t', b'|'];

/// What the first line of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    /// Bytes of a line that only names the delimiter.
    pub(super) skipped: usize,
}

/// Reads the dialect off the first line of a file, with its line end.
///
/// A line `sep=;` decides, as it does for Excel. Else it is the character that gives most names of
/// fields, then the one that gives most columns, then the comma.
pub(super) fn dialect(first_line: &[u8], told: Option<u8>) -> Result<Dialect, String> {
    if let Some(named) = named(first_line)? {
        return Ok(Dialect { delimiter: told.unwrap_or(named), skipped: first_line.len() });
    }
    let delimiter = told.unwrap_or_else(|| likeliest(first_line));
    Ok(Dialect { delimiter, skipped: 0 })
}

/// A delimiter as people write it.
pub(super) fn parsed(text: &str) -> Result<u8, String> {
    let word = text.trim().to_ascii_lowercase();
    let byte = match (word.as_str(), text.as_bytes()) {
        ("tab" | "\\t", _) => b'\t',
        ("comma", _) => b',',
        ("semicolon", _) => b';',
        ("pipe" | "bar", _) => b'|',
        (_, [byte]) if usable(*byte) => *byte,
        _ => {
            return Err(format!(
                "--delimiter {:?} is not a delimiter; give one character such as ; or the word tab",
                shortened(text)
            ));
        }
    };
    Ok(byte)
}

/// The delimiter that a header seems to have, where all of it became one title with another.
pub(super) fn other_delimiter(only_title: &str, delimiter: u8) -> Option<u8> {
    let other = likeliest(only_title.as_bytes());
    (other != delimiter && only_title.as_bytes().contains(&other)).then_some(other)
}

/// A delimiter in words.
pub(super) fn in_words(delimiter: u8) -> String {
    match delimiter {
        b',' => "comma".to_owned(),
        b';' => "semicolon".to_owned(),
        b'\t' => "tab".to_owned(),
        b'|' => "vertical bar".to_owned(),
        other => format!("{:?}", char::from(other)),
    }
}

const fn usable(byte: u8) -> bool {
    byte == b'\t' || (byte.is_ascii_punctuation() && byte != b'"') || byte == b' '
}

fn named(first_line: &[u8]) -> Result<Option<u8>, String> {
    let line = first_line.trim_ascii_end();
    let plain = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let Some((name, value)) = plain.split_at_checked(4) else {
        // A tab or a blank behind the sign is trimmed away with the line end.
        return Ok(None);
    };
    if !name.eq_ignore_ascii_case(b"sep=") {
        return Ok(None);
    }
    match (value, first_line.get(4)) {
        ([byte], _) if usable(*byte) => Ok(Some(*byte)),
        ([], Some(b'\t')) => Ok(Some(b'\t')),
        _ => Err(format!(
            "the first line {:?} names no delimiter; write sep=; or leave the line out",
            shortened(&String::from_utf8_lossy(line))
        )),
    }
}

fn likeliest(header: &[u8]) -> u8 {
    let score = |delimiter: &u8| {
        let cells = cells(header, *delimiter);
        let fields = cells.iter().filter(|cell| {
            let name = normalized(&String::from_utf8_lossy(cell));
            matches!(name.as_str(), "id" | "n") || field_named(&name).is_some()
        });
        (fields.count(), cells.len())
    };
    let best = USUAL.iter().rev().max_by_key(|delimiter| score(delimiter));
    best.copied().unwrap_or(b',')
}

/// The cells of a line, without their quotes.
fn cells(line: &[u8], delimiter: u8) -> Vec<Vec<u8>> {
    let mut cells = vec![Vec::new()];
    let mut quoted = false;
    for &byte in line.trim_ascii_end() {
        if byte == b'"' {
            quoted = !quoted;
        } else if byte == delimiter && !quoted {
            cells.push(Vec::new());
        } else if let Some(cell) = cells.last_mut() {
            cell.push(byte);
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> (char, usize) {
        let dialect = dialect(line.as_bytes(), None).unwrap();
        (char::from(dialect.delimiter), dialect.skipped)
    }

    #[test]
    fn the_header_tells() {
        for (line, delimiter) in [
            ("id,prompt\n", ','),
            ("id;prompt\r\n", ';'),
            ("id\tprompt", '\t'),
            ("id|prompt", '|'),
            ("prompt", ','),
            ("", ','),
            ("a;b;\"c,d,e,f\"", ';'),
            ("prompt,note;with;semicolons", ','),
            ("Titel;Preis, EUR;Farbe", ';'),
        ] {
            assert_eq!(found(line), (delimiter, 0), "{line}");
        }
    }

    #[test]
    fn a_first_line_may_name_it() {
        assert_eq!(found("sep=;\r\n"), (';', 7));
        assert_eq!(found("\"SEP=|\"\n"), ('|', 8));
        assert_eq!(found("sep=\t\n"), ('\t', 6));
        assert!(dialect(b"sep=ab\n", None).unwrap_err().contains("\"sep=ab\" names no delimiter"));
        assert_eq!(dialect(b"sep=;\n", Some(b',')), Ok(Dialect { delimiter: b',', skipped: 6 }));
    }

    #[test]
    fn people_write_it_in_many_ways() {
        for (text, delimiter) in [(";", b';'), ("tab", b'\t'), ("\\t", b'\t'), ("\t", b'\t'), ("^", b'^')] {
            assert_eq!(parsed(text), Ok(delimiter), "{text}");
        }
        for text in ["", "ab", "\"", "a", "\n", "é"] {
            assert!(parsed(text).is_err(), "{text:?}");
        }
    }
}
