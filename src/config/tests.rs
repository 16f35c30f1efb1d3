//! Tests of the settings.

use secrecy::ExposeSecret as _;

use super::*;

fn read_with(file: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("settings");
    std::fs::write(&path, file).unwrap();
    let environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    read(Some(&path), &environment, &Flags::default())
        .map_err(|error| format!("{error:#}").replace(&path.display().to_string(), "FILE"))
}

#[test]
fn later_homes_win() {
    let file = "[worker]\nconcurrency = 8\nmax_attempts = 3\n[redis]\nnamespace = \"shop\"\n";
    let variables =
        [("PICTOR_WORKER__CONCURRENCY", "9"), ("PICTOR_REDIS__URL", ""), ("PICTOR_PORT", "tcp://10.0.0.1")];
    let settings = read_with(file, &variables).unwrap();
    assert_eq!(
        (settings.worker.concurrency, settings.worker.max_attempts, settings.worker.max_unknown),
        (9, 3, 1)
    );
    assert_eq!(settings.redis.namespace, "shop");
    assert!(settings.redis.url.is_none(), "an empty variable is no setting");
}

#[test]
fn the_annotated_file_says_what_holds_without_it() {
    let with = read_with(include_str!("../../deploy/pictor.toml"), &[]).unwrap();
    let without = read_with("", &[]).unwrap();
    assert_eq!(format!("{with:?}"), format!("{without:?}"));
}

#[test]
fn unknown_keys_name_the_nearest() {
    for (file, expected) in [
        (
            "[worker]\nconcurency = 8\n",
            "settings: worker: unknown key \"concurency\"; did you mean \"concurrency\"?",
        ),
        ("[wroker]\n", "settings: unknown key \"wroker\"; did you mean \"worker\"?"),
        ("[store]\nulr = \"x\"\n", "settings: store: unknown key \"ulr\"; did you mean \"url\"?"),
        (
            "[accounts.a]\nbase_ulr = \"x\"\n",
            "settings: accounts.a: unknown key \"base_ulr\"; did you mean \"base_url\"?",
        ),
        (
            "[accounts.a.limits.gtp-image]\nimages = 1\n",
            "settings: accounts.a: limits: unknown key \"gtp-image\"; did you mean \"gpt-image\"?",
        ),
        (
            "[accounts.a.limits.gpt-image]\nimage = 1\n",
            "settings: accounts.a: limits.gpt-image: unknown key \"image\"; did you mean \"images\"?",
        ),
    ] {
        assert_eq!(read_with(file, &[]).unwrap_err(), expected);
    }
}

#[test]
fn keys_come_from_named_places_and_are_not_shown() {
    let file = "[accounts.a]\napi_key_env = \"KEY_A\"\n[accounts.b]\napi_key_env = \"KEY_B\"\n";
    let variables = [
        ("KEY_A", "0123456789"),
        ("PICTOR_STORE__SECRET_ACCESS_KEY", "0042"),
        ("PICTOR_REDIS__URL", "redis://:pw@h"),
    ];
    let settings = read_with(file, &variables).unwrap();
    assert_eq!(settings.accounts["a"].lacks_key(), None);
    assert_eq!(settings.accounts["b"].lacks_key().unwrap(), "set the environment variable KEY_B");
    assert_eq!(settings.store.s3.secret_access_key.as_ref().unwrap().expose_secret(), "0042");
    let shown = format!("{settings:?}");
    assert!(!shown.contains("0123456789") && !shown.contains("0042") && !shown.contains("pw@"), "{shown}");
    let broken = read_with("[store\n", &[]).unwrap_err();
    assert!(broken.contains("line 1"), "{broken}");
}
