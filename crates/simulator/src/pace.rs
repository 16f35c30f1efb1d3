//! How well limits were used: what was let in against what could have been.

use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::{
    history::{Counted, History, Span},
    models::Family,
};

/// Every request of one lane, by its time since the simulator began.
#[derive(Debug, Default)]
pub(crate) struct Book {
    accepted: Vec<Accepted>,
    refused: Vec<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Accepted {
    at: Duration,
    images: u64,
    tokens: u64,
}

/// How the limits of all lanes were used.
#[derive(Debug, Serialize)]
pub(crate) struct Pace {
    /// Since the first request; absent before it.
    pub(crate) now_ms: Option<u64>,
    pub(crate) lanes: Vec<LanePace>,
}

/// How the limits of a key and family were used.
#[derive(Debug, Serialize)]
pub(crate) struct LanePace {
    /// Its place among the keys.
    pub(crate) key: usize,
    pub(crate) api_key_fingerprint: String,
    pub(crate) family: Family,
    /// Since the first request.
    pub(crate) total: Counts,
    /// In the spans that were asked for.
    pub(crate) measured: Measured,
}

/// What came to the limits.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Requests that were let in.
    pub(crate) requests: u64,
    /// Images they asked for.
    pub(crate) images: u64,
    /// Requests that were refused for a limit.
    pub(crate) refused: u64,
}

/// What became of the permits of some spans, each begun with an empty bucket.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    /// Of the limit that was used most; absent without any.
    #[serde(flatten)]
    pub(crate) used: Option<Used>,
}

/// How a limit was used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Used {
    dimension: Counted,
    /// What was let in.
    taken: u64,
    /// What could have been.
    possible: f64,
    /// The share.
    utilisation: f64,
    /// How long the next permit, at the pace of the limit, had lain unused when a request took it: the median,
    wait_p50_ms: f64,
    /// and the 99th percentile.
    wait_p99_ms: f64,
}

impl Accepted {
    const fn quantity(&self, counted: Counted) -> u64 {
        match counted {
            Counted::Requests => 1,
            Counted::Images => self.images,
            Counted::Tokens => self.tokens,
        }
    }
}

impl Book {
    pub(crate) fn accepted(&mut self, at: Duration, images: u64, tokens: u64) {
        self.accepted.push(Accepted { at, images, tokens });
    }

    pub(crate) fn refused(&mut self, at: Duration) {
        self.refused.push(at);
    }

    /// What came within some spans.
    pub(crate) fn counted(&self, spans: &[Span]) -> Counts {
        let within = |at: Duration| spans.iter().any(|span| span.contains(at));
        let mut counts = Counts::default();
        for accepted in self.accepted.iter().filter(|accepted| within(accepted.at)) {
            counts.requests += 1;
            counts.images += accepted.images;
        }
        counts.refused = self.refused.iter().filter(|at| within(**at)).count() as u64;
        counts
    }

    pub(crate) fn judged(&self, history: &History, family: Family, spans: &[Span]) -> Measured {
        let used = Counted::ALL.into_iter().filter_map(|counted| self.used(history, family, counted, spans));
        Measured {
            seconds: spans.iter().map(Span::seconds).sum(),
            counts: self.counted(spans),
            used: used.max_by(|a, b| a.utilisation.total_cmp(&b.utilisation)),
        }
    }

    fn used(&self, history: &History, family: Family, counted: Counted, spans: &[Span]) -> Option<Used> {
        let (mut taken, mut possible, mut waits) = (0, 0.0, Vec::new());
        for span in spans {
            possible += history.possible(family, counted, span)?;
            let mut free_from = span.from;
            for accepted in self.within(span) {
                let quantity = accepted.quantity(counted);
                taken += quantity;
                if let Some(due) = history.due(family, counted, free_from, quantity as f64) {
                    waits.push(accepted.at.saturating_sub(due));
                    free_from = due.max(accepted.at);
                }
            }
        }
        waits.sort_unstable();
        let at = |percent: usize| {
            waits.get(waits.len() * percent / 100).map_or(0.0, |wait| wait.as_secs_f64() * 1e3)
        };
        let utilisation = if possible > 0.0 { taken as f64 / possible } else { 0.0 };
        Some(Used {
            dimension: counted,
            taken,
            possible,
            utilisation,
            wait_p50_ms: at(50),
            wait_p99_ms: at(99),
        })
    }

    fn within(&self, span: &Span) -> &[Accepted] {
        let from = self.accepted.partition_point(|accepted| accepted.at < span.from);
        let to = self.accepted.partition_point(|accepted| accepted.at < span.to);
        self.accepted.get(from..to).unwrap_or_default()
    }
}

/// Reads `FROM-TO,FROM-TO`, in milliseconds since the first request.
pub(crate) fn spans(text: &str) -> anyhow::Result<Vec<Span>> {
    let span = |text: &str| {
        let (from, to) = text.split_once('-')?;
        let millis = |text: &str| text.trim().parse().ok().map(Duration::from_millis);
        Some(Span { from: millis(from)?, to: millis(to)? }).filter(|span| span.from <= span.to)
    };
    let all: Option<Vec<Span>> = text.split(',').map(span).collect();
    all.with_context(|| format!("spans: {text:?} is not FROM-TO,FROM-TO in milliseconds"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::{limits, seconds};

    /// One image every `gap_ms` from `from_ms` on, `count` of them.
    fn regular(book: &mut Book, from_ms: u64, gap_ms: u64, count: u64) {
        for index in 0..count {
            book.accepted(Duration::from_millis(from_ms + index * gap_ms), 1, 10);
        }
    }

    #[test]
    fn a_pace_at_the_limit_uses_all_of_it_without_waiting() {
        let history = History::new(limits(100, 0.0), Duration::ZERO);
        let mut book = Book::default();
        regular(&mut book, 0, 100, 1_000);
        book.refused(Duration::from_secs(15));
        book.refused(Duration::from_secs(5));
        let judged = book.judged(&history, Family::DallE2, &[seconds(10, 90)]);
        assert_eq!(judged.counts, Counts { requests: 800, images: 800, refused: 1 });
        let used = judged.used.unwrap();
        assert_eq!((used.dimension, used.taken, used.possible), (Counted::Images, 800, 800.0));
        assert!(used.utilisation == 1.0 && used.wait_p99_ms == 0.0, "{used:?}");
    }

    #[test]
    fn what_others_take_and_what_is_left_unused_counts() {
        let history = History::new(limits(100, 30.0), Duration::ZERO);
        let mut book = Book::default();
        regular(&mut book, 0, 200, 500);
        let used = book.judged(&history, Family::DallE2, &[seconds(0, 50), seconds(60, 70)]).used.unwrap();
        assert_eq!(used.taken, 300);
        assert!((used.possible - 420.0).abs() < 1e-9, "{used:?}");
        // A permit comes each 142.86 ms, and a request each 200 ms.
        assert!((used.wait_p50_ms - 57.143).abs() < 0.01, "{used:?}");
    }

    #[test]
    fn who_falls_behind_and_catches_up_waits_once() {
        let history = History::new(limits(100, 0.0), Duration::ZERO);
        let mut book = Book::default();
        regular(&mut book, 100, 100, 10);
        regular(&mut book, 2_000, 10, 10);
        let used = book.judged(&history, Family::DallE2, &[seconds(0, 3)]).used.unwrap();
        assert_eq!(used.wait_p50_ms, 0.0);
        assert!((used.wait_p99_ms - 900.0).abs() < 1.0, "{used:?}");
    }

    #[test]
    fn the_limit_that_was_used_most_is_told() {
        let mut both = limits(100, 0.0);
        both.dall_e_2.tokens = Some(500);
        let history = History::new(both, Duration::ZERO);
        let mut book = Book::default();
        regular(&mut book, 0, 200, 50);
        let used = book.judged(&history, Family::DallE2, &[seconds(0, 10)]).used.unwrap();
        assert_eq!((used.dimension, used.taken, used.utilisation), (Counted::Tokens, 500, 1.0));
        let unlimited = History::new(crate::Limits::none(), Duration::ZERO);
        assert_eq!(book.judged(&unlimited, Family::DallE2, &[seconds(0, 10)]).used, None);
    }

    #[test]
    fn spans_are_read() {
        let read = spans("1000-2000, 3000-4000").unwrap();
        assert_eq!(read, [seconds(1, 2), seconds(3, 4)]);
        for wrong in ["", "1", "2-1", "a-b", "1-2;3-4"] {
            assert!(spans(wrong).is_err(), "{wrong}");
        }
    }
}
