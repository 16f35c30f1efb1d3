//! Traces: every attempt is one, with its steps, and nobody waits for whoever collects them.

use std::{
    fs,
    time::{Duration, Instant},
};

use pictor_simulator::Options;

use crate::{
    support::receiver::{Heard, Receiver},
    world::{API_KEY, MODEL, World, told},
};

/// A span, as far as it is asked for.
#[derive(Clone, Debug, Default)]
struct Span {
    id: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    attributes: Vec<(String, String)>,
}

impl Span {
    fn of(message: &[u8]) -> Self {
        let mut span = Self::default();
        for (field, value) in fields(message) {
            match (field, value) {
                (2, Value::Bytes(id)) => span.id = id.to_vec(),
                (4, Value::Bytes(id)) => span.parent = id.to_vec(),
                (5, Value::Bytes(name)) => span.name = text(name),
                (9, Value::Bytes(pair)) => span.attributes.push(attribute(pair)),
                _ => {}
            }
        }
        span
    }

    fn get(&self, name: &str) -> &str {
        self.attributes.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }
}

enum Value<'m> {
    Number(u64),
    Bytes(&'m [u8]),
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn number(message: &mut &[u8]) -> u64 {
    let mut number = 0;
    for place in 0.. {
        let byte = message[0];
        *message = &message[1..];
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return number;
        }
    }
    unreachable!("a number ends")
}

/// The fields of a protobuf message.
fn fields(mut message: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = number(&mut message);
        let value = match tag & 7 {
            0 => Value::Number(number(&mut message)),
            kind => {
                let length = match kind {
                    1 => 8,
                    2 => usize::try_from(number(&mut message)).unwrap(),
                    5 => 4,
                    other => panic!("no such kind of field: {other}"),
                };
                let (bytes, rest) = message.split_at(length);
                message = rest;
                Value::Bytes(bytes)
            }
        };
        found.push((tag >> 3, value));
    }
    found
}

fn below(message: &[u8], wanted: u64) -> Vec<&[u8]> {
    let parts = fields(message).into_iter().filter_map(|(field, value)| match value {
        Value::Bytes(bytes) if field == wanted => Some(bytes),
        _ => None,
    });
    parts.collect()
}

fn attribute(pair: &[u8]) -> (String, String) {
    let value = below(pair, 2).first().map_or_else(String::new, |any| {
        let told = fields(any).into_iter().map(|(_, value)| match value {
            Value::Number(number) => number.to_string(),
            Value::Bytes(bytes) => text(bytes),
        });
        told.collect()
    });
    (text(below(pair, 1)[0]), value)
}

fn spans(heard: &[Heard]) -> Vec<Span> {
    let mut spans = Vec::new();
    for heard in heard {
        assert_eq!(heard.head[0], "POST /v1/traces HTTP/1.1");
        assert_eq!(heard.header("content-type"), "application/x-protobuf");
        for resource in below(&heard.bytes, 1) {
            for scope in below(resource, 2) {
                spans.extend(below(scope, 2).into_iter().map(Span::of));
            }
        }
    }
    spans
}

fn world() -> World {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    let mut text = String::from("id,prompt,model,size\n");
    for (n, marker) in ["", "", "[[sim:moderation_blocked]]"].iter().enumerate() {
        text += &format!("row-{n},a very secret product {n}{marker},{MODEL},256x256\n");
    }
    fs::write(world.path("c.csv"), text).unwrap();
    world
}

fn run(world: &World, collector: &Receiver) {
    let mut command = world.command(&["run", "c.csv", "--run-id", "b"]);
    let address = collector.url();
    let root = address.split("/hooks").next().unwrap();
    let ran = command.env("OTEL_EXPORTER_OTLP_ENDPOINT", root).output().unwrap();
    assert_eq!(ran.status.code(), Some(1), "{}", told(&ran));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_is_a_trace_with_its_steps() {
    let world = world();
    let collector = Receiver::open(|_, _| 200);
    run(&world, &collector);
    let heard = collector.heard();
    for secret in ["a very secret product", API_KEY] {
        let found = heard.iter().any(|h| h.bytes.windows(secret.len()).any(|part| part == secret.as_bytes()));
        assert!(!found, "{secret}");
    }
    let spans = spans(&heard);
    let attempts: Vec<&Span> = spans.iter().filter(|span| span.name == "attempt").collect();
    assert_eq!(attempts.len(), 3, "{spans:?}");
    let invoice = world.sim.invoice().await;
    for (list, steps, billed) in [
        ("images", &["intent", "begin", "verify", "store", "settle"][..], "yes"),
        ("refusals", &["intent", "begin", "settle"], "no"),
    ] {
        for entry in invoice[list].as_array().unwrap() {
            let id = entry["request_id"].as_str().unwrap();
            let attempt = attempts.iter().find(|span| span.get("request_id") == id).unwrap();
            assert_eq!(
                (attempt.get("batch"), attempt.get("model"), attempt.get("billed")),
                ("b", MODEL, billed)
            );
            assert_eq!((attempt.get("asset").len(), attempt.get("attempt")), (64, "1"), "{attempt:?}");
            let own: Vec<&str> = spans
                .iter()
                .filter(|span| span.parent == attempt.id)
                .map(|span| span.name.as_str())
                .collect();
            assert!(steps.iter().all(|step| own.contains(step)), "{own:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_keeps_nobody() {
    let world = world();
    let collector = Receiver::open(|_, _| 0);
    let begun = Instant::now();
    run(&world, &collector);
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert_eq!(world.sim.billed().await, 2);
}
