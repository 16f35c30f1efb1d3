//! The scanner against `serde_json` and a one-shot base64 decoder.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const ROOM: u64 = 1 << 20;

fn scan(chunks: &[&[u8]], room: u64) -> (Vec<u8>, Scanned) {
    let mut scanner = Scanner::new(room);
    let mut image = Vec::new();
    chunks.iter().for_each(|chunk| scanner.push(chunk, &mut image));
    (image, scanner.finish())
}

/// Scans a body whole and byte by byte, and wants both to agree.
fn scan_both_ways(body: &str) -> (Vec<u8>, Scanned) {
    let whole = scan(&[body.as_bytes()], ROOM);
    let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
    assert_eq!(scan(&bytes, ROOM), whole, "{body}");
    whole
}

fn image_of(body: &str) -> Vec<u8> {
    let (image, scanned) = scan_both_ways(body);
    assert_eq!(scanned.image, ImageText::Complete, "{body}");
    image
}

fn skeleton_of(scanned: &Scanned) -> Value {
    serde_json::from_slice(&scanned.skeleton).expect("the skeleton is JSON")
}

#[test]
fn takes_the_image_and_leaves_the_rest() {
    let body = r#"{"created": 7, "data": [{"b64_json": "aGVsbG8=", "revised_prompt": "a \"cat\""}], "usage": {"n": 1}}"#;
    let (image, scanned) = scan_both_ways(body);
    assert_eq!(image, b"hello");
    let left =
        json!({"created": 7, "data": [{"b64_json": "", "revised_prompt": "a \"cat\""}], "usage": {"n": 1}});
    assert_eq!(skeleton_of(&scanned), left);
    assert_eq!(scanned.images, 1);
}

#[test]
fn forgives_what_servers_write() {
    for text in [
        "aGVsbG8=",
        "aGVsbG8",
        "aGVs bG8=",
        r"aGVs\nbG8=\n",
        r"aGVs\r\n\tbG8\u003d",
        r"\u0061GVsbG8=",
        "data:image/png;base64,aGVsbG8=",
        r"data:image\/png;base64,aGVsbG8=",
    ] {
        assert_eq!(image_of(&format!(r#"{{"data":[{{"b64_json":"{text}"}}]}}"#)), b"hello", "{text}");
    }
    assert_eq!(
        image_of(r#"{"b64_json":"\/\/79\u002b\u002F\u002f\/"}"#),
        [0xff, 0xfe, 0xfd, 0xfb, 0xff, 0xff]
    );
    assert_eq!(image_of(r#"{"b64_json":"data"}"#), [0x75, 0xab, 0x5a]);
    assert_eq!(image_of(r#"{"b64_json":"dat"}"#), [0x75, 0xab]);
}

#[test]
fn finds_the_key_wherever_it_stands_and_only_there() {
    assert_eq!(image_of(r#"{"usage":{},"result":{"data":[{"x":[1,{}],"b64_json":"aGVsbG8="}]}}"#), b"hello");
    assert_eq!(image_of(r#"{"b64\u005fjson":"aGVsbG8="}"#), b"hello");
    for decoy in [
        r#"{"prompt":"\"b64_json\":\"aGVsbG8=\""}"#,
        r#"{"prompt":"b64_json","x":"aGVsbG8="}"#,
        r#"["b64_json","aGVsbG8="]"#,
        r#"{"b64_json":["aGVsbG8="]}"#,
        r#"{"b64_json":{"a":"aGVsbG8="}}"#,
        r#"{"b64_json":null}"#,
        r#"{"b64_json":""}"#,
        r#"{"b64_json":5,"x":"aGVsbG8="}"#,
        r#"{"b64_json\\":"aGVsbG8="}"#,
    ] {
        let (image, scanned) = scan_both_ways(decoy);
        assert_eq!((image.len(), scanned.image, scanned.images), (0, ImageText::Absent, 0), "{decoy}");
        assert_eq!(skeleton_of(&scanned), serde_json::from_str::<Value>(decoy).unwrap());
    }
}

#[test]
fn keeps_the_first_of_several_and_counts() {
    let body = r#"{"data":[{"b64_json":null},{"b64_json":""},{"b64_json":"aGVsbG8="},{"b64_json":"d29ybGQ="},{"b64_json":"!"}]}"#;
    let (image, scanned) = scan_both_ways(body);
    assert_eq!((image.as_slice(), scanned.images), (&b"hello"[..], 3));
}

#[test]
fn urls_stay_unless_they_are_the_image() {
    let (image, scanned) = scan_both_ways(r#"{"data":[{"url":"https://host/a?b=c\u0026d"}]}"#);
    assert_eq!((image.len(), scanned.image), (0, ImageText::Absent));
    assert_eq!(skeleton_of(&scanned), json!({"data": [{"url": "https://host/a?b=c&d"}]}));
    let (_, scanned) = scan_both_ways(r#"{"url":"dat"}"#);
    assert_eq!(skeleton_of(&scanned), json!({"url": "dat"}));
    assert_eq!(image_of(r#"{"data":[{"url":"data:image/png;base64,aGVsbG8="}]}"#), b"hello");
}

#[test]
fn tells_cut_bad_and_large_apart() {
    let ends = [
        (r#"{"data":[{"b64_json":"aGVsbG8"#, ImageText::Cut),
        (r#"{"data":[{"b64_json":"aGVsbG8\"#, ImageText::Cut),
        (r#"{"data":[{"b64_js"#, ImageText::Absent),
        (r#"{"data":[{"b64_json":"aGVsbG8=""#, ImageText::Complete),
        (r#"{"b64_json":"aGVsb*8="}"#, ImageText::NotBase64),
        (r#"{"b64_json":"aGVsbG8=aGVs"}"#, ImageText::NotBase64),
        (r#"{"b64_json":"aGVsb"}"#, ImageText::NotBase64),
        (r#"{"b64_json":"="}"#, ImageText::NotBase64),
        (r#"{"b64_json":"aG\"Vs"}"#, ImageText::NotBase64),
        (r#"{"b64_json":"\u0141GVs"}"#, ImageText::NotBase64),
        (r#"{"b64_json":"data:image/png"}"#, ImageText::NotBase64),
    ];
    for (body, expected) in ends {
        assert_eq!(scan_both_ways(body).1.image, expected, "{body}");
    }
    let body = br#"{"b64_json":"aGVsbG8="}"#;
    assert_eq!(scan(&[body], 5).1.image, ImageText::Complete);
    assert_eq!(scan(&[body], 4).1.image, ImageText::TooLarge);
}

#[test]
fn memory_stays_capped_and_the_image_is_still_found() {
    let spaces = " ".repeat(1 << 20);
    let (image, scanned) = scan(&[format!(r#"{{{spaces}"b64_json":"aGVsbG8="}}"#).as_bytes()], ROOM);
    assert_eq!((image.as_slice(), scanned.skeleton_cut), (&b"hello"[..], false));
    let junk = "x".repeat(1 << 20);
    let (image, scanned) = scan(&[format!(r#"{{"junk":"{junk}","b64_json":"aGVsbG8="}}"#).as_bytes()], ROOM);
    assert_eq!((image.as_slice(), scanned.skeleton_cut), (&b"hello"[..], true));
    assert!(scanned.skeleton.len() <= 48 * 1024);
    let (_, scanned) = scan(&["[".repeat(1 << 20).as_bytes()], ROOM);
    assert!(scanned.skeleton.len() < 1024);
}

#[derive(Clone, Debug)]
enum Style {
    Plain,
    Unpadded,
    Wrapped,
    Escaped,
}

fn written(bytes: &[u8], style: &Style) -> String {
    let text = base64_simd::STANDARD.encode_to_string(bytes);
    match style {
        Style::Plain => text,
        Style::Unpadded => text.trim_end_matches('=').to_owned(),
        Style::Wrapped => text
            .as_bytes()
            .chunks(76)
            .fold(String::new(), |all, line| all + std::str::from_utf8(line).unwrap() + r"\n"),
        Style::Escaped => text.replace('/', r"\/").replace('+', r"\u002b").replace('=', r"\u003D"),
    }
}

fn styles() -> impl Strategy<Value = Style> {
    prop_oneof![Just(Style::Plain), Just(Style::Unpadded), Just(Style::Wrapped), Just(Style::Escaped)]
}

fn cut_at<'b>(body: &'b [u8], cuts: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut at: Vec<usize> =
        cuts.iter().map(|cut| cut.index(body.len() + 1)).chain([0, body.len()]).collect();
    at.sort_unstable();
    at.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn agrees_with_the_whole_body_decoders_under_any_chunking(
        bytes in prop::collection::vec(any::<u8>(), 1..4000),
        style in styles(),
        words in ".*",
        first in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let prompt = serde_json::to_string(&words).unwrap();
        let image = format!(r#""b64_json" : "{}""#, written(&bytes, &style));
        let prompt = format!(r#""revised_prompt":{prompt}"#);
        let pair = if first { format!("{image},{prompt}") } else { format!("{prompt} , {image}") };
        let body = format!(r#"{{"created":1,"data":[{{{pair}}}],"usage":{{"input_tokens":3}}}}"#);
        let (decoded, scanned) = scan(&cut_at(body.as_bytes(), &cuts), ROOM);
        prop_assert_eq!(scanned.image, ImageText::Complete);
        prop_assert_eq!(decoded, bytes);
        let mut oracle: Value = serde_json::from_str(&body).unwrap();
        oracle["data"][0]["b64_json"] = Value::String(String::new());
        prop_assert_eq!(skeleton_of(&scanned), oracle);
    }

    #[test]
    fn judges_any_text_as_the_forgiving_decoder_does(
        text in "[A-Za-z0-9+/=\\- \n]{1,40}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let body = serde_json::to_string(&json!({"b64_json": text})).unwrap();
        let (decoded, scanned) = scan(&cut_at(body.as_bytes(), &cuts), ROOM);
        match base64_simd::forgiving_decode_to_vec(text.as_bytes()) {
            Ok(expected) => {
                prop_assert_eq!(scanned.image, ImageText::Complete);
                prop_assert_eq!(decoded, expected);
            }
            // Padding that is there but short is the one thing forgiven beyond the standard.
            Err(_) => prop_assert!(scanned.image == ImageText::NotBase64 || text.contains('=')),
        }
    }

    #[test]
    fn survives_anything(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20)) {
        let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let joined = chunks.concat();
        prop_assert_eq!(scan(&chunks, ROOM), scan(&[&joined], ROOM));
    }

    #[test]
    fn keeps_any_json_that_holds_no_image(words in prop::collection::vec(".*", 0..6), number in any::<i64>()) {
        let value = json!({"a": words, "b": {"b64_json": number, "url": words.first()}, "c": [[], {}, null, true]});
        let body = serde_json::to_string_pretty(&value).unwrap();
        prop_assume!(!body.contains(r#""url": "data:"#));
        prop_assert_eq!(skeleton_of(&scan(&[body.as_bytes()], ROOM).1), value);
    }
}
