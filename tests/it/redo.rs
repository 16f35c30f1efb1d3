//! `pictor asset redo`: a picture that is not liked is made once more, for one batch, and paid once.

use std::{fs, time::Duration};

use pictor_simulator::{Options, Scheduled};

use crate::world::{MODEL, World, told};

const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn another_take_is_paid_once_and_only_its_batch_follows() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    let file = world.catalogue("rows.csv", 0..3);
    let submit = |batch: &str| world.json(&["submit", file.to_str().unwrap(), "--run-id", batch]);
    submit("b");
    submit("other");
    let _worker = world.worker("w", 4, &[]);
    assert_eq!(world.ended("b", PATIENCE).await.counts.done, 3);
    world.ended("other", PATIENCE).await;
    let of = |batch: &str| world.json(&["asset", "show", "row-1", "--batch", batch])["key"].clone();
    let first = of("b");

    let redo = ["asset", "redo", "--batch", "b", "--id", "row-1"];
    let plan = world.json(&[&redo[..], &["--dry-run"]].concat());
    assert_eq!(
        (&plan["from"], &plan["made"], plan["did"].as_str()),
        (&first, &false.into(), Some("would be redone"))
    );
    let unasked = world.run(&redo);
    assert_eq!(unasked.status.code(), Some(2), "{}", told(&unasked));
    assert!(String::from_utf8_lossy(&unasked.stderr).contains("take 1 for about"), "{}", told(&unasked));
    let dear = world.run(&[&redo[..], &["--yes", "--max-cost", "0.001"]].concat());
    assert_eq!(dear.status.code(), Some(2), "{}", told(&dear));
    assert_eq!(world.sim.billed().await, 3);

    // Pressed twice at once, by its key: whoever comes second finds it done.
    let key = first.as_str().unwrap();
    let press = ["asset", "redo", key, "--batch", "b", "--yes"];
    let mut both: Vec<_> = (0..2).map(|_| world.command(&press).spawn().unwrap()).collect();
    both.iter_mut().for_each(|press| assert!(press.wait().unwrap().success()));
    assert_eq!(world.ended("b", PATIENCE).await.counts.done, 3);
    assert_eq!(world.json(&press)["did"], "nothing", "by the key of what is not liked it is done once");
    let second = of("b");
    assert_ne!(second, first);
    assert_eq!(of("other"), first);
    assert_eq!(world.sim.billed().await, 4);
    let table = String::from_utf8(world.run(&["results", "b"]).stdout).unwrap();
    assert!(table.contains(second.as_str().unwrap()) && table.contains("redone: another take"), "{table}");

    submit("b");
    submit("tomorrow");
    world.ended("tomorrow", PATIENCE).await;
    let back = world.json(&[&redo[..], &["--back"]].concat());
    assert_eq!((&back["to"], &back["made"]), (&first, &true.into()), "{back}");
    assert_eq!(of("b"), first);
    let forth = world.json(&redo);
    assert_eq!((&forth["to"], &forth["made"]), (&second, &true.into()), "{forth}");
    world.ended("b", PATIENCE).await;
    assert_eq!(world.sim.billed().await, 4);
    assert!(world.run(&["verify", "b"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_made_or_had_too_many_takes_is_refused() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    fs::write(world.path("a.csv"), "id,prompt,model,size,n\nmug,a mug,dall-e-2,256x256,2\n").unwrap();
    world.json(&["submit", "a.csv", "--run-id", "b"]);
    let redo = |args: &[&str]| {
        let mut command = world.command(&[&["asset", "redo", "mug", "--batch", "b", "--yes"], args].concat());
        command.env("PICTOR_ASSETS__MAX_TAKES", "2").output().unwrap()
    };
    let refused = |args: &[&str], why: &str| {
        let output = redo(args);
        let told = told(&output);
        assert!(output.status.code() == Some(2) && told.contains(why), "{told}");
    };
    refused(&[], "fits 2 pictures");
    refused(&["--take", "1"], "is not made yet");
    let _worker = world.worker("w", 4, &[]);
    world.ended("b", PATIENCE).await;
    refused(&["--take", "0", "--back"], "none to go back to");
    refused(&["--take", "0"], "so that this command, sent again, buys nothing more: --from ");
    let of = world.json(&["asset", "show", "mug", "--batch", "b", "--take", "0"])["key"].clone();
    let from = ["--take", "0", "--from", &of.as_str().unwrap()[..12]];
    let output = redo(&from);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(world.ended("b", PATIENCE).await.counts.done, 2);
    let again = redo(&from);
    assert!(again.status.success() && told(&again).contains("nothing to do"), "{}", told(&again));
    refused(&["--take", "0"], "assets.max_takes");
    assert_eq!(world.sim.billed().await, 3, "take 2: the row has 0 and 1 already");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_by_mistake_is_left_for_the_original_once_that_is_made() {
    let schedule = vec![Scheduled { request: 1, fault: "model_not_found".to_owned() }];
    let world = World::start(Options { latency_ms_p50: Some(20), schedule, ..Options::default() });
    fs::write(world.path("a.csv"), format!("id,prompt,model,size\nmug,a mug,{MODEL},256x256\n")).unwrap();
    world.json(&["submit", "a.csv", "--run-id", "b"]);
    let _worker = world.worker("w", 1, &[]);
    world.ended("b", PATIENCE).await;
    let table = || {
        let output = world.run(&["results", "b", "--format", "jsonl"]);
        serde_json::from_slice::<serde_json::Value>(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", told(&output)))
    };
    let original = table()["key"].clone();
    assert_eq!(table().get("original_key"), None);
    let by = ["failed", "retry", "--everything", "--by-model", "dall-e-3", "--yes"];
    assert_eq!(world.run(&by).status.code(), Some(2), "dall-e-3 makes nothing so small");
    let editor = world.path("editor.sh");
    fs::write(&editor, "sed -i 's/a mug/a bowl/' \"$1\"\n").unwrap();
    let mut edit = world.command(&["failed", "retry", "--everything", "--edit", "--yes", "--json"]);
    let output = edit.env("EDITOR", format!("sh {}", editor.display())).output().unwrap();
    let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!(done["assets"][0]["original_key"], original, "{}", told(&output));
    world.ended("b", PATIENCE).await;
    assert_eq!((&table()["key"], &table()["original_key"]), (&done["assets"][0]["current_key"], &original));

    // What the hint says.
    let back = ["asset", "redo", "mug", "--batch", "b", "--back"];
    let early = world.run(&back);
    assert_eq!(early.status.code(), Some(2), "it is not made yet: {}", told(&early));
    world.json(&["submit", "a.csv", "--run-id", "again", "--retry-failed"]);
    assert_eq!(world.ended("again", PATIENCE).await.counts.done, 1);
    let went = world.json(&back);
    assert_eq!((&went["to"], &went["made"]), (&original, &true.into()), "{went}");
    assert_eq!((&table()["key"], &table()["original_key"]), (&original, &serde_json::Value::Null));
    assert_eq!(world.sim.billed().await, 2);
    assert!(world.run(&["verify", "b"]).status.success());
}
