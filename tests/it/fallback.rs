//! `--fallback`: what one model cannot make, another one does, and what must not be left to it is not.

use std::{collections::BTreeMap, fs};

use pictor_simulator::Options;
use serde_json::Value;

use crate::world::{World, told};

const ROWS: &str = "id,prompt,model,size\n\
    plain,a mug,dall-e-2,1024x1024\n\
    gone,a cup [[sim:model_not_found*1]],dall-e-2,1024x1024\n\
    retired,a jug [[sim:model_retired*1]],dall-e-2,1024x1024\n\
    content,a bowl [[sim:moderation_blocked*1]],dall-e-2,1024x1024\n\
    doubt,a dish [[sim:bad_gateway_html*1]] [[sim:model_not_found*1]],dall-e-2,1024x1024\n";

fn rows(text: &[u8]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text);
    let read = reader.deserialize().map(Result::unwrap);
    read.map(|row: BTreeMap<String, String>| (row["id"].clone(), row)).collect()
}

/// Billed images by model.
async fn billed(world: &World) -> BTreeMap<String, u64> {
    let mut models = BTreeMap::new();
    for image in world.sim.invoice().await["images"].as_array().unwrap() {
        *models.entry(image["model"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    models
}

fn standing(world: &World, batch: &str) -> Value {
    world.json(&["status", batch])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_model_cannot_make_another_one_does() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    fs::write(world.path("shop.csv"), ROWS).unwrap();
    let submit = ["submit", "shop.csv", "--fallback", "dall-e-3", "--run-id", "b"];
    let plan = world.json(&[&submit[..], &["--dry-run"]].concat())["plan"].clone();
    assert_eq!(
        (&plan["expected"], &plan["ceiling"]),
        (&Value::from(100_000), &Value::from(200_000)),
        "{plan}"
    );
    world.json(&submit);
    world.json(&["submit", "shop.csv", "--run-id", "without"]);
    let _worker = world.worker("w", 4, &[]);
    let ended = world.ended("b", std::time::Duration::from_secs(60)).await;
    assert_eq!((ended.counts.done, ended.counts.failed, ended.substituted), (3, 2, 2));
    let without = world.ended("without", std::time::Duration::from_secs(60)).await;
    assert_eq!((without.counts.done, without.counts.failed, without.substituted), (1, 4, 0));
    assert_eq!(
        billed(&world).await,
        BTreeMap::from([("dall-e-2".to_owned(), 1), ("dall-e-3".to_owned(), 2)])
    );

    let output = world.run(&["results", "b"]);
    let table = rows(&output.stdout);
    for id in ["gone", "retired"] {
        let row = &table[id];
        assert_eq!(
            (row["model"].as_str(), row["cost"].as_str(), row["error"].as_str()),
            ("dall-e-3", "0.04", "")
        );
        assert_eq!(row["note"], "substituted: dall-e-2 could not make it");
        assert!(!row["file"].is_empty(), "{row:?}");
    }
    assert_eq!((table["plain"]["model"].as_str(), table["plain"]["note"].as_str()), ("dall-e-2", ""));
    assert!(table["content"]["error"].starts_with("moderation: "), "{table:?}");
    assert!(table["doubt"]["error"].starts_with("model_not_found: "), "{table:?}");
    let table = rows(&world.run(&["results", "without"]).stdout);
    assert!(table["gone"]["error"].starts_with("model_not_found: "), "{table:?}");

    let shown = String::from_utf8(world.run(&["status", "b"]).stdout).unwrap();
    assert!(shown.contains("fallback dall-e-3: 2 substituted"), "{shown}");
    let shown = String::from_utf8(world.run(&["status"]).stdout).unwrap();
    assert!(shown.contains("complete, 2 substituted"), "{shown}");
    let of_line = world.json(&["asset", "show", "gone", "--batch", "b"]);
    assert_eq!(of_line["asset"]["model"], "dall-e-3", "{of_line}");
    let first = world.json(&["asset", "show", "gone", "--batch", "without"]);
    assert_eq!(first["asset"]["stand_ins"][0]["model"], "dall-e-3", "{first}");
    assert_eq!(first["asset"]["stand_ins"][0]["key"], of_line["key"]);
    assert_eq!(standing(&world, "b")["substituted"], 2);

    // Tomorrow's batch has it already, and without the flag the failure.
    let again = world.json(&["submit", "shop.csv", "--fallback", "dall-e-3", "--run-id", "c", "--dry-run"]);
    assert_eq!(
        (&again["plan"]["already_made"], &again["plan"]["failed_before"]),
        (&Value::from(3), &Value::from(2))
    );
}

#[test]
fn every_row_must_suit_both_models() {
    let world = World::start(Options::default());
    fs::write(world.path("a.csv"), "id,prompt,model,style\n1,a mug,dall-e-3,vivid\n2,a cup,dall-e-3,\n")
        .unwrap();
    for (fallback, why) in [
        (
            "dall-e-2",
            "row 1, column \"style\": dall-e-2 takes no style; leave it out; or choose another --fallback",
        ),
        ("dalle-2", "--fallback: unknown model \"dalle-2\"; did you mean \"dall-e-2\"?"),
    ] {
        let output = world.run(&["submit", "a.csv", "--fallback", fallback]);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{}", told(&output));
    }
}
