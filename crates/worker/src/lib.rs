//! What performs Pictor's work.

mod alerts;
mod archivist;
pub mod backoff_delay;
mod books;
mod certify;
mod claimer;
mod deliver;
mod duration_text;
mod engine;
mod fallback;
mod generate;
mod held;
mod key_watch;
mod learning;
mod leases;
pub mod provider;
mod reaper;
mod refused;
mod run;
pub mod scan;
mod source;
mod spool;
pub mod verdict;
pub mod verify;

pub use alerts::AlertSettings;
pub use engine::{Lane, Parts, SEND_MARGIN, Settings};
pub use run::run;
pub use spool::{Leftovers, leftovers};
