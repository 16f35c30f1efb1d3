//! The domain of Pictor and everything it keeps in Redis.
//!
//! Nothing here reads the environment, prints, or talks to an image API.

pub mod asset_key;
pub mod batch;
pub mod catalogue;
pub mod derivative;
pub mod keys;
pub mod ledger;
pub mod metrics;
pub mod money;
pub mod price;
pub mod queue;
pub mod retention;
pub mod spec;
pub mod stamp;
pub mod store;
pub mod webhook;

pub use asset_key::AssetKey;
pub use money::MicroUsd;
pub use spec::Spec;
