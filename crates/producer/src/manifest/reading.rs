//! How a manifest is read: its format, and what was said of it beside its bytes.

use std::collections::BTreeMap;

use encoding_rs::{Encoding, UTF_8};

use super::{Format, delimiter, error::shortened};

/// How a manifest is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub(super) format: Format,
    pub(super) encoding: Option<&'static Encoding>,
    pub(super) delimiter: Option<u8>,
    pub(super) sheet: Option<String>,
}

/// What a person may say of a manifest; the rest is seen from its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told<'a> {
    /// Its encoding, by any name that browsers know.
    pub encoding: Option<&'a str>,
    /// What stands between its cells: one character, or `tab`.
    pub delimiter: Option<&'a str>,
    /// The sheet of a spreadsheet.
    pub sheet: Option<&'a str>,
}

/// Names that are offered, also for one misspelt.
pub const ENCODINGS: &[&str] = &[
    "utf-8",
    "utf-16le",
    "utf-16be",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "windows-1257",
    "windows-1258",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-5",
    "iso-8859-7",
    "iso-8859-9",
    "iso-8859-15",
    "macintosh",
    "koi8-r",
    "koi8-u",
    "ibm866",
    "shift_jis",
    "euc-jp",
    "gbk",
    "gb18030",
    "big5",
    "euc-kr",
    "latin1",
    "cp1252",
];

impl From<Format> for Reading {
    fn from(format: Format) -> Self {
        Self { format, encoding: None, delimiter: None, sheet: None }
    }
}

impl Reading {
    /// Checks what was said of a manifest against its format.
    pub fn new(format: Format, told: Told<'_>) -> Result<Self, String> {
        let mut reading = Self::from(format);
        if let Some(label) = told.encoding {
            if format == Format::Xlsx {
                return Err("--encoding is for text files; a spreadsheet knows its own".to_owned());
            }
            reading.encoding = Some(encoding(label)?);
        }
        if let Some(text) = told.delimiter {
            if format != Format::Csv {
                return Err("--delimiter is for CSV files".to_owned());
            }
            reading.delimiter = Some(delimiter::parsed(text)?);
        }
        if let Some(sheet) = told.sheet {
            if format != Format::Xlsx {
                return Err("--sheet is for spreadsheets; a CSV or JSONL file has none".to_owned());
            }
            reading.sheet = Some(sheet.to_owned());
        }
        Ok(reading)
    }

    /// Its format.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The sheet that was named.
    pub(crate) fn sheet(&self) -> Option<&str> {
        self.sheet.as_deref()
    }

    /// What of it belongs to the content of a batch: it makes other rows of the same bytes.
    #[must_use]
    pub fn options(&self) -> BTreeMap<String, String> {
        let delimiter = self.delimiter.map(|byte| char::from(byte).to_string());
        let said = [
            ("encoding", self.encoding.map(|encoding| encoding.name().to_ascii_lowercase())),
            ("delimiter", delimiter),
            ("sheet", self.sheet.clone()),
        ];
        said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// The encoding, where one was said and its bytes are not taken as they are.
    pub(super) fn foreign_encoding(&self) -> Option<&'static Encoding> {
        self.encoding.filter(|encoding| *encoding != UTF_8)
    }
}

fn encoding(label: &str) -> Result<&'static Encoding, String> {
    let name = label.trim().to_ascii_lowercase();
    let known = Encoding::for_label_no_replacement(name.as_bytes());
    if let Some(encoding) = known.filter(|encoding| encoding.name() != "x-user-defined") {
        return Ok(encoding);
    }
    let near = match name.as_str() {
        "ansi" | "excel" | "windows" | "western" => Some("windows-1252"),
        _ => ENCODINGS
            .iter()
            .map(|known| (strsim::damerau_levenshtein(&name, known), *known))
            .filter(|(distance, known)| *distance <= (known.len() / 3).max(2))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, known)| known),
    };
    let hint = near.map_or_else(
        || "use utf-8, utf-16le, windows-1252, iso-8859-15 or another name of the WHATWG".to_owned(),
        |near| format!("did you mean {near}?"),
    );
    Err(format!("unknown --encoding {:?}; {hint}", shortened(label)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_go_by_many_names() {
        for (label, name) in [
            ("Windows-1252", "windows-1252"),
            ("cp1252", "windows-1252"),
            ("latin1", "windows-1252"),
            ("ISO-8859-15", "ISO-8859-15"),
            ("utf-16", "UTF-16LE"),
            ("UTF8", "UTF-8"),
        ] {
            assert_eq!(encoding(label).map(Encoding::name), Ok(name), "{label}");
        }
        for (label, hint) in [
            ("windows-1525", "did you mean windows-1255?"),
            ("window-1252", "did you mean windows-1252?"),
            ("ANSI", "did you mean windows-1252?"),
            ("utf-7", "did you mean utf-8?"),
            ("klingon", "use utf-8, utf-16le, windows-1252, iso-8859-15 or another name of the WHATWG"),
        ] {
            assert_eq!(encoding(label), Err(format!("unknown --encoding {label:?}; {hint}")));
        }
    }

    #[test]
    fn only_what_was_said_belongs_to_the_content() {
        assert_eq!(Reading::from(Format::Csv).options(), BTreeMap::new());
        let told = Told { encoding: Some("latin1"), delimiter: Some("tab"), sheet: None };
        let options = Reading::new(Format::Csv, told).unwrap().options();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(options, BTreeMap::from([pair("encoding", "windows-1252"), pair("delimiter", "\t")]));
    }

    #[test]
    fn what_does_not_fit_the_format_is_refused() {
        let sheet = Told { sheet: Some("a"), ..Told::default() };
        let delimiter = Told { delimiter: Some(";"), ..Told::default() };
        let encoding = Told { encoding: Some("utf-8"), ..Told::default() };
        for (format, told) in [
            (Format::Csv, sheet),
            (Format::Jsonl, sheet),
            (Format::Jsonl, delimiter),
            (Format::Xlsx, delimiter),
            (Format::Xlsx, encoding),
        ] {
            assert!(Reading::new(format, told).is_err(), "{format:?} {told:?}");
        }
    }
}
