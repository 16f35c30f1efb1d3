//! `pictor gallery`: one page that shows a batch, whatever its texts hold and whatever the store has lost.

use std::{fs, path::Path, process::Output, time::Duration};

use base64_simd::STANDARD;
use pictor_simulator::Options;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    support::seaweed::Seaweed,
    world::{Images, World, told},
};

const HOSTILE: &str = "</script><img src=x onerror=alert(1)> '&<!-- \u{202e}gnp.exe\u{202c} \u{2028} =1+1";

/// Made, with a mismatch, shared, takes, failed, parked, substituted, and hostile throughout.
fn manifest() -> String {
    let long = format!("<b>{}", "long words ".repeat(80));
    let rows = [
        ("plain", "a mug", 1),
        ("again", "a mug", 1),
        ("takes", "a lamp", 2),
        ("odd", "a vase [[sim:wrong_size*1]]", 1),
        ("refused", "a bowl [[sim:moderation_blocked]]", 1),
        ("doubt", "a dish [[sim:bad_gateway_html*1]]", 1),
        ("gone", "a jug [[sim:model_retired*1]]", 1),
        ("\"><img src=x onerror=alert(1)>", HOSTILE, 1),
        ("long", &long, 1),
    ];
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["id", "prompt", "n", "model", "size"]).unwrap();
    for (id, prompt, n) in rows {
        writer.write_record([id, prompt, &n.to_string(), "dall-e-2", "1024x1024"]).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

/// A world in which it was made as the batch `b`.
async fn made(images: Images) -> World {
    let world = World::with(Options { latency_ms_p50: Some(20), ..Options::default() }, images);
    fs::write(world.path("shop.csv"), manifest()).unwrap();
    let submit =
        world.run(&["submit", "shop.csv", "--run-id", "b", "--fallback", "dall-e-3", "--on-unknown", "park"]);
    assert!(submit.status.success(), "{}", told(&submit));
    let worker = world.worker("worker", 8, &[]);
    world.ended("b", Duration::from_secs(120)).await;
    drop(worker);
    world
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", told(output)))
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let start = text.find(before).unwrap_or_else(|| panic!("{before} is missing")) + before.len();
    let rest = &text[start..];
    &rest[..rest.find(after).unwrap_or_else(|| panic!("{after} is missing"))]
}

/// A page, with what every page must have.
struct Page {
    text: String,
    cards: Vec<Value>,
}

impl Page {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let data = between(&text, "<script type=\"application/json\" id=data>", "</script>");
        let data: Value = serde_json::from_str(data).unwrap_or_else(|e| panic!("{e}: {data}"));
        let cards = data["cards"].as_array().unwrap().clone();
        assert_eq!(data["about"]["batch"], "b");
        let page = Self { text, cards };
        page.obeys_its_policy();
        page.holds_nothing_hostile();
        assert_eq!(page.text.matches("<li class=\"card ").count(), page.cards.len());
        page
    }

    fn policy(&self) -> &str {
        between(&self.text, "http-equiv=\"Content-Security-Policy\" content=\"", "\"")
    }

    /// Whatever the policy lets run and style is what stands in the page, and nothing else does.
    fn obeys_its_policy(&self) {
        let policy = self.policy();
        assert!(policy.starts_with("default-src 'none'; img-src data:"), "{policy}");
        for (directive, open, close) in
            [("script-src", "<script>", "</script>"), ("style-src", "<style>", "</style>")]
        {
            let own = between(&self.text, open, close);
            let digest = STANDARD.encode_to_string(Sha256::digest(own));
            assert!(policy.contains(&format!("{directive} 'sha256-{digest}'")), "{directive} in {policy}");
            assert_eq!(self.text.matches(open).count(), 1, "{open}");
        }
        for remote in ["src=\"http", "src=http", "url(", "@import", "<iframe", "javascript:"] {
            assert!(!self.text.contains(remote), "{remote}");
        }
    }

    fn holds_nothing_hostile(&self) {
        assert_eq!(self.text.matches("<script").count(), 2, "the data and the script");
        for hostile in ["<img src=x", "\u{202e}", "\u{2028}", "<b>long", "<!-- "] {
            assert!(!self.text.contains(hostile), "{hostile:?}");
        }
    }

    fn card(&self, id: &str) -> &Value {
        self.cards.iter().find(|card| card["id"] == id).unwrap_or_else(|| panic!("{id} is missing"))
    }

    /// The card as it is read without the script.
    fn item(&self, id: &str) -> &str {
        let at = self.cards.iter().position(|card| card["id"] == id).unwrap();
        between(&self.text, &format!("id=c{at}>"), "</li>")
    }
}

/// What every page of the batch says, wherever its images are.
fn tells_all(page: &Page) {
    assert_eq!(page.cards.len(), 10);
    let states: Vec<_> = page.cards.iter().map(|card| card["state"].as_str().unwrap()).collect();
    assert_eq!(
        states,
        ["made", "made", "made", "made", "made", "failed", "parked", "made", "made", "made"],
        "in the order of rows"
    );
    let plain = page.card("plain");
    assert_eq!(
        (&plain["prompt"], &plain["cost"], &plain["size"]),
        (&"a mug".into(), &20_000.into(), &"1024x1024".into())
    );
    assert!(plain["request_id"].as_str().unwrap().starts_with("req_"), "{plain}");
    assert_eq!(plain["key"], page.card("again")["key"], "two rows share an image");
    assert_eq!(page.cards[2]["take"], 1);
    assert_eq!((&page.cards[3]["id"], &page.cards[3]["take"]), (&"takes".into(), &2.into()));
    assert!(page.card("odd")["mismatch"].as_str().unwrap().contains("asked for 1024x1024"));
    let refused = &page.card("refused")["failure"];
    assert_eq!(refused["class"], "moderation");
    assert!(page.item("refused").contains("moderation") && page.item("refused").contains("safety system"));
    assert_eq!(page.card("doubt")["failure"]["class"], "gateway");
    assert_eq!(
        (&page.card("gone")["instead_of"], &page.card("gone")["model"]),
        (&"dall-e-2".into(), &"dall-e-3".into())
    );
    let hostile = page.card("\"><img src=x onerror=alert(1)>");
    assert_eq!(hostile["prompt"], HOSTILE, "the data means what was submitted");
    assert!(page.item("\"><img src=x onerror=alert(1)>").contains("&lt;/script&gt;&lt;img src=x"));
    assert!(page.card("long")["prompt"].as_str().unwrap().len() > 800);
    assert!(page.item("plain").contains("src=\"data:image/jpeg;base64,"));
    let jpeg = between(page.item("plain"), "base64,", "\"");
    let picture = image::load_from_memory(&STANDARD.decode_to_vec(jpeg).unwrap()).unwrap();
    assert_eq!((picture.width(), picture.height()), (320, 320));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_tells_all_of_a_batch_in_a_directory() {
    let world = made(Images::Directory).await;
    let output = world.run(&["gallery", "b", "--json"]);
    assert_eq!(code(&output), 1, "some of it failed: {}", told(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let counts = ["cards", "made", "failed", "parked", "substituted", "left_out", "without_picture"];
    assert_eq!(counts.map(|name| summary[name].as_u64().unwrap()), [10, 8, 1, 1, 1, 0, 0], "{summary}");
    let path = world.path("gallery-b.html");
    assert_eq!(summary["bytes"], fs::metadata(&path).unwrap().len());
    let page = Page::read(&path);
    tells_all(&page);
    for card in page.cards.iter().filter(|card| card["state"] == "made") {
        let link = card["link"].as_str().unwrap();
        assert!(link.starts_with("./images/assets/") && world.path(link).is_file(), "{link}");
    }

    // An earlier page is replaced; what is no gallery is not.
    fs::write(world.path("mine.html"), "<!doctype html>\n<p>mine").unwrap();
    assert_eq!(code(&world.run(&["gallery", "b"])), 1);
    let refused = world.run(&["gallery", "b", "--out", "mine.html"]);
    assert_eq!(code(&refused), 2, "{}", told(&refused));
    assert_eq!(fs::read_to_string(world.path("mine.html")).unwrap(), "<!doctype html>\n<p>mine");
    assert_eq!(
        code(&world.run(&[
            "gallery",
            "b",
            "--out",
            "mine.html",
            "--force",
            "--full",
            "none",
            "--limit",
            "3"
        ])),
        1
    );
    let few = Page::read(&world.path("mine.html"));
    assert_eq!(few.cards.len(), 3);
    assert!(
        few.text.contains("7 more images are left out")
            && few.cards.iter().all(|card| card.get("link").is_none())
    );
    assert!(few.policy().contains("img-src data:;"), "a page without links shows no files: {}", few.policy());
    let left = fs::read_dir(world.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.contains("part")).count(), 0, "nothing is left on its way");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_lost_or_spoilt_is_a_card_that_says_so() {
    let world = made(Images::Directory).await;
    world.run(&["gallery", "b"]);
    let before = Page::read(&world.path("gallery-b.html"));
    let object = |id: &str| world.path(before.card(id)["link"].as_str().unwrap());
    fs::remove_file(object("odd")).unwrap();
    fs::write(object("gone"), "<svg onload=alert(1)>").unwrap();
    let image = fs::read(object("long")).unwrap();
    fs::write(object("long"), &image[..image.len() / 2]).unwrap();
    for entry in fs::read_dir(object("plain").parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            fs::write(path, "{\"spec\": [").unwrap();
        }
    }
    let output = world.run(&["gallery", "b", "--json"]);
    assert_eq!(code(&output), 1, "{}", told(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["made"], &summary["without_picture"]), (&8.into(), &2.into()), "{summary}");
    let page = Page::read(&world.path("gallery-b.html"));
    let problem = |id: &str| page.card(id)["problem"].as_str().unwrap_or_default().to_owned();
    assert!(problem("odd").contains("does not have it any more"), "{}", problem("odd"));
    assert!(problem("long").contains("does not decode"), "{}", problem("long"));
    assert!(problem("gone").contains("SVG"), "{}", problem("gone"));
    assert!(page.item("odd").contains("No picture") && !page.item("odd").contains("<img"));
    assert!(page.item("plain").contains("<img"), "an image without the JSON beside it is shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_bucket_links_to_urls_that_end() {
    let world = made(Images::S3(Seaweed::shared())).await;
    let output = world.run(&["gallery", "b", "--expires", "36h"]);
    assert_eq!(code(&output), 1, "{}", told(&output));
    let page = Page::read(&world.path("gallery-b.html"));
    tells_all(&page);
    assert!(page.policy().contains("img-src data:;"), "the page loads nothing: {}", page.policy());
    let plain = page.card("plain");
    let url = plain["link"].as_str().unwrap();
    assert!(url.contains("X-Amz-Signature") && plain["expires"].as_str().unwrap().ends_with('Z'), "{plain}");
    let fetched = reqwest::get(url).await.unwrap().bytes().await.unwrap();
    assert_eq!(image::load_from_memory(&fetched).unwrap().width(), 1024);

    // Without --expires a browser cannot follow: the place is told.
    world.run(&["gallery", "b"]);
    let page = Page::read(&world.path("gallery-b.html"));
    let plain = page.card("plain");
    assert!(plain.get("link").is_none() && plain["place"].as_str().unwrap().starts_with("s3://"), "{plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_still_going_on_has_a_page_too() {
    let world = World::start(Options::default());
    world.catalogue("shop.csv", 0..5);
    let submit = world.run(&["submit", "shop.csv", "--run-id", "b"]);
    assert!(submit.status.success(), "{}", told(&submit));
    let output = world.run(&["gallery", "b"]);
    assert_eq!(code(&output), 0, "nothing failed: {}", told(&output));
    let page = Page::read(&world.path("gallery-b.html"));
    assert!(page.text.contains("still going on"));
    assert_eq!(page.card("row-3")["phase"], "waits for its turn");
    assert_eq!(
        (&page.card("row-3")["state"], &page.card("row-3")["prompt"]),
        (&"waiting".into(), &"thing number 3".into())
    );
    let unknown = world.run(&["gallery", "c"]);
    assert_eq!(code(&unknown), 2, "{}", told(&unknown));
}
