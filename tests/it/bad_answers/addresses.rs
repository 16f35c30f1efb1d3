//! Answers that say where the image is, and files that are not what was promised.

use super::{
    front::{
        Honest, Seen,
        Step::{self, Endless, Send, Silence, Slowly},
    },
    kinds::{
        End::{Failed, Image},
        Kind, LAST, body, paid, taken,
    },
};

/// An answer with an address of this API.
fn at(honest: &Honest, how: &str) -> Vec<Step> {
    elsewhere(honest, &format!("{}/{how}", honest.files))
}

/// An answer with any address.
pub(super) fn elsewhere(honest: &Honest, address: &str) -> Vec<Step> {
    body(honest, format!("{{\"created\": 1, \"data\": [{{\"b64_json\": null, \"url\": \"{address}\"}}]}}"))
}

fn whole(status: &str, bytes: &[u8]) -> Vec<Step> {
    let head = format!(
        "HTTP/1.1 {status}\r\n{LAST}\r\ncontent-type: image/png\r\ncontent-length: {}\r\n\r\n",
        bytes.len()
    );
    vec![Send([head.as_bytes(), bytes].concat())]
}

/// What is found at an address.
pub(super) fn file(how: &str, seen: &Seen) -> Vec<Step> {
    let png = &seen.png;
    let half = || {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", png.len());
        vec![Send([head.as_bytes(), &png[..png.len() / 2]].concat())]
    };
    match how {
        "later" if seen.fetches == 1 => whole("404 Not Found", b""),
        "after_an_error" if seen.fetches == 1 => whole("503 Busy", b"busy"),
        "half_once" if seen.fetches == 1 => half(),
        "here" | "later" | "after_an_error" | "half_once" => whole("200 OK", png),
        "without_length" => vec![Send([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), png].concat())],
        "slowly" => vec![Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Slowly(png.clone())],
        "gone" => whole("404 Not Found", b"<Error><Code>BlobNotFound</Code></Error>"),
        "expired" => whole("403 Forbidden", b"<Error><Code>AuthenticationFailed</Code></Error>"),
        "half" => half(),
        "empty" => whole("200 OK", b""),
        "page" => whole("200 OK", b"<html>Sign in</html>"),
        "moved" => vec![Send(
            format!("HTTP/1.1 302 Found\r\n{LAST}\r\nlocation: http://169.254.169.254/latest/meta-data\r\ncontent-length: 0\r\n\r\n").into(),
        )],
        "moved_here" => {
            vec![Send(format!("HTTP/1.1 307 Moved\r\n{LAST}\r\nlocation: here\r\ncontent-length: 0\r\n\r\n").into())]
        }
        "silent" => vec![Send(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n\x89PNG".to_vec()), Silence],
        "endless" => vec![Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Endless(vec![b'x'; 1 << 14])],
        "huge" => vec![Send(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n".to_vec()), Silence],
        other => panic!("nothing is at {other}"),
    }
}

pub(super) const ADDRESSES: &[Kind] = &[
    taken("at_an_address", |h| at(h, "here")),
    taken("there_a_little_later", |h| at(h, "later")),
    taken("there_after_an_error", |h| at(h, "after_an_error")),
    taken("half_there_at_first", |h| at(h, "half_once")),
    taken("there_without_length", |h| at(h, "without_length")),
    taken("there_slowly", |h| at(h, "slowly")),
    taken("address_is_the_image", |h| elsewhere(h, &format!("data:image/png;base64,{}", h.base64))),
    paid("not_there", |h| at(h, "gone")),
    paid("expired", |h| at(h, "expired")),
    paid("half_there", |h| at(h, "half")),
    paid("empty_there", |h| at(h, "empty")),
    paid("page_there", |h| at(h, "page")),
    paid("moved_to_a_private_address", |h| at(h, "moved")),
    paid("moved_next_door", |h| at(h, "moved_here")),
    paid("silent_there", |h| at(h, "silent")).ends(Image),
    paid("endless_there", |h| at(h, "endless")).always(&["settled"], Failed("too_large")),
    paid("huge_there", |h| at(h, "huge")).always(&["settled"], Failed("too_large")),
    paid("never_there", |h| at(h, "expired")).always(&["settled", "settled"], Failed("result_fetch")),
];
