//! Half-bad files: the good rows are queued, the bad ones written down, mended and submitted again.

use std::{fs, io::Write as _, process::Output};

use pictor_common::queue::BatchState;
use pictor_simulator::Options;
use serde_json::Value;

use crate::world::{World, told};

const HALF_BAD: &str = "id,prompt,model,size,n\n\
                        a,a lamp,dall-e-2,256x256,2\n\
                        b,=a cup,dall-e-2,255x255,1\n\
                        c,\"a vase, tall\",dall-e-2,256x256,\n\
                        d,,dall-e-9,,\n\
                        e,a jug,dall-e-2\n\
                        a,a bowl,dall-e-2,256x256,1\n";

fn world() -> World {
    World::start(Options { latency_ms_p50: Some(20), ..Options::default() })
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", told(output)))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn result(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(output)))
}

async fn batches(world: &World) -> Vec<BatchState> {
    world.queue().await.batches(10).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn good_rows_are_made_and_bad_ones_mended_and_made_too() {
    let world = world();
    fs::write(world.path("shop.csv"), HALF_BAD).unwrap();
    let whole = world.run(&["submit", "shop.csv"]);
    assert_eq!(code(&whole), 2, "{}", told(&whole));
    assert!(!world.path("shop.csv.rejected.csv").exists() && batches(&world).await.is_empty());

    fs::write(world.path("shop.csv.rejected.csv.4711.part"), "of a killed run").unwrap();
    let run = world.run(&["run", "shop.csv", "--skip-bad", "--out", "out", "--json"]);
    assert!(!world.path("shop.csv.rejected.csv.4711.part").exists());
    assert_eq!(code(&run), 1, "{}", told(&run));
    assert_eq!(world.sim.billed().await, 3);
    let summary = result(&run);
    assert_eq!(summary["rejected"], serde_json::json!({ "file": "shop.csv.rejected.csv", "rows": 4 }));
    assert_eq!((&summary["rows"], &summary["made"], &summary["failed"]), (&2.into(), &3.into(), &0.into()));
    let text = stderr(&run);
    assert!(
        text.contains(
            "shop.csv: row 2 (b), column \"size\": dall-e-2 makes 256x256, 512x512 or 1024x1024, not 255x255"
        ),
        "{text}"
    );
    let counted =
        "shop.csv: of 6 rows, 4 are bad and left out: mend in shop.csv.rejected.csv and submit that file";
    assert!(text.contains(counted), "{text}");
    let expected = "id,prompt,model,size,n,error\n\
        b,'=a cup,dall-e-2,255x255,1,\"row 2, column \"\"size\"\": dall-e-2 makes 256x256, 512x512 or 1024x1024, not 255x255\"\n\
        d,,dall-e-9,,,\"row 4, column \"\"prompt\"\": the prompt is empty | row 4, column \"\"model\"\": unknown model \"\"dall-e-9\"\"; did you mean \"\"dall-e-2\"\"?\"\n\
        e,a jug,dall-e-2,,,row 5: it has 3 cells and the header has 5; is a comma missing?\n\
        a,a bowl,dall-e-2,256x256,1,\"row 6, column \"\"id\"\": the id \"\"a\"\" is already that of row 1; ids must differ\"\n";
    let rejected = fs::read_to_string(world.path("shop.csv.rejected.csv")).unwrap();
    assert_eq!(rejected, expected);

    let mended = rejected
        .replace("255x255,1", "256x256,1")
        .replace("d,,dall-e-9,,,", "d,a door,dall-e-2,256x256,,")
        .replace("e,a jug,dall-e-2,,,", "e,a jug,dall-e-2,256x256,,")
        .replace("\na,a bowl", "\nf,a bowl");
    fs::write(world.path("shop.csv.rejected.csv"), mended).unwrap();
    let again = world.run(&["run", "shop.csv.rejected.csv", "--out", "out", "--json"]);
    assert_eq!(code(&again), 0, "{}", told(&again));
    assert_eq!(result(&again)["made"], 4, "{}", told(&again));
    assert_eq!(world.sim.billed().await, 7);
    let table = fs::read_to_string(world.path("out/results.csv")).unwrap();
    assert!(
        table.starts_with("id,prompt,model_original,size,n,file,"),
        "our errors are no column of theirs: {table}"
    );
    let invoice = world.sim.invoice().await.to_string();
    assert!(
        invoice.contains("=a cup") || !invoice.contains("a cup"),
        "a formula is a prompt again: {invoice}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_batch_is_the_same_with_and_without_and_the_old_file_goes() {
    let world = world();
    fs::write(world.path("a.csv"), HALF_BAD).unwrap();
    let dry = world.run(&["submit", "a.csv", "--skip-bad", "--dry-run", "--json"]);
    assert_eq!(code(&dry), 1, "{}", told(&dry));
    assert!(world.path("a.csv.rejected.csv").exists(), "a dry run says what would be left out");
    assert!(batches(&world).await.is_empty());
    let plan = &result(&dry)["plan"];
    assert_eq!((&plan["rows"], &plan["skipped"], &plan["takes"]), (&2.into(), &4.into(), &3.into()));

    let good = "id,prompt,model,size\na,a lamp,dall-e-2,256x256\n";
    fs::write(world.path("a.csv"), good).unwrap();
    let mended = "id,prompt,model,size,n,error\nb,a cup,dall-e-2,256x256,1,\n";
    fs::write(world.path("a.csv.rejected.csv"), mended).unwrap();
    let skipping = world.run(&["submit", "a.csv", "--skip-bad", "--json"]);
    assert_eq!(code(&skipping), 0, "{}", told(&skipping));
    let kept = "a.csv.rejected.csv was there, and is kept as a.csv.rejected.csv.old: if you mended rows in it, submit that file";
    assert!(stderr(&skipping).contains(kept), "{}", told(&skipping));
    assert_eq!(fs::read_to_string(world.path("a.csv.rejected.csv.old")).unwrap(), mended);
    assert!(!world.path("a.csv.rejected.csv").exists(), "nothing is bad any more");
    let plain = world.run(&["submit", "a.csv", "--json"]);
    assert_eq!(result(&plain)["batch"], result(&skipping)["batch"]);
    assert_eq!(batches(&world).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_keep_the_numbers_of_their_rows_and_the_batch_is_whole() {
    let world = world();
    fs::write(world.path("a.csv"), HALF_BAD).unwrap();
    let submit = world.run(&["submit", "a.csv", "--skip-bad", "--run-id", "half"]);
    assert_eq!(code(&submit), 1, "{}", told(&submit));
    let queue = world.queue().await;
    let id = "half".parse().unwrap();
    let lines = queue.lines(&id, 1, 10).await.unwrap();
    let found: Vec<_> = lines.iter().map(|line| (line.row, line.id.as_str(), line.keys.len())).collect();
    assert_eq!(found, [(1, "a", 2), (3, "c", 1)]);
    assert_eq!(queue.batch(&id).await.unwrap().unwrap().sealed, Some(2));
    let again = world.run(&["submit", "a.csv", "--skip-bad", "--run-id", "half"]);
    assert_eq!(code(&again), 1, "{}", told(&again));
    assert_eq!(queue.lines(&id, 1, 10).await.unwrap(), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_wrong_as_a_whole_is_refused_and_so_is_one_without_a_good_row() {
    let world = world();
    for (name, content, why) in [
        ("header.csv", "id,prompt,qualty\na,a lamp,hd\n", "qualty"),
        ("quote.csv", "id,prompt\na,a lamp\nb,\"a cup\n", "is not closed before the end of the file"),
        ("cut.csv", "id,prompt\na,a lamp\nb", "the file seems cut off"),
        ("cut.jsonl", "{\"prompt\":\"a lamp\"}\n{\"prompt\":\"a c", "the file seems cut off"),
        ("late.jsonl", "{\"prompt\":\"a lamp\"}\n{\"prompt\":\"a cup\",\"qualty\":\"hd\"}\n", "qualty"),
    ] {
        fs::write(world.path(name), content).unwrap();
        let refused = world.run(&["submit", name, "--skip-bad"]);
        assert_eq!(code(&refused), 2, "{name}: {}", told(&refused));
        assert!(stderr(&refused).contains(why), "{name}: {}", told(&refused));
        let heading = "--skip-bad leaves rows out, and something is wrong with the file as a whole:\n";
        assert!(stderr(&refused).starts_with(heading), "{name}: {}", told(&refused));
        assert!(!world.path(&format!("{name}.rejected.csv")).exists(), "{name}");
    }
    fs::write(world.path("all.csv"), "id,prompt\na,\nb,\n").unwrap();
    let refused = world.run(&["run", "all.csv", "--skip-bad"]);
    assert_eq!(code(&refused), 2, "{}", told(&refused));
    assert!(
        stderr(&refused)
            .contains("every row is bad, and nothing was queued; they are in all.csv.rejected.csv")
    );
    assert_eq!(fs::read_to_string(world.path("all.csv.rejected.csv")).unwrap().lines().count(), 3);
    assert!(batches(&world).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rejected_file_goes_where_it_is_asked_and_over_nothing_else() {
    let world = world();
    fs::write(world.path("a.csv"), HALF_BAD).unwrap();
    fs::write(world.path("notes.txt"), "mine, and no table\n").unwrap();
    for (rejected, why) in [
        (
            "notes.txt",
            "it is there, and is no table of rejected rows of this manifest; name another file with --rejected",
        ),
        ("a.csv", "this is the manifest itself"),
    ] {
        let refused = world.run(&["submit", "a.csv", "--skip-bad", "--rejected", rejected]);
        assert_eq!(code(&refused), 2, "{}", told(&refused));
        assert!(stderr(&refused).contains(why), "{}", told(&refused));
    }
    assert_eq!(fs::read_to_string(world.path("notes.txt")).unwrap(), "mine, and no table\n");
    let nowhere = world.run(&["submit", "a.csv", "--skip-bad", "--rejected", "no/such/place.csv"]);
    assert_eq!(code(&nowhere), 3, "{}", told(&nowhere));
    assert!(batches(&world).await.is_empty(), "what cannot be written down is not left out");

    let mut stdin = world.command(&["submit", "-", "--skip-bad"]);
    let mut child =
        stdin.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(HALF_BAD.as_bytes()).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(1));
    assert_eq!(fs::read_to_string(world.path("stdin.rejected.csv")).unwrap().lines().count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_rows_come_back_as_they_were() {
    let world = world();
    let template = "a {{ colour }} {{ what }}{% if gift %}, wrapped{% endif %}";
    let rows = "{\"id\":\"a\",\"what\":\"mug\",\"colour\":\"red\",\"gift\":true}\n\
                {\"what\":\"café au lait bowl\",\"colour\":[\"sea|blue\",2.50],\"gift\":0,\"size\":\"big\"}\n";
    fs::write(world.path("a.jsonl"), rows).unwrap();
    let refused =
        world.run(&["submit", "a.jsonl", "--template", template, "--skip-bad", "--rejected", "bad.csv"]);
    assert_eq!(code(&refused), 2, "{}", told(&refused));
    let why = "--rejected bad.csv: the rows come as they are in a.jsonl; name it bad.jsonl";
    assert!(stderr(&refused).contains(why), "{}", told(&refused));
    let submit = world.run(&["submit", "a.jsonl", "--template", template, "--skip-bad"]);
    assert_eq!(code(&submit), 1, "{}", told(&submit));
    let rejected = fs::read_to_string(world.path("a.jsonl.rejected.jsonl")).unwrap();
    let kept = "\u{feff}{\"what\":\"café au lait bowl\",\"colour\":[\"sea|blue\",2.50],\"gift\":0,\"size\":\"big\",\
                \"id\":\"2\",\"error\":\"row 2, column \\\"size\\\"";
    assert!(rejected.starts_with(kept), "{rejected}");
    let again = world.run(&["submit", "a.jsonl", "--template", template, "--skip-bad"]);
    assert_eq!(code(&again), 1, "{}", told(&again));
    assert!(!stderr(&again).contains("is kept as"), "the same again takes nothing away: {}", told(&again));
    fs::write(world.path("a.jsonl.rejected.jsonl"), rejected.replace("\"big\"", "\"1024x1024\"")).unwrap();
    let shown = world.json(&["template", "preview", "a.jsonl.rejected.jsonl", "--template", template]);
    let lines: Vec<_> = shown.as_array().unwrap().iter().collect();
    let prompts: Vec<_> = lines.iter().map(|line| line["spec"]["prompt"].clone()).collect();
    assert_eq!(prompts, ["a sea|blue café au lait bowl", "a 2.50 café au lait bowl"], "{shown}");
    assert_eq!(lines.iter().map(|line| &line["id"]).collect::<Vec<_>>(), ["2-sea-blue", "2-2-50"]);
}
