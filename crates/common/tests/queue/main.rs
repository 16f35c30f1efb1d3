//! The queue against a real server: every script, every phase, and what happens when replies are lost.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod books;
mod budget;
mod claiming;
mod clocks;
mod deadlines;
mod deriving;
mod doubt;
mod draining;
mod ending;
mod failing;
mod fairness;
mod gauges;
mod grace;
mod keys_and_profiles;
mod late;
mod layouts;
mod leaving;
mod limiter;
mod listing;
mod memory;
mod mending;
mod noting;
mod orders;
mod parking;
mod prove;
mod redoing;
mod remaking;
mod removing;
mod retiring;
mod schedules;
mod steering;
mod submitting;
mod swapping;
mod weave;
mod webhooks;
mod world;
