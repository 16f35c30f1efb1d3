//! What comes from outside reaches neither files nor folders that are not its own.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use pictor_simulator::Options;

use crate::world::{API_KEY, World, told};

fn world() -> World {
    World::start(Options { latency_ms_p50: Some(20), ..Options::default() })
}

/// Everything below a directory, folders included.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

/// Texts that would be paths.
const PATHS: &[&str] = &[
    "../../../escaped",
    "/tmp/escaped",
    "..",
    "a/../../escaped",
    "..\\..\\escaped",
    "~/escaped",
    "C:\\escaped",
    ".escaped",
];

#[test]
fn ids_of_rows_are_no_paths() {
    let world = world();
    for id in PATHS {
        let row = serde_json::json!({ "id": id, "prompt": "a lamp", "model": "dall-e-2", "size": "256x256" });
        fs::write(world.path("c.jsonl"), row.to_string()).unwrap();
        fs::write(world.path("c.csv"), format!("id,prompt,model,size\n{id},a lamp,dall-e-2,256x256\n"))
            .unwrap();
        for file in ["c.csv", "c.jsonl"] {
            let refused = world.run(&["submit", file, "--dry-run"]);
            assert_eq!(refused.status.code(), Some(2), "{file} {id}: {}", told(&refused));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_stay_below_the_folder_they_are_laid_out_in() {
    let world = world();
    let row = |(n, text): (usize, &&str)| format!("row-{n},{text},a lamp {n},dall-e-2,256x256\n");
    let rows: String = PATHS.iter().enumerate().map(row).collect();
    fs::write(world.path("shop.csv"), format!("id,sku,prompt,model,size\n{rows}")).unwrap();
    let submit = world.run(&["submit", "shop.csv", "--run-id", "b", "--ignore-columns", "sku"]);
    assert!(submit.status.success(), "{}", told(&submit));
    let worker = world.worker("worker", 8, &[]);
    assert_eq!(world.ended("b", Duration::from_secs(60)).await.counts.failed, 0);
    drop(worker);
    let stored = below(&world.path("images"));
    assert!(stored.iter().all(|path| !path.to_string_lossy().contains("escaped")), "{stored:?}");

    let outside = |world: &World| -> Vec<PathBuf> {
        let ours = world.path("out");
        below(world.dir.path()).into_iter().filter(|path| !path.starts_with(&ours)).collect()
    };
    let before = outside(&world);
    for layout in ["{sku}.{ext}", "{sku}/{take}.{ext}", "x/{sku}"] {
        let laid = world.run(&["results", "b", "--layout", layout, "--to", "out"]);
        assert!(laid.status.success(), "{layout}: {}", told(&laid));
    }
    assert_eq!(outside(&world), before, "something was written outside");
    let images = below(&world.path("out")).into_iter().filter(|path| path.is_file()).count();
    assert_eq!(images, PATHS.len() * 3);
    for layout in ["../{id}.png", "/tmp/{id}.png", "{id}/../../{take}.png", "a/./{id}"] {
        let refused = world.run(&["results", "b", "--layout", layout, "--to", "out"]);
        assert_eq!(refused.status.code(), Some(2), "{layout}: {}", told(&refused));
    }
}

#[test]
fn names_of_batches_and_tenants_are_no_paths() {
    let world = world();
    world.catalogue("c.csv", 0..1);
    for name in ["../b", "/tmp/b", "a/b", "..", "", "b\n", ".b", "a\\b"] {
        for option in ["--run-id", "--tenant"] {
            let refused = world.run(&["submit", "c.csv", option, name]);
            assert_eq!(refused.status.code(), Some(2), "{option} {name:?}: {}", told(&refused));
        }
        for command in ["results", "status"] {
            let refused = world.run(&[command, name]);
            assert!(!refused.status.success(), "{command} {name:?}: {}", told(&refused));
        }
    }
}

#[test]
fn a_format_is_no_path() {
    let world = world();
    for (model, format) in
        [("dall-e-2", "../../x"), ("gpt-image-2", "png/../../../x"), ("gpt-image-2", "/tmp/x")]
    {
        fs::write(world.path("c.csv"), format!("id,prompt,model,format\n1,a mug,{model},{format}\n"))
            .unwrap();
        let refused = world.run(&["submit", "c.csv", "--dry-run"]);
        assert_eq!(refused.status.code(), Some(2), "{format}: {}", told(&refused));
    }
}

#[test]
fn a_template_reads_no_files() {
    let world = world();
    fs::write(world.path("secret.txt"), "the-secret-words").unwrap();
    fs::write(world.path("c.csv"), "id,title\n1,Mug\n").unwrap();
    let absolute = world.path("secret.txt").display().to_string();
    for path in ["secret.txt", "./secret.txt", "../secret.txt", &absolute, "/etc/passwd", "prompt"] {
        for template in [
            format!("{{% include '{path}' %}}"),
            format!("{{% include ['{path}', 'prompt'] ignore missing %}}{{{{ title }}}}"),
            format!("{{% import '{path}' as x %}}{{{{ x }}}}"),
            format!("{{% from '{path}' import x %}}{{{{ x }}}}"),
            format!("{{% extends '{path}' %}}"),
            format!("{{% set p = '{path}' %}}{{% include p %}}"),
        ] {
            fs::write(world.path("t.j2"), &template).unwrap();
            let preview = world.run(&["template", "preview", "c.csv", "--template", "t.j2", "--row", "1"]);
            let said = told(&preview);
            assert!(!said.contains("the-secret-words") && !said.contains("root:"), "{template}: {said}");
            let planned = world.run(&["submit", "c.csv", "--template", "t.j2", "--dry-run"]);
            let said = told(&planned);
            assert!(!said.contains("the-secret-words"), "{template}: {said}");
            if !template.contains("ignore missing") {
                assert_eq!(planned.status.code(), Some(2), "{template}: {said}");
            }
        }
    }
}

#[test]
fn what_a_run_keeps_is_its_owners_alone() {
    let world = world();
    world.catalogue("c.csv", 0..3);
    let settings = fs::read_to_string(world.path("pictor.toml")).unwrap();
    let own =
        settings.lines().filter(|line| !line.starts_with("url = \"redis") && !line.starts_with("namespace"));
    fs::write(world.path("pictor.toml"), own.collect::<Vec<_>>().join("\n")).unwrap();
    let run = world.run(&["run", "c.csv", "--out", "shop"]);
    assert!(run.status.success(), "{}", told(&run));
    for dir in ["data", "spool"] {
        assert_eq!(mode(&world.path(dir)), 0o700, "{dir}");
    }
    let kept =
        [below(&world.path("data")), below(&world.path("spool")), below(&world.path("shop/assets"))].concat();
    assert!(kept.len() > 8, "{kept:?}");
    let redis = world.path("data/redis");
    for path in kept {
        // The server writes its own files; the folder they lie in is closed.
        let of_the_server = path != redis && path.starts_with(&redis);
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert!(of_the_server || mode(&path) == wanted, "{} is {:o}", path.display(), mode(&path));
        let text = fs::read(&path).unwrap_or_default();
        let shows_key = text.windows(API_KEY.len()).any(|window| window == API_KEY.as_bytes());
        assert!(!shows_key, "{} holds the key", path.display());
    }
    assert_eq!(mode(&redis), 0o700);
}
