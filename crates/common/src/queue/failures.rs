//! Failures by group, class, model, lane, batch and tenant, page by page; written by `lua/failures.lua`.

use redis::AsyncCommands as _;
use serde::Serialize;

use super::{AssetState, CHUNK, Failure, Queue, QueueError, replies::Replies};
use crate::{AssetKey, batch::BatchId};

/// The group of what no list has yet: failures that an older version left, until a worker has listed them.
pub const UNSORTED: &str = "unsorted";

/// What the name of a group of parked assets ends with.
pub const PARKED_GROUP: &str = "-parked";

/// A property by which failures are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trait {
    /// Of one cause.
    Group(String),
    /// Of a class.
    Class(String),
    /// Of a model.
    Model(String),
    /// Sent on a lane.
    Lane(String),
    /// Asked for by a batch.
    Batch(BatchId),
    /// Asked for by a tenant.
    Tenant(String),
}

impl Trait {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Group(name) => ("group", name),
            Self::Class(name) => ("class", name),
            Self::Model(name) => ("model", name),
            Self::Lane(name) => ("lane", name),
            Self::Batch(id) => ("batch", id.as_str()),
            Self::Tenant(name) => ("tenant", name),
        }
    }
}

/// Failures of one cause.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FailureGroup {
    /// Its name: the fingerprint, and `-parked` of what may have been paid for.
    pub group: String,
    /// How many.
    pub count: u64,
    /// When the oldest of them failed, µs since 1970.
    pub first: u64,
    /// When the newest of them failed, µs since 1970.
    pub last: u64,
    /// Whether a request for each may have been billed.
    pub parked: bool,
    /// The newest of them.
    pub sample: Option<AssetKey>,
    /// How that one failed.
    pub failure: Failure,
}

/// Groups of failures, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FailureGroups {
    /// Failures in all.
    pub total: u64,
    /// Those that are in no list yet.
    pub unsorted: u64,
    /// How many groups there are.
    pub causes: u64,
    /// The largest.
    pub groups: Vec<FailureGroup>,
}

/// A place among failures, newest first: what comes next failed before, or at that time with a smaller key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailurePlace {
    /// When it failed, µs since 1970.
    pub at: u64,
    /// The asset.
    pub key: AssetKey,
}

/// A page of failures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FailurePage {
    /// What was found, newest first.
    pub found: Vec<FailurePlace>,
    /// Where to go on; none at the end.
    pub next: Option<FailurePlace>,
}

impl Queue {
    /// The largest groups of failures.
    pub async fn failure_groups(&self, most: usize) -> Result<FailureGroups, QueueError> {
        let mut pipe = redis::pipe();
        pipe.zcard(self.keys.failures()).zcard(self.keys.listed()).zcard(self.keys.causes());
        let last = isize::try_from(most).unwrap_or(isize::MAX).saturating_sub(1);
        pipe.zrevrange_withscores(self.keys.causes(), 0, last);
        let mut replies = Replies::of(&pipe, self).await?;
        let (total, listed, causes): (u64, u64, u64) = (replies.take()?, replies.take()?, replies.take()?);
        let names: Vec<(String, u64)> = replies.take()?;
        let mut pipe = redis::pipe();
        for (name, _) in &names {
            let list = self.keys.failed("group", name);
            pipe.zrange_withscores(&list, 0, 0).zrange_withscores(&list, -1, -1);
        }
        let mut groups = Vec::with_capacity(names.len());
        if !names.is_empty() {
            let mut replies = Replies::of(&pipe, self).await?;
            for (group, count) in names {
                let ends: [Vec<(String, f64)>; 2] = [replies.take()?, replies.take()?];
                let at = |end: &[(String, f64)]| end.first().map_or(0, |(_, at)| *at as u64);
                let sample = ends[1].first().and_then(|(key, _)| AssetKey::try_from(key.clone()).ok());
                let parked = group.ends_with(PARKED_GROUP);
                let (first, last) = (at(&ends[0]), at(&ends[1]));
                groups.push(FailureGroup {
                    group,
                    count,
                    first,
                    last,
                    parked,
                    sample,
                    failure: Failure::default(),
                });
            }
        }
        self.add_samples(&mut groups).await?;
        Ok(FailureGroups { total, unsorted: total.saturating_sub(listed), causes, groups })
    }

    async fn add_samples(&self, groups: &mut [FailureGroup]) -> Result<(), QueueError> {
        for groups in groups.chunks_mut(CHUNK) {
            let names: Vec<String> =
                groups.iter().flat_map(|group| &group.sample).map(|key| self.keys.failure(key)).collect();
            if names.is_empty() {
                continue;
            }
            let texts: Vec<Option<String>> = self.connection.clone().mget(&names).await?;
            let sampled = groups.iter_mut().filter(|group| group.sample.is_some());
            for (group, text) in sampled.zip(texts) {
                let failure = text.and_then(|text| serde_json::from_str(&text).ok());
                group.failure = failure.unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Failures that have all of some properties, newest first: those after a place, not older than `since`, about
    /// `most` of them. A page may be empty and not the last.
    pub async fn failures_with(
        &self,
        traits: &[Trait],
        since: u64,
        after: Option<&FailurePlace>,
        most: usize,
    ) -> Result<FailurePage, QueueError> {
        let (base, filters) = self.shortest(traits).await?;
        let seen = self.page_of(&base, since, after, most).await?;
        let next = if seen.len() < most { None } else { seen.last().cloned() };
        let found = match filters {
            Filters::Lists(names, wanted) => self.in_lists(seen, &names, wanted).await?,
            Filters::Reading(traits) => self.by_reading(seen, traits).await?,
        };
        Ok(FailurePage { found, next })
    }

    /// The list to go through, the shortest there is, and what is still to be looked at of what it has.
    async fn shortest<'t>(&self, traits: &'t [Trait]) -> Result<(String, Filters<'t>), QueueError> {
        let mut pipe = redis::pipe();
        pipe.zcard(self.keys.failures()).zcard(self.keys.listed());
        let names: Vec<String> = traits.iter().map(|wanted| self.list_of(wanted)).collect();
        for name in &names {
            pipe.zcard(name);
        }
        let mut replies = Replies::of(&pipe, self).await?;
        let (all, listed): (u64, u64) = (replies.take()?, replies.take()?);
        if traits == [Trait::Group(UNSORTED.to_owned())] {
            return Ok((self.keys.failures(), Filters::Lists(vec![self.keys.listed()], false)));
        }
        if all != listed {
            return Ok((self.keys.failures(), Filters::Reading(traits)));
        }
        let mut sized = Vec::with_capacity(names.len());
        for name in names {
            sized.push((replies.take::<u64>()?, name));
        }
        sized.sort();
        let mut names = sized.into_iter().map(|(_, name)| name);
        let base = names.next().unwrap_or_else(|| self.keys.failures());
        Ok((base, Filters::Lists(names.collect(), true)))
    }

    fn list_of(&self, wanted: &Trait) -> String {
        let (kind, name) = wanted.parts();
        self.keys.failed(kind, name)
    }

    /// Members of a sorted set below a place, the highest first.
    async fn page_of(
        &self,
        list: &str,
        since: u64,
        after: Option<&FailurePlace>,
        most: usize,
    ) -> Result<Vec<FailurePlace>, QueueError> {
        let mut found: Vec<FailurePlace> = Vec::new();
        let highest = after.map_or_else(|| "+inf".to_owned(), |place| place.at.to_string());
        let mut skipped = 0;
        loop {
            let page: Vec<(String, f64)> = redis::cmd("ZRANGE")
                .arg(list)
                .arg(&highest)
                .arg(since)
                .arg(&["BYSCORE", "REV", "LIMIT"])
                .arg(skipped)
                .arg(most)
                .arg("WITHSCORES")
                .query_async(&mut self.connection.clone())
                .await?;
            skipped += page.len();
            let last = page.len() < most;
            let places = page.into_iter().filter_map(|(key, at)| {
                Some(FailurePlace { at: at as u64, key: AssetKey::try_from(key).ok()? })
            });
            // Of one time, those with a higher key came before.
            found.extend(places.filter(|place| {
                after.is_none_or(|after| (place.at, place.key.as_str()) < (after.at, after.key.as_str()))
            }));
            if last || found.len() >= most {
                found.truncate(most);
                return Ok(found);
            }
        }
    }

    /// Those that are in all of some lists, or that are in none of them.
    async fn in_lists(
        &self,
        seen: Vec<FailurePlace>,
        names: &[String],
        wanted: bool,
    ) -> Result<Vec<FailurePlace>, QueueError> {
        if seen.is_empty() || names.is_empty() {
            return Ok(seen);
        }
        let mut pipe = redis::pipe();
        for place in &seen {
            for name in names {
                pipe.zscore(name, place.key.as_str());
            }
        }
        let mut replies = Replies::of(&pipe, self).await?;
        let mut found = Vec::with_capacity(seen.len());
        for place in seen {
            let mut fits = true;
            for _ in names {
                fits &= replies.take::<Option<f64>>()?.is_some() == wanted;
            }
            if fits {
                found.push(place);
            }
        }
        Ok(found)
    }

    /// Those that have some properties, by what is known of each: the lists do not have all of them yet.
    async fn by_reading(
        &self,
        seen: Vec<FailurePlace>,
        traits: &[Trait],
    ) -> Result<Vec<FailurePlace>, QueueError> {
        if seen.is_empty() || traits.is_empty() {
            return Ok(seen);
        }
        let keys: Vec<AssetKey> = seen.iter().map(|place| place.key.clone()).collect();
        let states = self.assets(&keys).await?;
        let asking = self.asking(&keys).await?;
        let mut found = Vec::new();
        for ((place, state), batches) in seen.into_iter().zip(states).zip(asking) {
            let Some(state) = state else { continue };
            let mut fits = true;
            for wanted in traits {
                fits = fits && self.has(wanted, &state, &batches).await?;
            }
            if fits {
                found.push(place);
            }
        }
        Ok(found)
    }

    async fn has(&self, wanted: &Trait, state: &AssetState, batches: &[String]) -> Result<bool, QueueError> {
        let failure = state.failure.clone().unwrap_or_default();
        Ok(match wanted {
            Trait::Group(name) => *name == group_of(state),
            Trait::Class(name) => *name == failure.class,
            Trait::Model(name) => *name == failure.model,
            Trait::Lane(name) => *name == failure.lane,
            Trait::Batch(id) => batches.iter().any(|batch| batch == id.as_str()),
            Trait::Tenant(name) => {
                let ids: Vec<BatchId> = batches.iter().filter_map(|batch| batch.parse().ok()).collect();
                self.batch_states(&ids).await?.iter().any(|batch| batch.tenant == *name)
            }
        })
    }

    /// Those of some failures that have all of some properties.
    pub async fn failures_among(
        &self,
        places: Vec<FailurePlace>,
        traits: &[Trait],
    ) -> Result<Vec<FailurePlace>, QueueError> {
        self.by_reading(places, traits).await
    }

    /// Failures with what is known of each, in the order given; what is no failure any more is left out.
    pub async fn failed_assets(
        &self,
        places: &[FailurePlace],
    ) -> Result<Vec<(FailurePlace, AssetState)>, QueueError> {
        let keys: Vec<AssetKey> = places.iter().map(|place| place.key.clone()).collect();
        let states = self.assets(&keys).await?;
        let known = places.iter().cloned().zip(states).filter_map(|(place, state)| Some((place, state?)));
        Ok(known.filter(|(_, state)| matches!(state.phase.as_str(), "failed" | "parked")).collect())
    }

    /// When some assets failed, of those that are failures.
    pub async fn failed_at(&self, keys: &[AssetKey]) -> Result<Vec<FailurePlace>, QueueError> {
        let mut found = Vec::new();
        for keys in keys.chunks(CHUNK) {
            let mut pipe = redis::pipe();
            for key in keys {
                pipe.zscore(self.keys.failures(), key.as_str());
            }
            let mut replies = Replies::of(&pipe, self).await?;
            for key in keys {
                if let Some(at) = replies.take::<Option<f64>>()? {
                    found.push(FailurePlace { at: at as u64, key: key.clone() });
                }
            }
        }
        Ok(found)
    }
}

/// What is still to be looked at of a list's members.
enum Filters<'t> {
    /// Whether they are in other lists.
    Lists(Vec<String>, bool),
    /// What they are.
    Reading(&'t [Trait]),
}

/// The group of a failure, as the scripts name it.
#[must_use]
pub fn group_of(state: &AssetState) -> String {
    let failure = state.failure.clone().unwrap_or_default();
    let mut group = match failure.fingerprint.as_str() {
        "" => format!("{UNSORTED}-{}", failure.class),
        print => print.to_owned(),
    };
    if state.phase == "parked" {
        group += PARKED_GROUP;
    }
    group
}
