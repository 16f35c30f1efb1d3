//! Counters and histograms by label, cheap to add to and bounded in number.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::Family;

/// Most series of one family: what comes later counts as `other`, so that no mistake fills a database.
const MOST: usize = 1_000;
const OTHER: &str = "other";

type ByLabels<T> = BTreeMap<Vec<String>, T>;

#[derive(Debug)]
struct Series<T>(Mutex<ByLabels<T>>);

impl<T> Default for Series<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Series<T> {
    fn lock(&self) -> MutexGuard<'_, ByLabels<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, values: &[&str], new: impl FnOnce() -> T, change: impl FnOnce(&mut T)) {
        let mut all = self.lock();
        let mut labels: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        if all.len() >= MOST && !all.contains_key(&labels) {
            labels.fill(OTHER.to_owned());
        }
        change(all.entry(labels).or_insert_with(new));
    }
}

/// Numbers that only grow.
#[derive(Debug)]
pub struct Counter {
    family: &'static Family,
    series: Series<u64>,
}

impl Counter {
    /// A counter without series.
    #[must_use]
    pub fn new(family: &'static Family) -> Self {
        Self { family, series: Series::default() }
    }

    /// Adds to a series; 0 lets it begin, so that its first step is seen.
    pub fn add(&self, labels: &[&str], by: u64) {
        self.series.change(labels, || 0, |count| *count = count.saturating_add(by));
    }

    /// What its series differ in, and what they are at.
    #[must_use]
    pub fn counts(&self) -> Vec<(Vec<String>, u64)> {
        self.series.lock().iter().map(|(labels, count)| (labels.clone(), *count)).collect()
    }

    pub(super) const fn family(&self) -> &'static Family {
        self.family
    }
}

/// Times of one series.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    /// How many fell between a bound and the one before; the last are those above all.
    pub(super) counts: Vec<u64>,
    /// All of them together.
    pub(super) sum: Duration,
}

/// How often a time was at most so long.
#[derive(Debug)]
pub struct Histogram {
    family: &'static Family,
    bounds: &'static [f64],
    series: Series<Observed>,
}

impl Histogram {
    /// A histogram without series; bounds in seconds, in their order.
    #[must_use]
    pub fn new(family: &'static Family, bounds: &'static [f64]) -> Self {
        Self { family, bounds, series: Series::default() }
    }

    /// Adds a time.
    pub fn observe(&self, labels: &[&str], time: Duration) {
        let seconds = time.as_secs_f64();
        let at = self.bounds.partition_point(|bound| *bound < seconds);
        let new = || Observed { counts: vec![0; self.bounds.len() + 1], sum: Duration::ZERO };
        self.series.change(labels, new, |seen| {
            seen.counts[at] += 1;
            seen.sum = seen.sum.saturating_add(time);
        });
    }

    pub(super) fn observed(&self) -> Vec<(Vec<String>, Observed)> {
        self.series.lock().iter().map(|(labels, seen)| (labels.clone(), seen.clone())).collect()
    }

    pub(super) const fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    pub(super) const fn family(&self) -> &'static Family {
        self.family
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::families::REFUSALS;

    #[test]
    fn series_without_end_count_as_other() {
        let counter = Counter::new(&REFUSALS);
        for n in 0..MOST + 50 {
            counter.add(&[&format!("lane-{n}")], 1);
        }
        counter.add(&["lane-7"], 1);
        let counts: BTreeMap<_, _> = counter.counts().into_iter().collect();
        assert_eq!(counts.len(), MOST + 1);
        assert_eq!((counts[&vec!["other".to_owned()]], counts[&vec!["lane-7".to_owned()]]), (50, 2));
    }
}
