//! An image API that behaves like the real one, and the judge of money and refusals.
//!
//! It answers image generations as the real API does: as strict, as limited, as slow and as
//! faulty as it is asked to be. Every generation that completes is on its invoice, whether or
//! not the client still listens. It shares no code with the clients it judges.

mod answer;
mod auth;
mod body;
mod bucket;
mod canvas;
mod control;
mod duration;
mod encode;
mod errors;
mod fault_table;
mod faults;
mod files;
mod font;
mod gauge;
mod generate;
mod history;
mod invoice;
mod latency;
mod limiter;
mod models;
mod options;
mod pace;
mod picture;
mod routes;
mod scene;
mod seed;
mod serve;
mod sizes;
mod state;
mod tokens;
mod triggers;
mod validate;

pub use options::{Broken, Change, FamilyLimits, Limits, Options, Scheduled};
pub use serve::serve;
