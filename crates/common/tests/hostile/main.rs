//! Hostile specs, catalogues and settings in small: the seeds of the fuzz targets, changed at random. `make prove-fuzz`
//! does the same for hours.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its seeds has failed")]

mod catalogues;
mod keys;
mod settings;
#[path = "../../../../fuzz/torment.rs"]
mod torment;

use torment::torment;

#[test]
fn keys() {
    torment("keys", keys::key);
}

#[test]
fn catalogue() {
    torment("catalogue", catalogues::catalogue);
}

#[test]
fn settings() {
    torment("settings", settings::setting);
}
