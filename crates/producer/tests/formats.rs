//! One catalogue in every format a shop exports gives the same specs and keys.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::{collections::BTreeMap, io::Read as _};

use encoding_rs::WINDOWS_1252;
use pictor_common::{AssetKey, catalogue::Catalogue};
use pictor_producer::{
    content::content_digest,
    manifest::{Format, Hosts, IgnoreColumns, Reading, RowSpecs, Rows, Rules, Setup, Told, check},
    template::Template,
};
use rust_xlsxwriter::{Format as CellFormat, Workbook};

/// Columns and rows of the catalogue; an empty text is an absent cell.
const TITLES: [&str; 6] = ["ID", "Prompt", " Size ", "quality", "n", "Output-Format"];
const ROWS: [[&str; 6]; 3] = [
    [
        "4006381333931",
        "ein \u{201e}rotes\u{201c} Glas; groß, 1,5 l\nauf weiß",
        "1024x1024",
        "High",
        "2",
        "png",
    ],
    ["0815", "café – 3 €", "", "", "", ""],
    ["C-7", "mug | cup\tjug", "1024 × 1536", "low", "1", "jpg"],
];

fn titles() -> Vec<String> {
    TITLES.iter().map(|title| title.replace("Output-Format", "format")).collect()
}

fn text(delimiter: u8, line_end: &str) -> String {
    let terminator = if line_end == "\n" { csv::Terminator::Any(b'\n') } else { csv::Terminator::CRLF };
    let mut writer =
        csv::WriterBuilder::new().delimiter(delimiter).terminator(terminator).from_writer(Vec::new());
    writer.write_record(titles()).unwrap();
    for row in ROWS {
        writer.write_record(row).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

fn jsonl() -> String {
    let mut lines = String::new();
    for row in ROWS {
        let object: serde_json::Map<_, _> =
            titles().into_iter().zip(row).map(|(title, cell)| (title, cell.into())).collect();
        lines += &(serde_json::Value::from(object).to_string() + "\n");
    }
    lines
}

fn requests() -> String {
    let mut lines = String::new();
    for row in ROWS {
        let names = ["custom_id", "prompt", "size", "quality", "n", "output_format"];
        let mut body = serde_json::json!({ "model": "gpt-image-2", "user": "shop" });
        for (name, cell) in names.into_iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty()) {
            body[name] = if name == "n" { cell.parse::<u32>().unwrap().into() } else { cell.into() };
        }
        let line = serde_json::json!({
            "custom_id": row[0], "method": "POST", "url": "/v1/images/generations", "body": body,
        });
        lines += &(line.to_string() + "\n");
    }
    lines
}

/// A workbook as Excel writes it: numbers where it sees some, a title row further down, another sheet.
fn spreadsheet() -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.set_name("Katalog").unwrap();
    for (column, title) in (0..).zip(titles()) {
        sheet.write_with_format(2, column, title, &CellFormat::new().set_bold()).unwrap();
    }
    for (row, cells) in (3..).zip(ROWS) {
        for (column, cell) in (0..).zip(cells) {
            match cell.parse::<f64>() {
                Ok(number) if !cell.starts_with('0') => sheet.write(row, column, number).unwrap(),
                _ if cell.is_empty() => {
                    sheet.write_blank(row, column, &CellFormat::new().set_bold()).unwrap()
                }
                _ => sheet.write(row, column, cell).unwrap(),
            };
        }
    }
    sheet.set_row_hidden(4).unwrap();
    book.add_worksheet().set_name("Leer").unwrap();
    book.save_to_buffer().unwrap()
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

fn windows_1252(text: &str) -> Vec<u8> {
    let (bytes, _, unmappable) = WINDOWS_1252.encode(text);
    assert!(!unmappable);
    bytes.into_owned()
}

fn with_rules<T>(template: Option<&str>, then: impl FnOnce(&Rules<'_>) -> T) -> T {
    let catalogue = Catalogue::embedded();
    let template = template.map(|source| Template::new(source).unwrap());
    let (hosts, defaults) = (Hosts::default(), BTreeMap::new());
    let rules = Rules::new(Setup {
        catalogue: &catalogue,
        hosts: &hosts,
        today: "2026-11-21",
        template: template.as_ref(),
        defaults: &defaults,
        ignore: IgnoreColumns::None,
    });
    then(&rules.unwrap())
}

/// Both passes over a manifest.
fn read(name: &str, bytes: &[u8], told: Told<'_>) -> Vec<RowSpecs> {
    with_rules(None, |rules| {
        let reading = Reading::new(Format::detect(name, bytes), told).unwrap();
        let mut first = Vec::new();
        let checked = check(bytes, name, reading.clone(), rules, &reading.options(), |row| first.push(row));
        let checked = checked.unwrap_or_else(|bad| panic!("{bad}"));
        let alone = content_digest(None, rules.defaults(), &reading.options(), bytes).unwrap();
        assert_eq!(checked.content, alone, "{name}: the digest is of the bytes as they are");
        let again = Rows::again(bytes, reading, rules, &checked.columns).unwrap();
        let second: Vec<RowSpecs> = again.map(Result::unwrap).collect();
        assert_eq!(first.len(), second.len());
        assert!(first.iter().zip(&second).all(|(first, second)| first.specs == second.specs));
        second
    })
}

fn keys(rows: &[RowSpecs]) -> Vec<(String, Vec<AssetKey>)> {
    rows.iter().map(|row| (row.id.clone(), row.specs.iter().map(AssetKey::of).collect())).collect()
}

#[test]
fn every_format_gives_the_same_specs() {
    let none = Told::default();
    let comma = text(b',', "\n");
    let expected = keys(&read("a.csv", comma.as_bytes(), none));
    assert_eq!(
        expected.iter().map(|(id, keys)| (id.as_str(), keys.len())).collect::<Vec<_>>(),
        [("4006381333931", 2), ("0815", 1), ("C-7", 1)]
    );
    let marked = |text: &str| format!("\u{feff}{text}");
    let western = Told { encoding: Some("windows-1252"), ..none };
    let hash = Told { delimiter: Some("#"), ..none };
    let semicolon = text(b';', "\r\n");
    let files: Vec<(&str, &str, Vec<u8>, Told<'_>)> = vec![
        ("UTF-8 with a mark", "a.csv", marked(&comma).into_bytes(), none),
        ("semicolons", "a.csv", semicolon.clone().into_bytes(), none),
        ("tabs", "a.tsv", text(b'\t', "\r\n").into_bytes(), none),
        ("bars", "a.txt", text(b'|', "\n").into_bytes(), none),
        ("told", "a.csv", text(b'#', "\n").into_bytes(), hash),
        ("sep=", "a.csv", format!("sep=;\r\n{semicolon}").into_bytes(), none),
        ("an old Mac", "a.csv", comma.replace('\n', "\r").into_bytes(), none),
        ("UTF-16 of Excel", "a.txt", utf16(&marked(&text(b'\t', "\r\n")), u16::to_le_bytes), none),
        ("UTF-16 without a mark", "-", utf16(&comma, u16::to_be_bytes), none),
        ("Windows-1252", "a.csv", windows_1252(&semicolon), western),
        ("JSONL", "a.jsonl", jsonl().into_bytes(), none),
        ("JSONL in UTF-16", "-", utf16(&jsonl(), u16::to_le_bytes), none),
        ("JSONL in Windows-1252", "a.jsonl", windows_1252(&jsonl()), western),
        ("requests", "batch.jsonl", requests().into_bytes(), none),
        ("XLSX", "a.xlsx", spreadsheet(), none),
        ("XLSX from stdin", "-", spreadsheet(), none),
        ("XLSX by another name", "a.csv", spreadsheet(), Told { sheet: Some("KATALOG"), ..none }),
    ];
    for (what, name, bytes, told) in files {
        assert_eq!(keys(&read(name, &bytes, told)), expected, "{what}");
    }
}

#[test]
fn the_batch_is_named_by_bytes_and_what_changes_their_meaning() {
    let digest = |name: &str, bytes: &[u8], told: Told<'_>| {
        with_rules(None, |rules| {
            let reading = Reading::new(Format::detect(name, bytes), told).unwrap();
            let options = reading.options();
            check(bytes, name, reading, rules, &options, |_| {}).unwrap_or_else(|bad| panic!("{bad}")).content
        })
    };
    let none = Told::default();
    let book = spreadsheet();
    assert_eq!(digest("a.xlsx", &book, none), digest("-", &book, none));
    assert_ne!(
        digest("a.xlsx", &book, none),
        digest("a.xlsx", &book, Told { sheet: Some("Katalog"), ..none })
    );
    let table = b"id,prompt\n1,mug\n";
    assert_eq!(digest("a.csv", table, none), digest("b.txt", table, none));
    assert_ne!(
        digest("a.csv", table, none),
        digest("a.csv", table, Told { encoding: Some("latin1"), ..none })
    );
    assert_ne!(digest("a.csv", table, none), digest("a.csv", table, Told { delimiter: Some(","), ..none }));
}

#[test]
fn numbers_of_a_spreadsheet_are_numbers_to_a_template() {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (column, title) in (0..).zip(["title", "stock", "price", "gift"]) {
        sheet.write(0, column, title).unwrap();
    }
    sheet.write(1, 0, "mug").unwrap();
    sheet.write(1, 1, 12).unwrap();
    sheet.write(1, 2, 0.1 + 0.2).unwrap();
    sheet.write(1, 3, true).unwrap();
    let bytes = book.save_to_buffer().unwrap();
    let template =
        "{{ title }}{% if stock > 9 %}, many{% endif %} at {{ price }}{% if gift %}, wrapped{% endif %}";
    let prompt = with_rules(Some(template), |rules| {
        let mut rows = Rows::open(&bytes[..], Format::Xlsx, rules).unwrap();
        rows.next().unwrap().unwrap().specs[0].prompt.clone().unwrap()
    });
    assert_eq!(prompt, "mug, many at 0.3, wrapped");
}

#[test]
fn a_large_sheet_is_read_row_by_row() {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.write(0, 0, "prompt").unwrap();
    for row in 1..=20_000 {
        sheet.write(row, 0, format!("mug number {row}")).unwrap();
    }
    let bytes = book.save_to_buffer().unwrap();
    let mut slow = bytes.as_slice().take(u64::MAX);
    let rows = with_rules(None, |rules| {
        Rows::open(&mut slow, Format::Xlsx, rules).unwrap().map(Result::unwrap).count()
    });
    assert_eq!(rows, 20_000);
}
