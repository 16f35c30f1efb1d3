//! Which limits were in force when, and what they allowed.

use std::time::Duration;

use crate::{
    models::Family,
    options::{FamilyLimits, Limits},
};

/// The limits since the simulator began, each from a time on.
#[derive(Debug)]
pub(crate) struct History(Vec<(Duration, Limits)>);

/// A part of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Counted {
    Requests,
    Images,
    Tokens,
}

impl Counted {
    pub(crate) const ALL: [Self; 3] = [Self::Requests, Self::Images, Self::Tokens];

    /// What a limit leaves to us, each second; nothing where it is unlimited.
    fn per_second(self, limits: &Limits, family: Family) -> Option<f64> {
        let FamilyLimits { requests, images, tokens, foreign_images, .. } = limits.of(family);
        let (limit, foreign) = match self {
            Self::Requests => (*requests, 0.0),
            Self::Images => (*images, *foreign_images),
            Self::Tokens => (*tokens, 0.0),
        };
        Some((limit? as f64 - foreign).max(0.0) / limits.window_seconds)
    }
}

impl Span {
    pub(crate) fn contains(&self, at: Duration) -> bool {
        (self.from..self.to).contains(&at)
    }

    /// The same span, counted from a later moment and cut off at another.
    pub(crate) fn after(&self, began: Duration, now: Duration) -> Self {
        Self { from: (began + self.from).min(now), to: (began + self.to).min(now) }
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.to.saturating_sub(self.from).as_secs_f64()
    }
}

impl History {
    pub(crate) fn new(limits: Limits, at: Duration) -> Self {
        Self(vec![(at, limits)])
    }

    pub(crate) fn push(&mut self, limits: Limits, at: Duration) {
        self.0.push((at, limits));
    }

    /// The limits in force.
    pub(crate) fn last(&self) -> &Limits {
        &self.0.last().expect("it begins with limits").1
    }

    /// The rates in force from a time on, each with its end.
    fn rates(&self, family: Family, counted: Counted) -> impl Iterator<Item = (Span, Option<f64>)> {
        self.0.iter().enumerate().map(move |(place, (from, limits))| {
            let to = self.0.get(place + 1).map_or(Duration::MAX, |(next, _)| *next);
            // The first limits held from the beginning of time.
            let from = if place == 0 { Duration::ZERO } else { *from };
            (Span { from, to }, counted.per_second(limits, family))
        })
    }

    /// What a bucket without permits could have given out: the integral of the rate. Nothing where it was unlimited.
    pub(crate) fn possible(&self, family: Family, counted: Counted, span: &Span) -> Option<f64> {
        self.rates(family, counted).try_fold(0.0, |sum, (of, rate)| {
            let part = Span { from: of.from.max(span.from), to: of.to.min(span.to) };
            let seconds = part.seconds();
            if seconds > 0.0 { Some(sum + rate? * seconds) } else { Some(sum) }
        })
    }

    /// When so much has come together since a time; nothing where that never happens or takes no time.
    pub(crate) fn due(
        &self,
        family: Family,
        counted: Counted,
        since: Duration,
        quantity: f64,
    ) -> Option<Duration> {
        let mut left = quantity;
        for (of, rate) in self.rates(family, counted) {
            let part = Span { from: of.from.max(since), to: of.to };
            if part.from >= part.to {
                continue;
            }
            let rate = rate?;
            let seconds = part.seconds();
            if rate * seconds >= left {
                return part.from.checked_add(Duration::try_from_secs_f64(left / rate).ok()?);
            }
            left -= rate * seconds;
        }
        None
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const fn seconds(from: u64, to: u64) -> Span {
        Span { from: Duration::from_secs(from), to: Duration::from_secs(to) }
    }

    /// So many images each 10 seconds, a part of them taken by others.
    pub(crate) fn limits(images: u64, foreign_images: f64) -> Limits {
        let family = FamilyLimits { images: Some(images), foreign_images, ..FamilyLimits::default() };
        Limits { window_seconds: 10.0, dall_e_2: family, ..Limits::none() }
    }

    /// 10 a second, from the 100th second on 2 a second, from the 110th on 7.
    fn history() -> History {
        let mut history = History::new(limits(100, 0.0), Duration::ZERO);
        history.push(limits(20, 0.0), Duration::from_secs(100));
        history.push(limits(100, 30.0), Duration::from_secs(110));
        history
    }

    #[test]
    fn what_was_possible_follows_the_changes() {
        let history = history();
        for (span, expected) in [
            (seconds(0, 10), 100.0),
            (seconds(95, 105), 60.0),
            (seconds(90, 120), 190.0),
            (seconds(200, 201), 7.0),
            (seconds(5, 5), 0.0),
        ] {
            assert_eq!(history.possible(Family::DallE2, Counted::Images, &span), Some(expected), "{span:?}");
        }
        assert_eq!(history.possible(Family::DallE2, Counted::Requests, &seconds(0, 10)), None);
        assert_eq!(history.possible(Family::GptImage, Counted::Images, &seconds(0, 10)), None);
    }

    #[test]
    fn permits_fall_due_at_the_pace_of_their_time() {
        let history = history();
        let due = |since, quantity| {
            history.due(Family::DallE2, Counted::Images, Duration::from_secs(since), quantity)
        };
        assert_eq!(due(0, 1.0), Some(Duration::from_millis(100)));
        assert_eq!(due(99, 11.0), Some(Duration::from_millis(100_500)));
        assert_eq!(due(100, 27.0), Some(Duration::from_secs(111)));
        let mut closed = History::new(limits(0, 0.0), Duration::ZERO);
        assert_eq!(closed.due(Family::DallE2, Counted::Images, Duration::ZERO, 1.0), None);
        closed.push(limits(10, 0.0), Duration::from_secs(5));
        let due = closed.due(Family::DallE2, Counted::Images, Duration::ZERO, 1.0);
        assert_eq!(due, Some(Duration::from_secs(6)));
    }
}
