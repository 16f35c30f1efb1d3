//! Bad rows of spreadsheets and requests are left out like those of any table; what lost digits is not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "hostile/workbook.rs"]
mod workbook;

use std::{collections::BTreeMap, fs, io::Read as _, sync::Arc};

use pictor_common::{AssetKey, batch::Band, catalogue::Catalogue};
use pictor_producer::{
    manifest::{Format, Hosts, IgnoreColumns, Rules, Setup, check},
    submit::{Checked, Manifest, Request, Source, SubmitError},
    template::Template,
};
use rust_xlsxwriter::Workbook;

/// A line's id and the keys of its assets.
type Line = (String, Vec<AssetKey>);

/// Checks a manifest, leaving bad rows out; what is written down of them.
fn checked(format: Format, bytes: Vec<u8>) -> Result<(Checked, String), SubmitError> {
    let (checked, rejected, _) = made(format, bytes, None)?;
    let text = match format {
        Format::Xlsx => cells(&rejected),
        Format::Csv | Format::Jsonl => String::from_utf8(rejected).unwrap(),
    };
    Ok((checked, text))
}

/// What is checked, what is written down of the bad rows, and the id and asset keys of the good lines.
fn made(
    format: Format,
    bytes: Vec<u8>,
    template: Option<&Template>,
) -> Result<(Checked, Vec<u8>, Vec<Line>), SubmitError> {
    let catalogue = Catalogue::embedded();
    let hosts = Hosts::default();
    let setup = Setup {
        catalogue: &catalogue,
        hosts: &hosts,
        today: "2026-11-21",
        template,
        defaults: &BTreeMap::new(),
        ignore: IgnoreColumns::None,
    };
    let rules = Rules::new(setup).expect("good rules").skipping_bad(true);
    let manifest =
        Manifest { name: "F".to_owned(), format: format.into(), source: Source::Bytes(Arc::from(bytes)) };
    let request = Request {
        manifest: &manifest,
        rules: &rules,
        options: &BTreeMap::new(),
        tenant: "shop",
        band: Band::Normal,
        run_id: None,
        retry_failed: false,
    };
    let checked = request.check()?;
    let mut lines = Vec::new();
    let good = request.manifest.source.clone();
    let Source::Bytes(good) = good else { panic!("it is in memory") };
    check(&*good, "F", format, &rules, &BTreeMap::new(), |row| {
        lines.push((row.id, row.specs.iter().map(AssetKey::of).collect()));
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rejected.csv");
    request.write_rejected(&checked, &path).unwrap();
    let written = usize::from(!checked.skipped.rows.is_empty());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), written, "nothing else is left behind");
    Ok((checked, fs::read(&path).unwrap_or_default(), lines))
}

/// The sheet of a spreadsheet of ours, unpacked.
fn cells(book: &[u8]) -> String {
    let mut unpacked = String::new();
    let name = b"xl/worksheets/sheet1.xml";
    let at = book.windows(name.len()).position(|window| window == name).unwrap() + name.len();
    flate2::read::DeflateDecoder::new(&book[at..]).read_to_string(&mut unpacked).unwrap();
    unpacked
}

/// A sheet of ids and prompts; an id of digits alone is a number unless zeros stand in front.
fn sheet(rows: &[(&str, &str)]) -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.write(0, 0, "id").unwrap();
    sheet.write(0, 1, "prompt").unwrap();
    for (row, (id, prompt)) in (1..).zip(rows) {
        match id.parse::<u32>() {
            Ok(number) if !id.starts_with('0') => sheet.write(row, 0, number).unwrap(),
            _ => sheet.write(row, 0, *id).unwrap(),
        };
        sheet.write(row, 1, *prompt).unwrap();
    }
    book.save_to_buffer().unwrap()
}

#[test]
fn a_spreadsheet_with_bad_rows() {
    let book = sheet(&[("41", "a mug"), ("42", "#N/A"), ("../x", "a cup"), ("44", "a jug")]);
    let (checked, rejected) = checked(Format::Xlsx, book).unwrap();
    assert_eq!((checked.data_rows, checked.skipped.rows.as_slice()), (2, &[2, 3][..]));
    for cell in [
        "<c r=\"B1\" t=\"inlineStr\"><is><t xml:space=\"preserve\">prompt</t>",
        "<c r=\"A2\"><v>42</v></c><c r=\"B2\" t=\"inlineStr\"><is><t xml:space=\"preserve\">#N/A</t></is></c>",
        "column &quot;prompt&quot; (B3): the error #N/A of a spreadsheet; mend the formula, or write the value itself</t>",
        "<c r=\"A3\" s=\"1\" t=\"inlineStr\"><is><t xml:space=\"preserve\">../x</t>",
    ] {
        assert!(rejected.contains(cell), "{cell}: {rejected}");
    }
}

#[test]
fn a_number_that_lost_its_zeros_is_left_out_only_before_it_was_believed() {
    let late = sheet(&[("00041", "a mug"), ("42", "a cup"), ("00043", "a jug")]);
    let (known, rejected) = checked(Format::Xlsx, late).unwrap();
    assert_eq!(known.skipped.rows, [2]);
    assert!(rejected.contains("<v>42</v>") && rejected.contains(">a cup<"), "{rejected}");

    // Row 2 lost its zeros too, and nothing tells.
    let early = sheet(&[("41", "a mug"), ("42", "a cup"), ("00043", "a jug")]);
    let refused = checked(Format::Xlsx, early).unwrap_err().to_string();
    assert!(refused.contains("row 1, column \"id\"") && refused.contains("00043"), "{refused}");
}

#[test]
fn requests_of_a_batch_file() {
    let line = |id: &str, body: &str| {
        format!(
            "{{\"custom_id\":\"{id}\",\"method\":\"POST\",\"url\":\"/v1/images/generations\",\"body\":{body}}}\n"
        )
    };
    let good = line("a", "{\"model\":\"gpt-image-2\",\"prompt\":\"a mug\"}");
    let bad = line("b", "{\"model\":\"gpt-image-2\",\"prompt\":\"a cup\",\"size\":\"big\"}");
    let (checked, rejected) = checked(Format::Jsonl, (good + &bad).into_bytes()).unwrap();
    assert_eq!((checked.data_rows, checked.skipped.rows.as_slice()), (1, &[2][..]));
    let kept = bad.trim_end().strip_suffix('}').unwrap();
    assert!(rejected.starts_with(&format!("{kept},\"error\":\"row 2, column")), "{rejected}");
}

#[test]
fn rows_with_too_many_cells_keep_them_and_stay_bad_until_mended() {
    let table = b"id,prompt\n1,a mug\n2,red, large\n3\n".to_vec();
    let (_, rejected) = checked(Format::Csv, table).unwrap();
    assert!(rejected.starts_with("id,prompt,,error\n2,red, large,"), "{rejected}");
    let again = checked(Format::Csv, rejected.into_bytes());
    let (_, second) = match again {
        Ok(again) => again,
        Err(error) => panic!("{error}"),
    };
    assert!(
        second.contains("2,red, large,row 1: column 3 has no name in the header; name it or empty it\n"),
        "{second}"
    );
}

const TEMPLATE: &str = "{{ id }}: {{ what }}, {{ price }} EUR{% if stock %}, {{ stock }} left{% endif %}{% if gift %}, wrapped{% endif %}";

/// What comes out when the bad rows are mended in the manifest, and when they are in what is written of them.
fn mended_in_both_ways(
    format: Format,
    bytes: Vec<u8>,
    mend: impl Fn(Vec<u8>) -> Vec<u8>,
) -> (Vec<Line>, Vec<Line>) {
    let template = Template::new(TEMPLATE).unwrap();
    let (at_once, _, mut all) = made(format, mend(bytes.clone()), Some(&template)).unwrap();
    assert!(at_once.skipped.rows.is_empty(), "{:?}", at_once.skipped);
    let (first, rejected, mut lines) = made(format, bytes, Some(&template)).unwrap();
    assert!(!first.skipped.rows.is_empty());
    // The same row twice: once still bad, as is everything that is not mended.
    let (again, unchanged, none) = made(format, rejected.clone(), Some(&template)).unwrap();
    assert_eq!((again.skipped.rows.len(), none.len()), (first.skipped.rows.len(), 0));
    let (second, _, more) = made(format, mend(unchanged), Some(&template)).unwrap();
    assert!(second.skipped.rows.is_empty(), "{:?}", second.skipped);
    lines.extend(more);
    all.sort();
    lines.sort();
    (all, lines)
}

fn replaced(bytes: Vec<u8>, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::from_utf8(bytes).unwrap();
    for (from, to) in pairs {
        text = text.replace(from, to);
    }
    text.into_bytes()
}

#[test]
fn lines_of_json_that_are_mended_are_what_they_would_have_been() {
    let lines = r#"{"what":"mug","price":2.50,"stock":0,"gift":true,"size":"big"}
{"what":["cup",1.50,true,"a|b"],"price":12345678901234567890123,"stock":"0","gift":false,"size":"big"}
{"what":"good","price":1,"stock":1,"gift":"no"}
{"what":"'=jug","price":"=1","stock":1e2,"gift":null,"id":null,"size":"big"}
{"what":"broken","price":1,"stock":7,"gift":false,"id":"x"
{"id":"own","what":"é","price":3,"stock":"","gift":"","size":"big"}
"#;
    let (all, mended) = mended_in_both_ways(Format::Jsonl, lines.as_bytes().to_vec(), |bytes| {
        replaced(bytes, &[("\"big\"", "\"1024x1024\""), (",\"id\":\"x\"\n", ",\"id\":\"x\"}\n")])
    });
    assert_eq!(all.len(), 9);
    assert_eq!(mended, all);
}

#[test]
fn rows_of_a_table_that_are_mended_are_what_they_would_have_been() {
    let table = "what,price,stock,gift,size\nmug,2.50,0,true,big\ngood,1,1,,\n'=jug,=1,007,false,big\n";
    let (all, mended) = mended_in_both_ways(Format::Csv, table.as_bytes().to_vec(), |bytes| {
        replaced(bytes, &[(",big", ",1024x1024")])
    });
    assert_eq!(all.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(mended, all);
}

#[test]
fn rows_of_a_spreadsheet_that_are_mended_are_what_they_would_have_been() {
    let book = |size: &str| {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        for (column, title) in (0..).zip(["id", "what", "price", "stock", "gift", "size"]) {
            sheet.write(0, column, title).unwrap();
        }
        sheet.write(1, 0, "0042").unwrap();
        sheet.write(1, 1, "'=mug _x0041_\r\n<&>").unwrap();
        sheet.write(1, 2, 2.5).unwrap();
        sheet.write(1, 3, 0).unwrap();
        sheet.write(1, 4, true).unwrap();
        sheet.write(1, 5, size).unwrap();
        sheet.write(3, 1, "=1+1 as a text").unwrap();
        sheet.write(3, 2, "2.50").unwrap();
        sheet.write(3, 3, "0").unwrap();
        sheet.write(3, 4, false).unwrap();
        sheet.write(3, 5, size).unwrap();
        book.save_to_buffer().unwrap()
    };
    let template = Template::new(TEMPLATE).unwrap();
    let (_, _, all) = made(Format::Xlsx, book("1024x1024"), Some(&template)).unwrap();
    assert_eq!(all.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["0042", "3"]);
    let (first, rejected, none) = made(Format::Xlsx, book("big"), Some(&template)).unwrap();
    assert_eq!((first.skipped.rows.as_slice(), none.len()), (&[1, 3][..], 0));
    let (_, again, _) = made(Format::Xlsx, rejected, Some(&template)).unwrap();
    let mended = workbook::packed(cells(&again).replace(">big<", ">1024x1024<").as_bytes());
    assert_eq!(made(Format::Xlsx, mended, Some(&template)).unwrap().2, all);
}
