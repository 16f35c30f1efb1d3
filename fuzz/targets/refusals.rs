//! Any bytes, read as a refusal and judged.
#![no_main]

#[path = "../../crates/worker/tests/hostile/refusals.rs"]
mod refusals;

libfuzzer_sys::fuzz_target!(|data: &[u8]| refusals::refusal(data));
