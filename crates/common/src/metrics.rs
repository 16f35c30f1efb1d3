//! What a worker counts and measures, and how that is told: families of series in Prometheus' text format.
//!
//! Nothing here is global: a [`Work`] belongs to whoever made it.

pub mod families;
mod page;
mod series;
mod work;

pub use families::{ALL, Family, Kind};
pub use page::Page;
pub use series::{Counter, Histogram};
pub use work::Work;
