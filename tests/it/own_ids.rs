//! A shop's own article numbers: from a column of any name to the names of its files.

use std::{fs, os::unix::fs::symlink, process::Output, time::Duration};

use pictor_simulator::Options;

use crate::world::{World, told};

fn ok(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", told(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_any_name_holds_the_ids_and_no_link_leads_out_of_the_delivery() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    let shop =
        "Artikelnummer,prompt,model,size\nMUG-1,a mug,dall-e-2,256x256\nCUP-2,a cup,dall-e-2,256x256\n";
    fs::write(world.path("shop.csv"), shop).unwrap();
    let refused = world.run(&["submit", "shop.csv"]);
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    let hint = "if these are the ids, say so with --id-column \"Artikelnummer\"";
    assert!(told(&refused).contains(hint), "{}", told(&refused));
    let column = ["--id-column", "artikelnummer"];
    let preview = ok(&world.run(&[&["template", "preview", "shop.csv"], &column[..]].concat()));
    assert!(preview.starts_with("MUG-1 "), "{preview}");
    ok(&world.run(&[&["price", "estimate", "shop.csv"], &column[..]].concat()));
    ok(&world.run(&[&["submit", "shop.csv", "--run-id", "b"], &column[..]].concat()));
    let worker = world.worker("worker", 2, &[]);
    world.ended("b", Duration::from_secs(60)).await;
    drop(worker);
    let shown = world.json(&["asset", "show", "CUP-2"]);
    assert!(shown.to_string().contains("a cup"), "{shown}");

    fs::create_dir_all(world.path("out")).unwrap();
    fs::create_dir_all(world.path("elsewhere")).unwrap();
    symlink(world.path("elsewhere"), world.path("out/MUG-1")).unwrap();
    let lay = ["results", "b", "--layout", "{id}/{take}.{ext}", "--to", "out"];
    for lay in [&lay[..], &[&lay[..], &["--overwrite"]].concat(), &[&lay[..], &["--link"]].concat()] {
        let laid = world.run(lay);
        assert_eq!(laid.status.code(), Some(1), "{}", told(&laid));
        let why = "out/MUG-1 is a link, and nothing is written through it; remove it";
        assert!(told(&laid).contains(why), "{}", told(&laid));
        assert_eq!(fs::read_dir(world.path("elsewhere")).unwrap().count(), 0);
    }
    assert!(world.path("out/CUP-2/0.png").is_file());
    fs::remove_file(world.path("out/MUG-1")).unwrap();
    symlink(world.path("elsewhere"), world.path("out/.pictor-parts")).unwrap();
    let laid = world.run(&lay);
    assert_eq!(laid.status.code(), Some(3), "{}", told(&laid));
    assert!(told(&laid).contains("out/.pictor-parts is a link"), "{}", told(&laid));
    assert_eq!(fs::read_dir(world.path("elsewhere")).unwrap().count(), 0);
    fs::remove_file(world.path("out/.pictor-parts")).unwrap();
    ok(&world.run(&lay));
    assert!(world.path("out/MUG-1/0.png").is_file());
}
