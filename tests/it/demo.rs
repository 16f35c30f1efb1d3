//! The first thing a newcomer runs: the whole system on one machine, nothing configured.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;

use crate::world::told;

fn demo(dir: &std::path::Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_pictor"))
        .args(["demo", "--latency", "300", "--json"])
        .env_clear()
        .env("HOME", dir)
        .env("PATH", search_path())
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)))
}

/// Where a server is found also when only the tests' own tools have one.
pub(crate) fn search_path() -> std::ffi::OsString {
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/bin");
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":");
    path.push(tools);
    path
}

#[test]
fn the_demo_makes_every_row_once_and_the_second_run_pays_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let first = demo(dir.path());
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{first}"));
    let assets = number(&first["assets"]);
    assert_eq!(number(&first["rows"]), 200);
    assert_eq!((number(&first["made"]), number(&first["failed"])), (assets, 0));
    assert_eq!(number(&first["invoice"]["images"]), assets, "invoice = distinct assets");
    assert_eq!(first["invoice"]["cost"], first["ledger"]["cost"]);

    let table = fs::read_to_string(dir.path().join(first["results"].as_str().unwrap())).unwrap();
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|h| h == name).unwrap();
    let (file, id) = (column("file"), column("ID"));
    let (mut files, mut ids, mut takes) = (BTreeSet::new(), BTreeSet::new(), 0_u64);
    for row in reader.records().map(Result::unwrap) {
        ids.insert(row[id].to_owned());
        files.insert(row[file].to_owned());
        takes += 1;
    }
    assert_eq!(ids.len(), 200, "every row has its images");
    assert!(takes > files.len() as u64, "some takes share an image");
    assert_eq!(files.len() as u64, assets);
    for file in files {
        let path = dir.path().join(&file);
        let decoded = image::ImageReader::open(&path).unwrap().with_guessed_format().unwrap().decode();
        assert!(decoded.is_ok(), "{file}: {decoded:?}");
    }

    let second = demo(dir.path());
    assert_eq!(
        (second["invoice"]["images"].as_u64(), second["made"].as_u64()),
        (Some(0), Some(0)),
        "{second}"
    );
    assert_eq!(second["reused"].as_u64(), Some(assets));
}

#[test]
fn a_file_of_ones_own_is_rehearsed_apart_from_real_work() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("mine.csv"),
        "id,prompt,model\na,a cup,dall-e-2\nb,a jug,gpt-image-2\nc,[[sim:moderation_blocked]] x,dall-e-2\n",
    )
    .unwrap();
    let demo = |args: &[&str]| {
        let mut demo = Command::new(env!("CARGO_BIN_EXE_pictor"));
        demo.args([&["demo", "mine.csv", "--latency", "50"], args].concat());
        demo.env_clear().env("HOME", dir.path()).env("PATH", search_path()).current_dir(dir.path());
        demo.output().unwrap()
    };
    let plan = demo(&["--dry-run"]);
    assert_eq!(plan.status.code(), Some(0), "{}", told(&plan));
    fs::write(dir.path().join("real.csv"), "id,prompt\na,a cup\n").unwrap();
    for command in ["run", "submit"] {
        let dry = [command, "real.csv", "--dry-run", "--json"];
        let mut pictor = Command::new(env!("CARGO_BIN_EXE_pictor"));
        pictor.env_clear().env("HOME", dir.path()).env("PATH", search_path()).current_dir(dir.path());
        let planned = pictor.args(dry).output().unwrap();
        assert_eq!(planned.status.code(), Some(0), "{}", told(&planned));
        let told: Value = serde_json::from_slice(&planned.stdout).unwrap();
        assert_eq!(told["plan"]["to_make"], 1, "{told}");
    }
    let mut left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["mine.csv", "real.csv"], "a dry run leaves nothing behind");
    let made = demo(&["--json"]);
    assert_eq!(made.status.code(), Some(1), "one was refused: {}", told(&made));
    let summary: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!((summary["made"].as_u64(), summary["failed"].as_u64()), (Some(2), Some(1)), "{summary}");
    assert_eq!(summary["invoice"]["images"].as_u64(), Some(2), "{summary}");
    let mut left: Vec<_> =
        fs::read_dir(dir.path().join(".pictor")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["demo"], "nothing of a rehearsal is where real work is kept");
    let text = demo(&["--retry-failed"]);
    let hint = String::from_utf8_lossy(&text.stdout).into_owned();
    let batch = summary["batch"].as_str().unwrap();
    for part in [
        format!("batch    {batch}\n"),
        "  pictor status --data-dir .pictor/demo\n".to_owned(),
        format!("  pictor batch show {batch} --data-dir .pictor/demo\n"),
        format!(
            "  pictor results {batch} --layout '{{id}}/{{take}}.{{ext}}' --to demo-images --table --data-dir .pictor/demo\n"
        ),
    ] {
        assert!(hint.contains(&part), "{part} in {}", told(&text));
    }
    // Not the sample catalogue in place of the file.
    for command in ["demo", "run"] {
        let mut pictor = Command::new(env!("CARGO_BIN_EXE_pictor"));
        pictor.env_clear().env("HOME", dir.path()).env("PATH", search_path()).current_dir(dir.path());
        let refused = pictor.args([command, "--ignore-columns", "mine.csv"]).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
        let why = "--ignore-columns mine.csv: this is a file, and no column; name it before --ignore-columns";
        assert_eq!(String::from_utf8_lossy(&refused.stderr).trim(), why);
    }
}
