//! What spreadsheets do to a table.

use pictor_producer::manifest::Told;

use super::{
    Case, assert_refused,
    book::{book, book_with, row},
    case, verdict,
};

const STYLES: &str = "<numFmts><numFmt numFmtId=\"164\" formatCode=\"00000\"/></numFmts><cellXfs><xf numFmtId=\"0\"/>\
                      <xf numFmtId=\"14\"/><xf numFmtId=\"11\"/><xf numFmtId=\"164\"/><xf numFmtId=\"1\"/></cellXfs>";
const AGAIN: &str = "format the column as Text and enter the ids again";

/// A sheet `id, prompt` with these ids.
fn of_ids(ids: &[&str]) -> Vec<u8> {
    let mut rows = row(1, &["id", "prompt"]);
    for (number, id) in (2..).zip(ids) {
        rows += &row(number, &[id, "mug"]);
    }
    book_with(&[("Sheet1", &rows)], "", STYLES)
}

#[test]
fn ids_that_excel_turned_into_numbers() {
    let cases = [
        (
            "<c><v>1200000000000</v></c>",
            "Excel turned the id into a number, 1200000000000, and shows it as 1.2E+12; ",
        ),
        ("<c s=\"2\"><v>100</v></c>", "Excel turned the id into a number, 100, and shows it as 1E+02; "),
        ("<c s=\"3\"><v>42</v></c>", "the id is the number 42, which is only shown as 00042; "),
        ("<c s=\"1\"><v>46054</v></c>", "the id is a date (2026-02-01); "),
    ];
    for (id, message) in cases {
        let expected = format!("F: row 1, column \"id\" (A2): {message}{AGAIN}").leak();
        assert_refused([case("a.xlsx", of_ids(&[id]), expected)]);
    }
    assert_refused([
        case(
            "a.xlsx",
            of_ids(&["<c><v>4006381333931123000</v></c>"]),
            "F: row 1, column \"id\" (A2): the number 4006381333931120000 has more than the 15 digits that a spreadsheet \
             keeps; format the column as Text and enter it again",
        ),
        case(
            "a.xlsx",
            of_ids(&["<c><v>1.1</v></c>"]),
            "F: row 1, column \"id\" (A2): the id is the number 1.1, which may have lost zeros (1.10); write it as text",
        ),
        case(
            "a.xlsx",
            of_ids(&["<c t=\"b\"><v>1</v></c>"]),
            "F: row 1, column \"id\" (A2): true is a yes or no, not a text; write it as text",
        ),
        case(
            "a.xlsx",
            of_ids(&["1.2E+12"]),
            "F: row 1, column \"id\" (A2): Excel turned the id into 1.2E+12 and its digits are lost; in the spreadsheet, \
             format the column as Text and enter the ids again, then save it again",
        ),
        case(
            "a.xlsx",
            of_ids(&["00041", "<c><v>42</v></c>", "<c><v>12345</v></c>"]),
            "F: row 2, column \"id\" (A3): the id is the number 42, while row 1 has the text \"00041\"; Excel may have dropped \
             its zeros; format the column as Text and enter the ids again",
        ),
        case(
            "a.xlsx",
            of_ids(&["<c><v>42</v></c>", "00041"]),
            "F: row 1, column \"id\" (A2): the id is the number 42, while row 2 has the text \"00041\"; Excel may have dropped \
             its zeros; format the column as Text and enter the ids again",
        ),
        case(
            "a.xlsx",
            of_ids(&["<c><v>7</v></c>", "7"]),
            "F: row 2, column \"id\" (A3): the id \"7\" is already that of row 1; ids must differ",
        ),
    ]);
}

#[test]
fn numbers_that_are_certainly_ids() {
    let ids =
        ["<c><v>4006381333931</v></c>", "<c s=\"4\"><v>1200000000000</v></c>", "<c><v>5.0</v></c>", "0012"];
    // The text with zeros is shorter than every number but one, which has no zeros to lose.
    assert_eq!(verdict(&case("a.xlsx", of_ids(&ids[..3]), "")).unwrap().len(), 3);
    assert_eq!(verdict(&case("a.xlsx", of_ids(&[ids[0], ids[3]]), "")).unwrap().len(), 2);
}

#[test]
fn cells_that_hold_no_value() {
    let rows = row(1, &["id", "prompt", "size", "note"])
        + &row(
            3,
            &[
                "a",
                "<c t=\"e\"><v>#N/A</v></c>",
                "<c s=\"1\"><v>46347.5</v></c>",
                "<c t=\"e\"><v>#REF!</v></c>",
            ],
        )
        + &row(4, &["b", "<c><f>A1&amp;B1</f></c>", "<c><f>1+1</f><v></v></c>", ""])
        + &row(6, &["c", "#VALUE!", "<c t=\"d\"><v>2026-11-21</v></c>", ""]);
    let ignoring = Case {
        ignore: pictor_producer::manifest::IgnoreColumns::All,
        ..case(
            "a.xlsx",
            book_with(&[("Sheet1", &rows)], "", STYLES),
            "F: row 2, column \"prompt\" (B3): the error #N/A of a spreadsheet; mend the formula, or write the value itself\n\
             F: row 2, column \"size\" (C3): a date (2026-11-21 12:00:00); format the cell as Text and write what shall stand \
             there\n\
             F: row 3, column \"prompt\" (B4): a formula without a result; open the file in a spreadsheet and save it there\n\
             F: row 3, column \"size\" (C4): a formula without a result; open the file in a spreadsheet and save it there\n\
             F: row 5, column \"prompt\" (B6): the error #VALUE! of a spreadsheet; mend the formula, or write the value itself\n\
             F: row 5, column \"size\" (C6): a date (2026-11-21); format the cell as Text and write what shall stand there",
        )
    };
    assert_refused([
        ignoring,
        Case {
            template: Some("a mug of {{ year }}"),
            ..case(
                "a.xlsx",
                book_with(
                    &[("S", &(row(1, &["year"]) + &row(2, &["<c s=\"1\"><v>46347</v></c>"])))],
                    "",
                    STYLES,
                ),
                "F: row 1, column \"year\" (A2): a date (2026-11-21); format the cell as Text and write what shall stand there",
            )
        },
    ]);
}

#[test]
fn sheets_that_cannot_be_chosen_or_are_empty() {
    let table = row(1, &["prompt"]) + &row(2, &["mug"]);
    let sheet = |name| Told { sheet: Some(name), ..Told::default() };
    let several = book(&[("Autumn", &table), ("Winter", &table), ("hidden:Lists", &table), ("Notes", "")]);
    assert_refused([
        case(
            "a.xlsx",
            several.clone(),
            "F: several sheets have rows: \"Autumn\", \"Winter\"; name one with --sheet",
        ),
        Case {
            told: sheet("Sumer"),
            ..case(
                "a.xlsx",
                several.clone(),
                "F: there is no sheet \"Sumer\"; the sheets are \"Autumn\", \"Winter\", \"Lists\", \"Notes\"",
            )
        },
        Case {
            told: sheet("Notes"),
            ..case("a.xlsx", several.clone(), "F: the sheet is empty; its first row names the columns")
        },
        Case {
            told: sheet("A"),
            ..case("a.csv", "", "--sheet is for spreadsheets; a CSV or JSONL file has none")
        },
        case(
            "a.xlsx",
            book(&[("S", "")]),
            "F: the spreadsheet is empty; the first row of a sheet names the columns",
        ),
        case(
            "a.xlsx",
            book(&[("S", &row(4, &["id", "prompt"]))]),
            "F: the sheet names columns and has no rows",
        ),
        case(
            "a.xlsx",
            book(&[("S", &(row(1, &["prompt", "size"]) + &row(2, &["mug", "", "", "stray"])))]),
            "F: row 1 (row 2 of the sheet): cell D2 stands beyond the last named column; name its column or empty it",
        ),
        case(
            "a.xlsx",
            book(&[("S", &(row(1, &["prompt", "Prompt "]) + &row(2, &["mug", "cup"])))]),
            "F: column \"Prompt\": columns 1 and 2 have the same name; rename or remove one",
        ),
        case(
            "a.xlsx",
            book(&[("S", &(row(1, &["prompt", "qualty"]) + &row(2, &["", "high"])))]),
            "F: column \"qualty\": not a spec field; did you mean \"quality\"?\n\
             F: row 1, column \"prompt\" (A2): the prompt is empty",
        ),
    ]);
    let winter = Case { told: sheet("winter "), ..case("a.xlsx", several, "") };
    assert_eq!(verdict(&winter).unwrap(), ["mug"]);
}
