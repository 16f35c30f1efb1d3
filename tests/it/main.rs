//! Whole-system tests: the real binary, real servers, the simulator as the judge.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod avif;
mod bad_answers;
mod bad_files;
mod bench;
mod budget;
mod chaos;
mod cli;
mod completion;
mod cost;
mod death;
mod demo;
mod deploy;
mod derive;
mod derive_speed;
mod disk;
mod doctor;
mod drain;
mod errors;
mod failed;
mod fallback;
mod forgotten;
mod gallery;
mod guarantees;
mod help;
mod keys;
mod layering;
mod ledger;
mod logs;
mod measures;
mod metrics;
mod on_unknown;
mod openai_python;
#[cfg(feature = "otel")]
mod otel;
mod outages;
mod own_ids;
#[cfg(target_os = "linux")]
mod power_cut;
mod prices;
mod producing;
mod profiles;
mod prove;
mod redo;
mod remove;
mod results;
mod retention;
mod schedule;
mod security;
mod skip_bad;
mod store_contract;
mod support;
mod telling;
mod templates;
mod topology;
mod upgrade;
mod vary;
mod verify;
mod watch;
#[cfg(target_os = "linux")]
mod watch_screen;
mod watch_speed;
mod webhook;
mod world;
