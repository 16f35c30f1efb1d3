//! Which format a manifest has.

/// A manifest's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Cells apart by commas, semicolons, tabs or bars; column names in the first row.
    Csv,
    /// One JSON object a line: a row, or a request as batch files have it.
    Jsonl,
    /// A sheet of a spreadsheet.
    Xlsx,
}

impl Format {
    /// How the names of such files end.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Xlsx => "xlsx",
        }
    }

    /// Tells the format by the first bytes where they are those of a spreadsheet, else by the
    /// file's name, else by the first character.
    #[must_use]
    pub fn detect(name: &str, first_bytes: &[u8]) -> Self {
        if super::magic::is_office(first_bytes) {
            return Self::Xlsx;
        }
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("csv" | "tsv" | "tab") => Self::Csv,
            Some("jsonl" | "ndjson" | "json") => Self::Jsonl,
            Some("xlsx" | "xlsm" | "xltx" | "xlsb" | "xls" | "ods" | "numbers") => Self::Xlsx,
            _ => {
                // The first character also of UTF-16, and behind any byte order mark.
                let around = |byte: &&u8| {
                    !byte.is_ascii_whitespace() && !matches!(byte, 0 | 0xEF | 0xBB | 0xBF | 0xFE | 0xFF)
                };
                let first = first_bytes.iter().find(around);
                if matches!(first, Some(b'{' | b'[')) { Self::Jsonl } else { Self::Csv }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_is_one_under_any_name_and_else_the_name_decides() {
        for (name, bytes, format) in [
            ("a.csv", "{", Format::Csv),
            ("a.JSONL", "id,prompt", Format::Jsonl),
            ("-", "\u{feff} {\"id\":1}", Format::Jsonl),
            ("-", "\0{\0\"", Format::Jsonl),
            ("-", "id,prompt", Format::Csv),
            ("-", "PK\u{3}\u{4}", Format::Xlsx),
            ("a.csv", "PK\u{3}\u{4}", Format::Xlsx),
            ("a.xlsx", "id,prompt", Format::Xlsx),
            ("export.txt", "", Format::Csv),
        ] {
            assert_eq!(Format::detect(name, bytes.as_bytes()), format, "{name}");
        }
    }
}
