//! Names files that are no manifest, by the bytes they begin with.

const ZIP: &[u8] = b"PK\x03\x04";
const EMPTY_ZIP: &[u8] = b"PK\x05\x06";
/// Old Office files, and new ones with a password.
const COMPOUND: &[u8] = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1";

const KNOWN: &[(&[u8], &str)] = &[
    (b"\x1F\x8B", COMPRESSED),
    (b"BZh", COMPRESSED),
    (b"\x28\xB5\x2F\xFD", COMPRESSED),
    (b"\xFD7zXZ\0", COMPRESSED),
    (b"7z\xBC\xAF\x27\x1C", COMPRESSED),
    (b"Rar!\x1A", COMPRESSED),
    (b"%PDF", "the file is a PDF document, not a table; save the table itself as XLSX or \"CSV UTF-8\""),
    (b"\x89PNG", IMAGE),
    (b"\xFF\xD8\xFF", IMAGE),
    (b"GIF8", IMAGE),
    (b"RIFF", IMAGE),
    (b"PAR1", "the file is Parquet; write it as CSV or JSONL"),
    (b"SQLite format 3\0", "the file is an SQLite database; write the table as CSV or JSONL"),
    (b"{\\rtf", "the file is an RTF document, not a table; save the table itself as XLSX or \"CSV UTF-8\""),
    (b"\xFF\xFE\0\0", UTF32),
    (b"\0\0\xFE\xFF", UTF32),
];
const COMPRESSED: &str = "the file is compressed; unpack it first";
const IMAGE: &str = "the file is an image; give a CSV, JSONL or XLSX file";
const UTF32: &str = "the file is UTF-32; save it as UTF-8 (in a spreadsheet: \"CSV UTF-8\")";
const HTML: &str = "the file is an HTML page, whatever its name; open it in a spreadsheet and save it as XLSX or \"CSV UTF-8\"";
const EXCEL_XML: &str =
    "the file is an Excel 2003 XML file; open it in a spreadsheet and save it as XLSX or \"CSV UTF-8\"";
const XML: &str = "the file is XML, not a table; write it as CSV or JSONL";

/// Whether a file is in one of the containers that spreadsheets come in.
pub(super) fn is_office(first: &[u8]) -> bool {
    [ZIP, EMPTY_ZIP, COMPOUND].iter().any(|magic| first.starts_with(magic))
}

/// What a file is instead of a text file, and what to do; none where it may be text.
pub(super) fn no_text(first: &[u8]) -> Option<&'static str> {
    if is_office(first) {
        return Some("the file is a spreadsheet or zip file, not text; save it as \"CSV UTF-8\"");
    }
    let known = KNOWN.iter().find(|(magic, _)| first.starts_with(magic));
    known.map(|(_, what)| *what).or_else(|| markup(first))
}

/// What a file is that is no zip file, although a spreadsheet was expected.
pub(super) fn no_spreadsheet(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(COMPOUND) {
        return if holds(bytes, "EncryptedPackage") {
            "the spreadsheet has a password; save it without one, or as \"CSV UTF-8\""
        } else if holds(bytes, "WordDocument") {
            "the file is an old Word document, not a table; save the table itself as XLSX or \"CSV UTF-8\""
        } else {
            "the file is an old Excel file (.xls); save it as XLSX or \"CSV UTF-8\""
        };
    }
    no_text(bytes).unwrap_or({
        if bytes.is_empty() {
            "the file is empty; its first row names the columns"
        } else {
            "the file is named like a spreadsheet and is none; if it holds text, name it .csv or .jsonl"
        }
    })
}

/// What a zip file is that holds no workbook, by the names of its parts.
pub(super) fn no_workbook<'n>(mut names: impl Iterator<Item = &'n str> + Clone) -> &'static str {
    let has = |name: &str| names.clone().any(|other| other.starts_with(name));
    if has("xl/workbook.bin") {
        "the file is a binary Excel file (.xlsb); save it as XLSX or \"CSV UTF-8\""
    } else if has("content.xml") {
        "the file is an OpenDocument file (.ods); save it as XLSX or \"CSV UTF-8\""
    } else if has("index/") || has("index.zip") {
        "the file is a Numbers file; export it as XLSX or CSV"
    } else if has("word/") || has("ppt/") {
        "the file is a Word or PowerPoint file, not a table; save the table itself as XLSX or \"CSV UTF-8\""
    } else if names.next().is_none() {
        "the file is an empty zip file"
    } else {
        "the file is a zip file without a spreadsheet in it; unpack it first"
    }
}

fn markup(first: &[u8]) -> Option<&'static str> {
    let first = first.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(first).trim_ascii_start();
    let head = String::from_utf8_lossy(&first[..first.len().min(2_048)]).to_ascii_lowercase();
    if ["<!doctype html", "<html", "<head", "<body", "<table", "<meta"]
        .iter()
        .any(|tag| head.starts_with(tag))
    {
        return Some(HTML);
    }
    if !head.starts_with("<?xml") {
        return None;
    }
    Some(match () {
        () if head.contains("<html") => HTML,
        () if head.contains("excel.sheet") || head.contains("office:spreadsheet") => EXCEL_XML,
        () => XML,
    })
}

/// Whether a compound file names a stream, in UTF-16 as its directory does.
fn holds(bytes: &[u8], name: &str) -> bool {
    let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    bytes.windows(wide.len()).any(|part| part == wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_left_alone() {
        for text in ["", "id,prompt", "<b>id</b>,prompt", "{\"prompt\":1}", "PKW,prompt", "\u{feff}id"] {
            assert_eq!(no_text(text.as_bytes()), None, "{text}");
        }
        assert_eq!(no_text(b"\xEF\xBB\xBF\n<!DOCTYPE HTML>"), Some(HTML));
        assert_eq!(no_text(b"<?xml version=\"1.0\"?><a/>"), Some(XML));
    }

    #[test]
    fn containers_are_told_apart() {
        let mut file = COMPOUND.to_vec();
        assert!(no_spreadsheet(&file).contains(".xls)"));
        file.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
        assert!(no_spreadsheet(&file).contains("password"));
        assert!(no_workbook(["mimetype", "content.xml"].into_iter()).contains(".ods"));
        assert!(no_workbook(["index/document.iwa"].into_iter()).contains("Numbers"));
    }
}
