//! Until when a model lives, judged by the host that serves it.

use serde::Deserialize;

use super::Model;

/// The end of a model on a host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retirement {
    /// The first day on which it is gone.
    pub on: jiff::civil::Date,
    /// The model to use instead, where the provider names one.
    pub replacement: Option<String>,
}

impl Model {
    /// Says why the model cannot be used on a host on a day (`YYYY-MM-DD`), and what replaces it.
    ///
    /// Retirement is the host's: `dall-e-3` is gone from `api.openai.com` and alive elsewhere.
    #[must_use]
    pub fn retired(&self, host: &str, today: &str) -> Option<String> {
        let (named, end) = self.retires_on(host)?;
        let instead = end.replacement.as_ref().map_or_else(String::new, |id| format!("; use {id}"));
        let gone = today >= end.on.to_string().as_str();
        gone.then(|| format!("{} was retired on {named} on {}{instead}", self.id, end.on))
    }

    /// The end of the model on a host, past or announced, and the host it is announced for.
    ///
    /// A port is ignored, and regional hosts such as `eu.api.openai.com` count as the one they belong to.
    #[must_use]
    pub fn retires_on(&self, host: &str) -> Option<(&str, &Retirement)> {
        let lower = host.trim().to_ascii_lowercase();
        let bare = lower.split(':').next().unwrap_or_default().trim_end_matches('.');
        let serves = |named: &str| {
            bare.strip_suffix(named).is_some_and(|subdomain| subdomain.is_empty() || subdomain.ends_with('.'))
        };
        self.retires.iter().map(|(named, end)| (named.as_str(), end)).find(|(named, _)| serves(named))
    }

    /// All ends of the model, past or announced, by host.
    pub fn retires(&self) -> impl Iterator<Item = (&str, &Retirement)> {
        self.retires.iter().map(|(host, end)| (host.as_str(), end))
    }

    /// How the model stands on a host on a day, for people: `current`, `retires …` or `retired …`.
    #[must_use]
    pub fn status(&self, host: &str, today: &str) -> String {
        let Some((_, end)) = self.retires_on(host) else {
            return "current".to_owned();
        };
        let verb = if self.retired(host, today).is_some() { "retired" } else { "retires" };
        let instead = end.replacement.as_ref().map_or_else(String::new, |id| format!(", use {id}"));
        format!("{verb} {}{instead}", end.on)
    }
}
