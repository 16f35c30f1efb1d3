//! The body of a request, with each model's own parameters and no others.

use pictor_common::{Spec, spec::Operation};
use serde_json::{Map, Value, json};

use super::account::Account;

/// What OpenAI documents to keep `dall-e-3` from rewriting a prompt.
const VERBATIM: &str = "I NEED to test how the tool works with extremely simple prompts. DO NOT add any detail, \
                        just use it AS-IS: ";

/// What a model accepts besides `model`, `prompt`, `n` and `size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Dalle2,
    Dalle3,
    GptImage,
    /// A model of a compatible server: it is given whatever the spec says.
    Other,
}

impl Family {
    fn of(model: &str) -> Self {
        match model {
            "dall-e-2" => Self::Dalle2,
            "dall-e-3" => Self::Dalle3,
            gpt if gpt.starts_with("gpt-image") || gpt.starts_with("chatgpt-image") => Self::GptImage,
            _ => Self::Other,
        }
    }
}

/// The JSON of a request, or why this dialect cannot make it.
pub(super) fn body(account: &Account, spec: &Spec) -> Result<Value, String> {
    if spec.operation != Operation::Generate {
        return Err(format!("this API dialect cannot {} images yet", spec.operation.as_str()));
    }
    let family = Family::of(&spec.model);
    let mut body = Map::new();
    if !account.omit_model {
        body.insert("model".to_owned(), model_name(account, spec).into());
    }
    let prompt = spec.prompt.as_deref().unwrap_or_default();
    let verbatim = spec.verbatim && family == Family::Dalle3;
    body.insert(
        "prompt".to_owned(),
        if verbatim { format!("{VERBATIM}{prompt}") } else { prompt.to_owned() }.into(),
    );
    // One image a request: a request that is lost then loses one image.
    body.insert("n".to_owned(), 1.into());
    put(&mut body, "size", spec.size.as_deref());
    put(&mut body, "quality", spec.quality.as_deref());
    if matches!(family, Family::Dalle3 | Family::Other) {
        put(&mut body, "style", spec.style.as_deref());
    }
    if matches!(family, Family::GptImage | Family::Other) {
        gpt_image(&mut body, spec);
    }
    if family != Family::GptImage {
        put(&mut body, "response_format", account.response_format.as_str());
    }
    Ok(Value::Object(body))
}

/// What the account's API calls the spec's model.
pub(super) fn model_name<'a>(account: &'a Account, spec: &'a Spec) -> &'a str {
    account.models.get(&spec.model).unwrap_or(&spec.model)
}

fn gpt_image(body: &mut Map<String, Value>, spec: &Spec) {
    put(body, "background", spec.background.as_deref());
    put(body, "output_format", spec.format.as_deref());
    put(body, "output_compression", spec.compression);
    put(body, "moderation", spec.moderation.as_deref());
    put(body, "complexity", spec.complexity.as_deref());
    put(body, "frame_count", spec.frame_count);
    put(body, "frame_duration_ms", spec.frame_duration_ms);
    let mut svg = Map::new();
    put(&mut svg, "model", spec.svg_model.as_deref());
    put(&mut svg, "reasoning", spec.svg_effort.as_deref().map(|effort| json!({ "effort": effort })));
    put(body, "svg", (!svg.is_empty()).then_some(svg));
}

fn put(body: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::openai_images::ResponseFormat;

    fn spec(model: &str) -> Spec {
        Spec { model: model.to_owned(), prompt: Some("a cat".to_owned()), ..Spec::default() }
    }

    fn full(model: &str) -> Spec {
        Spec {
            size: Some("1024x1024".to_owned()),
            quality: Some("high".to_owned()),
            style: Some("vivid".to_owned()),
            background: Some("opaque".to_owned()),
            format: Some("webp".to_owned()),
            compression: Some(80),
            moderation: Some("low".to_owned()),
            complexity: Some("medium".to_owned()),
            verbatim: true,
            take: 3,
            ..spec(model)
        }
    }

    #[test]
    fn only_what_is_set_is_sent() {
        let expected = json!({"model": "gpt-image-2", "prompt": "a cat", "n": 1});
        assert_eq!(body(&Account::default(), &spec("gpt-image-2")).unwrap(), expected);
    }

    #[test]
    fn each_model_gets_its_own_parameters() {
        let gpt = json!({
            "model": "gpt-image-2", "prompt": "a cat", "n": 1, "size": "1024x1024", "quality": "high",
            "background": "opaque", "output_format": "webp", "output_compression": 80, "moderation": "low",
            "complexity": "medium",
        });
        assert_eq!(body(&Account::default(), &full("gpt-image-2")).unwrap(), gpt);
        let dalle3 = json!({
            "model": "dall-e-3", "prompt": format!("{VERBATIM}a cat"), "n": 1, "size": "1024x1024",
            "quality": "high", "style": "vivid", "response_format": "b64_json",
        });
        assert_eq!(body(&Account::default(), &full("dall-e-3")).unwrap(), dalle3);
        let dalle2 = json!({
            "model": "dall-e-2", "prompt": "a cat", "n": 1, "size": "1024x1024", "quality": "high",
            "response_format": "b64_json",
        });
        assert_eq!(body(&Account::default(), &full("dall-e-2")).unwrap(), dalle2);
    }

    #[test]
    fn accounts_rename_models_and_choose_forms() {
        let mut account = Account { response_format: ResponseFormat::Url, ..Account::default() };
        account.models.insert("dall-e-3".to_owned(), "mine".to_owned());
        let sent = body(&account, &spec("dall-e-3")).unwrap();
        assert_eq!(sent, json!({"model": "mine", "prompt": "a cat", "n": 1, "response_format": "url"}));
        account.omit_model = true;
        account.response_format = ResponseFormat::Unsaid;
        assert_eq!(body(&account, &spec("dall-e-3")).unwrap(), json!({"prompt": "a cat", "n": 1}));
    }

    #[test]
    fn svg_and_gif_parameters() {
        let svg = Spec {
            svg_model: Some("w".to_owned()),
            svg_effort: Some("low".to_owned()),
            frame_count: Some(4),
            frame_duration_ms: Some(200),
            ..spec("gpt-image-2.6-flare")
        };
        let sent = body(&Account::default(), &svg).unwrap();
        assert_eq!(sent["svg"], json!({"model": "w", "reasoning": {"effort": "low"}}));
        assert_eq!((&sent["frame_count"], &sent["frame_duration_ms"]), (&json!(4), &json!(200)));
    }

    #[test]
    fn other_operations_are_refused() {
        let edit = Spec { operation: Operation::Edit, ..spec("gpt-image-2") };
        assert!(body(&Account::default(), &edit).unwrap_err().contains("edit"));
    }
}
