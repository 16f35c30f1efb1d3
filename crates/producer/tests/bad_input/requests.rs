//! Batch files as OpenAI's API takes them.

use super::{assert_refused, case, verdict};

fn line(body: &str) -> String {
    format!(
        "{{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/images/generations\",\"body\":{{{body}}}}}\n"
    )
}

#[test]
fn requests_that_cannot_be_rows() {
    let edit = r#"{"custom_id":"a","method":"GET","url":"/v1/images/edits","body":{"prompt":"x","images":[{"file_id":"f"}]}}"#;
    assert_refused([
        case(
            "a.jsonl",
            edit,
            "F: row 1, column \"method\": must be \"POST\"\n\
             F: row 1, column \"url\": must be \"/v1/images/generations\"; edits name their input images by file id, and \
             cannot be read from this form\n\
             F: row 1, column \"body.images\": is for edits, and this request is for /v1/images/generations; leave it out",
        ),
        case(
            "a.jsonl",
            r#"{"custom_id":7,"method":"POST","url":"/v1/chat/completions","body":{"prompt":"x"},"id":1}"#,
            "F: row 1, column \"custom_id\": must be a text that is not empty\n\
             F: row 1, column \"url\": must be \"/v1/images/generations\"\n\
             F: row 1, column \"id\": a batch request has custom_id, method, url and body, and nothing else",
        ),
        case(
            "a.jsonl",
            r#"{"method":"POST","body":{"prompt":"x"}}"#,
            "F: row 1: there is no custom_id; each request needs one\n\
             F: row 1: there is no url; it is \"/v1/images/generations\"",
        ),
        case(
            "a.jsonl",
            line(
                r#""prompt":"x","stream":true,"partial_images":2,"response_format":"png","qualty":"low","seed":7,"n":[1],"prompt":"y""#,
            ),
            "F: row 1, column \"body.prompt\": given twice in one object\n\
             F: row 1, column \"body.stream\": a batch request cannot stream; leave it out\n\
             F: row 1, column \"body.partial_images\": partial images cost extra and are not kept; leave it out\n\
             F: row 1, column \"body.response_format\": must be \"b64_json\" or \"url\"; leave it out\n\
             F: row 1, column \"body.qualty\": no parameter of image generation; did you mean \"quality\"?\n\
             F: row 1, column \"body.seed\": no parameter of image generation; leave it out\n\
             F: row 1, column \"body.n\": a list; give a text, number or boolean",
        ),
        case(
            "a.jsonl",
            line(r#""prompt":"mug","model":"dall-e-3","size":"1x1","output_format":"bmp""#),
            "F: row 1, column \"size\": dall-e-3 makes 1024x1024, 1024x1792 or 1792x1024, not 1x1\n\
             F: row 1, column \"format\": dall-e-3 makes png, not bmp",
        ),
    ]);
}

#[test]
fn files_that_mix_both_forms() {
    assert_refused([
        case(
            "a.jsonl",
            line("\"prompt\":\"mug\"") + "{\"id\":\"b\",\"prompt\":\"cup\"}\n",
            "F: row 2: the first line is a batch request (with url and body) and this one is none; write all lines one way",
        ),
        case(
            "a.jsonl",
            "{\"id\":\"b\",\"prompt\":\"cup\"}\n".to_owned() + &line("\"prompt\":\"mug\""),
            "F: row 2: the first line is not a batch request (with url and body) and this one is one; write all lines one way",
        ),
        case(
            "a.jsonl",
            line("\"prompt\":\"mug\"") + &line("\"prompt\":\"cup\""),
            "F: row 2, column \"id\": the id \"a\" is already that of row 1; ids must differ",
        ),
        case(
            "a.jsonl",
            line("\"prompt\":\"mug\",\"size\":null") + "{\"custom_id\":\"b\",\"body\":{\"prompt\"\n",
            "F: row 2: the first line is a batch request (with url and body) and this one is none; write all lines one way",
        ),
    ]);
}

#[test]
fn what_decides_no_image_is_left_out() {
    let body = r#""prompt":"mug","user":"u-1","safety_identifier":"s","response_format":"b64_json","stream":false,"size":null"#;
    assert_eq!(verdict(&case("a.jsonl", line(body), "")).unwrap(), ["mug"]);
}
