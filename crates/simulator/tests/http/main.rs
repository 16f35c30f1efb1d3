//! The simulator over real HTTP on loopback.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod billing;
mod faults;
mod limits;
mod load;
mod pictures;
mod server;
mod strictness;
