//! Spreadsheets made to break a reader.

use super::{
    assert_refused,
    book::{book, book_with, packed, row, zip},
    case, verdict,
};

#[test]
fn damaged_spreadsheets() {
    let table = row(1, &["prompt"]) + &row(2, &["mug"]);
    let good = book(&[("S", &table)]);
    assert_eq!(verdict(&case("a.xlsx", good.clone(), "")).unwrap(), ["mug"]);
    let sheet = |rows: &str| book(&[("S", &(row(1, &["prompt"]) + rows))]);
    let damaged = "F: the spreadsheet is damaged: its zip directory cannot be read; save it again";
    let order = "F: the spreadsheet is damaged: row 2 of the sheet has cells out of order; save it again";
    assert_refused([
        case("a.xlsx", &good[..good.len() - 30], damaged),
        case(
            "a.xlsx",
            sheet("<row r=\"2\"><c t=\"s\"><v>7</v></c></row>"),
            "F: the spreadsheet is damaged: cell A2 refers to a text that is not in the file; save it again",
        ),
        case(
            "a.xlsx",
            sheet("<row r=\"2\"><c t=\"n\"><v>inf</v></c></row>"),
            "F: the spreadsheet is damaged: cell A2 holds no number; save it again",
        ),
        case(
            "a.xlsx",
            sheet("<row r=\"5\"/><row r=\"3\"/>"),
            "F: the spreadsheet is damaged: what follows row 5 of the sheet is out of order; save it again",
        ),
        case(
            "a.xlsx",
            sheet("<row r=\"1048577\"/>"),
            "F: the spreadsheet is damaged: what follows row 1 of the sheet is out of order; save it again",
        ),
        case("a.xlsx", sheet("<row r=\"2\"><c r=\"A2\"><v>1</v></c><c r=\"A2\"><v>2</v></c></row>"), order),
        case("a.xlsx", sheet("<row r=\"2\"><c r=\"XFE2\"><v>1</v></c></row>"), order),
        case("a.xlsx", sheet("<row r=\"2\"><c r=\"A9\"><v>1</v></c></row>"), order),
        case(
            "a.xlsx",
            sheet("<row r=\"2\"><c t=\"inlineStr\"><is><t>&nosuch;</t></is></c></row>"),
            "F: the spreadsheet's part xl/worksheets/s0.xml is damaged: it names a character that there is not; save it again",
        ),
        case(
            "a.xlsx",
            sheet(&"<row><c>".repeat(100)),
            "F: the spreadsheet's part xl/worksheets/s0.xml is damaged: its elements are nested too deeply; save it again",
        ),
        case(
            "a.xlsx",
            sheet(&format!(
                "<row r=\"2\"><c t=\"inlineStr\"><is><t>{}</t></is></c></row>",
                "a".repeat(200_000)
            )),
            "F: the spreadsheet holds a text longer than any cell may be (32,767 characters)",
        ),
    ]);
}

#[test]
fn a_flipped_bit_is_seen() {
    let table = row(1, &["prompt"]) + &row(2, &["mug"]);
    let parts: [(&str, &[u8]); 3] = [
        ("xl/workbook.xml", b"<workbook><sheets><sheet name=\"S\" r:id=\"r\"/></sheets></workbook>"),
        (
            "xl/_rels/workbook.xml.rels",
            b"<Relationships><Relationship Id=\"r\" Type=\"worksheet\" Target=\"s.xml\"/></Relationships>",
        ),
        ("xl/s.xml", &format!("<worksheet><sheetData>{table}</sheetData></worksheet>").into_bytes()),
    ];
    let mut file = zip(&parts, false);
    assert_eq!(verdict(&case("a.xlsx", file.clone(), "")).unwrap(), ["mug"]);
    let at = file.windows(5).position(|part| part == b">mug<").unwrap();
    file[at + 1] = b'j';
    assert_refused([case("a.xlsx", file, "F: the spreadsheet's part xl/s.xml is damaged; save it again")]);
}

#[test]
fn bombs_are_refused_before_they_burst() {
    let text = format!("<si><t>{}</t></si>", "a".repeat(100_000)).repeat(300);
    let strings = book_with(&[("S", &row(1, &["prompt"]))], &text, "");
    assert!(strings.len() < 500_000, "{}", strings.len());
    let large = vec![b'a'; 50_000_001];
    let row_of_many = (0..2_000).map(|_| "<c t=\"s\"><v>0</v></c>").collect::<String>();
    let wide = book_with(
        &[("S", &format!("{}<row r=\"2\">{row_of_many}</row>", row(1, &["prompt"])))],
        &format!("<si><t>{}</t></si>", "a".repeat(30_000)),
        "",
    );
    assert_refused([
        case(
            "a.xlsx",
            strings,
            "F: the spreadsheet's part xl/sharedStrings.xml unpacks to more than 10 MB; save the sheet as \"CSV UTF-8\"",
        ),
        case("a.xlsx", wide, "F: row 2 of the sheet is longer than 1 MiB"),
        case(
            "a.xlsx",
            [b"PK\x03\x04".as_slice(), &large].concat(),
            "F: the spreadsheet is larger than 50 MB; save the sheet as \"CSV UTF-8\", which may have any size",
        ),
    ]);
}

#[test]
fn a_bomb_that_lies_about_its_size_is_stopped_as_well() {
    let text = format!("<sst>{}</sst>", format!("<si><t>{}</t></si>", "a".repeat(100_000)).repeat(300));
    let parts: [(&str, &[u8]); 4] = [
        ("xl/workbook.xml", b"<workbook><sheets><sheet name=\"S\" r:id=\"r\"/></sheets></workbook>"),
        (
            "xl/_rels/workbook.xml.rels",
            b"<Relationships><Relationship Id=\"r\" Type=\"worksheet\" Target=\"s.xml\"/>\
              <Relationship Id=\"t\" Type=\"sharedStrings\" Target=\"t.xml\"/></Relationships>",
        ),
        ("xl/s.xml", b"<worksheet><sheetData/></worksheet>"),
        ("xl/t.xml", text.as_bytes()),
    ];
    let mut file = zip(&parts, true);
    let size = u32::try_from(text.len()).unwrap().to_le_bytes();
    while let Some(at) = file.windows(4).position(|part| part == size) {
        file[at..at + 4].copy_from_slice(&7_u32.to_le_bytes());
    }
    let found = verdict(&case("a.xlsx", file, "")).unwrap_err();
    assert!(found.starts_with("a.xlsx: the spreadsheet's part xl/t.xml unpacks to more than "), "{found}");
}

#[test]
fn no_cut_and_no_flip_makes_it_panic() {
    let rows = row(1, &["id", "prompt", "n"])
        + &row(2, &["a", "mug", "<c s=\"1\"><v>2</v></c>"])
        + &row(3, &["b", "<c t=\"s\"><v>0</v></c>"]);
    let styles = "<cellXfs><xf numFmtId=\"14\"/></cellXfs>";
    for deflated in [true, false] {
        let file = packed(&[("S", &rows)], "<si><r><t>cup</t></r></si>", styles, deflated);
        for at in 0..file.len() {
            let _either_way = verdict(&case("a.xlsx", &file[..at], ""));
            for flip in [0x01, 0x02, 0x10, 0x80, 0xFF] {
                let mut bad = file.clone();
                bad[at] ^= flip;
                let _either_way = verdict(&case("a.xlsx", bad, ""));
            }
        }
    }
}
