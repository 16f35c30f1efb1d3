//! Decides which request meets which fault.
//!
//! A key that is broken comes first. Then a marker in the prompt, then the schedule, then chance. `[[sim:NAME]]` always
//! strikes, `[[sim:NAME*2]]` the first two requests of that prompt; several markers strike in
//! turn.

use std::collections::HashMap;

use anyhow::{Context, bail, ensure};

use secrecy::{ExposeSecret as _, SecretString};

use crate::{auth::KeyIndex, faults::Fault, options::Options, seed::Seed};

/// The faults to come.
#[derive(Debug)]
pub(crate) struct Triggers {
    chances: Vec<(f64, &'static Fault)>,
    schedule: HashMap<u64, &'static Fault>,
    /// Of every request of a key, by its place among all.
    broken: HashMap<KeyIndex, &'static Fault>,
    /// How often each prompt with a counted marker was seen, by its SHA-256.
    seen: HashMap<String, u64>,
}

/// A marker of a fault that does not exist.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownFault(pub(crate) String);

impl Triggers {
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let known = |name: &str| Fault::named(name).with_context(|| format!("no fault is named {name:?}"));
        let mut chances = Vec::new();
        let mut sum = 0.0;
        for (name, probability) in &options.faults {
            ensure!((0.0..=1.0).contains(probability), "the probability of {name} is not between 0 and 1");
            sum += probability;
            chances.push((sum, known(name)?));
        }
        ensure!(sum <= 1.0 + 1e-9, "the probabilities of faults sum to {sum}, which is more than 1");
        let mut schedule = HashMap::new();
        for planned in &options.schedule {
            if schedule.insert(planned.request, known(&planned.fault)?).is_some() {
                bail!("request {} has two faults in the schedule", planned.request);
            }
        }
        let mut broken = HashMap::new();
        for of in &options.broken {
            let same = |key: &SecretString| key.expose_secret() == of.api_key.expose_secret();
            let place =
                options.api_keys.iter().position(same).context("a broken key is not let in at all")?;
            broken.insert(KeyIndex(place), known(&of.fault)?);
        }
        Ok(Self { chances, schedule, broken, seen: HashMap::new() })
    }

    /// Forgets how often each prompt was seen.
    pub(crate) fn reset(&mut self) {
        self.seen.clear();
    }

    /// Chooses the fault of the `ordinal`th request; `chance` decides by probability.
    pub(crate) fn choose(
        &mut self,
        key: KeyIndex,
        ordinal: u64,
        prompt: &str,
        prompt_sha256: &str,
        chance: &mut Seed,
    ) -> Result<Option<&'static Fault>, UnknownFault> {
        let draw = chance.unit();
        if let Some(fault) = self.broken.get(&key) {
            return Ok(Some(fault));
        }
        let markers = markers(prompt)?;
        if !markers.is_empty() {
            let mut left = 0;
            if markers.iter().any(|marker| marker.times.is_some()) {
                let seen = self.seen.entry(prompt_sha256.to_owned()).or_default();
                left = *seen;
                *seen += 1;
            }
            for marker in markers {
                match marker.times {
                    Some(times) if left >= times => left -= times,
                    _ => return Ok(Some(marker.fault)),
                }
            }
            return Ok(None);
        }
        let planned = self.schedule.get(&ordinal).copied();
        Ok(planned.or_else(|| self.chances.iter().find(|(upto, _)| draw < *upto).map(|(_, fault)| *fault)))
    }
}

struct Marker {
    fault: &'static Fault,
    times: Option<u64>,
}

const OPENING: &str = "[[sim:";

fn markers(prompt: &str) -> Result<Vec<Marker>, UnknownFault> {
    let inside = prompt.split(OPENING).skip(1).map(|rest| rest.split("]]").next().unwrap_or(rest));
    inside
        .map(|text| {
            let unknown = || UnknownFault(text.to_owned());
            let (name, times) = match text.split_once('*') {
                Some((name, times)) => (name, Some(times.parse().map_err(|_ignored| unknown())?)),
                None => (text, None),
            };
            Ok(Marker { fault: Fault::named(name).ok_or_else(unknown)?, times })
        })
        .collect()
}

/// The prompt without its markers.
pub(crate) fn without_markers(prompt: &str) -> String {
    let mut parts = prompt.split(OPENING);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, rest| text + rest.split_once("]]").map_or("", |(_, after)| after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Broken, Scheduled};

    fn strikes(triggers: &mut Triggers, prompt: &str, requests: u64) -> Vec<Option<&'static str>> {
        let mut strike = |ordinal| {
            triggers
                .choose(KeyIndex(0), ordinal, prompt, prompt, &mut Seed::numbered(3, ordinal))
                .unwrap()
                .map(|f| f.name)
        };
        (1..=requests).map(&mut strike).collect()
    }

    #[test]
    fn markers_strike_in_turn_and_per_prompt() {
        let mut triggers = Triggers::new(&Options::default()).unwrap();
        assert_eq!(strikes(&mut triggers, "a [[sim:hang]]", 2), [Some("hang"); 2]);
        let prompt = "b [[sim:server_error*2]] [[sim:truncated_body*1]]";
        let expected = [Some("server_error"), Some("server_error"), Some("truncated_body"), None, None];
        assert_eq!(strikes(&mut triggers, prompt, 5), expected);
        assert_eq!(strikes(&mut triggers, "c [[sim:server_error*1]]", 2), [Some("server_error"), None]);
        let wrong = triggers.choose(KeyIndex(0), 1, "[[sim:typo]]", "", &mut Seed::numbered(0, 0));
        assert_eq!(wrong.unwrap_err(), UnknownFault("typo".to_owned()));
        assert_eq!(without_markers("a [[sim:hang]]b [[sim:x*2]]"), "a b ");
    }

    #[test]
    fn schedule_and_chance() {
        let mut options = Options::default();
        options.schedule.push(Scheduled { request: 2, fault: "hang".to_owned() });
        assert_eq!(strikes(&mut Triggers::new(&options).unwrap(), "x", 3), [None, Some("hang"), None]);
        options.faults = [("server_error".to_owned(), 0.25)].into();
        let struck = strikes(&mut Triggers::new(&options).unwrap(), "x", 4000);
        let errors = struck.iter().filter(|fault| **fault == Some("server_error")).count();
        assert!((900..1100).contains(&errors), "{errors}");
        options.broken.push(Broken { api_key: "sim-key".into(), fault: "hang".to_owned() });
        assert_eq!(strikes(&mut Triggers::new(&options).unwrap(), "x", 2), [Some("hang"); 2]);
        options.faults = [("sevrer_error".to_owned(), 0.25)].into();
        assert!(Triggers::new(&options).unwrap_err().to_string().contains("sevrer_error"));
    }
}
