//! What puts work into Pictor or steers it.
//!
//! From a manifest to specs ([`manifest`], [`template`]), to a plan with its cost
//! ([`plan`]), and back to tables of results ([`results`]). Nothing here prints.

pub mod content;
mod formula;
pub use formula::defused;
pub mod fresh;
pub mod gallery;
mod lookup;
pub mod manifest;
mod outline;
pub mod plan;
mod preview;
mod rejected;
pub mod results;
pub mod schedule;
mod seen;
mod sending;
pub mod submit;
pub mod template;
pub mod vary;
mod written;
