//! Any bytes, read as a manifest in CSV.
#![no_main]
#![expect(dead_code, reason = "one target of several")]

#[path = "../../crates/producer/tests/hostile/inputs.rs"]
mod inputs;
#[path = "../../crates/producer/tests/hostile/workbook.rs"]
mod workbook;

libfuzzer_sys::fuzz_target!(|data: &[u8]| inputs::csv(data));
