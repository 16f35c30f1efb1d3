//! Writes the canonical JSON of a spec: RFC 8785, without going through a tree of values.

use std::borrow::Cow;

use serde_json::Value;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::{Defaults, VERSION};
use crate::spec::Spec;

/// A field of a spec; what is absent is left out.
enum Field<'a> {
    Text(Option<&'a str>),
    Texts(&'a [String]),
    Number(Option<u32>),
    Flag(bool),
}

/// Writes the RFC 8785 canonical JSON that the key is taken over.
///
/// Fields that are absent or equal to the default frozen for the model are left out; every text
/// is in Unicode NFC; `v`, `model` and, where there is one, `prompt` always stand.
#[must_use]
pub fn canonical_json(spec: &Spec) -> String {
    let defaults = Defaults::of(&nfc(&spec.model));
    let mut out = String::with_capacity(256 + spec.prompt.as_deref().map_or(0, str::len));
    out.push('{');
    for (name, field) in fields(spec) {
        field.write(name, &defaults, &mut out);
    }
    out.push('}');
    out
}

fn text(value: &Option<String>) -> Field<'_> {
    Field::Text(value.as_deref())
}

/// All fields in the order of their names. Taken apart by name, so that a new field cannot be forgotten.
fn fields(spec: &Spec) -> [(&'static str, Field<'_>); 21] {
    let Spec {
        operation,
        model,
        prompt,
        inputs,
        mask,
        markup,
        size,
        quality,
        style,
        background,
        format,
        compression,
        moderation,
        input_fidelity,
        complexity,
        frame_count,
        frame_duration_ms,
        svg_model,
        svg_effort,
        verbatim,
        take,
    } = spec;
    [
        ("background", text(background)),
        ("complexity", text(complexity)),
        ("compression", Field::Number(compression.map(u32::from))),
        ("format", text(format)),
        ("frame_count", Field::Number(*frame_count)),
        ("frame_duration_ms", Field::Number(*frame_duration_ms)),
        ("input_fidelity", text(input_fidelity)),
        ("inputs", Field::Texts(inputs)),
        ("markup", text(markup)),
        ("mask", text(mask)),
        ("model", Field::Text(Some(model))),
        ("moderation", text(moderation)),
        ("operation", Field::Text(Some(operation.as_str()))),
        ("prompt", text(prompt)),
        ("quality", text(quality)),
        ("size", text(size)),
        ("style", text(style)),
        ("svg_effort", text(svg_effort)),
        ("svg_model", text(svg_model)),
        ("take", Field::Number(Some(*take))),
        ("verbatim", Field::Flag(*verbatim)),
    ]
}

impl Field<'_> {
    fn write(self, name: &str, defaults: &Defaults, out: &mut String) {
        // `v` is no field of a spec and stands between `take` and `verbatim`.
        if name == "verbatim" {
            separate(out);
            out.push_str(&format!("\"v\":{VERSION}"));
        }
        let default = defaults.get(name);
        match self {
            Self::Text(Some(given)) => {
                let given = nfc(given);
                if default.and_then(Value::as_str) != Some(&*given) {
                    begin(name, out);
                    quote(&given, out);
                }
            }
            Self::Texts([first, more @ ..]) => {
                begin(name, out);
                out.push('[');
                quote(&nfc(first), out);
                for text in more {
                    out.push(',');
                    quote(&nfc(text), out);
                }
                out.push(']');
            }
            Self::Number(Some(number)) if default.and_then(Value::as_u64) != Some(u64::from(number)) => {
                begin(name, out);
                out.push_str(&number.to_string());
            }
            Self::Flag(true) if default.and_then(Value::as_bool) != Some(true) => {
                begin(name, out);
                out.push_str("true");
            }
            Self::Text(None) | Self::Texts([]) | Self::Number(_) | Self::Flag(_) => {}
        }
    }
}

fn separate(out: &mut String) {
    if !out.ends_with('{') {
        out.push(',');
    }
}

fn begin(name: &str, out: &mut String) {
    separate(out);
    out.push('"');
    out.push_str(name);
    out.push_str("\":");
}

/// A text in NFC; most are already.
fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// Quotes a text as RFC 8785 wants it.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0x08 => out.push_str("\\b"),
            0x09 => out.push_str("\\t"),
            0x0A => out.push_str("\\n"),
            0x0C => out.push_str("\\f"),
            0x0D => out.push_str("\\r"),
            other => out.push_str(&format!("\\u{other:04x}")),
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Map;

    use super::*;

    /// The same by way of a tree of values and a canonicalizer that is not ours.
    fn by_the_book(spec: &Spec) -> String {
        let Ok(Value::Object(fields)) = serde_json::to_value(spec) else { unreachable!() };
        let defaults = Defaults::of(&spec.model.nfc().collect::<String>());
        let mut kept: Map<String, Value> = fields
            .into_iter()
            .map(|(name, value)| (name, normalized(value)))
            .filter(|(name, value)| !value.is_null() && defaults.get(name) != Some(value))
            .collect();
        kept.insert("v".to_owned(), VERSION.into());
        serde_json_canonicalizer::to_string(&kept).unwrap()
    }

    fn normalized(value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(text.nfc().collect()),
            Value::Array(items) => Value::Array(items.into_iter().map(normalized).collect()),
            other => other,
        }
    }

    fn some_text() -> impl Strategy<Value = Option<String>> {
        prop::option::of(prop_oneof![
            "[a-z0-9]{0,8}",
            "\\PC{0,12}",
            "[\u{0}-\u{7f}]{0,12}",
            "[e\u{301}\u{e9}\u{110b}\u{1161}\u{212b}\u{f900}😀\u{2028}\u{7f}\u{80}]{0,6}",
            prop::sample::select(vec!["auto", "standard", "png", "1024x1024", "vivid", "low"])
                .prop_map(str::to_owned),
        ])
    }

    fn texts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(some_text().prop_map(Option::unwrap_or_default), 0..3)
    }

    proptest! {
        #[test]
        fn is_what_the_standard_says(
            model in prop_oneof![
                prop::sample::select(vec!["dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-2", "gpt-image-2.6-x"])
                    .prop_map(str::to_owned),
                "\\PC{0,8}",
            ],
            texts_of in (some_text(), some_text(), some_text(), some_text(), some_text(), some_text(), some_text(), some_text()),
            more in (some_text(), some_text(), some_text(), some_text(), texts()),
            numbers in (
                prop::option::of(prop_oneof![Just(100_u8), any::<u8>()]),
                prop::option::of(prop_oneof![Just(9_u32), any::<u32>()]),
                prop::option::of(prop_oneof![Just(200_u32), any::<u32>()]),
                prop_oneof![Just(0_u32), any::<u32>()],
                any::<bool>(),
                prop::sample::select(vec![
                    crate::spec::Operation::Generate,
                    crate::spec::Operation::Edit,
                    crate::spec::Operation::Variation,
                ]),
            ),
        ) {
            let (prompt, mask, markup, size, quality, style, background, format) = texts_of;
            let (moderation, input_fidelity, complexity, svg_model, inputs) = more;
            let (compression, frame_count, frame_duration_ms, take, verbatim, operation) = numbers;
            let spec = Spec {
                operation, model, prompt, inputs, mask, markup, size, quality, style, background, format,
                compression, moderation, input_fidelity, complexity, frame_count, frame_duration_ms,
                svg_effort: svg_model.clone(), svg_model, verbatim, take,
            };
            prop_assert_eq!(canonical_json(&spec), by_the_book(&spec));
        }
    }
}
