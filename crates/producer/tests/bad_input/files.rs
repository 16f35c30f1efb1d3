//! Files that are no manifest.

use super::{assert_refused, book::zip, case};

#[test]
fn files_that_are_no_table() {
    assert_refused([
        case("a.csv", "", "F: the file is empty; its first row names the columns"),
        case("a.csv", "id,prompt\n", "F: the file names columns and has no rows"),
        case("a.csv", "id,prompt\n,\n\n", "F: the file names columns and has no rows"),
        case("a.jsonl", "\n", "F: the file is empty; write one JSON object a line"),
        case("a.csv", b"\xFF\xFEi\0d\0".as_slice(), "F: the file names columns and has no rows"),
        case(
            "a.csv",
            b"PK\x03\x04rest".as_slice(),
            "F: the spreadsheet is damaged: its zip directory cannot be read; save it again",
        ),
        case(
            "a.json",
            "[\n{\"prompt\":\"mug\"}\n]\n",
            "F: the file is one JSON array; write one object a line, without [ ] and commas between",
        ),
        case(
            "a.csv",
            "prompt,Prompt \nmug,cup\n",
            "F: column \"Prompt\": columns 1 and 2 have the same name; rename or remove one",
        ),
    ]);
}

#[test]
fn files_of_another_kind() {
    let compound = |inside: &str| {
        let mut file = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1".to_vec();
        file.resize(512, 0);
        file.extend(inside.encode_utf16().flat_map(u16::to_le_bytes));
        file
    };
    let parts = |names: &[&str]| zip(&names.iter().map(|name| (*name, &b"x"[..])).collect::<Vec<_>>(), false);
    let html = "F: the file is an HTML page, whatever its name; open it in a spreadsheet and save it as XLSX or \"CSV UTF-8\"";
    let password = "F: the spreadsheet has a password; save it without one, or as \"CSV UTF-8\"";
    assert_refused([
        case("a.csv.gz", b"\x1F\x8B\x08\0\0".as_slice(), "F: the file is compressed; unpack it first"),
        case("a.csv", b"\x28\xB5\x2F\xFD\0".as_slice(), "F: the file is compressed; unpack it first"),
        case("a.csv", "<!DOCTYPE html>\n<html><table><tr><td>id</td></tr></table></html>", html),
        case("a.xls", "\n <HTML xmlns:o=\"x\"><table>", html),
        case(
            "a.xls",
            "<?xml version=\"1.0\"?>\n<?mso-application progid=\"Excel.Sheet\"?>\n<Workbook/>",
            "F: the file is an Excel 2003 XML file; open it in a spreadsheet and save it as XLSX or \"CSV UTF-8\"",
        ),
        case(
            "a.csv",
            "<?xml version=\"1.0\"?><rows/>",
            "F: the file is XML, not a table; write it as CSV or JSONL",
        ),
        case(
            "a.csv",
            "%PDF-1.7\n",
            "F: the file is a PDF document, not a table; save the table itself as XLSX or \"CSV UTF-8\"",
        ),
        case(
            "a.csv",
            b"\x89PNG\r\n\x1a\n".as_slice(),
            "F: the file is an image; give a CSV, JSONL or XLSX file",
        ),
        case("a.csv", b"PAR1\x15".as_slice(), "F: the file is Parquet; write it as CSV or JSONL"),
        case(
            "a.csv",
            b"\xFF\xFE\0\0i\0\0\0".as_slice(),
            "F: the file is UTF-32; save it as UTF-8 (in a spreadsheet: \"CSV UTF-8\")",
        ),
        case("a.xlsx", compound("EncryptedPackage"), password),
        case(
            "a.xls",
            compound("Workbook"),
            "F: the file is an old Excel file (.xls); save it as XLSX or \"CSV UTF-8\"",
        ),
        case(
            "a.doc",
            compound("WordDocument"),
            "F: the file is an old Word document, not a table; save the table itself as XLSX or \"CSV UTF-8\"",
        ),
        case(
            "a.ods",
            parts(&["mimetype", "content.xml"]),
            "F: the file is an OpenDocument file (.ods); save it as XLSX or \"CSV UTF-8\"",
        ),
        case(
            "a.numbers",
            parts(&["Index/Document.iwa"]),
            "F: the file is a Numbers file; export it as XLSX or CSV",
        ),
        case(
            "a.xlsb",
            parts(&["xl/workbook.bin"]),
            "F: the file is a binary Excel file (.xlsb); save it as XLSX or \"CSV UTF-8\"",
        ),
        case(
            "a.docx",
            parts(&["word/document.xml"]),
            "F: the file is a Word or PowerPoint file, not a table; save the table itself as XLSX or \"CSV UTF-8\"",
        ),
        case(
            "a.zip",
            parts(&["a.csv"]),
            "F: the file is a zip file without a spreadsheet in it; unpack it first",
        ),
        case("a.zip", parts(&[]), "F: the file is an empty zip file"),
        case(
            "a.xlsx",
            "id,prompt\n1,mug\n",
            "F: the file is named like a spreadsheet and is none; if it holds text, name it .csv or .jsonl",
        ),
        case("a.xlsx", "", "F: the file is empty; its first row names the columns"),
        case("a.csv", b"\x01\xFF\x02\n".as_slice(), "F: the file is no text; give a CSV, JSONL or XLSX file"),
        case(
            "a.jsonl",
            b"\x01\xFF\x02\n".as_slice(),
            "F: the file is no text; give a CSV, JSONL or XLSX file",
        ),
        case(
            "a.csv",
            b"\x01\x02\0\x03garbage\n".as_slice(),
            "F: column \"\\u{1}\\u{2}\\0\\u{3}garbage\": the column's name holds the control character U+0001; is the file a \
             table of text?",
        ),
    ]);
}
