//! Manifests: tables of prompts, read row by row and never held whole.
//!
//! [`check()`] reads a manifest once, finds everything wrong with it and hands over its good
//! rows; [`Rows`] is the same pass as an iterator, for a caller that works in between.

mod batch_form;
mod cell;
mod check;
mod columns;
mod csv;
mod delimiter;
mod encoding;
mod error;
mod field;
mod format;
mod ids;
mod input;
mod jsonl;
mod layout;
mod magic;
mod place;
mod quotes;
mod reading;
mod row;
mod rows;
mod rules;
mod shared;
mod source;
mod suspect;
mod variants;
mod xlsx;

pub(crate) use batch_form::Pairs;
pub(crate) use cell::Kind;
pub use check::{Checked, Skipped, check};
pub use columns::{IgnoreColumns, normalized};
pub use error::{BadInput, BadRow, Findings, RowError};
pub use format::Format;
pub use place::Place;
pub use reading::{ENCODINGS, Reading, Told};
pub use row::Fallback;
pub use rows::{RowSpecs, Rows};
pub use rules::{CanDerive, Hosts, Rules, Setup};
