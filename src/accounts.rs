//! From accounts to lanes: what may send for which models, and how fast.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::Context;
use pictor_common::{
    batch::Route,
    catalogue::Catalogue,
    queue::{LaneLimits, LimitKind},
    spec::Operation,
};
use pictor_producer::manifest::Hosts;
use pictor_worker::{Lane, provider::openai_images::OpenAiImages};

use crate::config::{AccountSettings, Settings};

fn families(catalogue: &Catalogue) -> BTreeSet<&str> {
    catalogue.models().map(|model| model.family.as_str()).collect()
}

/// Whether an account is meant for a family: named, or alive on its host.
pub(crate) fn serves(settings: &Settings, account: &AccountSettings, family: &str, today: &str) -> bool {
    let host = account.host();
    let alive = |family: &str| {
        let mut models = settings.catalogue.models().filter(|model| model.family == family);
        models.any(|model| model.retired(&host, today).is_none())
    };
    account.families.as_ref().map_or_else(|| alive(family), |named| named.contains(family))
}

/// The host that answers for each family: that of the first account that serves it.
///
/// Where a family has died on every host, the first account's host says so.
pub(crate) fn hosts(settings: &Settings, today: &str) -> Hosts {
    let mut hosts = BTreeMap::new();
    for family in families(&settings.catalogue) {
        let serving = settings.accounts.values().find(|account| serves(settings, account, family, today));
        let open = || settings.accounts.values().find(|account| account.families.is_none());
        if let Some(account) = serving.or_else(open) {
            hosts.insert(family.to_owned(), account.host());
        }
    }
    Hosts(hosts)
}

/// The lanes for some families, or for all that are served.
///
/// A family that nobody serves, or only accounts without a key, is an error; so is any account
/// without a key when all families are wanted.
pub(crate) fn lanes(
    settings: &Settings,
    wanted: Option<&BTreeSet<String>>,
    today: &str,
) -> anyhow::Result<Vec<Lane>> {
    let mut lanes = Vec::new();
    let mut providers: BTreeMap<&str, Arc<OpenAiImages>> = BTreeMap::new();
    let mut lacking: BTreeMap<String, String> = BTreeMap::new();
    for family in families(&settings.catalogue) {
        if wanted.is_some_and(|wanted| !wanted.contains(family)) {
            continue;
        }
        let before = lanes.len();
        let mut without_key = None;
        for (name, account) in &settings.accounts {
            if !serves(settings, account, family, today) {
                continue;
            }
            if let Some(missing) = account.lacks_key() {
                without_key = Some(format!("account {name} has no API key: {missing}"));
                continue;
            }
            let provider = match providers.get(name.as_str()) {
                Some(provider) => Arc::clone(provider),
                None => {
                    // Its key may come from a command, which takes its time.
                    let new = tokio::task::block_in_place(|| OpenAiImages::new(account.account.clone()))
                        .with_context(|| format!("settings: accounts.{name}"))?;
                    let new = Arc::new(new);
                    providers.insert(name, Arc::clone(&new));
                    new
                }
            };
            let (limits, _own) = limits_of(settings, account, family);
            let name = format!("{name}.{family}");
            let routes = vec![Route::new(family, Operation::Generate)];
            lanes.push(Lane { name, routes, limits, provider });
        }
        if let Some(missing) = without_key.filter(|_| lanes.len() == before || wanted.is_none()) {
            lacking.insert(missing, family.to_owned());
        } else if lanes.len() == before && wanted.is_some() {
            anyhow::bail!(
                "no account serves {family}: add it to the families of an account, or add [accounts.NAME] with the base_url of an API that does"
            );
        }
    }
    if !lacking.is_empty() {
        anyhow::bail!("{}", lacking.into_keys().collect::<Vec<_>>().join("\n"));
    }
    anyhow::ensure!(!lanes.is_empty(), "no account serves any model: add [accounts.NAME] to the settings");
    Ok(lanes)
}

/// The limits of every family that an account serves, and whether they are its own.
pub(crate) fn limits<'s>(
    settings: &'s Settings,
    account: &AccountSettings,
    today: &str,
) -> Vec<(&'s str, LaneLimits, bool)> {
    let served = families(&settings.catalogue).into_iter();
    let served = served.filter(|family| serves(settings, account, family, today));
    let limits = served.map(|family| {
        let (limits, own) = limits_of(settings, account, family);
        (family, limits, own)
    });
    limits.collect()
}

fn limits_of(settings: &Settings, account: &AccountSettings, family: &str) -> (LaneLimits, bool) {
    let own = account.limits.get(family).cloned();
    let is_own = own.is_some();
    (own.unwrap_or_else(|| guessed(&settings.catalogue, family)), is_own)
}

/// What the catalogue knows of a family's limits.
fn guessed(catalogue: &Catalogue, family: &str) -> LaneLimits {
    let limits = catalogue
        .models()
        .filter(|model| model.family == family)
        .map(pictor_common::catalogue::Model::limits);
    let limits = limits.into_iter().next().unwrap_or_default();
    LaneLimits {
        requests: limits.requests,
        images: limits.images,
        tokens: limits.tokens,
        kind: Some(LimitKind::Guess),
        ..LaneLimits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Key, load};

    fn settings() -> Settings {
        load(&crate::config::Flags::default()).unwrap()
    }

    fn account(base_url: &str, families: Option<&[&str]>, key: Option<&str>) -> AccountSettings {
        AccountSettings {
            account: pictor_worker::provider::openai_images::Account {
                base_url: base_url.to_owned(),
                api_key: key.map(Into::into),
                ..Default::default()
            },
            key: Key::Variable("KEY".to_owned()),
            families: families.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            limits: BTreeMap::new(),
        }
    }

    #[test]
    fn a_family_that_died_on_one_host_is_served_by_another() {
        let mut settings = settings();
        let openai = account("https://api.openai.com/v1", None, Some("k"));
        settings.accounts = BTreeMap::from([("openai".to_owned(), openai)]);
        assert_eq!(hosts(&settings, "2026-11-21").of("dall-e-3"), Some("api.openai.com"));
        let all = lanes(&settings, None, "2026-11-21").unwrap();
        assert!(all.iter().all(|lane| lane.name != "openai.dall-e-3"));

        let studio = account("https://images.example.com/v1", Some(&["dall-e-3"]), Some("k"));
        settings.accounts.insert("studio".to_owned(), studio);
        assert_eq!(hosts(&settings, "2026-11-21").of("dall-e-3"), Some("images.example.com"));
        assert_eq!(hosts(&settings, "2026-11-21").of("gpt-image"), Some("api.openai.com"));
    }

    #[test]
    fn a_missing_key_matters_where_it_is_needed() {
        let mut settings = settings();
        settings.accounts = BTreeMap::from([
            ("a".to_owned(), account("https://a.example/v1", None, None)),
            ("b".to_owned(), account("https://b.example/v1", Some(&["gpt-image"]), Some("k"))),
        ]);
        let wanted = |family: &str| BTreeSet::from([family.to_owned()]);
        let names: Vec<_> = lanes(&settings, Some(&wanted("gpt-image")), "2026-11-21").unwrap();
        assert_eq!(names.len(), 1);
        for wanted in [Some(wanted("dall-e-3")), None] {
            let error = lanes(&settings, wanted.as_ref(), "2026-11-21").unwrap_err().to_string();
            assert_eq!(error, "account a has no API key: set the environment variable KEY");
        }
    }
}
