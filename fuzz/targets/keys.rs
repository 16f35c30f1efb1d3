//! Any bytes, read as a spec whose key is taken.
#![no_main]

#[path = "../../crates/common/tests/hostile/keys.rs"]
mod keys;

libfuzzer_sys::fuzz_target!(|data: &[u8]| keys::key(data));
