//! Builds answers: the JSON around pictures, error bodies, and the headers of both.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64_simd::STANDARD;
use serde_json::{Value, json};

use crate::{
    body::{Manner, Piece, Sending},
    errors::ApiError,
    faults::Spoil,
    picture::Picture,
    tokens::Usage,
    validate::ImageRequest,
};

/// A picture as the client gets it.
#[derive(Debug)]
pub(crate) enum Delivered {
    Inline(Picture),
    At(String),
}

/// The JSON of an answer in pieces, laid out as the API lays it out.
pub(crate) fn envelope(
    request: &ImageRequest,
    pictures: &[Delivered],
    usage: Option<Usage>,
    spoil: Option<Spoil>,
    created: u64,
) -> Vec<Piece> {
    let mut opening = format!("{{\n  \"created\": {created},\n");
    if request.model.is_gpt() {
        let background = if request.transparent { "transparent" } else { "opaque" };
        opening += &format!("  \"background\": \"{background}\",\n");
    }
    opening += "  \"data\": [";
    let mut pieces = vec![Piece::text(opening)];
    let shown = if spoil == Some(Spoil::NoData) { &[] } else { pictures };
    let again = if spoil == Some(Spoil::TwoImages) { shown } else { &[] };
    for (index, picture) in shown.iter().chain(again).enumerate() {
        let separator = if index == 0 { "\n    {" } else { ",\n    {" };
        pieces.push(Piece::text(separator));
        let mut lead = "\n";
        if let Some(revised) = revised_prompt(request) {
            pieces.push(Piece::text(format!("\n      \"revised_prompt\": {}", json!(revised))));
            lead = ",\n";
        }
        if spoil != Some(Spoil::NoImage) {
            pieces.extend(one(picture, lead, spoil));
        }
        pieces.push(Piece::text("\n    }"));
    }
    pieces.push(Piece::text(closing(request, usage)));
    pieces
}

fn one(picture: &Delivered, lead: &'static str, spoil: Option<Spoil>) -> Vec<Piece> {
    let field = if matches!(picture, Delivered::At(_)) { "url" } else { "b64_json" };
    let value = match (picture, spoil) {
        (_, Some(Spoil::NullImage)) => "null".to_owned(),
        (_, Some(Spoil::EmptyImage)) => "\"\"".to_owned(),
        (Delivered::At(_), Some(Spoil::BadBase64)) => "\"no address\"".to_owned(),
        (Delivered::At(url), _) => json!(url).to_string(),
        (Delivered::Inline(picture), Some(Spoil::BadBase64)) => format!("\"{}\"", mangled(picture)),
        (Delivered::Inline(picture), Some(Spoil::InLines)) => json!(in_lines(picture)).to_string(),
        (Delivered::Inline(picture), spoil) => {
            let opening = if spoil == Some(Spoil::AsDataUrl) { "\"data:image/png;base64," } else { "\"" };
            let mut pieces = vec![Piece::text(format!("{lead}      \"{field}\": {opening}"))];
            pieces.extend(picture.base64());
            pieces.push(Piece::text("\""));
            return pieces;
        }
    };
    vec![Piece::text(format!("{lead}      \"{field}\": {value}"))]
}

fn whole_base64(picture: &Picture) -> String {
    let bytes: Vec<u8> = picture.raw().into_iter().flat_map(Piece::into_bytes).collect();
    STANDARD.encode_to_string(&bytes)
}

/// Base64 as mail writes it.
fn in_lines(picture: &Picture) -> String {
    let mut lines = String::new();
    for (at, letter) in whole_base64(picture).chars().enumerate() {
        if at > 0 && at % 76 == 0 {
            lines += "\r\n";
        }
        lines.push(letter);
    }
    lines
}

/// Base64 with letters that do not belong, in the middle.
fn mangled(picture: &Picture) -> String {
    let mut base64 = whole_base64(picture);
    let middle = base64.len() / 2;
    base64.replace_range(middle..middle + 4, "!*#$");
    base64
}

fn closing(request: &ImageRequest, usage: Option<Usage>) -> String {
    let mut fields = Vec::new();
    if request.model.is_gpt() {
        fields.push(("output_format", json!(request.format.name())));
        fields.push(("quality", json!(request.quality)));
        fields.push(("size", json!(request.size)));
        fields.extend(request.safety_identifier.as_ref().map(|id| ("safety_identifier", json!(id))));
    }
    fields.extend(usage.map(|usage| ("usage", usage_json(usage))));
    let fields: String = fields.iter().map(|(name, value)| format!(",\n  \"{name}\": {value}")).collect();
    format!("\n  ]{fields}\n}}\n")
}

fn usage_json(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.text_input,
        "input_tokens_details": { "image_tokens": 0, "text_tokens": usage.text_input },
        "output_tokens": usage.image_output,
        "output_tokens_details": { "image_tokens": usage.image_output, "text_tokens": 0 },
        "total_tokens": usage.text_input + usage.image_output,
    })
}

/// How the documentation says to keep a prompt as it is.
const AS_IS: &str = "I NEED to test how the tool works with extremely simple prompts.";

fn revised_prompt(request: &ImageRequest) -> Option<String> {
    if request.model.id != "dall-e-3" {
        return None;
    }
    let prompt = &request.prompt;
    if prompt.starts_with(AS_IS) {
        return Some(prompt.clone());
    }
    Some(format!(
        "A carefully composed, richly detailed picture: {prompt}. The light is soft and the focus sharp."
    ))
}

/// An answer whose body is sent in pieces, with its true length.
pub(crate) fn picture_response(pieces: Vec<Piece>, manner: Manner) -> Response {
    let length: usize = pieces.iter().map(Piece::sent_len).sum();
    let headers =
        [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    (headers, Body::new(Sending::new(pieces, manner))).into_response()
}

pub(crate) fn error_response(error: &ApiError) -> Response {
    let mut response = (error.status, Json(error.body())).into_response();
    if let Some(wait) = error.retry_after {
        let millis = u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        set(&mut response, "retry-after-ms", &millis.to_string());
        set(&mut response, "retry-after", &millis.div_ceil(1000).to_string());
    }
    response
}

pub(crate) fn raw_response(status: u16, content_type: &'static str, body: &'static str) -> Response {
    let status = StatusCode::from_u16(status).expect("the table holds real statuses");
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// Adds the headers that every answer of the API has.
pub(crate) fn tagged(
    mut response: Response,
    request_id: &str,
    organization: &str,
    took: Option<Duration>,
) -> Response {
    set(&mut response, "x-request-id", request_id);
    set(&mut response, "openai-organization", organization);
    set(&mut response, "openai-version", "2020-10-01");
    set(&mut response, "openai-processing-ms", &took.unwrap_or_default().as_millis().to_string());
    response
}

/// Sets a header, unless its value cannot be one.
pub(crate) fn set(response: &mut Response, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
        response.headers_mut().insert(name, value);
    }
}
