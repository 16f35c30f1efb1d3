//! What answers say of a lane, told to all workers.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use pictor_common::queue::Refusal;
use tracing::debug;

use crate::{
    engine::Engine,
    provider::{AnswerHeaders, HeaderLimit},
    verdict::{Dimension, RateLimit},
};

/// What this process knows that all know.
#[derive(Debug, Default)]
pub(crate) struct Learnt {
    /// Lanes that failed or were refused of late.
    troubled: Mutex<HashSet<String>>,
    /// Limits from headers that were told already, by lane and dimension.
    told: Mutex<HashMap<(String, &'static str), u64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Learnt {
    /// Takes note of the lanes that a claim names as troubled.
    pub(crate) fn troubled(&self, lanes: &[String]) {
        if !lanes.is_empty() {
            lock(&self.troubled).extend(lanes.iter().cloned());
        }
    }

    fn is_news(&self, lane: &str, limits: &BTreeMap<&'static str, u64>) -> bool {
        let told = lock(&self.told);
        limits.iter().any(|(name, limit)| told.get(&(lane.to_owned(), *name)) != Some(limit))
    }

    fn told(&self, lane: &str, limits: BTreeMap<&'static str, u64>) {
        lock(&self.told).extend(limits.into_iter().map(|(name, limit)| ((lane.to_owned(), name), limit)));
    }

    fn untold(&self, lane: &str) {
        lock(&self.told).retain(|(of, _), _| of != lane);
    }
}

impl Engine {
    /// An image came: its lane works, and its headers may state limits. `epoch` is the lane's when it was sent.
    pub(crate) async fn learn(&self, lane: &str, epoch: u64, headers: &AnswerHeaders) {
        let window = self.lanes.get(lane).map_or(60.0, |lane| lane.limits.window_seconds.unwrap_or(60.0));
        let limits = stated(headers, window);
        let was_troubled = lock(&self.learnt.troubled).remove(lane);
        if !was_troubled && !self.learnt.is_news(lane, &limits) {
            return;
        }
        match self.queue.learn(lane, epoch, &limits).await {
            Ok(true) => self.learnt.told(lane, limits),
            Ok(false) => self.learnt.untold(lane),
            Err(error) => debug!(%error, lane, "not told what the headers say; the next image will"),
        }
    }
}

/// The limits per window that headers state, by dimension.
fn stated(headers: &AnswerHeaders, window: f64) -> BTreeMap<&'static str, u64> {
    let dimensions = [("requests", "requests"), ("images", "images"), ("tokens", "tokens")];
    dimensions
        .into_iter()
        .filter_map(|(header, name)| {
            let said = headers.limits.get(header)?;
            Some((name, said.limit.filter(|limit| *limit > 0 && is_of(said, window))?))
        })
        .collect()
}

/// Whether a limit is one of this window: some headers speak of days. What is used of it and the time until it is
/// whole again give the window away, roughly.
fn is_of(said: &HeaderLimit, window: f64) -> bool {
    let (Some(limit), Some(remaining), Some(reset)) = (said.limit, said.remaining, said.reset) else {
        return false;
    };
    let used = limit.saturating_sub(remaining);
    if used == 0 {
        return false;
    }
    let seems = reset.as_secs_f64() * limit as f64 / used as f64;
    (window * 0.4..window * 2.5).contains(&seems)
}

/// What a refusal tells a lane.
pub(crate) fn refusal_of(limit: &RateLimit, epoch: u64, message: &str) -> Refusal {
    Refusal {
        epoch,
        dimension: limit.dimension.map(name),
        limit: limit.limit,
        used: limit.used,
        requested: limit.requested,
        wait: limit.wait.map(|wait| u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)),
        slow_down: limit.slow_down,
        message: message.to_owned(),
    }
}

/// The name of a dimension in a lane. Images to be made are called input images by some messages.
const fn name(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::RequestsPerMinute => "requests",
        Dimension::ImagesPerMinute | Dimension::InputImagesPerMinute => "images",
        Dimension::TokensPerMinute => "tokens",
        Dimension::RequestsPerDay => "requests_per_day",
        Dimension::ImagesPerDay => "images_per_day",
        Dimension::TokensPerDay => "tokens_per_day",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn said(limit: u64, remaining: u64, reset_ms: u64) -> HeaderLimit {
        HeaderLimit {
            limit: Some(limit),
            remaining: Some(remaining),
            reset: Some(Duration::from_millis(reset_ms)),
        }
    }

    #[test]
    fn a_limit_per_day_is_not_taken_for_one_per_minute() {
        assert!(is_of(&said(500, 499, 120), 60.0));
        assert!(is_of(&said(30_000, 554, 58_891), 60.0));
        assert!(!is_of(&said(10_000, 9_999, 8_640), 60.0));
        assert!(!is_of(&said(500, 500, 0), 60.0), "nothing used: it may be of any window");
    }

    #[test]
    fn headers_state_limits_by_dimension() {
        let limits = [("images".to_owned(), said(250, 150, 24_000)), ("other".to_owned(), said(9, 8, 7_000))];
        let headers = AnswerHeaders { limits: limits.into_iter().collect(), ..AnswerHeaders::default() };
        assert_eq!(stated(&headers, 60.0), BTreeMap::from([("images", 250)]));
    }

    #[test]
    fn what_was_told_is_no_news() {
        let learnt = Learnt::default();
        let limits = BTreeMap::from([("images", 250)]);
        assert!(learnt.is_news("a.x", &limits));
        learnt.told("a.x", limits.clone());
        assert!(!learnt.is_news("a.x", &limits));
        assert!(learnt.is_news("a.y", &limits));
        learnt.untold("a.x");
        assert!(learnt.is_news("a.x", &limits));
    }
}
