//! Where the Redis of the settings is, with the files that its TLS needs.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use pictor_common::queue::{Access, Topology};
use redis::{ClientTlsConfig, TlsCertificates};
use secrecy::ExposeSecret as _;

use crate::config::RedisSettings;

/// Where Redis is; none where the settings name none, and a private one is meant.
pub(crate) fn of(settings: &RedisSettings) -> anyhow::Result<Option<Topology>> {
    let Some(url) = &settings.url else { return Ok(None) };
    let access = Access {
        certificates: certificates(settings)?,
        sentinel_user: settings.sentinel_user.clone(),
        sentinel_password: settings.sentinel_password.clone(),
    };
    Topology::open(url.expose_secret(), &access).map(Some).context("settings: redis.url (PICTOR_REDIS__URL)")
}

fn certificates(settings: &RedisSettings) -> anyhow::Result<Option<TlsCertificates>> {
    let root_cert = pem("redis.ca_file", settings.ca_file.as_deref(), "CERTIFICATE")?;
    let client_cert = pem("redis.cert_file", settings.cert_file.as_deref(), "CERTIFICATE")?;
    let client_key = pem("redis.key_file", settings.key_file.as_deref(), "PRIVATE KEY")?;
    ensure!(
        client_cert.is_some() == client_key.is_some(),
        "settings: redis.cert_file and redis.key_file belong together: set both, or none"
    );
    let client_tls = client_cert
        .zip(client_key)
        .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
    let any = root_cert.is_some() || client_tls.is_some();
    Ok(any.then_some(TlsCertificates { client_tls, root_cert }))
}

/// The content of a file with something in it that PEM calls so.
fn pem(setting: &str, file: Option<&Path>, what: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(file) = file else { return Ok(None) };
    let content = fs::read(file).with_context(|| format!("cannot read {setting} {}", file.display()))?;
    let text = String::from_utf8_lossy(&content);
    let has = text.lines().any(|line| line.starts_with("-----BEGIN ") && line.contains(what));
    ensure!(has, "{setting} {} holds no {} in PEM", file.display(), what.to_lowercase());
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> RedisSettings {
        RedisSettings {
            url: Some(url.into()),
            namespace: "shop".to_owned(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            sentinel_user: None,
            sentinel_password: None,
        }
    }

    fn refused(settings: &RedisSettings) -> String {
        format!("{:#}", of(settings).unwrap_err())
    }

    #[test]
    fn files_that_cannot_be_meant_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("odd.pem");
        fs::write(&odd, "nothing\n").unwrap();
        let tls = settings("rediss://h");
        let with_ca = |file: &Path| RedisSettings { ca_file: Some(file.to_owned()), ..tls.clone() };
        assert!(refused(&with_ca(&odd)).contains("holds no certificate in PEM"));
        assert!(refused(&with_ca(Path::new("/nowhere"))).contains("cannot read redis.ca_file /nowhere"));
        let half = RedisSettings { cert_file: Some(odd.clone()), ..tls.clone() };
        fs::write(&odd, "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert!(refused(&half).contains("belong together"));
        let plain = RedisSettings { ca_file: Some(odd), ..settings("redis://h") };
        assert!(refused(&plain).contains("begin with rediss://"));
    }

    #[test]
    fn a_password_is_in_no_refusal() {
        for url in [
            "redis://:hunter2@a,b",
            "http://u:hunter2@a",
            "redis+sentinel://:hunter2@a,b",
            "redis://:hunter2@a/x",
        ] {
            assert!(!refused(&settings(url)).contains("hunter2"), "{url}");
        }
    }
}
