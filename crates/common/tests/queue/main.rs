//! The queue against a real server: every script, every phase, and what happens when replies are lost.

mod claiming;
mod ending;
mod fairness;
mod grace;
mod submitting;
mod world;
