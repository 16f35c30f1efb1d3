//! Bad rows of spreadsheets and requests are left out like those of any table; what lost digits is not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::{collections::BTreeMap, fs, sync::Arc};

use pictor_common::{batch::Band, catalogue::Catalogue};
use pictor_producer::{
    manifest::{Format, Hosts, IgnoreColumns, Rules, Setup},
    submit::{Checked, Manifest, Request, Source, SubmitError},
};
use rust_xlsxwriter::Workbook;

/// Checks a manifest, leaving bad rows out; what is written down of them.
fn checked(format: Format, bytes: Vec<u8>) -> Result<(Checked, String), SubmitError> {
    let catalogue = Catalogue::embedded();
    let hosts = Hosts::default();
    let setup = Setup {
        catalogue: &catalogue,
        hosts: &hosts,
        today: "2026-11-21",
        template: None,
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
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rejected.csv");
    request.write_rejected(&checked, &path).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");
    Ok((checked, fs::read_to_string(&path).unwrap()))
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
    assert_eq!(
        rejected,
        "id,prompt,error\n\
         42,#N/A,\"row 2, column \"\"prompt\"\" (B3): the error #N/A of a spreadsheet; mend the formula, or write the value itself\"\n\
         ../x,a cup,\"row 3, column \"\"id\"\" (A4): the id \"\"../x\"\" would be a path; leave out / and \\\"\n"
    );
}

#[test]
fn a_number_that_lost_its_zeros_is_left_out_only_before_it_was_believed() {
    let late = sheet(&[("00041", "a mug"), ("42", "a cup"), ("00043", "a jug")]);
    let (known, rejected) = checked(Format::Xlsx, late).unwrap();
    assert_eq!(known.skipped.rows, [2]);
    assert!(rejected.contains("42,a cup,"), "{rejected}");

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
    assert!(rejected.contains("b,gpt-image-2,a cup,big,\"row 2, column"), "{rejected}");
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
