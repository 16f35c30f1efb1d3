//! Hostile manifests in small: the seeds of the fuzz targets, and what becomes of them when bytes
//! are changed, cut and doubled. `make prove-fuzz` does the same for hours.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its seeds has failed")]

mod inputs;
#[path = "../../../../fuzz/torment.rs"]
mod torment;
mod workbook;

use torment::torment;

#[test]
fn csv() {
    torment("csv", inputs::csv);
}

#[test]
fn jsonl() {
    torment("jsonl", inputs::jsonl);
}

#[test]
fn xlsx() {
    torment("xlsx", inputs::xlsx);
}
