//! Which format a manifest has.

/// A manifest's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Cells separated by commas, column names in the first row.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    /// Tells the format by the file's name, else by its first bytes.
    #[must_use]
    pub fn detect(name: &str, first_bytes: &[u8]) -> Self {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("csv") => Self::Csv,
            Some("jsonl" | "ndjson" | "json") => Self::Jsonl,
            _ => {
                let text = first_bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(first_bytes);
                let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
                if matches!(first, Some(b'{' | b'[')) { Self::Jsonl } else { Self::Csv }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_then_the_first_bytes() {
        for (name, bytes, format) in [
            ("a.csv", "{", Format::Csv),
            ("a.JSONL", "id,prompt", Format::Jsonl),
            ("-", "\u{feff} {\"id\":1}", Format::Jsonl),
            ("-", "id,prompt", Format::Csv),
            ("export.txt", "", Format::Csv),
        ] {
            assert_eq!(Format::detect(name, bytes.as_bytes()), format, "{name}");
        }
    }
}
