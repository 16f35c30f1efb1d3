//! What performs Pictor's work.

pub mod backoff_delay;
pub mod provider;
pub mod scan;
pub mod verdict;
pub mod verify;
