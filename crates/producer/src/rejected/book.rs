//! Writes a table as a spreadsheet of one sheet: texts stay texts, numbers numbers.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use flate2::{Compression, Crc, write::DeflateEncoder};

use crate::manifest::{Kind, Place};

const SHEET: &str = "xl/worksheets/sheet1.xml";
/// Characters that a cell may have.
const LONGEST_TEXT: usize = 32_767;

const TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"#;
const RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const OF_THE_BOOK: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>"#;
/// The second format is Text, for ids.
const STYLES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/><xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"#;
const BEGIN: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>"#;
const END: &str = "</sheetData></worksheet>";

/// A spreadsheet that is being written.
pub(super) struct Book {
    name: String,
    /// The column of the ids.
    id: Option<usize>,
    rows: u32,
    sheet: Part,
}

/// A file in the zip.
struct Part {
    name: &'static str,
    packed: DeflateEncoder<Vec<u8>>,
    sum: Crc,
}

impl Book {
    pub(super) fn new(sheet: &str, id: Option<usize>) -> io::Result<Self> {
        let mut part = Part::new(SHEET);
        part.add(BEGIN)?;
        Ok(Self { name: sheet.to_owned(), id, rows: 0, sheet: part })
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = (String, Kind)>) -> io::Result<()> {
        self.rows += 1;
        let mut row = format!("<row r=\"{}\">", self.rows);
        for (column, (text, kind)) in cells.into_iter().enumerate() {
            let place = Place::of_cell(column, self.rows);
            let style = if self.id == Some(column) { " s=\"1\"" } else { "" };
            let written = match kind {
                _ if text.is_empty() => Ok(()),
                Kind::Number => write!(row, "<c r=\"{place}\"><v>{}</v></c>", escaped(&text)),
                Kind::Bool => {
                    write!(row, "<c r=\"{place}\" t=\"b\"><v>{}</v></c>", u8::from(text == "true"))
                }
                Kind::Text | Kind::List => {
                    let text = escaped(&text);
                    write!(
                        row,
                        "<c r=\"{place}\"{style} t=\"inlineStr\"><is><t xml:space=\"preserve\">{text}</t></is></c>"
                    )
                }
            };
            written.map_err(io::Error::other)?;
        }
        self.sheet.add(&(row + "</row>"))
    }

    pub(super) fn write(mut self, mut out: impl Write) -> io::Result<()> {
        self.sheet.add(END)?;
        let book = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
             <workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" \
             xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\">\
             <sheets><sheet name=\"{}\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>",
            escaped(&self.name)
        );
        let parts = [
            Part::of("[Content_Types].xml", TYPES)?,
            Part::of("_rels/.rels", RELATIONS)?,
            Part::of("xl/workbook.xml", &book)?,
            Part::of("xl/_rels/workbook.xml.rels", OF_THE_BOOK)?,
            Part::of("xl/styles.xml", STYLES)?,
            self.sheet,
        ];
        let (count, mut at, mut directory) = (u16_of(parts.len())?, 0_usize, Vec::new());
        for part in parts {
            let (header, bytes, name) = part.finish()?;
            let local = [b"PK\x03\x04", &*header, name.as_bytes(), &bytes].concat();
            let (zeros, offset) = ([0; 10], u32_of(at)?);
            directory.extend([b"PK\x01\x02\x14\0", &*header, &zeros, &offset, name.as_bytes()].concat());
            at += local.len();
            out.write_all(&local)?;
        }
        let (length, offset) = (u32_of(directory.len())?, u32_of(at)?);
        out.write_all(&directory)?;
        out.write_all(&[b"PK\x05\x06\0\0\0\0", &count[..], &count, &length, &offset, &[0; 2]].concat())
    }
}

impl Part {
    fn new(name: &'static str) -> Self {
        Self { name, packed: DeflateEncoder::new(Vec::new(), Compression::default()), sum: Crc::new() }
    }

    fn of(name: &'static str, text: &str) -> io::Result<Self> {
        let mut part = Self::new(name);
        part.add(text)?;
        Ok(part)
    }

    fn add(&mut self, text: &str) -> io::Result<()> {
        self.sum.update(text.as_bytes());
        self.packed.write_all(text.as_bytes())
    }

    /// What header and directory say alike (deflated, of the first day that a zip knows), the bytes, the name.
    fn finish(self) -> io::Result<(Vec<u8>, Vec<u8>, &'static str)> {
        let size = usize::try_from(self.packed.total_in()).map_err(io::Error::other)?;
        let bytes = self.packed.finish()?;
        let mut header = vec![0x14, 0, 0, 0, 8, 0, 0, 0, 0x21, 0];
        header.extend(self.sum.sum().to_le_bytes());
        header.extend(u32_of(bytes.len())?);
        header.extend(u32_of(size)?);
        header.extend(u16_of(self.name.len())?);
        header.extend([0; 2]);
        Ok((header, bytes, self.name))
    }
}

fn u32_of(number: usize) -> io::Result<[u8; 4]> {
    u32::try_from(number).map(u32::to_le_bytes).map_err(io::Error::other)
}

fn u16_of(number: usize) -> io::Result<[u8; 2]> {
    u16::try_from(number).map(u16::to_le_bytes).map_err(io::Error::other)
}

/// A text in XML; what XML has no character for is written as spreadsheets do, `_x000D_`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().take(LONGEST_TEXT).peekable();
    while let Some(c) = rest.next() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '_' if rest.peek() == Some(&'x') => out.push_str("_x005F_"),
            '\n' | '\t' => out.push(c),
            '\0'..' ' | '\u{7F}' | '\u{FFFE}' | '\u{FFFF}' => {
                out.push_str(&format!("_x{:04X}_", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}
