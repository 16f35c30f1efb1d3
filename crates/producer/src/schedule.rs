//! What is submitted by the clock: when it is due, and what becomes of times that were missed. Pure: `now` is handed in.

mod cron;
mod deadline;
mod decide;
mod naming;

pub use cron::{BadCron, Cron, zone};
pub use deadline::{BadDeadline, Deadline};
pub use decide::{Decision, MOST, Misfire, Overlap, Passed, Policy, Situation, decide};
pub use naming::{Filled, UnknownPlaceholder, due_name, filled};
