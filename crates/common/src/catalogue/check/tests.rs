//! What each model refuses, with its exact words.

use super::*;
use crate::catalogue::Catalogue;

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A model, what is asked of it, and the problem it names.
type Refused<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// Reads a spec from `field=value` words; the prompt is there unless it is named.
fn spec(model: &str, words: &[(&str, &str)]) -> Spec {
    let mut fields = serde_json::Map::new();
    fields.insert("model".to_owned(), model.into());
    fields.insert("prompt".to_owned(), "a red shoe".into());
    for (name, value) in words {
        let value = match *name {
            "compression" | "frame_count" | "frame_duration_ms" | "verbatim" | "prompt" | "inputs" => {
                serde_json::from_str(value).unwrap()
            }
            _ => (*value).into(),
        };
        fields.insert((*name).to_owned(), value);
    }
    serde_json::from_value(fields.into()).unwrap()
}

fn problems(model: &str, words: &[(&str, &str)]) -> Vec<String> {
    let catalogue = Catalogue::embedded();
    let found = catalogue.model(model).unwrap().check(&spec(model, words));
    found.into_iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect()
}

#[test]
fn what_a_model_takes_passes() {
    let one = format!("[\"{DIGEST}\"]");
    let all: &[(&str, &[(&str, &str)])] = &[
        ("dall-e-3", &[]),
        (
            "dall-e-3",
            &[
                ("size", "1792x1024"),
                ("quality", "hd"),
                ("style", "natural"),
                ("format", "png"),
                ("verbatim", "true"),
            ],
        ),
        ("dall-e-2", &[("size", "256x256"), ("quality", "standard")]),
        ("dall-e-2", &[("operation", "variation"), ("prompt", "null"), ("inputs", &one)]),
        ("dall-e-2", &[("operation", "edit"), ("inputs", &one), ("mask", DIGEST)]),
        ("gpt-image-1.5", &[("operation", "edit"), ("inputs", &one), ("input_fidelity", "high")]),
        ("gpt-image-1-mini", &[("background", "transparent"), ("format", "webp"), ("compression", "0")]),
        (
            "gpt-image-2",
            &[("size", "auto"), ("quality", "auto"), ("background", "auto"), ("moderation", "low")],
        ),
        ("gpt-image-2", &[("size", "1792x1024"), ("format", "jpeg"), ("compression", "100")]),
        (
            "gpt-image-2.5-sunburst",
            &[("quality", "max"), ("operation", "edit"), ("inputs", &one), ("markup", DIGEST)],
        ),
        (
            "gpt-image-2.6-flare",
            &[
                ("complexity", "high"),
                ("format", "gif"),
                ("frame_count", "16"),
                ("frame_duration_ms", "655350"),
            ],
        ),
        ("gpt-image-2.6-flare", &[("format", "svg"), ("svg_model", "m"), ("svg_effort", "low")]),
    ];
    for (model, words) in all {
        assert_eq!(problems(model, words), Vec::<String>::new(), "{model} {words:?}");
    }
}

#[test]
fn what_a_model_refuses_is_named_with_what_is_right() {
    let all: &[Refused<'_>] = &[
        (
            "dall-e-3",
            &[("size", "512x512")],
            "size: dall-e-3 makes 1024x1024, 1024x1792 or 1792x1024, not 512x512",
        ),
        (
            "dall-e-3",
            &[("size", "1024X1024")],
            "size: dall-e-3 makes 1024x1024, 1024x1792 or 1792x1024, not 1024X1024",
        ),
        ("dall-e-3", &[("quality", "high")], "quality: dall-e-3 takes quality standard or hd, not high"),
        (
            "dall-e-3",
            &[("operation", "edit"), ("inputs", "[]")],
            "operation: dall-e-3 can generate, not edit",
        ),
        ("dall-e-3", &[("background", "auto")], "background: dall-e-3 takes no background; leave it out"),
        ("dall-e-3", &[("compression", "80")], "compression: dall-e-3 takes no compression; leave it out"),
        ("dall-e-3", &[("format", "jpeg")], "format: dall-e-3 makes png, not jpeg"),
        (
            "dall-e-3",
            &[("prompt", "null")],
            "prompt: a prompt is missing: dall-e-3 takes 1 to 4000 characters",
        ),
        (
            "dall-e-3",
            &[("prompt", "\" \"")],
            "prompt: a prompt is missing: dall-e-3 takes 1 to 4000 characters",
        ),
        ("gpt-image-2", &[("style", "vivid")], "style: gpt-image-2 takes no style; leave it out"),
        (
            "gpt-image-2",
            &[("quality", "xhigh")],
            "quality: gpt-image-2 takes quality auto, low, medium or high, not xhigh",
        ),
        (
            "gpt-image-2",
            &[("quality", "HIGH")],
            "quality: gpt-image-2 takes quality auto, low, medium or high, not HIGH",
        ),
        (
            "gpt-image-2",
            &[("verbatim", "true")],
            "verbatim: gpt-image-2 does not rewrite prompts, so takes no verbatim; leave it out",
        ),
        (
            "gpt-image-2",
            &[("size", "512x512")],
            "size: gpt-image-2 needs at least 655360 pixels in all, such as 1024x1024, not 512x512",
        ),
        (
            "gpt-image-2",
            &[("size", "1000x1000")],
            "size: gpt-image-2 needs edges that are multiples of 16, not 1000x1000",
        ),
        (
            "gpt-image-2",
            &[("size", "large")],
            "size: size is written as in 1024x1536, or auto; not \"large\"",
        ),
        (
            "gpt-image-2",
            &[("background", "transparent")],
            "background: gpt-image-2 takes background auto or opaque, not transparent",
        ),
        (
            "gpt-image-2",
            &[("compression", "80")],
            "compression: compression is for format jpeg or webp, not png; leave it out",
        ),
        (
            "gpt-image-2",
            &[("format", "webp"), ("compression", "101")],
            "compression: compression is 0 to 100, not 101",
        ),
        ("gpt-image-2", &[("format", "gif")], "format: gpt-image-2 makes png, jpeg or webp, not gif"),
        (
            "gpt-image-2",
            &[("frame_count", "4")],
            "frame_count: gpt-image-2 takes no frame_count; leave it out",
        ),
        ("gpt-image-2", &[("mask", DIGEST)], "mask: a mask is for edits; leave it out"),
        (
            "gpt-image-2",
            &[("operation", "variation"), ("prompt", "null")],
            "operation: gpt-image-2 can generate or edit, not variation",
        ),
        (
            "gpt-image-2.5-flare",
            &[("complexity", "low")],
            "complexity: gpt-image-2.5-flare takes no complexity; leave it out",
        ),
        (
            "gpt-image-2.5-flare",
            &[("background", "transparent"), ("format", "jpeg")],
            "background: a transparent background needs format png or webp, not jpeg",
        ),
        (
            "gpt-image-2.6-flare",
            &[("frame_count", "4")],
            "frame_count: frame_count is for format gif; leave it out",
        ),
        (
            "gpt-image-2.6-flare",
            &[("format", "gif"), ("frame_count", "17")],
            "frame_count: a gif has 2 to 16 frames, not 17",
        ),
        (
            "gpt-image-2.6-flare",
            &[("format", "gif"), ("frame_duration_ms", "204")],
            "frame_duration_ms: a frame lasts 10 to 655350 ms in steps of 10, not 204",
        ),
        (
            "gpt-image-2.6-flare",
            &[("svg_model", "m")],
            "svg_model: svg_model is for format svg; leave it out",
        ),
        (
            "gpt-image-2.6-flare",
            &[("format", "gif"), ("compression", "1")],
            "compression: compression is for format jpeg or webp, not gif; leave it out",
        ),
        (
            "gpt-image-1.5",
            &[("input_fidelity", "high")],
            "input_fidelity: input_fidelity is for edits; leave it out",
        ),
        (
            "gpt-image-1.5",
            &[("size", "1792x1024")],
            "size: gpt-image-1.5 makes auto, 1024x1024, 1536x1024 or 1024x1536, not 1792x1024",
        ),
        (
            "gpt-image-1-mini",
            &[("input_fidelity", "high")],
            "input_fidelity: gpt-image-1-mini takes input_fidelity low, not high",
        ),
        ("dall-e-2", &[("style", "vivid")], "style: dall-e-2 takes no style; leave it out"),
    ];
    for (model, words, message) in all {
        let found = problems(model, words);
        assert!(
            found.iter().any(|problem| problem == message),
            "{model} {words:?}\nwanted {message}\nfound {found:?}"
        );
        let alone = !words.iter().any(|(name, _)| *name == "operation");
        assert!(!alone || found.len() == 1, "{model} {words:?}: {found:?}");
    }
}

#[test]
fn inputs_must_fit_the_operation() {
    let two = format!("[\"{DIGEST}\",\"{DIGEST}\"]");
    let many = format!("[{}]", vec![format!("\"{DIGEST}\""); 17].join(","));
    let all: &[Refused<'_>] = &[
        ("gpt-image-2", &[("operation", "edit")], "inputs: an edit needs an input image"),
        (
            "gpt-image-2",
            &[("operation", "edit"), ("inputs", &many)],
            "inputs: gpt-image-2 takes at most 16 input images, not 17",
        ),
        ("gpt-image-2", &[("inputs", &two)], "inputs: input images are for edits; ask for operation edit"),
        (
            "gpt-image-2",
            &[("operation", "edit"), ("inputs", &two), ("markup", DIGEST)],
            "markup: gpt-image-2 takes no markup; leave it out",
        ),
        (
            "gpt-image-2.5-flare",
            &[("operation", "edit"), ("inputs", &two), ("markup", DIGEST), ("mask", DIGEST)],
            "markup: an edit takes a mask or a markup, not both",
        ),
        (
            "gpt-image-2.6-flare",
            &[("operation", "edit"), ("inputs", &two), ("format", "gif"), ("mask", DIGEST)],
            "mask: a gif takes no mask; leave it out",
        ),
        (
            "gpt-image-2",
            &[("operation", "edit"), ("inputs", "[\"shoe.png\"]")],
            "inputs: \"shoe.png\" is not a SHA-256 digest of 64 lower-case hexadecimal digits",
        ),
        (
            "dall-e-2",
            &[("operation", "edit"), ("inputs", &two)],
            "inputs: dall-e-2 takes at most 1 input images, not 2",
        ),
        (
            "dall-e-2",
            &[("operation", "variation"), ("prompt", "null")],
            "inputs: a variation needs one input image, not 0",
        ),
    ];
    for (model, words, message) in all {
        assert_eq!(problems(model, words), [*message], "{model} {words:?}");
    }
    let one = format!("[\"{DIGEST}\"]");
    let found = problems("dall-e-2", &[("operation", "variation"), ("inputs", &one)]);
    assert_eq!(found, ["prompt: a variation is made from its input image alone; leave the prompt out"]);
}

#[test]
fn prompts_are_counted_in_characters_as_they_are_sent() {
    let quoted = |text: String| serde_json::Value::from(text).to_string();
    let exact = quoted("é".repeat(1000));
    assert_eq!(problems("dall-e-2", &[("prompt", &exact)]), Vec::<String>::new());
    let over = quoted("é".repeat(1001));
    let message = "prompt: dall-e-2 takes at most 1000 characters, not 1001";
    assert_eq!(problems("dall-e-2", &[("prompt", &over)]), [message]);

    let room = 4000 - VERBATIM_PREAMBLE.chars().count();
    let fits = quoted("a".repeat(room));
    assert_eq!(problems("dall-e-3", &[("prompt", &fits), ("verbatim", "true")]), Vec::<String>::new());
    let over = quoted("a".repeat(room + 1));
    let message = "prompt: dall-e-3 takes at most 4000 characters, not 4001 with the verbatim preamble";
    assert_eq!(problems("dall-e-3", &[("prompt", &over), ("verbatim", "true")]), [message]);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let found = problems(
        "dall-e-3",
        &[("size", "1x1"), ("quality", "max"), ("complexity", "low"), ("prompt", "null")],
    );
    assert_eq!(found.len(), 4, "{found:?}");
}
