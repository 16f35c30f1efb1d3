//! Which models an account may use, and until when.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{ToSpan as _, civil::Date};
use pictor_common::catalogue::Model;
use pictor_worker::provider::openai_images::ListedModel;

use super::finding::{Check, Finding, Group};
use crate::{
    accounts::serves,
    config::{AccountSettings, Settings},
};

/// How early the end of a model is told.
const NOTICE_DAYS: i64 = 90;

const OTHER_DEFAULT: &str = "set default = \"MODEL\" in a file and catalogue.file to it";

fn check(name: &str, what: &str) -> Check {
    Check::new(Group::Api, format!("{name} {what}"))
}

/// The models of the catalogue that an account is meant for and that live on its host.
fn meant<'s>(settings: &'s Settings, account: &AccountSettings, today: &str) -> Vec<&'s Model> {
    let host = account.host();
    let models = settings.catalogue.models();
    models
        .filter(|model| serves(settings, account, &model.family, today))
        .filter(|model| model.retired(&host, today).is_none())
        .collect()
}

/// What the account's API calls a model.
fn called<'a>(account: &'a AccountSettings, model: &'a str) -> &'a str {
    account.account.models.get(model).map_or(model, String::as_str)
}

/// Whether the account may use what it is there for.
pub(super) fn access(settings: &Settings, name: &str, listed: &[ListedModel], today: &str) -> Finding {
    let account = &settings.accounts[name];
    let meant = meant(settings, account, today);
    let check = check(name, "models");
    let there: BTreeSet<&str> = listed.iter().map(|model| model.id.as_str()).collect();
    let (found, missing): (Vec<&Model>, Vec<&Model>) =
        meant.into_iter().partition(|model| there.contains(called(account, &model.id)));
    let ids = |models: &[&Model]| models.iter().map(|m| m.id.as_str()).collect::<Vec<_>>().join(", ");
    let default = settings.catalogue.default_model();
    if missing.iter().any(|model| model.id == default) {
        let mend = match found.first() {
            Some(other) => format!(
                "give the account access to {default} at the provider, or another default: {}, for example {}",
                OTHER_DEFAULT, other.id
            ),
            None => {
                format!("give the account access to {default} at the provider, or set accounts.{name}.models")
            }
        };
        let others = if found.is_empty() { String::new() } else { format!("; it has {}", ids(&found)) };
        return check
            .failed(format!("the default model {default} is not open to this account{others}"), mend);
    }
    let renamed = missing.iter().find(|model| account.account.models.contains_key(&model.id));
    if let Some(model) = renamed {
        let named = called(account, &model.id);
        return check.warning(
            format!("accounts.{name}.models calls {} {named:?}, which the API does not list", model.id),
            "write there the name that the provider gave the deployment",
        );
    }
    if found.is_empty() {
        return check.failed(
            format!("none of the catalogue's models is open to this account ({} others are)", there.len()),
            format!("set accounts.{name}.models to what the API calls them, or add them to a catalogue.file"),
        );
    }
    let others = match missing.as_slice() {
        [] => String::new(),
        missing => format!("; not {}", ids(missing)),
    };
    check.ok(format!("{}{others}", ids(&found)))
}

/// The end of the models the account is meant for: by the catalogue, and by the API where it says so.
pub(super) fn retirement(
    settings: &Settings,
    name: &str,
    listed: &[ListedModel],
    today: &str,
) -> Option<Finding> {
    let account = &settings.accounts[name];
    let day: Date = today.parse().ok()?;
    let ends = ends(settings, account, listed, day);
    let check = check(name, "retirement");
    let default = settings.catalogue.default_model();
    let gone: Vec<&End> = ends.iter().filter(|end| end.on <= day).collect();
    if let Some(end) = gone.iter().find(|end| end.model == default) {
        let other = end.replacement.clone().unwrap_or_else(|| "one that lives".to_owned());
        return Some(check.failed(
            format!("the default model was retired: {}", together(&[end])),
            format!("{OTHER_DEFAULT}, for example {other}"),
        ));
    }
    if let Some(family) = dead_family(settings, account, today) {
        return Some(check.failed(
            format!(
                "accounts.{name}.families names {family}, whose models are all gone from {}",
                account.host()
            ),
            format!("take {family} out of accounts.{name}.families"),
        ));
    }
    let until = day.saturating_add(NOTICE_DAYS.days());
    let soon: Vec<&End> = ends.iter().filter(|end| end.on > day && end.on <= until).collect();
    if !soon.is_empty() {
        let list = together(&soon);
        return Some(check.warning(
            format!("soon to be retired: {list}"),
            "move manifests and templates that name these to what replaces them",
        ));
    }
    let found = match gone.as_slice() {
        [] => format!("nothing within {NOTICE_DAYS} days"),
        gone => {
            format!("nothing within {NOTICE_DAYS} days; gone from here: {}", together(gone))
        }
    };
    Some(check.ok(found))
}

/// Ends that are alike are told as one: `a, b on 2026-12-01, use c`.
fn together(ends: &[&End]) -> String {
    let mut alike: BTreeMap<(Date, Option<&str>), Vec<&str>> = BTreeMap::new();
    for end in ends {
        alike.entry((end.on, end.replacement.as_deref())).or_default().push(&end.model);
    }
    let told = alike.into_iter().map(|((on, replacement), models)| {
        let instead = replacement.map_or(String::new(), |id| format!(", use {id}"));
        format!("{} on {on}{instead}", models.join(", "))
    });
    told.collect::<Vec<_>>().join("; ")
}

/// The end of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    model: String,
    on: Date,
    replacement: Option<String>,
}

fn ends(settings: &Settings, account: &AccountSettings, listed: &[ListedModel], day: Date) -> Vec<End> {
    let host = account.host();
    let said: BTreeMap<&str, Option<Date>> = listed
        .iter()
        .map(|model| (model.id.as_str(), model.shutdown_date.as_ref().and_then(|on| on.parse().ok())))
        .collect();
    let end = |model: &Model| {
        let known = model.retires_on(&host).map(|(_, end)| end);
        // What is still listed after its day lives on.
        let api = said.get(called(account, &model.id)).copied().flatten().filter(|on| *on > day);
        let on = match (known.map(|end| end.on), api) {
            (Some(known), Some(api)) => known.min(api),
            (Some(on), None) | (None, Some(on)) => on,
            (None, None) => return None,
        };
        Some(End { model: model.id.clone(), on, replacement: known.and_then(|end| end.replacement.clone()) })
    };
    let wanted = |model: &&Model| account.families.as_ref().is_none_or(|names| names.contains(&model.family));
    settings.catalogue.models().filter(wanted).filter_map(end).collect()
}

/// A family that the settings name and that has no model left.
fn dead_family(settings: &Settings, account: &AccountSettings, today: &str) -> Option<String> {
    let host = account.host();
    let lives = |family: &str| {
        let mut models = settings.catalogue.models().filter(|model| model.family == family);
        models.any(|model| model.retired(&host, today).is_none())
    };
    account.families.iter().flatten().find(|family| !lives(family)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::doctor::finding::Status,
        config::{Flags, Key, load},
    };

    const TODAY: &str = "2026-11-21";

    fn settings(base_url: &str) -> Settings {
        let mut settings = load(&Flags::default()).unwrap();
        let account = AccountSettings {
            account: pictor_worker::provider::openai_images::Account {
                base_url: base_url.to_owned(),
                ..Default::default()
            },
            key: Key::Settings,
            families: None,
            limits: BTreeMap::new(),
        };
        settings.accounts = BTreeMap::from([("a".to_owned(), account)]);
        settings
    }

    fn openai() -> Settings {
        settings("https://api.openai.com/v1")
    }

    fn list(ids: &[&str]) -> Vec<ListedModel> {
        ids.iter().map(|id| ListedModel { id: (*id).to_owned(), shutdown_date: None }).collect()
    }

    #[test]
    fn models_that_are_open() {
        let fine = access(&openai(), "a", &list(&["gpt-image-2", "gpt-image-2.5-flare", "gpt-4"]), TODAY);
        assert_eq!(fine.status, Status::Ok);
        assert!(fine.found.starts_with("gpt-image-2, gpt-image-2.5-flare; not "), "{fine:?}");
        assert!(!fine.found.contains("dall-e"), "what is retired is not missed: {fine:?}");
    }

    #[test]
    fn a_default_that_is_not_open_fails() {
        let other = access(&openai(), "a", &list(&["gpt-image-2.5-flare"]), TODAY);
        assert_eq!(other.status, Status::Failed);
        assert!(other.found.contains("the default model gpt-image-2 is not open"), "{other:?}");
        assert!(other.mend.unwrap().contains("gpt-image-2.5-flare"));
        assert!(access(&openai(), "a", &[], TODAY).mend.unwrap().contains("accounts.a.models"));
    }

    #[test]
    fn an_account_for_another_family_does_without_the_default() {
        let mut studio = settings("https://studio.example/v1");
        let account = studio.accounts.get_mut("a").unwrap();
        account.families = Some(BTreeSet::from(["dall-e-3".to_owned()]));
        assert_eq!(access(&studio, "a", &list(&["dall-e-3"]), TODAY).status, Status::Ok);
        let none = access(&studio, "a", &list(&["sd-cpp-local"]), TODAY);
        assert_eq!((none.status, none.found.contains("1 others")), (Status::Failed, true), "{none:?}");
        let account = studio.accounts.get_mut("a").unwrap();
        account.account.models.insert("dall-e-3".to_owned(), "mine".to_owned());
        assert_eq!(access(&studio, "a", &list(&["mine"]), TODAY).status, Status::Ok);
        let misnamed = access(&studio, "a", &list(&["dall-e-3"]), TODAY);
        assert_eq!(misnamed.status, Status::Warning);
        assert!(misnamed.found.contains("\"mine\""));
    }

    #[test]
    fn ends_are_told_in_time() {
        let soon = retirement(&openai(), "a", &[], TODAY).unwrap();
        assert_eq!(soon.status, Status::Warning);
        assert!(
            soon.found.contains(
                "gpt-image-1.5, gpt-image-1.5-2025-12-16 on 2026-12-01, use gpt-image-2.5-sunburst"
            ),
            "{soon:?}"
        );
        let after = retirement(&openai(), "a", &[], "2026-12-02").unwrap();
        assert_eq!(after.status, Status::Ok);
        assert!(after.found.contains("gone from here: ") && after.found.contains("dall-e-3"));
        let early = retirement(&openai(), "a", &[], "2026-01-01").unwrap();
        assert_eq!((early.status, early.found.contains("nothing")), (Status::Ok, true));
    }

    #[test]
    fn a_default_that_is_gone_fails() {
        let mut settings = openai();
        let retired = "default = \"gpt-image-1\"\n";
        settings.catalogue = settings.catalogue.overridden(retired).unwrap();
        let finding = retirement(&settings, "a", &[], TODAY).unwrap();
        assert_eq!(finding.status, Status::Failed);
        assert!(
            finding.found.contains("gpt-image-1 on 2026-10-23")
                && finding.mend.unwrap().ends_with("gpt-image-2")
        );
    }

    #[test]
    fn a_family_that_died_is_told_where_it_is_named() {
        let mut settings = openai();
        let account = settings.accounts.get_mut("a").unwrap();
        account.families = Some(BTreeSet::from(["dall-e-3".to_owned(), "gpt-image".to_owned()]));
        let finding = retirement(&settings, "a", &[], TODAY).unwrap();
        assert_eq!(finding.status, Status::Failed);
        assert!(finding.mend.unwrap().contains("take dall-e-3 out"));
    }

    #[test]
    fn the_api_may_know_better() {
        let mut listed = list(&["gpt-image-2"]);
        listed[0].shutdown_date = Some("2026-12-24".to_owned());
        let studio = settings("https://studio.example/v1");
        let finding = retirement(&studio, "a", &listed, TODAY).unwrap();
        assert_eq!(finding.status, Status::Warning);
        assert!(finding.found.contains("gpt-image-2 on 2026-12-24"), "{finding:?}");
        listed[0].shutdown_date = Some("2026-11-01".to_owned());
        assert_eq!(
            retirement(&studio, "a", &listed, TODAY).unwrap().status,
            Status::Ok,
            "listed, so it lives"
        );
    }
}
