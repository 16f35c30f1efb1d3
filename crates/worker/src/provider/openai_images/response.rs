//! Reads what stands beside the image in a success.

use pictor_common::price::Usage;
use serde_json::Value;

use crate::provider::answer::Echo;

/// What an answer says besides the image itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) revised_prompt: Option<String>,
    pub(super) usage: Option<Usage>,
    pub(super) echo: Echo,
    pub(super) url: Option<String>,
    /// The image was made and then withheld, as xAI says with `respect_moderation: false`.
    pub(super) withheld: bool,
}

impl Told {
    pub(super) fn read(body: &Value) -> Self {
        let data = body["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of_any = |name: &str| data.iter().find_map(|item| text(&item[name]));
        Self {
            revised_prompt: of_any("revised_prompt"),
            usage: usage(&body["usage"]),
            echo: Echo {
                size: text(&body["size"]),
                quality: text(&body["quality"]),
                format: text(&body["output_format"]),
                background: text(&body["background"]),
            },
            url: of_any("url"),
            withheld: data.iter().any(|item| item["respect_moderation"] == Value::Bool(false)),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Token counts; where the details are missing, input is taken for text and output for image.
///
/// Cached tokens of which the kind is not told are taken for text as far as that goes: those save less.
fn usage(usage: &Value) -> Option<Usage> {
    let input = usage["input_tokens"].as_u64();
    let output = usage["output_tokens"].as_u64();
    let detail = |side: &str, kind: &str| usage[side][kind].as_u64();
    let text_input = detail("input_tokens_details", "text_tokens");
    let image_input = detail("input_tokens_details", "image_tokens").unwrap_or(0);
    let image_output = detail("output_tokens_details", "image_tokens");
    let text_output = detail("output_tokens_details", "text_tokens").unwrap_or(0);
    let text_input = text_input.or(input.map(|all| all.saturating_sub(image_input))).unwrap_or(0);
    let cached = cached(&usage["input_tokens_details"], text_input);
    let read = Usage {
        text_input,
        image_input,
        image_output: image_output.or(output.map(|all| all.saturating_sub(text_output))).unwrap_or(0),
        text_output,
        cached_text_input: cached.0.min(text_input),
        cached_image_input: cached.1.min(image_input),
    };
    (read != Usage::default()).then_some(read)
}

/// Cached tokens of text and of images.
fn cached(details: &Value, text_input: u64) -> (u64, u64) {
    let of_kind = |kind: &str| details["cached_tokens_details"][kind].as_u64();
    let (text, image) = (of_kind("text_tokens"), of_kind("image_tokens"));
    let all = details["cached_tokens"].as_u64().unwrap_or(0);
    let text = text.unwrap_or_else(|| all.saturating_sub(image.unwrap_or(0)).min(text_input));
    (text, image.unwrap_or_else(|| all.saturating_sub(text)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_gpt_image_tells() {
        let told = Told::read(&json!({
            "created": 1, "data": [{"b64_json": ""}], "size": "1536x1024", "quality": "high",
            "output_format": "webp", "background": "opaque",
            "usage": {"input_tokens": 50, "output_tokens": 4160, "total_tokens": 4210,
                "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}},
        }));
        let usage = Usage { text_input: 10, image_input: 40, image_output: 4160, ..Usage::default() };
        assert_eq!(told.usage, Some(usage));
        assert_eq!(
            (told.echo.size.as_deref(), told.echo.format.as_deref()),
            (Some("1536x1024"), Some("webp"))
        );
        assert_eq!((told.url, told.revised_prompt), (None, None));
    }

    #[test]
    fn cached_input_is_told_apart() {
        for (details, text, image) in [
            (json!({}), 0, 0),
            (json!({"cached_tokens": 0}), 0, 0),
            (
                json!({"cached_tokens": 30, "cached_tokens_details": {"text_tokens": 6, "image_tokens": 24}}),
                6,
                24,
            ),
            (json!({"cached_tokens": 30, "cached_tokens_details": {"image_tokens": 24}}), 6, 24),
            (json!({"cached_tokens_details": {"text_tokens": 6}}), 6, 0),
            // Not said of what: the ten of text first, then those of images, and no more than were read.
            (json!({"cached_tokens": 8}), 8, 0),
            (json!({"cached_tokens": 30}), 10, 20),
            (json!({"cached_tokens": 5000}), 10, 40),
            (json!({"cached_tokens": "many", "cached_tokens_details": [1]}), 0, 0),
        ] {
            let mut usage = json!({"output_tokens": 100, "input_tokens_details": details});
            usage["input_tokens_details"]["text_tokens"] = json!(10);
            usage["input_tokens_details"]["image_tokens"] = json!(40);
            let read = Told::read(&json!({ "usage": usage })).usage.unwrap();
            assert_eq!((read.cached_text_input, read.cached_image_input), (text, image), "{usage}");
        }
    }

    #[test]
    fn tolerates_what_others_tell() {
        let told = Told::read(
            &json!({"data": [{"url": "https://h/i", "revised_prompt": "A cat", "b64_json": null}]}),
        );
        assert_eq!(
            (told.url.as_deref(), told.revised_prompt.as_deref()),
            (Some("https://h/i"), Some("A cat"))
        );
        assert_eq!(told.usage, None);
        for odd in
            [json!([]), json!(null), json!({"data": {}, "usage": 5, "size": 5}), json!({"usage": {"a": 1}})]
        {
            assert_eq!(Told::read(&odd), Told::default(), "{odd}");
        }
        let split = json!({"usage": {"output_tokens": 100, "output_tokens_details": {"text_tokens": 30}}});
        assert_eq!(
            Told::read(&split).usage,
            Some(Usage { image_output: 70, text_output: 30, ..Usage::default() })
        );
        assert!(Told::read(&json!({"data": [{"respect_moderation": false}]})).withheld);
    }
}
