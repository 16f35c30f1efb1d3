//! What `config show` says.

use super::super::{origin::Origin, *};

const FILE: &str = r#"
[redis]
url = "redis://app:hunter2@queue:6379/0"
[store]
url = "s3://images"
access_key_id = "AKIA1"
[accounts.openai]
api_key_env = "KEY"
organization = "org-1"
[accounts.openai.headers]
x-extra = "hunter3-in-a-header"
[accounts.openai.limits.gpt-image]
images = 250
[accounts.vault]
base_url = "https://user:hunter4@images.example.com/v1"
families = ["dall-e-3"]
key_command = ["vault", "read", "hunter5"]
[accounts.file]
families = ["dall-e-3"]
api_key_file = "/nowhere/key"
[budget]
alert_command = ["page", "hunter7"]
alert_url = "https://hooks.example.com/hunter8"
tenants.shop.per_day = "9.50"
[profiles.prod]
budget.total = "500.00"
"#;

fn shown(variables: &[(&str, &str)], flags: &Flags) -> (Shown, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("settings");
    std::fs::write(&path, FILE).unwrap();
    let environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let shown = explain_of(Some(&path), &environment, flags, "2026-11-21").unwrap();
    let json = serde_json::to_string(&shown).unwrap().replace(&path.display().to_string(), "FILE");
    (shown, json)
}

/// The value and origin of a setting, as people read them.
fn row(shown: &Shown, section: &str, name: &str) -> (String, String) {
    let row = shown.settings.iter().find(|row| row.section == section && row.name == name);
    let row = row.unwrap_or_else(|| panic!("no {section}.{name}"));
    let value = row.value.as_str().map_or_else(|| row.value.to_string(), str::to_owned);
    let origin = row.origin.as_ref().map(ToString::to_string).unwrap_or_default();
    (value, origin.rsplit('/').next().unwrap_or_default().to_owned())
}

#[test]
fn each_value_has_its_origin_and_no_secret_is_shown() {
    let variables = [
        ("KEY", "sk-proj-0123456789"),
        ("PICTOR_PROFILE", "dev"),
        ("PICTOR_STORE__SECRET_ACCESS_KEY", "hunter6"),
        ("PICTOR_WORKER__CONCURRENCY", "9"),
        ("PICTOR_WORKER__LISTEN", "127.0.0.1:9464"),
    ];
    let flags = Flags {
        profile: Some("prod".to_owned()),
        data_dir: Some("/data".into()),
        log: Some("info".to_owned()),
        ..Flags::default()
    };
    let (shown, json) = shown(&variables, &flags);
    for (section, name, value, origin) in [
        ("", "data_dir", "/data", "flag --data-dir"),
        ("", "log", "info", "flag --log"),
        ("", "log_format", "text", "default"),
        ("redis", "url", "redis://app:***@queue:6379/0", "settings"),
        ("redis", "namespace", "pictor-prod", "profile prod"),
        ("store", "url", "s3://images/prod", "profile prod"),
        ("store", "access_key_id", "AKIA1", "settings"),
        ("store", "secret_access_key", "set", "environment PICTOR_STORE__SECRET_ACCESS_KEY"),
        ("store", "session_token", "null", ""),
        ("store", "checksums", "when_supported", "default"),
        ("worker", "concurrency", "9", "environment PICTOR_WORKER__CONCURRENCY"),
        ("worker", "listen", "127.0.0.1:9464", "environment PICTOR_WORKER__LISTEN"),
        ("worker", "spool", "/data/spool/profiles/prod", "profile prod"),
        ("budget", "total", "$500.00", "settings [profiles.prod]"),
        ("budget", "time_zone", "UTC", "default"),
        ("budget", "tenants.shop.per_day", "$9.50", "settings"),
        ("budget", "alert_command", "page and an argument", "settings"),
        ("budget", "alert_url", "set", "settings"),
        ("catalogue", "file", "null", ""),
        ("accounts.openai", "api_key", "set (environment KEY)", "settings"),
        ("accounts.openai", "api_key_env", "KEY", "settings"),
        ("accounts.openai", "organization", "org-1", "settings"),
        ("accounts.openai", "headers.x-extra", "set", "settings"),
        ("accounts.openai", "limits.gpt-image.images", "250", "settings"),
        ("accounts.openai", "limits.gpt-image.tokens", "null", ""),
        ("accounts.vault", "api_key", "command, not run", "settings"),
        ("accounts.vault", "key_command", "vault and 2 arguments", "settings"),
        ("accounts.vault", "base_url", "https://user:***@images.example.com/v1", "settings"),
        ("accounts.vault", "key_refresh_seconds", "300", "default"),
        ("accounts.vault", "limits.dall-e-3.images", "5", "model catalogue"),
    ] {
        assert_eq!(row(&shown, section, name), (value.to_owned(), origin.to_owned()), "{section}.{name}");
    }
    assert!(row(&shown, "accounts.file", "api_key").0.starts_with("missing: api_key_file /nowhere/key: "));
    assert_eq!(shown.profile.as_deref(), Some("prod"), "the flag wins over the variable");
    for secret in ["hunter", "0123456789", "sk-"] {
        assert!(!json.contains(secret), "{secret} in {json}");
    }
    assert!(json.contains(r#""origin":{"kind":"file","file":"FILE"}"#), "{json}");
}

#[test]
fn without_anything_set_all_is_default() {
    let shown = explain_of(None, &BTreeMap::new(), &Flags::default(), "2026-11-21").unwrap();
    for row in &shown.settings {
        let from_nobody = matches!(row.origin, None | Some(Origin::Default | Origin::Catalogue));
        assert!(from_nobody, "{row:?}");
    }
    let key = row(&shown, "accounts.openai", "api_key").0;
    assert_eq!(key, "missing: set the environment variable OPENAI_API_KEY");
}
