//! What performs Pictor's work.

mod alerts;
mod archivist;
pub mod backoff_delay;
mod books;
mod certify;
mod claimer;
mod deliver;
pub mod derive;
mod duration_text;
mod ending;
mod endpoint;
mod engine;
mod fallback;
mod generate;
mod health;
mod held;
mod key_watch;
mod learning;
mod leases;
mod notes;
pub mod provider;
mod reaper;
mod refused;
mod retention;
mod run;
pub mod scan;
mod source;
mod spool;
mod store_watch;
pub mod thumbnail;
mod trace;
pub mod verdict;
pub mod verify;
mod webhooks;

pub use alerts::AlertSettings;
pub use engine::{Lane, Parts, SEND_MARGIN, Settings};
pub use run::{run, run_observed};
pub use spool::{Leftovers, leftovers};
pub use webhooks::{
    Secret as WebhookSecret, Sent as WebhookSent, Verdict as WebhookVerdict, Webhook, declared, send_test,
};

/// How many blocking threads the runtime of a worker has. Files are written on these; more would
/// only take memory, on a slow disk a hundred MiB and more.
pub const FILE_THREADS: usize = 48;
