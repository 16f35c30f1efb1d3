//! Who could make a spec, and for how much.

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{NewAsset, Route},
    catalogue::{Catalogue, Model},
    price::{self, Terms},
};
use pictor_producer::manifest::Hosts;

use crate::{accounts, config::Settings, parts};

/// The hosts of this day.
pub(super) struct Makers<'s> {
    catalogue: &'s Catalogue,
    has_accounts: bool,
    today: String,
    hosts: Hosts,
}

impl<'s> Makers<'s> {
    pub(super) fn new(settings: &'s Settings) -> Self {
        let today = parts::today();
        let hosts = accounts::hosts(settings, &today);
        Self { catalogue: &settings.catalogue, has_accounts: !settings.accounts.is_empty(), today, hosts }
    }

    /// The asset of a spec, and what it will most likely cost; in words where it cannot be made.
    pub(super) fn asset_of(&self, spec: &Spec) -> Result<(NewAsset, MicroUsd), String> {
        let Some(model) = self.catalogue.model(&spec.model) else {
            return Err(format!(
                "the catalogue does not know the model {:?}; pictor models lists them",
                spec.model
            ));
        };
        self.is_served(model)?;
        let problems: Vec<String> = model
            .check(spec)
            .into_iter()
            .map(|problem| format!("{}: {}", problem.field, problem.message))
            .collect();
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        let terms: Terms = self.today.parse().map_err(|error| format!("{error}"))?;
        let estimate = price::estimate(model, spec, terms).map_err(|unpriced| unpriced.to_string())?;
        let asset = NewAsset {
            key: AssetKey::of(spec),
            spec: spec.clone(),
            route: Route::new(&model.family, spec.operation),
            ceiling: estimate.ceiling,
            tokens: estimate.tokens,
            made: None,
        };
        Ok((asset, estimate.expected))
    }

    /// What nobody makes would wait for ever, and what waits cannot be replaced again. Without accounts here, those of
    /// the workers are not known.
    fn is_served(&self, model: &Model) -> Result<(), String> {
        match self.hosts.of(&model.family) {
            Some(host) => model.retired(host, &self.today).map_or(Ok(()), Err),
            None if !self.has_accounts => Ok(()),
            None => Err(format!("no account serves {}, the family of {}", model.family, model.id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_account_makes_any_more_takes_the_place_of_nothing() {
        let catalogue = Catalogue::embedded();
        let family = catalogue.model("dall-e-2").unwrap().family.clone();
        let spec = Spec { model: "dall-e-2".into(), prompt: Some("x".into()), ..Spec::default() };
        let today = "2026-11-22".to_owned();
        let mut makers = Makers { catalogue: &catalogue, has_accounts: true, today, hosts: Hosts::default() };
        let unserved = makers.asset_of(&spec).unwrap_err();
        assert!(unserved.contains("no account serves"), "{unserved}");
        makers.hosts.0.insert(family.clone(), "api.openai.com".to_owned());
        let retired = makers.asset_of(&spec).unwrap_err();
        assert!(retired.contains("retired"), "{retired}");
        makers.hosts.0.insert(family, "images.example.com".to_owned());
        makers.asset_of(&spec).unwrap();
        (makers.hosts, makers.has_accounts) = (Hosts::default(), false);
        makers.asset_of(&spec).expect("only workers know who serves it");
    }
}
