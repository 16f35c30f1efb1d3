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
fn parking_at_once_risks_no_second_request() {
    let risked = |file: &str| read_with(file, &[]).unwrap().worker.risked();
    assert_eq!(risked("[worker]\nmax_unknown = 3\n"), 3);
    assert_eq!(risked("[worker]\nmax_unknown = 3\non_unknown = \"park\"\n"), 0);
    let odd = read_with("", &[("PICTOR_WORKER__ON_UNKNOWN", "stop")]).unwrap_err();
    assert!(odd.contains("retry") && odd.contains("park"), "{odd}");
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

#[test]
fn a_profile_lies_over_the_file_and_below_the_environment() {
    let file = r#"
[redis]
namespace = "shop"
[store]
url = "s3://images/all/"
[worker]
concurrency = 8
max_attempts = 3
[accounts.openai]
api_key_env = "KEY"
organization = "org-1"
[accounts.studio]
base_url = "https://images.example.com"
[profiles.prod]
budget.total = "500.00"
worker.concurrency = 16
accounts.openai.api_key_file = "/run/secrets/openai"
[profiles.staging]
redis.namespace = "rehearsal"
store.url = "s3://rehearsal"
data_dir = "/srv/rehearsal"
"#;
    let with = |variables: &[(&str, &str)]| read_with(file, variables).unwrap();
    let plain = with(&[]);
    assert_eq!((plain.redis.namespace.as_str(), plain.accounts.len(), plain.budget.total), ("shop", 2, None));
    assert_eq!(plain.data_dir, Path::new(".pictor"));

    let prod = with(&[("PICTOR_PROFILE", "prod"), ("PICTOR_WORKER__MAX_ATTEMPTS", "4")]);
    assert_eq!((prod.worker.concurrency, prod.worker.max_attempts), (16, 4));
    assert_eq!(prod.budget.total, Some("500.00".parse().unwrap()));
    assert_eq!(prod.redis.namespace, "shop-prod");
    assert_eq!(prod.store.url.as_deref(), Some("s3://images/all/prod"));
    assert_eq!(prod.data_dir, Path::new(".pictor/profiles/prod"));
    assert_eq!(prod.accounts.keys().collect::<Vec<_>>(), ["openai"], "others' keys do not serve beside it");
    let openai = &prod.accounts["openai"];
    assert_eq!(openai.key, Key::File("/run/secrets/openai".into()), "its key replaces the one below");
    assert_eq!(openai.account.organization.as_deref(), Some("org-1"));

    let staging = with(&[("PICTOR_PROFILE", "staging")]);
    assert_eq!(staging.redis.namespace, "rehearsal", "what the table names stands as it is");
    assert_eq!(staging.store.url.as_deref(), Some("s3://rehearsal"));
    assert_eq!(staging.data_dir, Path::new("/srv/rehearsal"));

    let dev =
        with(&[("PICTOR_PROFILE", "dev"), ("PICTOR_REDIS__NAMESPACE", "mine"), ("PICTOR_DATA_DIR", "/d")]);
    assert_eq!(dev.redis.namespace, "mine");
    assert_eq!(dev.worker.spool.as_deref(), Some(Path::new("/d/spool/profiles/dev")), "no spool is shared");
    assert_eq!(dev.accounts.len(), 2);
    let bare = read_with("", &[("PICTOR_PROFILE", "dev")]).unwrap();
    assert_eq!(
        (bare.redis.namespace.as_str(), bare.store.url.as_deref()),
        ("pictor-dev", Some("pictor-out/dev"))
    );
}

#[test]
fn misspelt_profiles_name_the_nearest() {
    for (file, profile, expected) in [
        ("", "stagin", "there is no profile \"stagin\"; did you mean \"staging\"?"),
        (
            "[profiles.eu]\n",
            "us-east",
            "there is no profile \"us-east\"; there are dev, eu, prod, staging, or add [profiles.us-east] to the settings file",
        ),
        (
            "[profiles.prd]\n",
            "prod",
            "the settings have a table [profiles.prd] and none for prod: is it misspelt? Rename it, or add an empty [profiles.prod]",
        ),
        (
            "[profiles.eu.wroker]\n",
            "",
            "settings: profiles.eu: unknown key \"wroker\"; did you mean \"worker\"?",
        ),
        (
            "[profiles.eu.worker]\nconcurency = 1\n",
            "",
            "profile eu: settings: worker: unknown key \"concurency\"; did you mean \"concurrency\"?",
        ),
        ("[profiles.\"a b\"]\n", "", "settings: profiles.a b: "),
    ] {
        let error = read_with(file, &[("PICTOR_PROFILE", profile)]).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let error = read_with("", &[("PICTOR_PROFILES__DEV__LOG", "x")]).unwrap_err();
    assert!(error.starts_with("PICTOR_PROFILES__DEV__LOG: profiles are set in the settings file"), "{error}");
}

#[test]
fn a_key_comes_from_one_place() {
    for (file, expected) in [
        (
            "[accounts.a]\napi_key_env = \"K\"\nkey_command = [\"vault\"]\n",
            "settings: accounts.a: the key of an account comes from one place, and here are api_key_env and key_command: keep one of them",
        ),
        ("[accounts.a]\nkey_command = []\n", "settings: accounts.a: key_command names no program"),
        ("[accounts.a]\nkey_command = \"vault read\"\n", "settings: accounts.a: "),
        (
            "[accounts.a]\napi_key_env = \"K\"\nkey_refresh_seconds = 0\n",
            "settings: accounts.a: key_refresh_seconds must be 1 or more",
        ),
    ] {
        let error = read_with(file, &[]).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let file = "[accounts.a]\napi_key_env = \"K\"\n[accounts.b]\nkey_command = [\"vault\", \"s3cret\"]\n";
    let variables =
        [("PICTOR_ACCOUNTS__A__API_KEY_FILE", "/nowhere/key"), ("PICTOR_REDIS__URL", "redis://h")];
    let settings = read_with(file, &variables).unwrap();
    let lacks = settings.accounts["a"].lacks_key().unwrap();
    assert!(lacks.starts_with("api_key_file /nowhere/key: "), "{lacks}");
    let command = &settings.accounts["b"];
    assert_eq!((command.lacks_key(), &command.key), (None, &Key::Command("vault".to_owned())));
    assert!(command.account.without_variables.iter().any(|name| name == "PICTOR_REDIS__URL"));
    assert!(!format!("{settings:?}").contains("s3cret"));
}

mod shown;
mod webhooks;
