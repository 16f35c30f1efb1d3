//! Encodings, delimiters and line ends.

use pictor_producer::manifest::Told;

use super::{Case, assert_refused, case, verdict};

const SAY_SO: &str = "give --encoding windows-1252 if the file is from Excel on Windows, or save it as UTF-8";

fn encoded(label: &'static str) -> Told<'static> {
    Told { encoding: Some(label), ..Told::default() }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn bytes_that_are_no_utf8() {
    let cell =
        format!("F: row 2, column \"prompt\": byte 4 of the cell (0xE9) is not UTF-8; {SAY_SO}").leak();
    let title = format!("F: column \"pr\u{fffd}x\": byte 3 of the cell (0xE9) is not UTF-8; {SAY_SO}").leak();
    let line = format!("F: row 1: byte 15 of the line (0xE9) is not UTF-8; {SAY_SO}").leak();
    assert_refused([
        case("a.csv", b"id;prompt\n1;mug\n2;caf\xE9\n".as_slice(), cell),
        case("a.csv", b"id,pr\xE9x\n1,mug\n".as_slice(), title),
        case("a.jsonl", b"{\"prompt\":\"caf\xE9\"}\n".as_slice(), line),
    ]);
}

#[test]
fn encodings_that_do_not_fit() {
    assert_refused([
        Case {
            told: encoded("windows-1252"),
            ..case("a.csv", "prompt\ncafé\n", "F: the file is UTF-8, not windows-1252; leave --encoding out")
        },
        Case {
            told: encoded("latin1"),
            ..case(
                "a.jsonl",
                "\u{feff}{\"prompt\":\"cafe\"}\n",
                "F: the file is UTF-8, not windows-1252; leave --encoding out",
            )
        },
        Case {
            told: encoded("latin1"),
            ..case(
                "a.csv",
                utf16("\u{feff}prompt\ncafé\n"),
                "F: the file is UTF-16LE, not windows-1252; leave --encoding out",
            )
        },
        Case {
            told: encoded("shift_jis"),
            ..case(
                "a.csv",
                b"id,prompt\n1,caf\xE9\n".as_slice(),
                "F: row 1, column \"prompt\": holds bytes that are no Shift_JIS, or U+FFFD, which stands for such; mend the \
                 cell, or give another --encoding",
            )
        },
        Case {
            told: encoded("shift_jis"),
            ..case(
                "a.jsonl",
                b"{\"prompt\":\"caf\xE9\"}\n".as_slice(),
                "F: row 1: holds bytes that are no Shift_JIS, or U+FFFD, which stands for such; mend the cell, or give \
                 another --encoding",
            )
        },
        Case {
            told: encoded("windos-1252"),
            ..case("a.csv", "", "unknown --encoding \"windos-1252\"; did you mean windows-1252?")
        },
        Case {
            told: encoded("utf-8"),
            ..case("a.xlsx", "PK\u{3}\u{4}", "--encoding is for text files; a spreadsheet knows its own")
        },
        case(
            "a.csv",
            [utf16("\u{feff}id,prompt\n1,caf"), vec![0, 0xD8], utf16("\n")].concat(),
            "F: row 1, column \"prompt\": holds bytes that are no UTF-16LE, or U+FFFD, which stands for such; mend the cell, \
             or give another --encoding",
        ),
    ]);
}

#[test]
fn delimiters_that_do_not_fit() {
    let told = |delimiter| Told { delimiter: Some(delimiter), ..Told::default() };
    assert_refused([
        case(
            "a.csv",
            "id;prompt\n1;red; large mug\n2\n",
            "F: row 1: it has 3 cells and the header has 2; a cell with a semicolon in it needs double quotes around it\n\
             F: row 2: it has 1 cell and the header has 2; is a semicolon missing?",
        ),
        case(
            "a.tsv",
            "id\tprompt\n1\tred\tmug\n",
            "F: row 1: it has 3 cells and the header has 2; a cell with a tab in it needs double quotes around it",
        ),
        case(
            "a.csv",
            "sep=;\r\nid;prompt\r\n1;\"mug\r\n2;cup\r\n",
            "F: row 1: a double quote opened in this row (line 3) is not closed before the end of the file; close it, or \
             write \"\" for a quote inside a cell",
        ),
        case(
            "a.csv",
            "sep=;\nid;prompt\n1;\"mug\" red\n",
            "F: row 1: text follows a closing double quote in line 3; close the quote opened before it, or write \"\" for a \
             quote inside a cell",
        ),
        case(
            "a.csv",
            "sep=::\nid::prompt\n",
            "F: the first line \"sep=::\" names no delimiter; write sep=; or leave the line out",
        ),
        case("a.csv", "sep=;\n", "F: the file is empty; its first row names the columns"),
        Case {
            told: told(","),
            ..case(
                "a.csv",
                "id;prompt\n1;mug\n",
                "F: the cells seem to be separated by a semicolon, not by a comma; leave --delimiter or the line sep= out",
            )
        },
        Case {
            told: told("ab"),
            ..case(
                "a.csv",
                "",
                "--delimiter \"ab\" is not a delimiter; give one character such as ; or the word tab",
            )
        },
        Case { told: told(";"), ..case("a.jsonl", "{}", "--delimiter is for CSV files") },
    ]);
}

#[test]
fn old_macs_and_unseen_characters() {
    assert_refused([
        case(
            "a.csv",
            "id,prompt\r1,\"mug\r2,cup\r",
            "F: row 1: a double quote opened in this row (line 2) is not closed before the end of the file; close it, or \
             write \"\" for a quote inside a cell",
        ),
        case(
            "a.csv",
            "prompt,\u{200b}Prompt\u{feff}\nmug,cup\n",
            "F: column \"Prompt\": columns 1 and 2 have the same name; rename or remove one",
        ),
        case(
            "a.csv",
            "\u{a0}QUAL\u{200b}ITY\u{a0},Prompt\nbest,mug\n",
            "F: row 1, column \"QUAL\\u{200b}ITY\": gpt-image-2 takes quality auto, low, medium or high, not best",
        ),
        Case {
            template: Some("a {{ colour }} mug"),
            ..case(
                "a.csv",
                "id,colour\n1,re\0d\n",
                "F: row 1, column \"colour\": holds the control character U+0000; remove it",
            )
        },
        case(
            "a.csv",
            format!("prompt,model\n{},gpt-image-2\n", "mug ".repeat(8_001)),
            "F: row 1, column \"prompt\": gpt-image-2 takes at most 32000 characters, not 32003",
        ),
    ]);
    let longest = case("a.csv", format!("prompt\n{}\n", "é".repeat(32_000)), "");
    assert_eq!(verdict(&longest).unwrap()[0].chars().count(), 32_000);
}
