//! Answers whose JSON or base64 is odd.

use super::{
    front::Honest,
    kinds::{
        End::{Failed, Parked},
        Kind, body, json, paid, taken, unknown,
    },
};

fn said(honest: &Honest, data: &str) -> Vec<super::front::Step> {
    body(honest, format!("{{\"created\": 1, \"data\": {}}}", data.replace("IMAGE", &honest.base64)))
}

/// The image string in lines, or changed in the middle.
fn changed(honest: &Honest, from: usize, with: &str) -> String {
    let mut text = honest.base64.clone();
    text.replace_range(from..from + with.len(), with);
    text
}

pub(super) const TEXT: &[Kind] = &[
    unknown("data_null", |h| said(h, "null")),
    unknown("data_empty", |h| said(h, "[]")),
    unknown("data_object", |h| said(h, "{}")),
    unknown("data_text", |h| said(h, "\"none\"")),
    unknown("data_of_nulls", |h| said(h, "[null, null]")),
    unknown("data_missing", |h| body(h, "{\"created\": 1}")),
    unknown("image_null", |h| said(h, r#"[{"b64_json": null}]"#)),
    unknown("image_empty", |h| said(h, r#"[{"b64_json": ""}]"#)),
    unknown("image_number", |h| said(h, r#"[{"b64_json": 12345}]"#)),
    unknown("image_array", |h| said(h, r#"[{"b64_json": [1, 2]}]"#)),
    taken("image_and_null_url", |h| said(h, r#"[{"b64_json": "IMAGE", "url": null}]"#)),
    taken("image_and_url", |h| said(h, r#"[{"url": "http://127.0.0.1:9/never", "b64_json": "IMAGE"}]"#)),
    taken("two_images", |h| said(h, r#"[{"b64_json": "IMAGE"}, {"b64_json": "IMAGE"}]"#)),
    taken("empty_then_image", |h| said(h, r#"[{"b64_json": ""}, {"b64_json": "IMAGE"}]"#)),
    taken("field_twice", |h| said(h, r#"[{"b64_json": "IMAGE", "b64_json": "AAAA"}]"#)),
    taken("nested_deeper", |h| said(h, r#"[{"image": {"b64_json": "IMAGE"}}]"#)),
    taken("bare_list", |h| body(h, format!("[{{\"b64_json\": \"{}\"}}]", h.base64))),
    taken("error_null", |h| body(h, json(&h.base64).replacen('{', "{\"error\": null, ", 1))),
    taken("error_and_image", |h| {
        body(h, json(&h.base64).replacen('{', "{\"error\": {\"message\": \"x\"}, ", 1))
    }),
    taken("long_field", |h| {
        body(h, json(&h.base64).replacen('{', &format!("{{\"note\": \"{}\", ", "x".repeat(2 << 20)), 1))
    }),
    taken("long_key", |h| {
        body(h, json(&h.base64).replacen('{', &format!("{{\"{}\": 1, ", "k".repeat(1 << 20)), 1))
    }),
    taken("spaces_first", |h| body(h, " ".repeat(1 << 20) + &json(&h.base64))),
    taken("text_after", |h| body(h, json(&h.base64) + " and so on")),
    taken("byte_order_mark", |h| body(h, format!("\u{feff}{}", json(&h.base64)))),
    taken("escaped_key", |h| body(h, json(&h.base64).replace("b64_json", r"b64\u005fjson"))),
    unknown("nested_endlessly", |h| body(h, "[".repeat(1 << 20))),
    unknown("utf16", |h| {
        let wide: Vec<u8> = json("AAAA").encode_utf16().flat_map(u16::to_le_bytes).collect();
        body(h, wide)
    }),
    unknown("packed", |h| body(h, [0x1f_u8, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3])),
    unknown("page", |h| body(h, "<html><title>Sign in</title></html>")).free(),
    unknown("words", |h| body(h, "please wait")).free(),
    unknown("nothing", |h| body(h, "")),
    unknown("zeros", |h| body(h, [0_u8; 4096])),
    unknown("two_in_a_row", |h| said(h, "null")).always(&["unknown", "unknown"], Parked("bad_answer")),
    Kind {
        ledger: &["settled"],
        ..unknown("error_as_success", |h| {
            body(h, r#"{"error": {"message": "The server had an error.", "type": "server_error"}}"#)
        })
    }
    .free(),
    unknown("withheld", |h| said(h, r#"[{"respect_moderation": false}]"#))
        .always(&["unknown"], Failed("moderation")),
    // base64
    taken("escaped_slashes", |h| body(h, json(&h.base64.replace('/', r"\/")))),
    taken("in_lines", |h| {
        let lines: Vec<_> =
            h.base64.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line)).collect();
        body(h, json(&lines.join(r"\r\n")))
    }),
    taken("unpadded", |h| body(h, json(h.base64.trim_end_matches('=')))),
    taken("data_prefix", |h| body(h, json(&format!("data:image/png;base64,{}", h.base64)))),
    paid("endless_prefix", |h| body(h, json(&format!("data:{}", "a".repeat(10_000))))),
    paid("bad_letters", |h| body(h, json(&changed(h, 100, "!*#$")))),
    paid("letters_of_urls", |h| body(h, json(&changed(h, 100, "-_-_")))),
    paid("padding_inside", |h| body(h, json(&changed(h, 100, "====")))),
    paid("one_letter_left", |h| body(h, json("AAAAA"))),
    paid("escaped_nonsense", |h| body(h, json(&changed(h, 100, r"\u00e9")))),
    paid("never_base64", |h| body(h, json(&changed(h, 100, "!*#$"))))
        .always(&["settled", "settled"], Failed("bad_answer")),
];
