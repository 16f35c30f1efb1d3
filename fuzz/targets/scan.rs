//! Any bytes, scanned as the body of an answer.
#![no_main]

#[path = "../../crates/worker/tests/hostile/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::body(data));
