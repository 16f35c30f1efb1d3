//! Any bytes, read as amounts, names and limits.
#![no_main]

#[path = "../../crates/common/tests/hostile/settings.rs"]
mod settings;

libfuzzer_sys::fuzz_target!(|data: &[u8]| settings::setting(data));
