//! The asset key against its published vectors, and properties that must hold for every spec.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use unicode_normalization::UnicodeNormalization;

use super::*;
use crate::catalogue::Catalogue;

const VECTORS: &str = include_str!("../../../../docs/asset-key-vectors.json");
const DOCUMENT: &str = include_str!("../../../../docs/asset-key.md");
const PROGRAM: &str = include_str!("../../../../docs/asset_key.py");

#[derive(Deserialize)]
struct Vector {
    name: String,
    spec: Map<String, Value>,
    canonical: String,
    key: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(VECTORS).unwrap()
}

/// Reads a spec as manifests do: a field that is null is a field that is absent.
fn spec(fields: &Map<String, Value>) -> Spec {
    let given = fields.iter().filter(|(_, value)| !value.is_null());
    let given: Map<String, Value> = given.map(|(name, value)| (name.clone(), value.clone())).collect();
    serde_json::from_value(given.into()).unwrap()
}

fn all_vectors_hold() {
    let vectors = vectors();
    assert!(vectors.len() >= 30);
    for vector in vectors {
        let spec = spec(&vector.spec);
        assert_eq!(canonical_json(&spec), vector.canonical, "{}", vector.name);
        assert_eq!(AssetKey::of(&spec).as_str(), vector.key, "{}", vector.name);
    }
}

#[test]
fn vectors_hold() {
    all_vectors_hold();
}

#[test]
fn editing_the_catalogue_changes_no_key() {
    let edited = r#"
        default = "brand-new"
        [models.dall-e-3]
        sizes = ["1000x1000", "999x999"]
        qualities = ["ultra"]
        styles = ["baroque"]
        prompt_limit = 7
        per_image = { ultra = { "1000x1000" = "99.00" } }
        [models.gpt-image-2]
        qualities = ["high"]
        backgrounds = ["opaque"]
        formats = ["webp"]
        moderations = ["low"]
        priced_from = "2026-01-01"
        per_token = { text_input = "1", image_input = "2", image_output = [{ usd = "3" }, { from = "2026-11-21", usd = "4" }] }
        [models."gpt-image-2.6-flare"]
        like = "dall-e-3"
        [models.brand-new]
        like = "dall-e-2"
        family = "another"
    "#;
    let before = Catalogue::embedded();
    let after = Catalogue::embedded().overridden(edited).unwrap();
    assert_ne!(before.default_model(), after.default_model());
    assert_ne!(before.model("dall-e-3").unwrap().sizes(), after.model("dall-e-3").unwrap().sizes());
    assert!(before.model("brand-new").is_none() && after.model("brand-new").is_some());
    all_vectors_hold();
}

/// The table cannot be edited at all, not even where no vector looks.
#[test]
fn the_table_of_defaults_is_frozen() {
    let table: Value = serde_json::from_str(include_str!("../asset_key_v1.json")).unwrap();
    let canonical = serde_json_canonicalizer::to_string(&table).unwrap();
    assert_eq!(
        hex(&Sha256::digest(canonical)),
        "833965b5342a789aa64ac9b9a637e6af6f82da9ee09d2ddc54b69a90a6903fd0"
    );
}

#[test]
fn vectors_that_mean_the_same_share_a_key_and_no_others_do() {
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for vector in vectors() {
        by_key.entry(vector.key).or_default().push(vector.name);
    }
    let mut shared: Vec<Vec<String>> = by_key.into_values().filter(|names| names.len() > 1).collect();
    shared.sort();
    let expected = [
        vec!["Hangul syllables", "Hangul jamo"],
        vec!["composed accents", "decomposed accents", "accents in another order"],
        vec!["dall-e-3", "every default of dall-e-3 given"],
        vec![
            "only a model and a prompt",
            "every field null",
            "every default of gpt-image-2 given",
            "fields in another order",
        ],
    ];
    assert_eq!(shared, expected);
}

#[test]
fn every_field_of_a_spec_reaches_the_key() {
    let vector = vectors().into_iter().find(|vector| vector.name == "every field at once").unwrap();
    let canonical: Map<String, Value> = serde_json::from_str(&vector.canonical).unwrap();
    let Value::Object(fields) = serde_json::to_value(spec(&vector.spec)).unwrap() else { unreachable!() };
    let named: Vec<&String> = canonical.keys().filter(|name| *name != "v").collect();
    assert_eq!(named, fields.keys().collect::<Vec<_>>());
    for name in named {
        assert!(DOCUMENT.contains(&format!("| `{name}` |")), "{name} is not in the document's table");
    }
}

#[test]
fn the_document_shows_the_program_that_runs() {
    let lines =
        PROGRAM.split_once("# The ten lines.\n").unwrap().1.split_once("# End of the ten lines.").unwrap().0;
    assert!(DOCUMENT.contains(lines.trim()));
    assert_eq!(lines.lines().filter(|line| !line.is_empty()).count(), 10);
    let table: Value = serde_json::from_str(include_str!("../asset_key_v1.json")).unwrap();
    let shown = DOCUMENT.split_once("```json\n").unwrap().1.split_once("```").unwrap().0;
    assert_eq!(serde_json::from_str::<Value>(shown).unwrap(), table);
}

#[test]
fn python_reproduces_the_vectors() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/asset_key.py");
    let run =
        std::process::Command::new("python3").arg("-B").arg(program).output().expect("python3 is required");
    assert!(
        run.status.success(),
        "{}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
}

#[test]
fn a_key_is_64_lower_case_digits() {
    let key = AssetKey::of(&Spec::default());
    assert_eq!(key.as_str().parse(), Ok(key.clone()));
    assert_eq!(key.short().len(), 12);
    for bad in ["", "ab", &key.as_str()[1..], &key.as_str().to_uppercase(), &format!("{key}0")] {
        assert!(bad.parse::<AssetKey>().is_err(), "{bad}");
    }
}

const MODELS: &[&str] = &[
    "dall-e-2",
    "dall-e-3",
    "gpt-image-1",
    "gpt-image-1-mini",
    "gpt-image-1.5-2025-12-16",
    "chatgpt-image-latest",
    "gpt-image-2",
    "gpt-image-2.5-sunburst",
    "gpt-image-2.6-flare",
    "sd-xl",
];

/// Some fields of a spec, each absent or with a value that may be a default.
fn some_fields() -> impl Strategy<Value = Map<String, Value>> {
    let words = [
        ("size", json!(["auto", "1024x1024", "1536x1024"])),
        ("quality", json!(["auto", "standard", "high", "hd"])),
        ("style", json!(["vivid", "natural"])),
        ("background", json!(["auto", "transparent"])),
        ("format", json!(["png", "jpeg", "gif"])),
        ("compression", json!([100, 0, 80])),
        ("moderation", json!(["auto", "low"])),
        ("input_fidelity", json!(["low", "high"])),
        ("complexity", json!(["low", "high"])),
        ("frame_count", json!([9, 4])),
        ("frame_duration_ms", json!([200, 80])),
        ("verbatim", json!([true, false])),
        ("take", json!([0, 1, 7])),
        ("operation", json!(["generate", "edit"])),
        ("inputs", json!([[], ["ab"], ["ab", "cd"]])),
    ];
    let one = |(name, values): (&'static str, Value)| {
        let values = values.as_array().cloned().unwrap_or_default();
        proptest::option::of(proptest::sample::select(values)).prop_map(move |value| (name, value))
    };
    let fields = words.into_iter().map(one).collect::<Vec<_>>();
    (proptest::sample::select(MODELS), any::<String>(), fields).prop_map(|(model, prompt, fields)| {
        let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let fixed = [("model".to_owned(), model.into()), ("prompt".to_owned(), prompt.into())];
        fixed.into_iter().chain(given).collect()
    })
}

fn defaults_of(model: &str) -> Map<String, Value> {
    let of_model = FROZEN.by_model_prefix.iter().find(|family| model.starts_with(&family.prefix));
    let of_model = of_model.into_iter().flat_map(|family| family.defaults.clone());
    FROZEN.always.clone().into_iter().chain(of_model).collect()
}

proptest! {
    #[test]
    fn a_default_made_explicit_is_a_default_omitted(fields in some_fields()) {
        let defaults = defaults_of(fields["model"].as_str().unwrap());
        let mut explicit = fields.clone();
        for (name, value) in &defaults {
            explicit.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let omitted: Map<String, Value> =
            fields.clone().into_iter().filter(|(name, value)| defaults.get(name) != Some(value)).collect();
        let key = AssetKey::of(&spec(&fields));
        prop_assert_eq!(&key, &AssetKey::of(&spec(&explicit)));
        prop_assert_eq!(&key, &AssetKey::of(&spec(&omitted)));
    }

    #[test]
    fn what_is_no_default_changes_the_key(fields in some_fields()) {
        let defaults = defaults_of(fields["model"].as_str().unwrap());
        let key = AssetKey::of(&spec(&fields));
        for (name, value) in &fields {
            let same = defaults.get(name) == Some(value) || *value == json!([]);
            if name != "model" && !same {
                let mut without = fields.clone();
                without.remove(name);
                prop_assert_ne!(&key, &AssetKey::of(&spec(&without)), "{}", name);
            }
        }
    }

    #[test]
    fn unicode_forms_share_a_key(mut fields in some_fields(), prompt in "[\\PC\u{300}-\u{36f}\u{1100}-\u{11ff}]{0,40}") {
        fields.insert("prompt".to_owned(), prompt.clone().into());
        let key = AssetKey::of(&spec(&fields));
        for form in [prompt.nfc().collect::<String>(), prompt.nfd().collect()] {
            fields.insert("prompt".to_owned(), form.into());
            prop_assert_eq!(&key, &AssetKey::of(&spec(&fields)));
        }
    }

    #[test]
    fn the_order_of_fields_is_irrelevant(
        (fields, shuffled) in some_fields().prop_flat_map(|fields| {
            let list: Vec<(String, Value)> = fields.clone().into_iter().collect();
            (Just(fields), Just(list).prop_shuffle())
        })
    ) {
        let text: Vec<String> = shuffled.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        let read: Spec = serde_json::from_str(&format!("{{{}}}", text.join(","))).unwrap();
        prop_assert_eq!(AssetKey::of(&read), AssetKey::of(&spec(&fields)));
    }
}
