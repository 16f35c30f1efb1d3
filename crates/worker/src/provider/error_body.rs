//! Reads what an API says when it refuses, in the forms compatible servers use.

use secrecy::SecretString;
use serde_json::Value;

use super::{
    answer::{ApiError, BodyShape, Moderation, ModerationStage},
    headers::AnswerHeaders,
    redact::Redactor,
};

/// Makes an error of a status and a body.
pub(super) fn read(status: u16, headers: AnswerHeaders, body: &[u8], redactor: &Redactor) -> ApiError {
    let parsed = serde_json::from_slice::<Value>(body).ok();
    let stated = parsed.as_ref().and_then(stated);
    let mut error = stated.map_or_else(|| unstated(body, parsed.as_ref()), of_value);
    error.moderation = error.moderation.or_else(|| moderation(parsed.as_ref()?));
    clean(&mut error, redactor);
    error.code = error.code.filter(|code| *code != status.to_string());
    ApiError { status, headers, ..error }
}

/// An API may repeat a key wherever it likes.
fn clean(error: &mut ApiError, redactor: &Redactor) {
    let categories = error.moderation.iter_mut().flat_map(|moderation| &mut moderation.categories);
    let named = [&mut error.kind, &mut error.code, &mut error.inner_code, &mut error.param];
    for text in named.into_iter().flatten().chain(categories).chain([&mut error.message]) {
        *text = redactor.clean(text);
    }
}

impl ApiError {
    /// Reads what an API says when it refuses; no secret stays in it, wherever the API repeats one.
    #[must_use]
    pub fn read(
        status: u16,
        headers: AnswerHeaders,
        body: &[u8],
        secrets: impl IntoIterator<Item = SecretString>,
    ) -> Self {
        read(status, headers, body, &Redactor::new(secrets))
    }
}

/// Whether a JSON body states an error, so that a success is none.
pub(super) fn states_error(body: &Value) -> bool {
    match &body["error"] {
        Value::Object(error) => !error.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => false,
    }
}

fn stated(body: &Value) -> Option<&Value> {
    if states_error(body) {
        return Some(&body["error"]);
    }
    let bare = ["message", "detail", "code"].iter().any(|name| !body[name].is_null());
    (bare || body.is_string()).then_some(body)
}

fn of_value(error: &Value) -> ApiError {
    let text = |name: &str| scalar(&error[name]);
    let message = text("message").or_else(|| text("detail")).or_else(|| match &error["detail"] {
        Value::Null => None,
        detail => Some(detail.to_string()),
    });
    let inner = [&error["inner_error"]["code"], &error["innererror"]["code"]];
    ApiError {
        shape: BodyShape::Json,
        message: error.as_str().map(str::to_owned).or(message).unwrap_or_default(),
        kind: text("type"),
        code: text("code"),
        inner_code: inner.into_iter().find_map(scalar),
        param: text("param"),
        moderation: moderation(error),
        ..ApiError::default()
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn moderation(holder: &Value) -> Option<Moderation> {
    let details = holder["moderation_details"].as_object()?;
    let stage = match details.get("moderation_stage").and_then(Value::as_str) {
        Some("input") => ModerationStage::Input,
        Some("output") => ModerationStage::Output,
        _ => ModerationStage::Unknown,
    };
    let categories = details.get("categories").and_then(Value::as_array);
    Some(Moderation { stage, categories: categories.into_iter().flatten().filter_map(scalar).collect() })
}

fn unstated(body: &[u8], parsed: Option<&Value>) -> ApiError {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let is_html = text.starts_with('<');
    let shape = match (text.is_empty(), is_html) {
        (true, _) => BodyShape::Empty,
        (false, true) => BodyShape::Html,
        (false, false) => BodyShape::Other,
    };
    let message = match (is_html, parsed) {
        (true, _) => html_title(text).unwrap_or("a web page").to_owned(),
        (false, Some(Value::Object(object))) if object.is_empty() => String::new(),
        (false, _) => text.to_owned(),
    };
    ApiError { shape, message, ..ApiError::default() }
}

fn html_title(page: &str) -> Option<&str> {
    let lower = page.to_ascii_lowercase();
    let from = lower.find("<title>")? + "<title>".len();
    let to = lower[from..].find("</title>")? + from;
    Some(page[from..to].trim()).filter(|title| !title.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> ApiError {
        read(status, AnswerHeaders::default(), body.as_bytes(), &Redactor::default())
    }

    #[test]
    fn the_documented_object() {
        let error = of(
            400,
            r#"{"error":{"message":"no","type":"image_generation_user_error","param":"size","code":"moderation_blocked",
                "moderation_details":{"moderation_stage":"output","categories":["violence"]}}}"#,
        );
        assert_eq!((error.shape, error.status, error.message.as_str()), (BodyShape::Json, 400, "no"));
        assert_eq!(error.kind.as_deref(), Some("image_generation_user_error"));
        assert_eq!(
            (error.code.as_deref(), error.param.as_deref()),
            (Some("moderation_blocked"), Some("size"))
        );
        let expected = Moderation { stage: ModerationStage::Output, categories: vec!["violence".to_owned()] };
        assert_eq!(error.moderation, Some(expected));
    }

    #[test]
    fn the_forms_of_compatible_servers() {
        let rows = [
            (r#"{"error":"model is loading"}"#, BodyShape::Json, "model is loading", None),
            (r#"{"error":{"message":"slow","code":429}}"#, BodyShape::Json, "slow", None),
            (r#"{"error":{"message":"slow","code":"429"}}"#, BodyShape::Json, "slow", None),
            (r#"{"error":{"message":"slow","code":1302}}"#, BodyShape::Json, "slow", Some("1302")),
            (r#"{"detail":"no size"}"#, BodyShape::Json, "no size", None),
            (r#"{"detail":[{"loc":["n"]}]}"#, BodyShape::Json, r#"[{"loc":["n"]}]"#, None),
            (r#"{"message":"gone","code":"x"}"#, BodyShape::Json, "gone", Some("x")),
            (r#""quoted""#, BodyShape::Json, "quoted", None),
            ("<html><head><TITLE> 502 Bad\nGateway </TITLE>", BodyShape::Html, "502 Bad Gateway", None),
            ("<!DOCTYPE html><p>x", BodyShape::Html, "a web page", None),
            ("upstream timed out", BodyShape::Other, "upstream timed out", None),
            (r#"{"error":null}"#, BodyShape::Other, r#"{"error":null}"#, None),
            ("{}", BodyShape::Other, "", None),
            (" \n", BodyShape::Empty, "", None),
            ("", BodyShape::Empty, "", None),
        ];
        for (body, shape, message, code) in rows {
            let error = of(429, body);
            assert_eq!(
                (error.shape, error.message.as_str(), error.code.as_deref()),
                (shape, message, code),
                "{body}"
            );
        }
        let azure =
            of(400, r#"{"error":{"code":"c","inner_error":{"code":"ResponsibleAIPolicyViolation"}}}"#);
        assert_eq!(azure.inner_code.as_deref(), Some("ResponsibleAIPolicyViolation"));
    }
}
