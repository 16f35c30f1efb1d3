//! Whole-system tests: the real binary, real servers, the simulator as the judge.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod cli;
mod death;
mod demo;
mod errors;
mod layering;
mod measures;
mod openai_python;
mod producing;
mod prove;
mod store_contract;
mod support;
mod world;
