//! Makes spreadsheets, sound and otherwise, part by part.

use flate2::{Compression, Crc, read::DeflateEncoder};
use std::io::Read as _;

const TYPES: &str = "<Types/>";
const ROOT: &str = r#"<Relationships><Relationship Id="rId1" Type="http://x/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;

/// A zip file of these parts; `deflated` ones are packed.
pub(crate) fn zip(parts: &[(&str, &[u8])], deflated: bool) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in parts {
        let mut crc = Crc::new();
        crc.update(data);
        let mut packed = data.to_vec();
        if deflated {
            packed.clear();
            DeflateEncoder::new(*data, Compression::best()).read_to_end(&mut packed).unwrap();
        }
        let mut head = vec![20, 0, 0, 0, if deflated { 8 } else { 0 }, 0, 0, 0, 0, 0];
        head.extend(crc.sum().to_le_bytes());
        head.extend(u32::try_from(packed.len()).unwrap().to_le_bytes());
        head.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        head.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        head.extend([0, 0]);
        let at = u32::try_from(file.len()).unwrap();
        file.extend(b"PK\x03\x04");
        file.extend(&head);
        file.extend(name.as_bytes());
        file.extend(&packed);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&head);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let count = u16::try_from(parts.len()).unwrap().to_le_bytes();
    let start = u32::try_from(file.len()).unwrap().to_le_bytes();
    let length = u32::try_from(directory.len()).unwrap().to_le_bytes();
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend(count);
    file.extend(count);
    file.extend(length);
    file.extend(start);
    file.extend([0, 0]);
    file
}

/// A workbook of sheets by name, each the XML of its rows.
pub(crate) fn book(sheets: &[(&str, &str)]) -> Vec<u8> {
    book_with(sheets, "", "")
}

/// A workbook with shared texts and cell formats of its own.
pub(crate) fn book_with(sheets: &[(&str, &str)], strings: &str, styles: &str) -> Vec<u8> {
    packed(sheets, strings, styles, true)
}

/// A workbook whose parts are packed, or lie open.
pub(crate) fn packed(sheets: &[(&str, &str)], strings: &str, styles: &str, deflated: bool) -> Vec<u8> {
    let mut workbook = "<workbook><sheets>".to_owned();
    let mut relations = String::from("<Relationships>");
    let mut parts = Vec::new();
    for (i, (name, rows)) in sheets.iter().enumerate() {
        let (name, state) = name.strip_prefix("hidden:").map_or((*name, "visible"), |name| (name, "hidden"));
        workbook += &format!("<sheet name=\"{name}\" sheetId=\"{i}\" state=\"{state}\" r:id=\"r{i}\"/>");
        relations += &format!(
            "<Relationship Id=\"r{i}\" Type=\"http://x/worksheet\" Target=\"worksheets/s{i}.xml\"/>"
        );
        parts.push((
            format!("xl/worksheets/s{i}.xml"),
            format!("<worksheet><dimension ref=\"A1:XFD1048576\"/><sheetData>{rows}</sheetData></worksheet>"),
        ));
    }
    relations += "<Relationship Id=\"t\" Type=\"http://x/sharedStrings\" Target=\"/xl/sharedStrings.xml\"/>\
                  <Relationship Id=\"f\" Type=\"http://x/styles\" Target=\"styles.xml\"/></Relationships>";
    workbook += "</sheets></workbook>";
    parts.push(("xl/workbook.xml".to_owned(), workbook));
    parts.push(("xl/_rels/workbook.xml.rels".to_owned(), relations));
    parts.push((
        "xl/sharedStrings.xml".to_owned(),
        format!("<sst uniqueCount=\"99999999999999\">{strings}</sst>"),
    ));
    parts.push(("xl/styles.xml".to_owned(), format!("<styleSheet>{styles}</styleSheet>")));
    parts.push(("[Content_Types].xml".to_owned(), TYPES.to_owned()));
    parts.push(("_rels/.rels".to_owned(), ROOT.to_owned()));
    let parts: Vec<_> = parts.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    zip(&parts, deflated)
}

/// A row of text cells, and of others as XML where they begin with `<`.
pub(crate) fn row(number: u32, cells: &[&str]) -> String {
    let mut row = format!("<row r=\"{number}\">");
    for (column, cell) in (b'A'..).zip(cells) {
        let place = format!("{}{number}", char::from(column));
        row += &match cell.strip_prefix('<') {
            Some("") | None if cell.is_empty() => String::new(),
            Some(rest) => format!("<{}", rest.replacen("c", &format!("c r=\"{place}\""), 1)),
            None => format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{cell}</t></is></c>"),
        };
    }
    row + "</row>"
}
