//! What images cost, asked of the real binary before anything is queued.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::world::told;

/// The binary in a directory of its own, without settings, a key or a server.
fn pictor(dir: &Path, args: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_pictor"))
        .args(args)
        .env_clear()
        .env("HOME", dir)
        .current_dir(dir)
        .output()
        .unwrap()
}

fn json(dir: &Path, args: &[&str]) -> Value {
    let output = pictor(dir, &[args, &["--json"]].concat());
    assert!(output.status.success(), "{args:?}: {}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(dir: &Path, args: &[&str]) -> String {
    let output = pictor(dir, args);
    assert!(output.status.success(), "{args:?}: {}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(dir: &Path, args: &[&str]) -> String {
    let output = pictor(dir, args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {}", told(&output));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn published_estimates_of_a_month_come_out_to_the_cent() {
    let dir = tempfile::tempdir().unwrap();
    for (flags, images, micro, dollars) in [
        (
            "--per-day 20 --model dall-e-2 --size 512x512 --plus per-day=2,model=dall-e-3,quality=standard,size=1024x1024",
            660,
            13_200_000,
            "$13.20",
        ),
        ("--per-day 50 --model dall-e-3 --quality standard --size 1024x1024", 1_500, 60_000_000, "$60.00"),
        ("--per-day 300 --model dall-e-2 --size 1024x1024", 9_000, 180_000_000, "$180.00"),
        (
            "--per-day 40 --model dall-e-3 --quality hd --size 1024x1024 --plus per-day=10,size=1024x1792",
            1_500,
            132_000_000,
            "$132.00",
        ),
        (
            "--per-month 15000 --model dall-e-3 --quality standard --size 1024x1024",
            15_000,
            600_000_000,
            "$600.00",
        ),
    ] {
        let args: Vec<&str> = ["price", "monthly"].into_iter().chain(flags.split(' ')).collect();
        let month = json(dir.path(), &args);
        assert_eq!((&month["expected"], &month["ceiling"]), (&micro.into(), &micro.into()), "{flags}");
        assert_eq!(
            (&month["images"], &month["expected_usd"]),
            (&images.into(), &dollars[1..].into()),
            "{flags}"
        );
        let shown = text(dir.path(), &args);
        let total = shown.lines().find(|line| line.contains("  total ")).unwrap();
        assert!(total.ends_with(&format!(" {dollars}")), "{shown}");
        assert!(flags.starts_with("--per-month") || shown.contains("a month has 30 days"), "{shown}");
    }
    let february = "price monthly --per-day 300 --model dall-e-2 --size 1024x1024 --days 28";
    let february = json(dir.path(), &february.split(' ').collect::<Vec<_>>());
    assert_eq!((&february["expected_usd"], &february["days"]), (&"168.00".into(), &28.into()));
}

/// The plan of a file, the list and the month are one reckoning.
#[test]
fn a_file_the_list_and_the_month_agree() {
    let dir = tempfile::tempdir().unwrap();
    let prompt = "p".repeat(400);
    for (model, quality, size) in [
        ("dall-e-3", "hd", "1024x1792"),
        ("gpt-image-2", "high", "1536x1024"),
        ("gpt-image-1.5", "medium", "1024x1024"),
        ("gpt-image-2.6-flare", "low", "1024x1024"),
    ] {
        let rows: String = (0..7).map(|n| format!("{n}{}\n", &prompt[1..])).collect();
        fs::write(dir.path().join("seven.csv"), format!("prompt\n{rows}")).unwrap();
        let kind = ["--model", model, "--quality", quality, "--size", size];
        fs::write(
            dir.path().join("pictor.toml"),
            "[accounts.local]\nbase_url = \"http://127.0.0.1:9/v1\"\napi_key_env = \"NONE\"\n",
        )
        .unwrap();
        let plan = json(dir.path(), &[&["price", "estimate", "seven.csv"][..], &kind].concat());
        let month = json(dir.path(), &[&["price", "monthly", "--per-month", "7"][..], &kind].concat());
        assert_eq!(
            (&plan["expected"], &plan["ceiling"]),
            (&month["expected"], &month["ceiling"]),
            "{model}: {plan}\n{month}"
        );
        let list = json(dir.path(), &["price", "list", "--model", model]);
        let images = list["models"][0]["images"].as_array().unwrap();
        let listed = images.iter().find(|it| it["quality"] == quality && it["size"] == size).unwrap();
        let rates = list["models"][0]["rates"].as_array();
        let prompt =
            rates.map_or(0, |rates| rates[0]["standard"]["price"].as_u64().unwrap() * 100 / 1_000_000);
        let each = month["entries"][0]["each"]["expected"].as_u64().unwrap();
        assert_eq!(listed["standard"]["expected"].as_u64().unwrap() + prompt, each, "{model}");
    }
}

#[test]
fn prices_of_a_catalogue_change_on_their_day() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pictor.toml"), "catalogue.file = \"prices.toml\"\n").unwrap();
    fs::write(
        dir.path().join("prices.toml"),
        r#"
        [models.dall-e-2.per_image.standard]
        "1024x1024" = [{ from = "2026-01-01", usd = "0.020" }, { from = "2027-01-01", usd = "0.025" }]
        [models.gpt-image-2]
        batch_priced_from = "2026-12-24"
        "#,
    )
    .unwrap();
    let month = |day: &str, more: &[&str]| {
        let args = ["price", "monthly", "--per-day", "300", "--on", day];
        json(dir.path(), &[&args[..], more].concat())
    };
    let old = ["--model", "dall-e-2", "--size", "1024x1024"];
    let (before, after) = (month("2026-12-31", &old), month("2027-01-01", &old));
    assert_eq!((&before["expected_usd"], &before["ceiling_usd"]), (&"180.00".into(), &"225.00".into()));
    assert_eq!((&after["expected_usd"], &after["ceiling_usd"]), (&"225.00".into(), &"225.00".into()));
    let notes = before["notes"].to_string();
    assert!(notes.contains("prices of dall-e-2 change on 2027-01-01"), "{notes}");

    let list = text(dir.path(), &["price", "list", "--model", "dall-e-2", "--on", "2027-02-01"]);
    assert!(list.starts_with("US dollars on 2027-02-01"), "{list}");
    let row = list.lines().find(|line| line.contains("1024x1024")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells, ["standard", "1024x1024", "$0.025", "2027-01-01", "-", "-"], "{list}");
    let early = text(dir.path(), &["price", "list", "--model", "dall-e-3", "--on", "2020-01-01"]);
    assert!(early.contains("no price on this day"), "{early}");

    let rates = |day: &str| {
        let list = json(dir.path(), &["price", "list", "--model", "gpt-image-2", "--on", day]);
        list["models"][0]["rates"][1].clone()
    };
    assert_eq!(rates("2026-12-23")["batch"], Value::Null);
    let rate = rates("2026-12-24");
    assert_eq!(
        (&rate["tokens"], &rate["standard"]["price"]),
        (&"cached_text_input".into(), &1_250_000.into())
    );
    assert_eq!((&rate["batch"]["price"], &rate["batch"]["from"]), (&625_000.into(), &"2026-12-24".into()));
    let batch = ["--model", "gpt-image-2", "--batch"];
    let halved = month("2026-12-24", &batch)["expected"].as_u64().unwrap();
    assert_eq!(halved * 2, month("2026-12-24", &batch[..2])["expected"].as_u64().unwrap());
    let args = ["price", "monthly", "--per-day", "1", "--on", "2026-12-23"];
    let why = refused(dir.path(), &[&args[..], &batch].concat());
    assert!(why.contains("no price for tokens through the provider's batch API on 2026-12-23"), "{why}");
}

#[test]
fn what_cannot_be_reckoned_says_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    for (flags, why) in [
        ("monthly --model dall-e-2", "--per-day"),
        ("monthly --per-day 0", "whole number from 1"),
        ("monthly --per-day 3 --per-month 90", "cannot be used with"),
        ("monthly --per-day 3 --days 0", "1..=366"),
        ("monthly --per-day 3 --model dall-e-2 --size 1x1", "makes 256x256, 512x512 or 1024x1024"),
        ("monthly --per-day 3 --model dalle-2", "did you mean \"dall-e-2\""),
        ("monthly --per-day 3 --model dall-e-2 --batch", "through the provider's batch API"),
        ("monthly --per-day 3 --plus size=256x256", "how many?"),
        ("list --on 21.11.2026", "is not a day such as 2026-11-21"),
        ("list --model dalle-2", "did you mean \"dall-e-2\""),
    ] {
        let args: Vec<&str> = std::iter::once("price").chain(flags.split(' ')).collect();
        let told = refused(dir.path(), &args);
        assert!(told.contains(why), "{flags}: {told}");
    }
}
