//! In what a mended spec is another than the one that failed.

use std::{collections::BTreeMap, fmt};

use pictor_common::Spec;
use serde_json::Value;

use crate::table::{plain, shortened};

/// The longest part of a value that is told.
const LONGEST: usize = 200;

/// Fields that became others, and in how many specs.
#[derive(Debug, Default)]
pub(super) struct Differs(BTreeMap<String, u64>);

impl Differs {
    /// Counts the fields in which two specs differ; tells of these two what was and what is.
    pub(super) fn add(&mut self, before: Option<&Spec>, after: &Spec) -> String {
        let (before, after) = (before.map(fields).unwrap_or_default(), fields(after));
        let mut told = Vec::new();
        for name in before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))) {
            let (was, is) = (before.get(name), after.get(name));
            if was == is {
                continue;
            }
            *self.0.entry(name.clone()).or_default() += 1;
            told.push(match name.as_str() {
                // The old one stands in the row.
                "prompt" => format!("prompt -> \"{}\"", text(is)),
                _ => format!("{name} {} -> {}", text(was), text(is)),
            });
        }
        told.join(", ")
    }
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<String> =
            self.0.iter().map(|(name, count)| format!("{count} another {name}")).collect();
        f.write_str(&told.join(", "))
    }
}

fn fields(spec: &Spec) -> BTreeMap<String, Value> {
    match serde_json::to_value(spec) {
        Ok(Value::Object(fields)) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => BTreeMap::new(),
    }
}

fn text(value: Option<&Value>) -> String {
    match value {
        None => "none".to_owned(),
        Some(Value::String(text)) => shortened(&plain(text), LONGEST),
        Some(other) => shortened(&other.to_string(), LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_each_field_is_told_and_counted() {
        let spec = |prompt: &str, size: Option<&str>, model: &str| Spec {
            prompt: Some(prompt.into()),
            size: size.map(str::to_owned),
            model: model.into(),
            ..Spec::default()
        };
        let mut differs = Differs::default();
        let before = spec("a toy rifle", Some("3840x2160"), "gpt-image-2");
        let how = differs.add(Some(&before), &spec("a toy\u{1b}[2J", Some("1024x1024"), "gpt-image-2"));
        assert!(
            how.starts_with("prompt -> \"a toy") && how.ends_with(", size 3840x2160 -> 1024x1024"),
            "{how}"
        );
        assert!(!how.contains('\u{1b}'), "{how:?}");
        let how = differs.add(Some(&before), &spec("a toy rifle", None, "gpt-image-1"));
        assert_eq!(how, "model gpt-image-2 -> gpt-image-1, size 3840x2160 -> none");
        assert_eq!(differs.to_string(), "1 another model, 1 another prompt, 2 another size");
    }
}
