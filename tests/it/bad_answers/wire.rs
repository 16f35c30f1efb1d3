//! Answers that break off, stall, never end, or are hardly HTTP.

use super::{
    front::{
        Honest,
        Step::{self, Dripping, Endless, Reset, Send, Settle, Silence, Slowly},
    },
    kinds::{
        End::{Failed, Parked},
        Kind, LAST, head, json, paid, taken, unknown,
    },
};

/// So much of an honest answer as comes before a point, which the rest of it follows.
#[derive(Clone, Copy)]
enum Until {
    Nothing,
    StatusLine,
    Headers,
    Opening,
    HalfTheImage,
    TheImage,
    LastByte,
}

fn part(honest: &Honest, until: Until) -> Vec<u8> {
    let text = json(&honest.base64);
    let whole = head(honest, text.len()) + &text;
    let image = whole.find(&honest.base64).unwrap();
    let end = match until {
        Until::Nothing => 0,
        Until::StatusLine => whole.find("content-type").unwrap() + 5,
        Until::Headers => whole.find("\r\n\r\n").unwrap() + 4,
        Until::Opening => image - 3,
        Until::HalfTheImage => image + honest.base64.len() / 2,
        Until::TheImage => image + honest.base64.len() + 1,
        Until::LastByte => whole.len() - 1,
    };
    whole.as_bytes()[..end].to_vec()
}

fn reset(honest: &Honest, until: Until) -> Vec<Step> {
    vec![Send(part(honest, until)), Settle, Reset]
}

fn cut(honest: &Honest, until: Until) -> Vec<Step> {
    vec![Send(part(honest, until))]
}

fn stall(honest: &Honest, until: Until) -> Vec<Step> {
    vec![Send(part(honest, until)), Silence]
}

/// Any bytes, and the end.
fn bytes(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Send(bytes.as_ref().to_vec())]
}

/// The answer with other lines above the body.
fn headed(honest: &Honest, lines: &str) -> Vec<Step> {
    bytes(format!("{lines}\r\n{LAST}\r\n\r\n{}", json(&honest.base64)))
}

fn length(honest: &Honest) -> usize {
    json(&honest.base64).len()
}

fn chunked(pieces: &[&str]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\n{LAST}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    pieces.iter().fold(head, |all, piece| all + &format!("{:x}\r\n{piece}\r\n", piece.len())).into_bytes()
}

pub(super) const WIRE: &[Kind] = &[
    // Reset at every stage
    unknown("reset_before_an_answer", |h| reset(h, Until::Nothing)),
    unknown("reset_in_the_headers", |h| reset(h, Until::StatusLine)),
    unknown("reset_after_the_headers", |h| reset(h, Until::Headers)),
    unknown("reset_before_the_image", |h| reset(h, Until::Opening)),
    paid("reset_in_the_image", |h| reset(h, Until::HalfTheImage)),
    taken("reset_after_the_image", |h| reset(h, Until::TheImage)),
    taken("reset_before_the_last_byte", |h| reset(h, Until::LastByte)),
    unknown("always_reset", |h| reset(h, Until::Nothing))
        .always(&["unknown", "unknown"], Parked("transport")),
    // Closed at every stage
    unknown("closed_before_an_answer", |h| cut(h, Until::Nothing)),
    unknown("closed_in_the_headers", |h| cut(h, Until::StatusLine)),
    unknown("closed_after_the_headers", |h| cut(h, Until::Headers)),
    paid("closed_in_the_image", |h| cut(h, Until::HalfTheImage)),
    taken("closed_before_the_last_byte", |h| cut(h, Until::LastByte)),
    // Silent at every stage
    unknown("silent_before_an_answer", |h| stall(h, Until::Nothing)),
    unknown("silent_in_the_headers", |h| stall(h, Until::StatusLine)),
    unknown("silent_after_the_headers", |h| stall(h, Until::Headers)),
    paid("silent_in_the_image", |h| stall(h, Until::HalfTheImage)),
    taken("silent_before_the_last_byte", |h| stall(h, Until::LastByte)),
    unknown("always_silent", |h| stall(h, Until::Nothing)).always(&["unknown", "unknown"], Parked("timeout")),
    taken("slow", |h| vec![Slowly(part(h, Until::LastByte)), Send(b"}".to_vec())]),
    // Lengths that are wrong
    taken("longer_than_it_is", |h| bytes(head(h, length(h) + 100) + &json(&h.base64))),
    paid("shorter_than_it_is", |h| bytes(head(h, length(h) / 2) + &json(&h.base64))),
    unknown("two_lengths", |h| {
        headed(h, &format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncontent-length: 7", length(h)))
    }),
    unknown("length_of_letters", |h| headed(h, "HTTP/1.1 200 OK\r\ncontent-length: many")),
    taken("no_length", |h| headed(h, "HTTP/1.1 200 OK\r\ncontent-type: application/json")),
    taken("http_1_0", |h| headed(h, "HTTP/1.0 200 OK\r\ncontent-type: application/json")),
    taken("another_answer_behind", |h| {
        let second = json("AAAA");
        let glued = head(h, length(h)) + &json(&h.base64) + &head(h, second.len()) + &second;
        vec![Send(glued.into_bytes()), Silence]
    }),
    // Chunks
    taken("small_chunks", |h| {
        let text = json(&h.base64);
        let pieces: Vec<&str> =
            text.as_bytes().chunks(7).map(|piece| str::from_utf8(piece).unwrap()).collect();
        vec![Send(chunked(&pieces)), Send(b"0\r\n\r\n".to_vec())]
    }),
    taken("chunks_without_end", |h| bytes(chunked(&[&json(&h.base64)]))),
    unknown("chunk_length_of_letters", |h| {
        bytes([chunked(&[]), format!("zz\r\n{}", h.base64).into_bytes()].concat())
    }),
    unknown("chunk_of_a_huge_length", |h| {
        bytes([chunked(&[]), format!("{}\r\n{}", "f".repeat(40), h.base64).into_bytes()].concat())
    }),
    unknown("endless_spaces", |_| {
        vec![Send(chunked(&[])), Endless(format!("4000\r\n{}\r\n", " ".repeat(0x4000)).into())]
    })
    .always(&["unknown"], Parked("too_large")),
    // Too much
    unknown("huge_as_announced", |h| vec![Send(head(h, 1 << 30).into_bytes()), Silence])
        .always(&["unknown"], Parked("too_large")),
    unknown("endless_field", |h| {
        vec![Send((head(h, 3 << 20) + "{\"note\": \"").into_bytes()), Endless(vec![b'x'; 1 << 14])]
    }),
    paid("endless_image", |h| {
        let no_length = "HTTP/1.1 200 OK\r\n\r\n{\"data\": [{\"b64_json\": \"";
        vec![
            Send(format!("{no_length}{}", h.base64.trim_end_matches('=')).into()),
            Endless(vec![b'A'; 1 << 14]),
        ]
    })
    .always(&["settled"], Failed("too_large")),
    unknown("endless_headers", |_| {
        vec![Send(b"HTTP/1.1 200 OK\r\n".to_vec()), Endless(b"x-a: b\r\n".repeat(500))]
    }),
    unknown("endless_header", |_| {
        vec![Send(b"HTTP/1.1 200 OK\r\nx-a: ".to_vec()), Endless(vec![b'b'; 1 << 14])]
    }),
    unknown("endless_status_line", |_| vec![Send(b"HTTP/1.1 200 ".to_vec()), Endless(vec![b'O'; 1 << 14])]),
    unknown("endless_hints", |_| vec![Dripping(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".to_vec())]),
    taken("hints_first", |h| {
        let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".to_owned();
        bytes(hints + &head(h, length(h)) + &json(&h.base64))
    }),
    // Hardly HTTP
    unknown("garbage", |_| bytes("\0\x01\x02 what is this\r\n\r\n")),
    unknown("a_page_and_no_headers", |_| bytes("<html>502</html>")),
    unknown("tls_instead", |_| bytes(b"\x15\x03\x01\0\x02\x02\x46")),
    unknown("status_of_letters", |h| headed(h, "HTTP/1.1 OK")),
    unknown("status_1000", |h| headed(h, "HTTP/1.1 1000 OK")),
    unknown("header_without_colon", |h| headed(h, "HTTP/1.1 200 OK\r\nthis is no header")),
    taken("type_of_a_page", |h| headed(h, "HTTP/1.1 200 OK\r\ncontent-type: text/html")),
    taken("claims_to_be_packed", |h| headed(h, "HTTP/1.1 200 OK\r\ncontent-encoding: gzip")),
    // Other statuses
    taken("created_201", |h| headed(h, "HTTP/1.1 201 Created")),
    unknown("accepted_202", |_| {
        bytes(format!("HTTP/1.1 202 Accepted\r\n{LAST}\r\ncontent-length: 15\r\n\r\n{{\"task\": \"1234\"}}"))
    }),
    unknown("no_content_204", |_| bytes(format!("HTTP/1.1 204 No Content\r\n{LAST}\r\n\r\n"))),
    taken("partial_206", |h| headed(h, "HTTP/1.1 206 Partial Content")),
    unknown("switching_101", |_| {
        bytes("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
    }),
    unknown("endless_500", |_| {
        vec![
            Send(b"HTTP/1.1 500 Oh\r\ncontent-type: text/plain\r\n\r\n".to_vec()),
            Endless(vec![b'x'; 1 << 14]),
        ]
    }),
    unknown("silent_503", |_| {
        vec![Send(b"HTTP/1.1 503 Busy\r\ncontent-length: 500\r\n\r\n{\"error\": ".to_vec()), Silence]
    }),
];
