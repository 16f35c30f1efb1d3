//! The templates that ship, as somebody uses them who has only the binary.

use std::{fs, process::Output};

use pictor_simulator::Options;

use crate::world::{World, told};

fn world() -> World {
    World::start(Options { latency_ms_p50: Some(20), ..Options::default() })
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", told(output)))
}

fn stdout(world: &World, args: &[&str]) -> String {
    // Neither a key nor a server is needed to look.
    let output = world
        .command(args)
        .env_remove("SIM_API_KEY")
        .env("PICTOR_REDIS__URL", "redis://127.0.0.1:1")
        .output();
    let output = output.unwrap();
    assert_eq!(code(&output), 0, "{}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_listed_shown_and_previewed_without_a_key_or_a_server() {
    let world = world();
    assert_eq!(
        stdout(&world, &["template", "list"]),
        "template              images a row  cost a row  makes\n\
         product-shot                     1   $0.014595  Brand-safe product shot: the product alone on a plain background; no text, logos, people or props\n\
         consistent-character             6   $0.073535  One character in 6 poses, always with the same face, clothes, style and framing\n\
         illustration-pack               15    $0.21934  10 icons and 5 scenes in one style, for a site or an app\n\
         \n\
         pictor template show NAME says how to use one.\n"
    );
    let shown = stdout(&world, &["template", "show", "consistent-character"]);
    for part in [
        "Of each row it makes 6 images, by pose\n  front, three-quarter, profile, walking, sitting, waving\n",
        "  look      age, build, face, hair, skin: everything that must stay the same",
        "  pictor run products.csv --template consistent-character --dry-run\n",
        "  Pose: {{ poses[pose] or pose }}.\n",
        "model gpt-image-2.5-sunburst, quality medium, size 1024x1536",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&world, &["template", "show", "illustration-pack", "--json"])).unwrap();
    assert_eq!((&json["images"], &json["vary"][0]["name"]), (&15.into(), &"piece".into()));

    fs::write(world.path("p.csv"), stdout(&world, &["template", "show", "product-shot", "--sample"]))
        .unwrap();
    let mut rows = fs::read_to_string(world.path("p.csv")).unwrap();
    rows += "bad,,,,\nbowl,salad bowl,,oak,\n";
    fs::write(world.path("p.csv"), rows).unwrap();
    let preview =
        stdout(&world, &["template", "preview", "p.csv", "--template", "product-shot", "--row", "3"]);
    let expected = "bowl  model gpt-image-2.5-sunburst, size 1024x1024, quality medium, format jpeg, ";
    assert!(preview.starts_with(expected), "{preview}");
    assert!(
        preview.contains("\n  Subject: one salad bowl, made of oak, complete and undamaged.\n"),
        "{preview}"
    );
    assert!(preview.contains("\nrow 3: 1 image, $0.014"), "{preview}");
    for (row, why) in
        [("2", "row 2 (bad), prompt: template line 3: it needs product"), ("9", "there is no row 9")]
    {
        let refused =
            world.run(&["template", "preview", "p.csv", "--template", "product-shot", "--row", row]);
        assert_eq!(code(&refused), 2, "{}", told(&refused));
        assert!(String::from_utf8_lossy(&refused.stderr).contains(why), "{}", told(&refused));
    }
    let unknown = world.run(&["template", "show", "character"]);
    assert_eq!(code(&unknown), 2, "{}", told(&unknown));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("did you mean consistent-character?"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_character_is_made_in_six_poses_and_the_row_may_ask_for_one() {
    let world = world();
    let sample = stdout(&world, &["template", "show", "consistent-character", "--sample"]);
    fs::write(world.path("c.csv"), sample).unwrap();
    let run =
        world.run(&["run", "c.csv", "--template", "consistent-character", "--quality", "low", "--json"]);
    assert_eq!(code(&run), 0, "{}", told(&run));
    assert_eq!(world.sim.billed().await, 6);
    fs::write(world.path("one.csv"), "name,look,outfit,pose\nMara,tall,a red coat,juggling\n").unwrap();
    let plan = world.json(&["submit", "one.csv", "--template", "consistent-character", "--dry-run"]);
    assert_eq!((&plan["plan"]["lines"], &plan["plan"]["takes"]), (&1.into(), &1.into()));
    let own = ["--vary", "pose=juggling,reading a map"];
    let plan = world
        .json(&[&["submit", "c.csv", "--template", "consistent-character", "--dry-run"], &own[..]].concat());
    assert_eq!(plan["plan"]["lines"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_that_name_comes_before_what_ships() {
    let world = world();
    fs::write(world.path("product-shot"), "my own {{ product }}").unwrap();
    fs::write(world.path("p.csv"), "product\nmug\n").unwrap();
    let shown = world.json(&["template", "preview", "p.csv", "--template", "product-shot"]);
    assert_eq!(shown[0]["spec"]["prompt"], "my own mug");
}
