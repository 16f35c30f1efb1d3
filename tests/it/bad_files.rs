//! Files a shop may send that are not what they should be: refused whole, in words, by the real binary.

use std::{
    fs,
    io::Write as _,
    process::{Output, Stdio},
};

use pictor_simulator::Options;
use rust_xlsxwriter::Workbook;

use crate::world::{World, told};

fn spreadsheet(rows: &[(&str, Option<f64>)]) -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.write(0, 0, "id").unwrap();
    sheet.write(0, 1, "prompt").unwrap();
    for (row, (id, number)) in (1..).zip(rows) {
        match number {
            Some(number) => sheet.write(row, 0, *number).unwrap(),
            None => sheet.write(row, 0, *id).unwrap(),
        };
        sheet.write(row, 1, "a lamp").unwrap();
    }
    book.save_to_buffer().unwrap()
}

fn refused(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{}", told(output));
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_queues_nothing_and_says_what_would_be_right() {
    let world = World::start(Options::default());
    let garbage: Vec<u8> = (0..4_096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let request = "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/images/edits\",\"body\":{\"prompt\":\"x\"}}\n";
    let files: [(&str, Vec<u8>, &str); 9] = [
        (
            "western.csv",
            b"id;prompt\n1;a lamp\n2;caf\xE9\n".to_vec(),
            "western.csv: row 2, column \"prompt\": byte 4 of the cell (0xE9) is not UTF-8; give --encoding windows-1252",
        ),
        (
            "ids.xlsx",
            spreadsheet(&[("sku-1", None), ("", Some(1.2e12))]),
            "ids.xlsx: row 2, column \"id\" (A3): Excel turned the id into a number, 1200000000000, and shows it as 1.2E+12; \
             format the column as Text",
        ),
        ("garbage.csv", garbage.clone(), "garbage.csv: the file is no text; give a CSV, JSONL or XLSX file"),
        ("garbage.xlsx", garbage.clone(), "garbage.xlsx: the file is named like a spreadsheet and is none"),
        ("garbage.jsonl", garbage, "garbage.jsonl: the file is no text"),
        ("empty.csv", Vec::new(), "empty.csv: the file is empty"),
        ("header.csv", b"id,prompt\n".to_vec(), "header.csv: the file names columns and has no rows"),
        ("page.csv", b"<!doctype html><html>".to_vec(), "page.csv: the file is an HTML page"),
        (
            "edits.jsonl",
            request.into(),
            "edits.jsonl: row 1, column \"url\": must be \"/v1/images/generations\"",
        ),
    ];
    for (name, bytes, words) in files {
        fs::write(world.path(name), bytes).unwrap();
        for command in ["submit", "run"] {
            let text = refused(&world.run(&[command, name]));
            assert!(text.contains(words), "{name}: {text}");
        }
    }
    assert!(world.queue().await.batches(10).await.unwrap().is_empty());
    assert_eq!(world.sim.billed().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_wrongly_of_a_file_is_refused() {
    let world = World::start(Options::default());
    fs::write(world.path("a.csv"), "id,prompt\n1,caf\u{e9}\n").unwrap();
    fs::write(world.path("a.xlsx"), spreadsheet(&[("a", None)])).unwrap();
    for (arguments, words) in [
        (
            ["a.csv", "--encoding", "windows-1252"],
            "a.csv: the file is UTF-8, not windows-1252; leave --encoding out",
        ),
        (
            ["a.csv", "--encoding", "windos-1252"],
            "unknown --encoding \"windos-1252\"; did you mean windows-1252?",
        ),
        (["a.csv", "--delimiter", "::"], "--delimiter \"::\" is not a delimiter"),
        (["a.csv", "--sheet", "One"], "--sheet is for spreadsheets"),
        (["a.xlsx", "--sheet", "One"], "a.xlsx: there is no sheet \"One\"; the sheets are \"Sheet1\""),
    ] {
        let text = refused(&world.run(&[&["submit"], &arguments[..]].concat()));
        assert!(text.contains(words), "{text}");
    }
    assert!(world.queue().await.batches(10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_table_in_any_format_is_one_set_of_images() {
    let world = World::start(Options::default());
    let sheet = spreadsheet(&[("a", None), ("", Some(7.0))]);
    fs::write(world.path("a.xlsx"), &sheet).unwrap();
    fs::write(world.path("a.csv"), "ID;Prompt\r\na;a lamp\r\n7;a lamp\r\n").unwrap();
    fs::write(world.path("western.csv"), b"id;prompt\n1;caf\xE9\n").unwrap();
    for arguments in
        [&["submit", "a.xlsx"][..], &["submit", "a.csv"], &["submit", "western.csv", "--encoding", "latin1"]]
    {
        let output = world.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }
    let mut stdin =
        world.command(&["submit", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    stdin.stdin.take().unwrap().write_all(&sheet).unwrap();
    assert_eq!(stdin.wait().unwrap().code(), Some(0));
    let batches = world.queue().await.batches(10).await.unwrap();
    assert_eq!(batches.len(), 3, "a file and stdin with the same bytes are one batch");
    for same in ["a.xlsx", "a.csv"] {
        let plan = &world.json(&["submit", same, "--dry-run"])["plan"];
        assert_eq!(
            (&plan["rows"], &plan["to_make"], &plan["already_queued"]),
            (&2.into(), &0.into(), &1.into()),
            "{plan}"
        );
    }
}
