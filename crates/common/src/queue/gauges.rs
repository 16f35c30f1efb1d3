//! What a namespace holds, for metrics: one call, however much there is.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{CapOf, Counter, LaneState, Queue, QueueError, days::Day, script};
use crate::{MicroUsd, batch::Route};

/// Routes that are looked at.
const MOST_ROUTES: usize = 64;

/// A namespace at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gauges {
    /// When, µs since 1970 by Redis' clock.
    pub now: u64,
    /// Lanes that were declared, by name.
    pub lanes: Vec<LaneState>,
    /// Assets that can be claimed now, by route. One that several batches ask for counts for each of them.
    pub ready: Vec<(String, u64)>,
    /// Assets in the hands of workers.
    pub leased: u64,
    /// Assets that wait for another try.
    pub retrying: u64,
    /// Assets that were sent by an owner who is silent.
    pub in_doubt: u64,
    /// Assets that failed or were parked.
    pub failed: u64,
    /// Batches whose derivatives are still to be made, or looked at.
    pub derive: u64,
    /// Batches of which some derivatives could not be made.
    pub underived: u64,
    /// Money in all and of today; of tenants and open batches where they are capped.
    pub money: Vec<(CapOf, Counter)>,
    /// Endpoints of webhooks: notices that wait, and whether nothing is sent.
    pub webhooks: Vec<(String, u64, bool)>,
    /// What there is more of than was looked at: `lanes`, `flows`, `tenants`, `batches`.
    pub cut: Vec<String>,
}

impl Gauges {
    /// What [`Self::cut`] may name.
    pub const CUTS: [&str; 4] = ["lanes", "flows", "tenants", "batches"];
    /// What [`Self::condition`] may be.
    pub const CONDITIONS: [&str; 4] = ["healthy", "paused", "broken", "probing"];

    /// How a lane is: `broken` while it rests after many faults in a row, then `probing` until a request succeeds.
    #[must_use]
    pub fn condition(&self, lane: &LaneState) -> &'static str {
        let waits = lane.pause_until.is_some_and(|until| until > self.now);
        match (lane.paused.is_some(), lane.probing, waits) {
            (true, _, _) | (false, false, true) => "paused",
            (false, true, true) => "broken",
            (false, true, false) => "probing",
            (false, false, false) => "healthy",
        }
    }
}

#[derive(serde::Serialize)]
struct Request<'a> {
    routes: Vec<&'a str>,
    days: Vec<Day>,
}

/// A number that was told as a text.
struct Told(u64);

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A purse that gave back more than it held stands below nothing for a moment.
        let text = String::deserialize(deserializer)?;
        let number: i64 = text.parse().map_err(D::Error::custom)?;
        Ok(Self(u64::try_from(number).unwrap_or(0)))
    }
}

/// A list; Lua writes one without elements as an object.
struct List<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = seq.next_element()? {
                    list.push(element);
                }
                Ok(List(list))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<List<T>, A::Error> {
                match map.next_key::<String>()? {
                    None => Ok(List(Vec::new())),
                    Some(name) => Err(A::Error::custom(format!("{name:?} in a list"))),
                }
            }
        }
        deserializer.deserialize_any(Visitor(std::marker::PhantomData))
    }
}

#[derive(Deserialize)]
struct Answer {
    now: Told,
    lanes: List<(String, HashMap<String, String>, Told)>,
    routes: List<(String, Told)>,
    leased: Told,
    later: Told,
    doubt: Told,
    failed: Told,
    derive: Told,
    underived: Told,
    purses: List<(String, String, Told, Told, String)>,
    hooks: List<(String, Told, Told)>,
    cut: List<String>,
}

impl Queue {
    /// Looks at what the namespace holds, once and briefly; what waits is told of these routes.
    pub async fn gauges(&self, routes: &[Route]) -> Result<Gauges, QueueError> {
        let routes = routes.iter().take(MOST_ROUTES).map(Route::as_str).collect();
        let request = Request { routes, days: self.days() };
        let answer: Answer = script::GAUGES.ask(&self.connection, self.keys.prefix(), &request).await?;
        let lane = |(name, fields, in_flight): (String, HashMap<String, String>, Told)| {
            LaneState::of(name, &fields, in_flight.0)
        };
        let purse = |(scope, name, spent, reserved, cap): (String, String, Told, Told, String)| {
            let counter = Counter {
                cap: cap.parse().ok().map(MicroUsd),
                spent: MicroUsd(spent.0),
                reserved: MicroUsd(reserved.0),
                ..Counter::default()
            };
            Some((CapOf::of(&scope, &name)?, counter))
        };
        Ok(Gauges {
            now: answer.now.0,
            lanes: answer.lanes.0.into_iter().map(lane).collect(),
            ready: answer.routes.0.into_iter().map(|(route, ready)| (route, ready.0)).collect(),
            leased: answer.leased.0,
            retrying: answer.later.0,
            in_doubt: answer.doubt.0,
            failed: answer.failed.0,
            derive: answer.derive.0,
            underived: answer.underived.0,
            money: answer.purses.0.into_iter().filter_map(purse).collect(),
            webhooks: answer
                .hooks
                .0
                .into_iter()
                .map(|(name, waiting, off)| (name, waiting.0, off.0 > 0))
                .collect(),
            cut: answer.cut.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_in_one_condition() {
        let gauges = Gauges { now: 1_000, ..Gauges::default() };
        let lane = |paused: bool, probing, until| LaneState {
            paused: paused.then(|| "by hand".to_owned()),
            probing,
            pause_until: until,
            ..LaneState::default()
        };
        for (lane, condition) in [
            (lane(false, false, None), "healthy"),
            (lane(false, false, Some(999)), "healthy"),
            (lane(false, false, Some(1_001)), "paused"),
            (lane(true, false, None), "paused"),
            (lane(true, true, Some(1_001)), "paused"),
            (lane(false, true, Some(1_001)), "broken"),
            (lane(false, true, Some(999)), "probing"),
        ] {
            assert_eq!(gauges.condition(&lane), condition, "{lane:?}");
            assert!(Gauges::CONDITIONS.contains(&condition));
        }
    }
}
