//! Whole-system tests: the real binary, real servers, the simulator as the judge.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod bad_files;
mod cli;
mod death;
mod demo;
mod errors;
mod layering;
mod measures;
mod openai_python;
mod prove;
mod skip_bad;
mod store_contract;
mod support;
mod templates;
mod vary;
mod world;
