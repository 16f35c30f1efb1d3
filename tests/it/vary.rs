//! One row, many images: --vary and cells that list values.

use std::{collections::BTreeSet, fs, process::Output};

use pictor_simulator::Options;

use crate::world::{World, told};

fn world() -> World {
    World::start(Options { latency_ms_p50: Some(20), ..Options::default() })
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", told(output)))
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const TEMPLATE: &str = "a {{ title }}, {{ style }} setting, {{ season }}";
const SHOP: &str = "id,title,model,size\nmug-1,mug,dall-e-2,256x256\ncup-1,cup,dall-e-2,256x256\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_matrix_is_counted_priced_made_and_told_in_the_results() {
    let world = world();
    fs::write(world.path("shop.csv"), SHOP).unwrap();
    let args = ["--template", TEMPLATE, "--vary", "style=studio,lifestyle", "--vary", "season=summer,winter"];
    let dry = world.run(&[&["run", "shop.csv", "--dry-run"], &args[..]].concat());
    assert_eq!(code(&dry), 0, "{}", told(&dry));
    let first = stdout(&dry).lines().next().unwrap_or_default().to_owned();
    assert_eq!(first, "2 rows × style 2 × season 2 = 8 lines, $0.128");

    let run = world.run(&[&["run", "shop.csv", "--out", "out"], &args[..]].concat());
    assert_eq!(code(&run), 0, "{}", told(&run));
    assert_eq!(world.sim.billed().await, 8);
    let table = fs::read_to_string(world.path("out/results.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let titles = reader.headers().unwrap().clone();
    assert_eq!(
        titles.iter().take(6).collect::<Vec<_>>(),
        ["id", "title", "model_original", "size", "style", "season"]
    );
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let varied: Vec<_> =
        rows.iter().map(|row| (row[1].to_owned(), row[4].to_owned(), row[5].to_owned())).collect();
    let expected = ["mug", "cup"].into_iter().flat_map(|title| {
        [("studio", "summer"), ("studio", "winter"), ("lifestyle", "summer"), ("lifestyle", "winter")]
            .map(|(style, season)| (title.to_owned(), style.to_owned(), season.to_owned()))
    });
    assert_eq!(varied, expected.collect::<Vec<_>>());
    let key = titles.iter().position(|title| title == "key").unwrap();
    assert_eq!(rows.iter().map(|row| row[key].to_owned()).collect::<BTreeSet<_>>().len(), 8);

    let queue = world.queue().await;
    let batch = queue.batches(1).await.unwrap().remove(0).id.parse().unwrap();
    let lines = queue.lines(&batch, 1, 20).await.unwrap();
    let ids: Vec<_> = lines.iter().map(|line| (line.row, line.id.as_str())).collect();
    assert_eq!(
        ids,
        [
            (1, "mug-1-studio-summer"),
            (2, "mug-1-studio-winter"),
            (3, "mug-1-lifestyle-summer"),
            (4, "mug-1-lifestyle-winter"),
            (5, "cup-1-studio-summer"),
            (6, "cup-1-studio-winter"),
            (7, "cup-1-lifestyle-summer"),
            (8, "cup-1-lifestyle-winter"),
        ]
    );
    let again = world.run(&[&["run", "shop.csv", "--out", "out"], &args[..]].concat());
    assert_eq!(code(&again), 0, "{}", told(&again));
    assert_eq!(world.sim.billed().await, 8, "the same matrix is the same batch");
    assert_eq!(queue.lines(&batch, 1, 20).await.unwrap(), lines);
    let fewer = ["--template", TEMPLATE, "--vary", "style=studio", "--vary", "season=summer"];
    let other = world.json(&[&["submit", "shop.csv"], &fewer[..]].concat());
    assert_ne!(other["batch"], batch.as_str(), "what varies is part of what is submitted");
    assert_eq!(other["plan"]["new"], 0, "and its images are there");
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_cells_multiply_in_a_table_as_in_json() {
    let world = world();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/variants.csv");
    let template = "{{ title }}, {{ colour }}{% if season %}, {{ season }}{% endif %}";
    let table = world.json(&["template", "preview", example, "--template", template, "--row", "3"]);
    let ids: Vec<_> = table.as_array().unwrap().iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids, ["vase-1-oat", "vase-1-dark-red"]);
    assert_eq!((&table[1]["row"], &table[1]["line"]), (&3.into(), &6.into()));
    let plan = world.json(&["submit", example, "--template", template, "--dry-run"]);
    assert_eq!((&plan["plan"]["rows"], &plan["plan"]["lines"]), (&3.into(), &6.into()));

    let rows = "{\"id\":\"vase-1\",\"title\":\"tall vase\",\"colour\":[\"oat\",\"dark red\"]}\n";
    fs::write(world.path("a.jsonl"), rows).unwrap();
    let template = "{{ title }}, {{ colour }}";
    let json = world.json(&["template", "preview", "a.jsonl", "--template", template]);
    assert_eq!(json[1]["id"], "vase-1-dark-red");
    assert_eq!(json[1]["spec"], table[1]["spec"], "the same image either way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matrix_that_makes_no_sense_queues_nothing() {
    let world = world();
    fs::write(world.path("shop.csv"), SHOP).unwrap();
    let many = format!("season={}", (0..20_000).map(|i| i.to_string()).collect::<Vec<_>>().join(","));
    for (args, why) in [
        (&["--vary", "style"][..], "--vary \"style\" is not NAME=VALUE,VALUE, such as season=summer,winter"),
        (&["--vary", "colour=red,blue"], "--vary colour: not a spec field or variable of the template"),
        (
            &["--vary", "style=a,a"],
            "--vary style: \"a\" stands there twice; each value makes a line of its own",
        ),
        (
            &["--vary", "size=256x256,512x512"],
            "shop.csv: row 1 (mug-1), column \"size\": the row says \"256x256\", and --vary size gives 256x256, 512x512; \
             empty the cell or leave --vary size out",
        ),
        (
            &["--vary", "quality=standard,hd", "--quality", "hd"],
            "quality is given once for all and varies too; leave out one of them (--vary quality=…)",
        ),
        (&["--vary", &many], "--vary season 20000 makes 20000 lines of every row; at most 10000 are allowed"),
    ] {
        let both =
            [&["submit", "shop.csv", "--template", TEMPLATE, "--set", "style=x", "--set", "season=y"], args];
        let plain = [&["submit", "shop.csv", "--template", TEMPLATE], args];
        let alone = ["style", "season"].iter().any(|name| args[1].starts_with(name));
        let refused = world.run(&if alone { plain.concat() } else { both.concat() });
        assert_eq!(code(&refused), 2, "{}", told(&refused));
        assert!(String::from_utf8_lossy(&refused.stderr).contains(why), "{why}\n{}", told(&refused));
    }
    assert!(world.queue().await.batches(10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_the_row_and_what_varies_there() {
    let world = world();
    fs::write(world.path("a.csv"), "id,prompt\na,a mug\nb,\n").unwrap();
    let args = ["--model", "dall-e-2", "--vary", "size=256x256,300x300"];
    let refused = world.run(&[&["submit", "a.csv"], &args[..]].concat());
    assert_eq!(code(&refused), 2, "{}", told(&refused));
    let expected = "a.csv: row 1 (a), size: dall-e-2 makes 256x256, 512x512 or 1024x1024, not 300x300 (with size 300x300)\n\
                    a.csv: row 2 (b), column \"prompt\": the prompt is empty\n\
                    a.csv: row 2 (b), size: dall-e-2 makes 256x256, 512x512 or 1024x1024, not 300x300 (with size 300x300)\n";
    assert_eq!(String::from_utf8_lossy(&refused.stderr), expected);
}
