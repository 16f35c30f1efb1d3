//! What is owed to any spec: its canonical JSON is what the standard says, reads back as the same spec's, and knows no
//! order of fields; shared by the tests and the fuzz target.

use std::sync::LazyLock;

use pictor_common::{
    AssetKey, Spec,
    asset_key::{canonical_json, hex},
    spec::Operation,
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;

static FROZEN: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../src/asset_key_v1.json")).expect("the frozen table is JSON")
});

const MODELS: [&str; 8] = [
    "dall-e-2",
    "dall-e-3",
    "gpt-image-1",
    "gpt-image-1-mini",
    "gpt-image-1.5-2025-12-16",
    "gpt-image-2",
    "chatgpt-image-latest",
    "sd-xl",
];
const WORDS: [&str; 16] = [
    "auto",
    "standard",
    "png",
    "1024x1024",
    "vivid",
    "low",
    "high",
    "medium",
    "hd",
    "jpeg",
    "e\u{301}",
    "\u{e9}",
    "\u{1112}\u{1161}\u{11ab}",
    "\u{212b}",
    "\u{2028}\u{7f}\u{80}",
    "",
];

/// Reads bytes as the JSON of a spec, or else makes a spec of them.
pub(crate) fn key(data: &[u8]) {
    let read = if data.starts_with(b"{") { serde_json::from_slice(data).ok() } else { None };
    let spec = read.unwrap_or_else(|| Made(data).spec());
    let canonical = canonical_json(&spec);
    assert_eq!(canonical, by_the_book(&spec));
    let key = AssetKey::of(&spec);
    assert_eq!(key.as_str(), hex(&Sha256::digest(&canonical)));
    assert_eq!((key.as_str().parse(), AssetKey::of_bytes(key.bytes())), (Ok(key.clone()), key.clone()));
    reads_back(&canonical);
    assert_eq!(AssetKey::of(&shuffled(&spec, data.len())), key, "in another order");
    assert_eq!(AssetKey::of(&explicit(&spec)), key, "with its defaults told");
}

/// The same by way of a tree of values, the frozen table, and a canonicalizer that is not ours.
fn by_the_book(spec: &Spec) -> String {
    let defaults = defaults(spec);
    let mut kept: Map<String, Value> = fields(spec)
        .into_iter()
        .map(|(name, value)| (name, normalized(value)))
        .filter(|(name, value)| !value.is_null() && defaults.get(name) != Some(value))
        .collect();
    kept.insert("v".to_owned(), 1.into());
    serde_json_canonicalizer::to_string(&kept).expect("a spec is JSON")
}

fn fields(spec: &Spec) -> Map<String, Value> {
    let Ok(Value::Object(fields)) = serde_json::to_value(spec) else { unreachable!("a spec is an object") };
    fields
}

/// What the frozen table says of the model, and of every model where it says nothing.
fn defaults(spec: &Spec) -> Map<String, Value> {
    let model: String = spec.model.nfc().collect();
    let families = FROZEN["by_model_prefix"].as_array().expect("a list");
    let family =
        families.iter().find(|family| model.starts_with(family["prefix"].as_str().expect("a prefix")));
    let own = family.and_then(|family| family["defaults"].as_object()).cloned().unwrap_or_default();
    FROZEN["always"].as_object().expect("a table").clone().into_iter().chain(own).collect()
}

fn normalized(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.nfc().collect()),
        Value::Array(items) => Value::Array(items.into_iter().map(normalized).collect()),
        other => other,
    }
}

/// Canonical JSON is the JSON of a spec, but for its version, and is its own canonical form.
fn reads_back(canonical: &str) {
    let mut tree: Map<String, Value> = serde_json::from_str(canonical).expect("it is JSON");
    assert_eq!(serde_json_canonicalizer::to_string(&tree).expect("JSON"), canonical);
    assert_eq!(tree.remove("v"), Some(json!(1)));
    let again: Spec = serde_json::from_value(tree.into()).expect("it is a spec's");
    assert_eq!(canonical_json(&again), canonical);
}

/// The spec with the fields of its JSON in another order, and null for those it lacks.
fn shuffled(spec: &Spec, turn: usize) -> Spec {
    let mut members: Vec<(String, Value)> = fields(spec).into_iter().collect();
    for absent in ["mask", "size", "take", "inputs", "operation", "verbatim", "svg_model"] {
        if members.iter().all(|(name, _)| name != absent) {
            members.push((absent.to_owned(), Value::Null));
        }
    }
    let turn = turn % members.len();
    members.rotate_left(turn);
    members[turn / 2..].reverse();
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    serde_json::from_str(&format!("{{{}}}", members.join(" , "))).expect("the same fields")
}

/// The spec with the defaults of its model where it has nothing.
fn explicit(spec: &Spec) -> Spec {
    let mut told = defaults(spec);
    told.extend(fields(spec));
    serde_json::from_value(told.into()).expect("defaults are a spec's")
}

/// Bytes that are taken one after the other to make a spec; 0 when they are used up.
struct Made<'d>(&'d [u8]);

impl Made<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> Option<u32> {
        match self.next() % 4 {
            0 => None,
            1 => Some([9, 100, 200, 0][usize::from(self.next() % 4)]),
            _ => Some(u32::from_be_bytes([self.next(), self.next(), self.next(), self.next()])),
        }
    }

    fn text(&mut self) -> Option<String> {
        match self.next() % 4 {
            0 => None,
            1 | 2 => Some(WORDS[usize::from(self.next()) % WORDS.len()].to_owned()),
            _ => {
                let length = usize::from(self.next() % 24).min(self.0.len());
                let (bytes, rest) = self.0.split_at(length);
                self.0 = rest;
                Some(String::from_utf8_lossy(bytes).into_owned())
            }
        }
    }

    fn spec(&mut self) -> Spec {
        let model = match self.next() % 2 {
            0 => MODELS[usize::from(self.next()) % MODELS.len()].to_owned(),
            _ => self.text().unwrap_or_default(),
        };
        Spec {
            model,
            operation: [Operation::Generate, Operation::Edit, Operation::Variation]
                [usize::from(self.next() % 3)],
            prompt: self.text(),
            inputs: (0..self.next() % 3).filter_map(|_| self.text()).collect(),
            mask: self.text(),
            markup: self.text(),
            size: self.text(),
            quality: self.text(),
            style: self.text(),
            background: self.text(),
            format: self.text(),
            compression: self.number().map(|number| number.to_le_bytes()[0]),
            moderation: self.text(),
            input_fidelity: self.text(),
            complexity: self.text(),
            frame_count: self.number(),
            frame_duration_ms: self.number(),
            svg_model: self.text(),
            svg_effort: self.text(),
            verbatim: self.next() % 2 == 1,
            take: self.number().unwrap_or(0),
        }
    }
}
