//! An endpoint: where it is, what signs, what it wants.

use std::path::PathBuf;

use pictor_common::{queue::Declared, webhook::Wanted};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::sign::{Key, keys};

/// Where the secret is that signs.
#[derive(Clone, Debug)]
pub enum Secret {
    /// Here.
    Given(SecretString),
    /// In a file, which is read for each request, so that it can be replaced.
    File(PathBuf),
}

/// Who is told of batches and failures.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its name in the settings.
    pub name: String,
    /// Where it is. Such addresses often hold a secret.
    pub url: SecretString,
    /// What signs: one secret, or an old and a new one.
    pub secret: Secret,
    /// What it wants to be told.
    pub wanted: Wanted,
}

impl Webhook {
    /// What signs now.
    pub(super) fn keys(&self) -> Result<Vec<Key>, String> {
        match &self.secret {
            Secret::Given(secret) => keys(secret.expose_secret()),
            Secret::File(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| format!("cannot read the secret in {}: {error}", file.display()))?;
                keys(SecretString::from(text).expose_secret())
            }
        }
    }

    /// Says what is wrong with the secret, if anything is.
    pub fn check(&self) -> Result<(), String> {
        self.keys().map(|_keys| ())
    }

    pub(super) fn declared(&self) -> Declared {
        let digest = Sha256::digest(self.url.expose_secret());
        let address = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Declared { name: self.name.clone(), address, wanted: self.wanted.clone() }
    }
}
