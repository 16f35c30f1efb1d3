//! Whole-system tests.

mod store_contract;
mod support;
