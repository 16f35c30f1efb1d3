//! Any bytes, laid over a catalogue.
#![no_main]

#[path = "../../crates/common/tests/hostile/catalogues.rs"]
mod catalogues;

libfuzzer_sys::fuzz_target!(|data: &[u8]| catalogues::catalogue(data));
