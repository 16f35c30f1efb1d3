//! Reads a generation request as strictly as the API does.

use serde_json::{Map, Value};

use crate::{
    errors::ApiError,
    models::{self, Family, Model, Sizes},
    sizes::Size,
};

/// A request that is valid, with every default filled in.
#[derive(Clone, Debug)]
pub(crate) struct ImageRequest {
    pub(crate) model: &'static Model,
    pub(crate) prompt: String,
    pub(crate) count: usize,
    pub(crate) size: Size,
    pub(crate) quality: &'static str,
    pub(crate) format: Format,
    /// 0 to 100, for JPEG and WebP.
    pub(crate) compression: Option<u8>,
    pub(crate) transparent: bool,
    /// Answers by address instead of base64.
    pub(crate) by_url: bool,
    pub(crate) safety_identifier: Option<String>,
}

/// A picture format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    Png,
    Jpeg,
    Webp,
}

impl Format {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }
}

const SHARED: &[&str] = &["model", "prompt", "n", "size", "quality", "user"];
const LEGACY: &[&str] = &["response_format"];
const GPT: &[&str] = &[
    "background",
    "output_format",
    "output_compression",
    "moderation",
    "stream",
    "partial_images",
    "safety_identifier",
];

/// Reads a body; the error is the real API's.
pub(crate) fn parse(body: &[u8]) -> Result<ImageRequest, ApiError> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
        return Err(ApiError::invalid(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your \
             HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
        ));
    };
    fields.retain(|_, value| !value.is_null());
    let model = match fields.get("model") {
        None => return Err(ApiError::invalid("you must provide a model parameter")),
        Some(Value::String(id)) => models::find(id).ok_or_else(|| ApiError::model_not_found(id))?,
        Some(other) => return Err(wrong_type("model", "a string", other)),
    };
    if let Some(unknown) = fields.keys().find(|name| !accepts(model, name)) {
        let message = format!("Unknown parameter: '{unknown}'.");
        return Err(ApiError::invalid(message).code("unknown_parameter").param(unknown));
    }
    let prompt = prompt(&fields, model)?;
    choice(&fields, "moderation", &["low", "auto"])?;
    choice(&fields, "style", &["vivid", "natural"])?;
    choice(&fields, "complexity", &["low", "medium", "high"])?;
    no_stream(&fields)?;
    text(&fields, "user")?;
    let format = match choice(&fields, "output_format", &["png", "webp", "jpeg"])? {
        Some("jpeg") => Format::Jpeg,
        Some("webp") => Format::Webp,
        _ => Format::Png,
    };
    Ok(ImageRequest {
        model,
        prompt,
        count: count(&fields, model)?,
        size: size(&fields, model)?,
        quality: quality(&fields, model)?,
        format,
        compression: compression(&fields, format)?,
        transparent: transparent(&fields, format)?,
        by_url: !model.is_gpt()
            && choice(&fields, "response_format", &["url", "b64_json"])? != Some("b64_json"),
        safety_identifier: text(&fields, "safety_identifier")?.map(str::to_owned),
    })
}

fn accepts(model: &Model, name: &str) -> bool {
    let own = if model.is_gpt() { GPT } else { LEGACY };
    SHARED.contains(&name)
        || own.contains(&name)
        || (name == "style" && model.family == Family::DallE3)
        || (name == "complexity" && model.complexity)
}

fn prompt(fields: &Map<String, Value>, model: &Model) -> Result<String, ApiError> {
    let missing = || {
        let error = ApiError::invalid("Missing required parameter: 'prompt'.");
        error.code("missing_required_parameter").param("prompt")
    };
    let prompt = text(fields, "prompt")?.ok_or_else(missing)?;
    if prompt.is_empty() {
        let message = "Invalid 'prompt': string too short. Expected a string with minimum length 1, but got an \
                       empty string instead.";
        return Err(ApiError::invalid(message).code("string_below_min_length").param("prompt"));
    }
    let (length, longest) = (prompt.chars().count(), model.prompt_max);
    if length > longest {
        let message = format!(
            "Invalid 'prompt': string too long. Expected a string with maximum length {longest}, but got a \
             string with length {length} instead."
        );
        return Err(ApiError::invalid(message).code("string_above_max_length").param("prompt"));
    }
    Ok(prompt.to_owned())
}

fn count(fields: &Map<String, Value>, model: &Model) -> Result<usize, ApiError> {
    let count = integer(fields, "n", 1, 10)?.unwrap_or(1);
    if count != 1 && model.family == Family::DallE3 {
        let error = ApiError::invalid("You must provide n=1 for this model.");
        return Err(error.code("invalid_value").param("n"));
    }
    Ok(count)
}

fn size(fields: &Map<String, Value>, model: &Model) -> Result<Size, ApiError> {
    let given = text(fields, "size")?;
    if given.is_none() || (model.is_gpt() && given == Some("auto")) {
        return Ok(Size::SQUARE);
    }
    let given = given.unwrap_or_default();
    let parsed = given.parse::<Size>();
    match (model.sizes, parsed) {
        (Sizes::Listed(listed), Ok(size)) if listed.contains(&given) => Ok(size),
        (Sizes::Listed(listed), _) => {
            let auto = model.is_gpt().then_some("auto");
            Err(not_among("size", given, listed.iter().copied().chain(auto)))
        }
        (Sizes::Free, Ok(size)) => size.check_free().map(|()| size).map_err(bad_size),
        (Sizes::Free, Err(_)) => {
            let message = format!("Invalid size '{given}'. Expected 'auto' or a size such as '1024x1024'.");
            Err(bad_size(message))
        }
    }
}

fn bad_size(message: String) -> ApiError {
    let error = ApiError { kind: "image_generation_user_error", ..ApiError::invalid(message) };
    error.code("invalid_value").param("size")
}

fn quality(fields: &Map<String, Value>, model: &Model) -> Result<&'static str, ApiError> {
    let given = text(fields, "quality")?;
    match given {
        None => Ok(model.default_quality),
        Some("auto") if model.is_gpt() => Ok(model.default_quality),
        Some(given) => model.qualities.iter().copied().find(|known| *known == given).ok_or_else(|| {
            let auto = model.is_gpt().then_some("auto");
            not_among("quality", given, model.qualities.iter().copied().chain(auto))
        }),
    }
}

fn compression(fields: &Map<String, Value>, format: Format) -> Result<Option<u8>, ApiError> {
    let given = integer(fields, "output_compression", 0, 100)?;
    if given.is_some() && format == Format::Png {
        let error = ApiError::invalid("Compression is not supported for PNG output format.");
        return Err(error.code("invalid_value").param("output_compression"));
    }
    Ok(given.and_then(|percent| u8::try_from(percent).ok()))
}

fn transparent(fields: &Map<String, Value>, format: Format) -> Result<bool, ApiError> {
    let transparent =
        choice(fields, "background", &["transparent", "opaque", "auto"])? == Some("transparent");
    if transparent && format == Format::Jpeg {
        let message =
            "Transparent background is not supported for output_format 'jpeg'. Use 'png' or 'webp'.";
        return Err(ApiError::invalid(message).code("invalid_value").param("background"));
    }
    Ok(transparent)
}

fn no_stream(fields: &Map<String, Value>) -> Result<(), ApiError> {
    match fields.get("stream") {
        None | Some(Value::Bool(false)) => {}
        Some(Value::Bool(true)) => {
            let error = ApiError::invalid("Unsupported value: 'stream' must be false for this model.");
            return Err(error.code("unsupported_value").param("stream"));
        }
        Some(other) => return Err(wrong_type("stream", "a boolean", other)),
    }
    if integer(fields, "partial_images", 0, 3)?.unwrap_or(0) > 0 {
        let error = ApiError::invalid("'partial_images' can only be used when 'stream' is true.");
        return Err(error.code("invalid_value").param("partial_images"));
    }
    Ok(())
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, ApiError> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong_type(name, "a string", other)),
    }
}

fn choice<'a>(
    fields: &'a Map<String, Value>,
    name: &str,
    known: &[&'static str],
) -> Result<Option<&'a str>, ApiError> {
    match text(fields, name)? {
        Some(given) if !known.contains(&given) => Err(not_among(name, given, known.iter().copied())),
        given => Ok(given),
    }
}

fn integer(fields: &Map<String, Value>, name: &str, min: i64, max: i64) -> Result<Option<usize>, ApiError> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    let number = value.as_i64().ok_or_else(|| wrong_type(name, "an integer", value))?;
    let out_of_range = |bound, sign, limit, code| {
        let message = format!(
            "Invalid '{name}': integer {bound} value. Expected a value {sign} {limit}, but got {number} instead."
        );
        Err(ApiError::invalid(message).code(code).param(name))
    };
    if number < min {
        return out_of_range("below minimum", ">=", min, "integer_below_min_value");
    }
    if number > max {
        return out_of_range("above maximum", "<=", max, "integer_above_max_value");
    }
    Ok(usize::try_from(number).ok())
}

fn not_among(name: &str, given: &str, known: impl Iterator<Item = &'static str>) -> ApiError {
    let known: Vec<_> = known.map(|value| format!("'{value}'")).collect();
    let listed = match known.as_slice() {
        [one] => format!("value is: {one}"),
        [first, second] => format!("values are: {first} and {second}"),
        [rest @ .., last] => format!("values are: {}, and {last}", rest.join(", ")),
        [] => String::new(),
    };
    let message = format!("Invalid value: '{given}'. Supported {listed}.");
    ApiError::invalid(message).code("invalid_value").param(name)
}

fn wrong_type(name: &str, expected: &str, given: &Value) -> ApiError {
    let got = match given {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let message = format!("Invalid type for '{name}': expected {expected}, but got {got} instead.");
    ApiError::invalid(message).code("invalid_type").param(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(model: &str, extra: &Value) -> Result<ImageRequest, ApiError> {
        let mut body = json!({ "model": model, "prompt": "a red mug" });
        for (name, value) in extra.as_object().unwrap() {
            body[name] = value.clone();
        }
        parse(body.to_string().as_bytes())
    }

    #[test]
    fn refuses_what_the_api_refuses() {
        for (model, extra, param, code) in [
            ("gpt-image-2", json!({"response_format": "b64_json"}), "response_format", "unknown_parameter"),
            ("gpt-image-1", json!({"style": "vivid"}), "style", "unknown_parameter"),
            ("gpt-image-2", json!({"seed": 1}), "seed", "unknown_parameter"),
            ("dall-e-3", json!({"background": "opaque"}), "background", "unknown_parameter"),
            ("dall-e-2", json!({"style": "vivid"}), "style", "unknown_parameter"),
            ("gpt-image-2.5-flare", json!({"complexity": "low"}), "complexity", "unknown_parameter"),
            ("dall-e-3", json!({"n": 3}), "n", "invalid_value"),
            ("dall-e-3", json!({"size": "512x512"}), "size", "invalid_value"),
            ("dall-e-3", json!({"size": "auto"}), "size", "invalid_value"),
            ("dall-e-2", json!({"size": "1792x1024"}), "size", "invalid_value"),
            ("gpt-image-1", json!({"size": "2048x2048"}), "size", "invalid_value"),
            ("gpt-image-2", json!({"size": "1000x1000"}), "size", "invalid_value"),
            ("gpt-image-2", json!({"size": "big"}), "size", "invalid_value"),
            ("gpt-image-2", json!({"size": "3856x2160"}), "size", "invalid_value"),
            ("dall-e-3", json!({"quality": "high"}), "quality", "invalid_value"),
            ("dall-e-2", json!({"quality": "hd"}), "quality", "invalid_value"),
            ("gpt-image-2", json!({"quality": "max"}), "quality", "invalid_value"),
            ("gpt-image-2", json!({"output_format": "gif"}), "output_format", "invalid_value"),
            ("gpt-image-2", json!({"output_compression": 80}), "output_compression", "invalid_value"),
            (
                "gpt-image-2",
                json!({"background": "transparent", "output_format": "jpeg"}),
                "background",
                "invalid_value",
            ),
            ("gpt-image-2", json!({"n": 11}), "n", "integer_above_max_value"),
            ("gpt-image-2", json!({"n": 0}), "n", "integer_below_min_value"),
            ("gpt-image-2", json!({"n": "1"}), "n", "invalid_type"),
            ("gpt-image-2", json!({"prompt": null}), "prompt", "missing_required_parameter"),
            ("gpt-image-2", json!({"prompt": ""}), "prompt", "string_below_min_length"),
            ("dall-e-2", json!({"prompt": "x".repeat(1001)}), "prompt", "string_above_max_length"),
            ("dall-e-3", json!({"prompt": "é".repeat(4001)}), "prompt", "string_above_max_length"),
            ("gpt-image-2", json!({"prompt": "x".repeat(32_001)}), "prompt", "string_above_max_length"),
        ] {
            let error = ask(model, &extra).expect_err(&format!("{model} {param} {code}"));
            assert_eq!(error.status.as_u16(), 400);
            assert_eq!((error.param.as_deref(), error.code), (Some(param), Some(code)), "{model}");
        }
        let error = ask("gpt-image-9", &json!({})).unwrap_err();
        assert_eq!((error.status.as_u16(), error.code), (404, Some("model_not_found")));
        assert!(parse(b"[]").unwrap_err().message.contains("could not parse the JSON body"));
        assert!(parse(b"{}").unwrap_err().message.contains("model parameter"));
    }

    #[test]
    fn names_the_values_that_would_do() {
        let message = ask("dall-e-3", &json!({"size": "512x512"})).unwrap_err().message;
        assert_eq!(
            message,
            "Invalid value: '512x512'. Supported values are: '1024x1024', '1024x1792', and '1792x1024'."
        );
    }

    #[test]
    fn fills_in_defaults() {
        let request = ask("gpt-image-1", &json!({"size": "auto", "quality": "auto", "user": null})).unwrap();
        assert_eq!((request.size, request.quality, request.by_url), (Size::SQUARE, "high", false));
        let request = ask("dall-e-3", &json!({"style": "vivid", "quality": "hd"})).unwrap();
        assert_eq!((request.quality, request.by_url, request.count), ("hd", true, 1));
        let webp = json!({"background": "transparent", "output_format": "webp", "output_compression": 50});
        let request = ask("gpt-image-2", &webp).unwrap();
        assert_eq!((request.transparent, request.compression), (true, Some(50)));
        ask("gpt-image-2.6-flare", &json!({"complexity": "high", "quality": "max", "size": "3840x2160"}))
            .unwrap();
    }
}
