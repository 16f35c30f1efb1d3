//! Hostile answers in small: the seeds of the fuzz targets, changed at random. `make prove-fuzz` does the same for hours.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its seeds has failed")]

mod bodies;
mod refusals;
#[path = "../../../../fuzz/torment.rs"]
mod torment;

use torment::torment;

#[test]
fn scan() {
    torment("scan", bodies::body);
}

#[test]
fn refusals() {
    torment("refusals", refusals::refusal);
}
