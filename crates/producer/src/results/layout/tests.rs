//! Tests of patterns.

use pictor_common::Spec;

use super::*;

fn columns() -> Vec<String> {
    ["SKU", "Product Name", "model", "Key"].map(str::to_owned).to_vec()
}

fn line(id: &str, cells: &[&str]) -> Line {
    Line {
        row: 7,
        id: id.to_owned(),
        keys: Vec::new(),
        cells: cells.iter().map(|c| (*c).to_owned()).collect(),
    }
}

fn name(pattern: &str, line: &Line) -> Result<Name, Nameless> {
    let key = AssetKey::of(&Spec::default());
    let image = Image {
        line,
        take: 2,
        key: &key,
        model: "dall-e-3",
        size: "1024x1024",
        ext: "webp",
        batch: "nightly",
    };
    Layout::parse(pattern, &columns()).unwrap().name(&image)
}

fn text(pattern: &str, line: &Line) -> String {
    name(pattern, line).unwrap().text
}

#[test]
fn placeholders_become_values() {
    let line = line("mug", &["A/1", "Red mug", "ignored", "own key"]);
    for (pattern, expected) in [
        ("{id}/{take}.{ext}", "mug/2.webp"),
        ("{row}-{take1}.jpg", "7-3.jpg"),
        ("{model}/{size}/{batch}", "dall-e-3/1024x1024/nightly"),
        ("{sku}_{product_name}.{EXT}", "A_1_Red mug.webp"),
        ("{ Product Name }/x", "Red mug/x"),
        ("{key_original}", "own key"),
        ("{{{id}}}.png", "{mug}.png"),
    ] {
        assert_eq!(text(pattern, &line), expected, "{pattern}");
    }
    assert_eq!(text("{key}", &line), AssetKey::of(&Spec::default()).to_string());
    assert!(name("{sku}.png", &line).unwrap().altered);
    assert!(!name("{id}.png", &line).unwrap().altered);
}

#[test]
fn values_stay_one_part() {
    for id in ["../../x", "..", "/abs", "a/b\\c", "\u{2028}..", "nul"] {
        let name = text("{id}/{take}.{ext}", &line(id, &[]));
        assert_eq!(name.matches('/').count(), 1, "{name}");
        assert!(!name.split('/').any(|part| matches!(part, "" | "." | ".." | "nul")), "{name}");
    }
}

#[test]
fn an_image_without_a_name_is_told() {
    let bare = line(" ", &["", "", "", ""]);
    assert_eq!(name("{sku}.{ext}", &bare), Err(Nameless::Empty("SKU".to_owned())));
    assert_eq!(name("{id}/{take}.{ext}", &bare), Err(Nameless::Empty("id".to_owned())));
    assert_eq!(text("img-{sku}-{take}.{ext}", &bare), "img--2.webp");
    let long = line(&"x".repeat(500), &[]);
    assert_eq!(name("{id}/{id}/{id}/{id}", &long), Err(Nameless::Long(240 * 4 + 3)));
}

#[test]
fn patterns_that_cannot_work_say_why() {
    for (pattern, expected) in [
        ("", "it is empty; write for example {id}/{take}.{ext}"),
        ("/srv/{id}.png", "it begins with a slash; names lie below --to"),
        ("{id}/", "it ends with a slash; its last part names the file"),
        ("a/../{id}", "\"..\" cannot stand between slashes"),
        ("./{id}", "\".\" cannot stand between slashes"),
        ("a//{id}", "\"\" cannot stand between slashes"),
        ("a\\{id}", "'\\\\' cannot stand in a file name on every system"),
        ("{id", "'{' has no partner; a brace that is meant as such is written twice, as {{ or }}"),
        ("id}", "'}' has no partner; a brace that is meant as such is written twice, as {{ or }}"),
        (
            "{titel}.png",
            "there is no {titel}; known are {id} {row} {take} {take1} {key} {model} {size} {ext} {batch} \
             and the columns {SKU} {Product Name}",
        ),
    ] {
        assert_eq!(Layout::parse(pattern, &columns()).unwrap_err().to_string(), expected, "{pattern}");
    }
    let near = Layout::parse("{skuu}", &columns()).unwrap_err().to_string();
    assert!(near.starts_with("there is no {skuu}; did you mean {SKU}? known are"), "{near}");
    for pattern in ["{}", "{id}{", "{a/b}", "{{id}"] {
        Layout::parse(pattern, &columns()).unwrap_err();
    }
}
