//! Reads requests as OpenAI's batch files have them: `custom_id`, `method`, `url`, `body`.
//!
//! The body's parameters become the fields of a row. What only says how an image travels or who
//! asked (`response_format`, `user`, `safety_identifier`) decides no image and is left out; what
//! would cost more, or asks for something else than a new image, is refused.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    RowError,
    cell::{Kind, RawRow},
    columns::normalized,
    error::shortened,
    jsonl::{Columns, cell},
};

const GENERATIONS: &str = "/v1/images/generations";

/// Parameters that are fields, by the field's name.
const FIELDS: &[(&str, &str)] = &[
    ("model", "model"),
    ("prompt", "prompt"),
    ("n", "n"),
    ("size", "size"),
    ("quality", "quality"),
    ("style", "style"),
    ("background", "background"),
    ("output_format", "format"),
    ("output_compression", "compression"),
    ("moderation", "moderation"),
    ("complexity", "complexity"),
    ("frame_count", "frame_count"),
    ("frame_duration_ms", "frame_duration_ms"),
];

/// Names and values of an object in their order, repeated ones too.
pub(crate) struct Pairs<'t>(pub(crate) Vec<(String, &'t RawValue)>);

impl<'t> Deserialize<'t> for Pairs<'t> {
    fn deserialize<D: Deserializer<'t>>(json: D) -> Result<Self, D::Error> {
        struct All;
        impl<'t> Visitor<'t> for All {
            type Value = Pairs<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Pairs<'t>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        json.deserialize_map(All)
    }
}

/// Whether a line is a request: its `body` is an object, which no cell of a row can be.
pub(super) fn is_request(line: &str) -> bool {
    line.contains("\"body\"")
        && serde_json::from_str::<Pairs<'_>>(line)
            .is_ok_and(|Pairs(pairs)| pairs.iter().any(|(name, value)| name == "body" && is_object(value)))
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// Reads a request as a row.
pub(super) fn request(
    line: &str,
    columns: &mut Columns,
    raw: &mut RawRow,
    errors: &mut Vec<RowError>,
) -> serde_json::Result<()> {
    let Pairs(pairs) = serde_json::from_str(line)?;
    let mut request = Request { columns, raw, errors };
    let [mut has_id, mut has_url] = [false; 2];
    request.repeated(&pairs, "");
    for (name, value) in pairs {
        match name.as_str() {
            "custom_id" => {
                has_id = true;
                request.custom_id(value);
            }
            "method" if value.get() == "\"POST\"" => {}
            "method" => request.wrong("method", value, "must be \"POST\"".to_owned()),
            "url" => {
                has_url = true;
                request.url(value);
            }
            "body" if is_object(value) => request.body(value)?,
            // Ours, of an earlier round.
            "error" if value.get().starts_with('"') => {}
            "body" => request.wrong("body", value, "must be one object".to_owned()),
            _ => request.wrong(
                &name,
                value,
                "a batch request has custom_id, method, url and body, and nothing else".to_owned(),
            ),
        }
    }
    for (missing, why) in [
        (!has_id, "there is no custom_id; each request needs one"),
        (!has_url, "there is no url; it is \"/v1/images/generations\""),
    ] {
        if missing {
            request.errors.push(RowError::row(request.raw.row, why));
        }
    }
    Ok(())
}

struct Request<'a> {
    columns: &'a mut Columns,
    raw: &'a mut RawRow,
    errors: &'a mut Vec<RowError>,
}

impl Request<'_> {
    fn wrong(&mut self, name: &str, value: &RawValue, message: String) {
        self.errors.push(RowError::cell(self.raw.row, name, value.get(), message));
    }

    fn repeated(&mut self, pairs: &[(String, &RawValue)], prefix: &str) {
        for (i, (name, value)) in pairs.iter().enumerate() {
            if pairs[..i].iter().any(|(other, _)| other == name) {
                self.wrong(&format!("{prefix}{name}"), value, "given twice in one object".to_owned());
            }
        }
    }

    fn custom_id(&mut self, value: &RawValue) {
        match serde_json::from_str::<String>(value.get()) {
            Ok(id) if !id.trim().is_empty() => self.put("id", id, Kind::Text),
            _ => self.wrong("custom_id", value, "must be a text that is not empty".to_owned()),
        }
    }

    fn url(&mut self, value: &RawValue) {
        let url = serde_json::from_str::<String>(value.get()).unwrap_or_default();
        if url == GENERATIONS {
            return;
        }
        let why = if url.contains("/images/edits") {
            "; edits name their input images by file id, and cannot be read from this form"
        } else {
            ""
        };
        self.wrong("url", value, format!("must be {GENERATIONS:?}{why}"));
    }

    fn body(&mut self, body: &RawValue) -> serde_json::Result<()> {
        let Pairs(pairs) = serde_json::from_str(body.get())?;
        self.repeated(&pairs, "body.");
        for (name, value) in pairs {
            if value.get() == "null" {
                continue;
            }
            if let Some((_, field)) = FIELDS.iter().find(|(parameter, _)| *parameter == name) {
                self.field(&format!("body.{name}"), field, value);
            } else if name == "svg" && is_object(value) {
                self.svg(value)?;
            } else if let Err(message) = judged(&name, value.get()) {
                self.wrong(&format!("body.{name}"), value, message);
            }
        }
        Ok(())
    }

    fn svg(&mut self, svg: &RawValue) -> serde_json::Result<()> {
        let Pairs(pairs) = serde_json::from_str(svg.get())?;
        self.repeated(&pairs, "body.svg.");
        for (name, value) in pairs {
            match name.as_str() {
                "model" => self.field("body.svg.model", "svg_model", value),
                "reasoning" if is_object(value) => {
                    let Pairs(reasoning) = serde_json::from_str(value.get())?;
                    self.repeated(&reasoning, "body.svg.reasoning.");
                    for (name, value) in reasoning {
                        match name.as_str() {
                            "effort" => self.field("body.svg.reasoning.effort", "svg_effort", value),
                            _ => self.wrong(
                                "body.svg.reasoning",
                                value,
                                "has effort, and nothing else".to_owned(),
                            ),
                        }
                    }
                }
                _ => self.wrong(
                    "body.svg",
                    value,
                    "has model and reasoning.effort, and nothing else".to_owned(),
                ),
            }
        }
        Ok(())
    }

    fn field(&mut self, name: &str, field: &str, value: &RawValue) {
        match cell(value) {
            Ok((_, Kind::List)) => {
                self.wrong(name, value, "a list; give a text, number or boolean".to_owned());
            }
            Ok((text, kind)) => self.put(field, text, kind),
            Err(message) => self.wrong(name, value, message),
        }
    }

    fn put(&mut self, field: &str, text: String, kind: Kind) {
        match self.columns.of(field) {
            Some(column) => self.raw.put(column, text, kind),
            None => self.errors.push(RowError::row(self.raw.row, "has too many columns")),
        }
    }
}

/// Whether a parameter that is no field may be left out of account.
fn judged(name: &str, value: &str) -> Result<(), String> {
    match (name, value) {
        ("user" | "safety_identifier", _)
        | ("response_format", "\"b64_json\"" | "\"url\"")
        | ("stream", "false")
        | ("partial_images", "0") => Ok(()),
        ("response_format", _) => Err("must be \"b64_json\" or \"url\"; leave it out".to_owned()),
        ("stream", _) => Err("a batch request cannot stream; leave it out".to_owned()),
        ("partial_images", _) => Err("partial images cost extra and are not kept; leave it out".to_owned()),
        ("image" | "images" | "mask" | "markup" | "input_fidelity", _) => {
            Err(format!("is for edits, and this request is for {GENERATIONS}; leave it out"))
        }
        ("svg", _) => Err("must be one object".to_owned()),
        _ => {
            let wanted = normalized(name);
            let near = FIELDS
                .iter()
                .flat_map(|(parameter, field)| [(*parameter, *parameter), (*field, *parameter)])
                .map(|(spelt, parameter)| (strsim::damerau_levenshtein(&wanted, spelt), parameter))
                .filter(|(distance, parameter)| *distance <= parameter.len() / 3)
                .min_by_key(|(distance, _)| *distance);
            let hint = near.map_or_else(
                || "leave it out".to_owned(),
                |(_, parameter)| format!("did you mean {:?}?", shortened(parameter)),
            );
            Err(format!("no parameter of image generation; {hint}"))
        }
    }
}
