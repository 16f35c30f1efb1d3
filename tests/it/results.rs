//! Results as a shop imports them: tables with links, and images under the shop's own names.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use pictor_common::store::{Body, NewObject, Store};
use pictor_simulator::Options;
use serde_json::Value;

use crate::{
    support::seaweed::Seaweed,
    world::{Images, World, told},
};

fn quick() -> Options {
    Options { latency_ms_p50: Some(20), ..Options::default() }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", told(output)))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A world in which this manifest was made as the batch `b`; the exit code is the worker's business.
async fn made(images: Images, manifest: &str) -> World {
    let world = World::with(quick(), images);
    fs::write(world.path("shop.csv"), manifest).unwrap();
    let submit = world.run(&["submit", "shop.csv", "--run-id", "b", "--ignore-columns", "sku,colour"]);
    assert_eq!(code(&submit), 0, "{}", told(&submit));
    let worker = world.worker("worker", 8, &[]);
    world.ended("b", Duration::from_secs(60)).await;
    drop(worker);
    world
}

/// A line with three takes, and two lines that share an image.
const SHOP: &str = "id,sku,prompt,n,model,size\nlamp,A/1,a lamp,3,dall-e-2,256x256\ncup,A2,a cup,1,dall-e-2,256x256\n\
    mug,A3,a cup,1,dall-e-2,256x256\n";

/// Relative names of all files below a directory.
fn files(root: &Path) -> BTreeMap<String, PathBuf> {
    fn walk(dir: &Path, root: &Path, found: &mut BTreeMap<String, PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().display().to_string(), path);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

fn names(root: &Path) -> Vec<String> {
    files(root).into_keys().collect()
}

fn rows(text: &[u8]) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text);
    reader
        .deserialize()
        .map(|row| row.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(text))))
        .collect()
}

fn column(rows: &[BTreeMap<String, String>], name: &str) -> Vec<String> {
    rows.iter().map(|row| row.get(name).unwrap_or_else(|| panic!("{name} in {row:?}")).clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_gives_every_line_its_files_and_can_be_repeated() {
    let world = made(Images::Directory, SHOP).await;
    let lay = ["results", "b", "--layout", "{id}/{take}.{ext}"];
    let first = world.run(&lay);
    assert_eq!(code(&first), 0, "{}", told(&first));
    assert!(stderr(&first).contains("5 copied in results-b"), "{}", told(&first));
    let root = world.path("results-b");
    let expected = ["cup/0.png", "lamp/0.png", "lamp/1.png", "lamp/2.png", "mug/0.png"];
    assert_eq!(names(&root), expected);
    for (name, path) in files(&root) {
        assert_eq!(image::open(&path).unwrap_or_else(|e| panic!("{name}: {e}")).width(), 256);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o044,
            0o044,
            "others may read {name}"
        );
    }
    assert_eq!(
        fs::read(root.join("cup/0.png")).unwrap(),
        fs::read(root.join("mug/0.png")).unwrap(),
        "shared"
    );

    let table = rows(&first.stdout);
    let placed = column(&table, "file");
    assert_eq!(placed[0], "results-b/lamp/0.png");
    assert_eq!(placed[4], "results-b/mug/0.png");
    let stored = rows(&world.run(&["results", "b"]).stdout);
    for (line, (file, object)) in placed.iter().zip(column(&stored, "file")).enumerate() {
        assert_eq!(table[line]["key"], stored[line]["key"]);
        assert!(object.contains(&stored[line]["key"]), "{object}");
        assert!(fs::read(world.path(file)).unwrap() == fs::read(&object).unwrap(), "{file} is not {object}");
    }

    // As after an interruption.
    let written = |name: &str| fs::metadata(root.join(name)).unwrap().ino();
    let kept = written("lamp/2.png");
    fs::remove_file(root.join("lamp/0.png")).unwrap();
    let again = world.run(&lay);
    assert_eq!(code(&again), 0, "{}", told(&again));
    assert!(stderr(&again).contains("1 copied, 4 there already in results-b"), "{}", told(&again));
    assert_eq!(written("lamp/2.png"), kept, "what is there is not written again");
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(names(&root), expected, "nothing is left on its way");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_kept_unless_it_may_be_overwritten() {
    let world = made(Images::Directory, SHOP).await;
    let root = world.path("shop");
    fs::create_dir_all(root.join("cup")).unwrap();
    fs::write(root.join("cup/0.png"), "the shop's own picture").unwrap();
    fs::write(root.join("mug"), "no folder").unwrap();
    let lamp = root.join("lamp/1.png");
    let lay = ["results", "b", "--layout", "{id}/{take}.{ext}", "--to", "shop"];
    let refused = world.run(&lay);
    assert_eq!(code(&refused), 1, "{}", told(&refused));
    assert_eq!(fs::read(root.join("cup/0.png")).unwrap(), b"the shop's own picture");
    assert!(lamp.is_file(), "the others are delivered");
    let table = rows(&refused.stdout);
    let errors = column(&table, "error");
    assert_eq!(errors[3], "shop/cup/0.png is there and differs; --overwrite replaces it");
    assert!(errors[4].starts_with("shop/mug/0.png cannot be written"), "{errors:?}");
    assert_eq!(column(&table, "file")[3..], ["", ""]);
    assert!(stderr(&refused).contains("3 copied, 2 not delivered"), "{}", told(&refused));

    // As large as the image, and not the image; and a link that leads away.
    let image = fs::read(&lamp).unwrap();
    let mut forged = image.clone();
    forged[image.len() / 2] ^= 1;
    fs::write(&lamp, &forged).unwrap();
    let outside = world.path("outside");
    fs::write(&outside, "not to be touched").unwrap();
    fs::remove_file(root.join("lamp/2.png")).unwrap();
    std::os::unix::fs::symlink(&outside, root.join("lamp/2.png")).unwrap();
    assert_eq!(code(&world.run(&lay)), 1);
    assert_eq!(fs::read(&lamp).unwrap(), forged);
    fs::remove_file(root.join("mug")).unwrap();
    let replaced = world.run(&[&lay[..], &["--overwrite"]].concat());
    assert_eq!(code(&replaced), 0, "{}", told(&replaced));
    assert_eq!(fs::read(&lamp).unwrap(), image);
    assert!(image::open(root.join("cup/0.png")).is_ok() && image::open(root.join("lamp/2.png")).is_ok());
    assert_eq!(fs::read(&outside).unwrap(), b"not to be touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_can_be_linked_and_are_copied_where_they_cannot() {
    let world = made(Images::Directory, SHOP).await;
    let link = ["results", "b", "--layout", "{id}-{take1}.{ext}", "--to", "linked", "--link", "--table"];
    let output = world.run(&[&link[..], &["--json"]].concat());
    assert_eq!(code(&output), 0, "{}", told(&output));
    let sums: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&sums["linked"], &sums["copied"]), (&5.into(), &0.into()), "{sums}");
    let root = world.path("linked");
    assert_eq!(
        names(&root),
        [
            "cup-1.png",
            "lamp-1.png",
            "lamp-2.png",
            "lamp-3.png",
            "mug-1.png",
            "results-b.jsonl",
            "results.jsonl"
        ]
    );
    let inode = |name: &str| fs::metadata(root.join(name)).unwrap().ino();
    let stored: Vec<u64> =
        files(&world.path("images/assets")).values().map(|path| fs::metadata(path).unwrap().ino()).collect();
    assert!(stored.contains(&inode("lamp-1.png")));
    assert_eq!(inode("cup-1.png"), inode("mug-1.png"));
    // The table beside the images names them from there.
    let table = fs::read_to_string(root.join("results.jsonl")).unwrap();
    let first: Value = serde_json::from_str(table.lines().next().unwrap()).unwrap();
    assert_eq!(first["file"], "lamp-1.png");
    let again = world.run(&link);
    assert!(String::from_utf8_lossy(&again.stdout).contains("5 there already in linked"), "{}", told(&again));

    // Only Linux has a second file system for certain.
    if !cfg!(target_os = "linux") {
        return;
    }
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    assert_ne!(
        fs::metadata(elsewhere.path()).unwrap().dev(),
        fs::metadata(world.dir.path()).unwrap().dev(),
        "the test needs two file systems"
    );
    let to = elsewhere.path().to_str().unwrap();
    let copied = world.run(&["results", "b", "--layout", "{id}-{take}.{ext}", "--to", to, "--link"]);
    assert_eq!(code(&copied), 0, "{}", told(&copied));
    assert!(
        stderr(&copied).contains("images were copied") && stderr(&copied).contains("5 copied"),
        "{}",
        told(&copied)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_for_two_images_is_found_before_anything_is_written() {
    let manifest = "id,sku,colour,prompt,n,model,size\nlamp,X,red,a lamp,2,dall-e-2,256x256\ncup,X,Red,a cup,1,dall-e-2,256x256\n\
        mug,,blue,a mug,1,dall-e-2,256x256\n";
    let world = made(Images::Directory, manifest).await;
    for (pattern, parts) in [
        ("{id}.{ext}", &["row 1, takes 0 and 1: both \"lamp.png\"", "add {take}"][..]),
        ("{sku}-{take}.{ext}", &["rows 1 and 2: both \"X-0.png\"", "add {row}"]),
        ("{colour}-{take}.png", &["rows 1 and 2", "upper and lower case"]),
        ("{sku}.{ext}", &["row 3: {sku} is empty", "takes 0 and 1", "rows 1 and 2", "add {take} and {row}"]),
        ("{titel}.{ext}", &["there is no {titel}", "{colour}", "{take1}"]),
        ("../{id}-{take}.{ext}", &["\"..\""]),
        ("/tmp/{id}-{take}.{ext}", &["below --to"]),
        ("results.csv", &["rows 1 and 2"]),
    ] {
        let refused = world.run(&["results", "b", "--layout", pattern]);
        assert_eq!(code(&refused), 2, "{pattern}: {}", told(&refused));
        for part in parts {
            assert!(stderr(&refused).contains(part), "{part} in {}", told(&refused));
        }
        assert!(refused.stdout.is_empty(), "{}", told(&refused));
        assert!(!world.path("results-b").exists(), "{pattern}: something was written");
    }
    let store = world.run(&["results", "b", "--layout", "{id}-{take}.{ext}", "--to", "images/shop"]);
    assert_eq!(code(&store), 2, "{}", told(&store));
    assert!(stderr(&store).contains("lies in the store"), "{}", told(&store));
    let above = world.run(&["results", "b", "--layout", "images/assets/{id}-{take}.{ext}", "--to", "."]);
    assert_eq!(code(&above), 2, "{}", told(&above));
    for flags in [&["--to", "x"][..], &["--link"], &["--table"], &["--overwrite"]] {
        assert_eq!(code(&world.run(&[&["results", "b"], flags].concat())), 2, "{flags:?} needs --layout");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_of_a_manifest_leads_out_of_the_directory() {
    let manifest = "id,sku,prompt,model,size\na,../../escape,one,dall-e-2,256x256\nb,/etc/shadow,two,dall-e-2,256x256\n\
        c,..,three,dall-e-2,256x256\nd,nul,four,dall-e-2,256x256\ne,.htaccess,five,dall-e-2,256x256\n\
        f,\"x\ny\\z:1\",six,dall-e-2,256x256\ng,cafe\u{301},seven,dall-e-2,256x256\n";
    let long = format!(
        "h,{},eight,dall-e-2,256x256\ni,{}x,nine,dall-e-2,256x256\n",
        "é".repeat(200),
        "é".repeat(200)
    );
    let world = made(Images::Directory, &(manifest.to_owned() + &long)).await;
    let before = names(world.dir.path());
    let output = world.run(&["results", "b", "--layout", "{sku}/{sku}.{ext}", "--to", "in/shop"]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert!(stderr(&output).contains("names were made safe"), "{}", told(&output));
    let found = names(&world.path("in/shop"));
    assert_eq!(found.len(), 9, "{found:?}");
    for expected in [
        "_._.._escape/_._.._escape.png",
        "_etc_shadow/_etc_shadow.png",
        "_nul/_nul.png",
        "_htaccess/_htaccess.png",
        "x_y_z_1/x_y_z_1.png",
        "caf\u{e9}/caf\u{e9}.png",
    ] {
        assert!(found.iter().any(|name| name == expected), "{expected} in {found:?}");
    }
    let after: Vec<_> =
        names(world.dir.path()).into_iter().filter(|name| !name.starts_with("in/shop/")).collect();
    assert_eq!(after, before, "something was written elsewhere");
    let placed = column(&rows(&output.stdout), "file");
    assert!(placed.iter().all(|file| world.path(file).is_file()), "{placed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_failed_in_part_is_delivered_in_part() {
    let manifest = "id,prompt,model,size\ngood,a lamp,dall-e-2,256x256\nbad,[[sim:moderation_blocked]] x,dall-e-2,256x256\n";
    let world = made(Images::Directory, manifest).await;
    // An image that went missing from the store is told, and stops nothing.
    let output = world.run(&["results", "b", "--layout", "{id}.{ext}", "--out", "t.csv"]);
    assert_eq!(code(&output), 1, "{}", told(&output));
    assert_eq!(names(&world.path("results-b")), ["good.png"]);
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("1 copied, 1 without an image"),
        "{}",
        told(&output)
    );
    let table = rows(&fs::read(world.path("t.csv")).unwrap());
    assert_eq!(column(&table, "file"), ["results-b/good.png", ""]);
    assert!(column(&table, "error")[1].contains("moderation"), "{table:?}");

    for path in files(&world.path("images/assets")).values().filter(|path| path.extension().unwrap() == "png")
    {
        fs::remove_file(path).unwrap();
    }
    let output = world.run(&["results", "b", "--layout", "{id}.{ext}", "--to", "other"]);
    assert_eq!(code(&output), 1, "{}", told(&output));
    assert!(column(&rows(&output.stdout), "error")[0].contains("no longer has"), "{}", told(&output));
    assert_eq!(names(&world.path("other")), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_a_bucket_can_be_followed_until_they_end() {
    let world = made(Images::S3(Seaweed::shared()), SHOP).await;
    let plain = column(&rows(&world.run(&["results", "b"]).stdout), "url");
    assert!(plain[0].starts_with("s3://"), "{plain:?}");

    let signed = world.run(&["results", "b", "--expires", "36h", "--log", "trace,pictor=trace"]);
    assert_eq!(code(&signed), 0, "{}", told(&signed));
    let table = rows(&signed.stdout);
    for (url, until) in column(&table, "url").iter().zip(column(&table, "url_expires")) {
        let answer = reqwest::get(url).await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        assert!(image::load_from_memory(&answer.bytes().await.unwrap()).is_ok());
        let left = until.parse::<jiff::Timestamp>().unwrap().duration_since(jiff::Timestamp::now());
        assert!((35..=36).contains(&left.as_hours()), "{until}");
        let signature = url.split("X-Amz-Signature=").nth(1).unwrap().split('&').next().unwrap();
        assert!(!stderr(&signed).contains(signature), "a link was logged");
    }
    let brief = column(&rows(&world.run(&["results", "b", "--expires", "1s"]).stdout), "url").remove(0);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while reqwest::get(&brief).await.unwrap().status() != 403 {
        assert!(std::time::Instant::now() < deadline, "1 s has passed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let long = world.run(&["results", "b", "--expires", "8d"]);
    assert_eq!(code(&long), 2, "{}", told(&long));
    assert!(
        stderr(&long).contains("7 days at most") && stderr(&long).contains("public_base_url"),
        "{}",
        told(&long)
    );
    let odd = world.run(&["results", "b", "--expires", "soon"]);
    assert!(code(&odd) == 2 && stderr(&odd).contains("36h or 7d"), "{}", told(&odd));
}

#[tokio::test(flavor = "multi_thread")]
async fn public_urls_stand_where_they_are_set_or_asked_for() {
    let world = made(Images::Directory, "id,prompt,model,size\na b,a lamp,dall-e-2,256x256\n").await;
    let url = |args: &[&str], set: Option<&str>| {
        let mut command = world.command(&[&["results", "b"], args].concat());
        command.envs(set.map(|base| ("PICTOR_STORE__PUBLIC_BASE_URL", base)));
        let output = command.output().unwrap();
        assert_eq!(code(&output), 0, "{}", told(&output));
        column(&rows(&output.stdout), "url").remove(0)
    };
    let object =
        &names(&world.path("images/assets")).into_iter().find(|name| name.ends_with(".png")).unwrap();
    let base = "https://cdn.shop.example/gen";
    assert_eq!(url(&[], Some(base)), format!("{base}/assets/{object}"));
    assert_eq!(url(&["--public-base-url", "http://x/"], Some(base)), format!("http://x/assets/{object}"));
    let laid = ["--layout", "{id}é.{ext}", "--public-base-url", base];
    assert_eq!(url(&laid, None), format!("{base}/a%20b%C3%A9.png"));

    for bad in ["cdn.shop.example", "ftp://h/x", "https://h/x?v=1"] {
        let refused = world.run(&["results", "b", "--public-base-url", bad]);
        assert_eq!(code(&refused), 2, "{bad}: {}", told(&refused));
        let refused =
            world.command(&["results", "b"]).env("PICTOR_STORE__PUBLIC_BASE_URL", bad).output().unwrap();
        assert!(stderr(&refused).contains("store.public_base_url"), "{}", told(&refused));
        assert_ne!(code(&refused), 0);
    }
    let files = world.run(&["results", "b", "--expires", "1h"]);
    assert_eq!(code(&files), 2, "{}", told(&files));
    assert!(stderr(&files).contains("only images in a bucket"), "{}", told(&files));
    let files = world.run(&["results", "b", "--layout", "{id}.{ext}", "--to", "never", "--expires", "1h"]);
    assert_eq!(code(&files), 2, "{}", told(&files));
    assert!(!world.path("never").exists());
}

async fn open(seaweed: &Seaweed, url: &str) -> std::sync::Arc<dyn Store> {
    pictor_store::open(url, &seaweed.settings()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_goes_from_bucket_to_bucket_and_to_files() {
    let seaweed = Seaweed::shared();
    let world = made(Images::S3(std::sync::Arc::clone(&seaweed)), SHOP).await;
    let prefix = world.dir.path().file_name().unwrap().to_string_lossy().replace('.', "");
    let to = seaweed.url(&format!("shop-{prefix}"));
    let target = open(&seaweed, &to).await;
    let own = NewObject {
        name: "cup/0.png".to_owned(),
        body: Body::Bytes(b"the shop's own".as_slice().into()),
        content_type: "image/png".to_owned(),
        metadata: BTreeMap::new(),
    };
    target.put(own).await.unwrap();
    let lay = ["results", "b", "--layout", "{id}/{take}.{ext}", "--to", &to, "--table"];
    let first = world.run(&lay);
    assert_eq!(code(&first), 1, "{}", told(&first));
    assert!(String::from_utf8_lossy(&first.stdout).contains("4 copied, 1 not delivered"), "{}", told(&first));
    assert_eq!(&target.get("cup/0.png").await.unwrap().unwrap()[..], b"the shop's own");
    let again = world.run(&[&lay[..], &["--overwrite", "--expires", "1h"]].concat());
    assert_eq!(code(&again), 0, "{}", told(&again));
    assert!(String::from_utf8_lossy(&again.stdout).contains("1 copied, 4 there already"), "{}", told(&again));
    let mut there = target.list("", None, 100).await.unwrap();
    there.sort();
    let expected = ["cup/0.png", "lamp/0.png", "lamp/1.png", "lamp/2.png", "mug/0.png"];
    assert_eq!(there, [&expected[..], &["results-b.csv", "results.csv"]].concat());
    assert_eq!(target.get("results-b.csv").await.unwrap(), target.get("results.csv").await.unwrap());
    let found = target.head("lamp/2.png").await.unwrap().unwrap();
    assert_eq!(found.content_type.as_deref(), Some("image/png"));
    assert_eq!(found.metadata.keys().collect::<Vec<_>>(), ["digest", "key"], "nothing else is for customers");

    let table = rows(&target.get("results.csv").await.unwrap().unwrap());
    for url in column(&table, "url") {
        let answer = reqwest::get(&url).await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        assert!(url.contains(&format!("shop-{prefix}/")), "{url}");
    }

    let files = world.run(&["results", "b", "--layout", "{id}/{take}.{ext}", "--to", "local"]);
    assert_eq!(code(&files), 0, "{}", told(&files));
    assert_eq!(names(&world.path("local")), expected);
    let local = fs::read(world.path("local/lamp/2.png")).unwrap();
    assert!(target.get("lamp/2.png").await.unwrap().unwrap() == local);
    let resumed = world.run(&["results", "b", "--layout", "{id}/{take}.{ext}", "--to", "local"]);
    assert!(stderr(&resumed).contains("5 there already"), "{}", told(&resumed));

    for (flags, expected) in [
        (&["--to", &seaweed.url("x"), "--link"][..], 2),
        (&["--to", "s3://no-such-bucket/x"], 3),
        (&["--to", "gs://bucket/x"], 2),
    ] {
        let output = world.run(&[&["results", "b", "--layout", "{id}/{take}.{ext}"], flags].concat());
        assert_eq!(code(&output), expected, "{flags:?}: {}", told(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_share_a_folder_and_each_keeps_its_table() {
    let world = made(Images::Directory, SHOP).await;
    fs::write(world.path("more.csv"), "id,prompt,model,size\njug,a jug,dall-e-2,256x256\n").unwrap();
    assert_eq!(code(&world.run(&["submit", "more.csv", "--run-id", "c"])), 0);
    let worker = world.worker("another", 8, &[]);
    world.ended("c", Duration::from_secs(60)).await;
    drop(worker);
    let table = |name: &str| fs::read(world.path("shop").join(name)).unwrap();
    let ids = |name: &str| column(&rows(&table(name)), "id");
    for (batch, last) in [("b", &["lamp", "lamp", "lamp", "cup", "mug"][..]), ("c", &["jug"])] {
        let lay = ["results", batch, "--layout", "{id}/{take}.{ext}", "--to", "shop", "--table"];
        let laid = world.run(&lay);
        assert_eq!(code(&laid), 0, "{}", told(&laid));
        assert_eq!(ids("results.csv"), last);
        assert_eq!(table("results.csv"), table(&format!("results-{batch}.csv")));
    }
    assert_eq!(ids("results-b.csv").len(), 5, "that of the first batch is still there");

    for (args, why) in [(&["results"][..], "name a batch; "), (&["results", "d"], "batch d is unknown; ")] {
        let refused = world.run(args);
        assert_eq!(code(&refused), 2, "{}", told(&refused));
        let text = stderr(&refused);
        assert!(text.starts_with(why), "{text}");
        let (newer, older) = (text.find("\n  c  "), text.find("\n  b  "));
        assert!(newer.is_some() && newer < older, "the newest first: {text}");
        assert!(text.contains("1 of 1 made") && text.contains("more.csv"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_to_a_bucket() {
    let seaweed = Seaweed::shared();
    let world = made(
        Images::S3(std::sync::Arc::clone(&seaweed)),
        "id,prompt,model,size\nx,a lamp,dall-e-2,256x256\n",
    )
    .await;
    // The same images in a directory, as after moving house.
    let copied = world.run(&["results", "b", "--layout", "{batch}.{ext}", "--to", "flat"]);
    assert_eq!(code(&copied), 0, "{}", told(&copied));
    let queue = world.queue().await;
    let key = queue.members(&"b".parse().unwrap(), 0, 1).await.unwrap().remove(0);
    let object = queue.assets(&[key]).await.unwrap().remove(0).unwrap().made.unwrap().object;
    let moved = world.path("moved").join(&object);
    fs::create_dir_all(moved.parent().unwrap()).unwrap();
    fs::rename(world.path("flat/b.png"), &moved).unwrap();

    let prefix = world.dir.path().file_name().unwrap().to_string_lossy().replace('.', "");
    let to = seaweed.url(&format!("up-{prefix}"));
    let lay = ["results", "b", "--store", "moved", "--layout", "{id}.{ext}", "--to", &to];
    for expected in ["1 copied", "1 there already"] {
        let output = world.run(&lay);
        assert_eq!(code(&output), 0, "{}", told(&output));
        assert!(stderr(&output).contains(expected), "{}", told(&output));
    }
    let target = open(&seaweed, &to).await;
    assert!(target.get("x.png").await.unwrap().unwrap() == fs::read(&moved).unwrap());
    // Somebody else's upload of the same bytes is the same image.
    let bare = NewObject {
        name: "x.png".to_owned(),
        body: Body::File(moved),
        content_type: "image/png".to_owned(),
        metadata: BTreeMap::new(),
    };
    target.put(bare).await.unwrap();
    assert!(stderr(&world.run(&lay)).contains("1 there already"));
}
