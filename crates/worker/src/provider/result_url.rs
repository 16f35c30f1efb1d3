//! Fetches an image that was answered as an address.
//!
//! The address comes from outside, so it is fetched from allowed hosts only, over HTTPS, without
//! credentials or redirects, and never from a loopback or private address unless the API itself is
//! at one. Fetching is free, so it is tried a few times: the image behind it is paid for.

mod addresses;
mod fetch;
mod hosts;

pub(super) use fetch::{FetchProblem, Fetcher};
pub(super) use hosts::ResultHosts;
