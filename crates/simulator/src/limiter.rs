//! Limits per API key and family, refused in the words and headers of the API.

use std::{collections::BTreeMap, time::Duration};

use axum::http::StatusCode;

use crate::{
    auth::KeyIndex,
    bucket::{Bucket, Full, Reading, Rule},
    duration::go_style,
    errors::ApiError,
    gauge::{Gauge, Held},
    history::{History, Span},
    models::{Family, Model},
    options::Limits,
    pace::{Book, LanePace, Pace},
};

/// All limits and how far they are used.
#[derive(Debug)]
pub(crate) struct Limiter {
    history: History,
    /// Changes of the limits, by their time since the first request.
    changes: Vec<(Duration, Limits)>,
    /// How many of them have come.
    changed: usize,
    /// When the first request asked to be let in.
    began: Option<Duration>,
    lanes: BTreeMap<LaneId, Lane>,
}

/// A key and what shares a limit.
pub(crate) type LaneId = (KeyIndex, Family);

#[derive(Debug, Default)]
struct Lane {
    requests: Bucket,
    images: Bucket,
    tokens: Bucket,
    in_flight: Gauge,
    book: Book,
}

/// The rules of a lane's buckets; what is absent is unlimited.
#[derive(Clone, Copy, Debug)]
struct Rules([Option<Rule>; 3]);

/// Header names and values about limits.
pub(crate) type LimitHeaders = Vec<(String, String)>;

/// A request that was let in.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) in_flight: Held,
    pub(crate) headers: LimitHeaders,
}

/// A request that was not.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: ApiError,
    pub(crate) headers: LimitHeaders,
}

/// What asks to be let in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) key: KeyIndex,
    pub(crate) model: &'a Model,
    pub(crate) organization: &'a str,
    pub(crate) images: u64,
    /// What is expected of prompt and pictures.
    pub(crate) tokens: u64,
}

impl Limiter {
    pub(crate) fn new(limits: Limits, changes: Vec<(Duration, Limits)>) -> Self {
        Self {
            history: History::new(limits, Duration::ZERO),
            changes,
            changed: 0,
            began: None,
            lanes: BTreeMap::new(),
        }
    }

    /// The limits in force.
    pub(crate) fn limits(&self) -> &Limits {
        self.history.last()
    }

    /// Empties all buckets and begins anew, with the limits in force.
    pub(crate) fn reset(&mut self, now: Duration) {
        self.history = History::new(self.limits().clone(), now);
        (self.changed, self.began) = (0, None);
        for lane in self.lanes.values_mut() {
            let in_flight = lane.in_flight.clone();
            *lane = Lane { in_flight, ..Lane::default() };
        }
    }

    /// Puts other limits in force; until now every bucket drained by those before.
    pub(crate) fn change(&mut self, limits: Limits, now: Duration) {
        self.advance(now);
        self.put(limits, now);
    }

    fn put(&mut self, limits: Limits, at: Duration) {
        for ((_, family), lane) in &mut self.lanes {
            lane.drain(&Rules::of(self.history.last(), *family), at);
        }
        self.history.push(limits, at);
    }

    /// Lets the changes come whose time has come.
    fn advance(&mut self, now: Duration) {
        let Some(began) = self.began else { return };
        while let Some((after, limits)) = self.changes.get(self.changed)
            && began + *after <= now
        {
            let (limits, at) = (limits.clone(), began + *after);
            self.put(limits, at);
            self.changed += 1;
        }
    }

    /// Lets a request in, taking from every limit, or refuses it. `now` is the time since start.
    pub(crate) fn admit(&mut self, asked: &Asked<'_>, now: Duration) -> Result<Admitted, Box<Refused>> {
        self.began.get_or_insert(now);
        self.advance(now);
        let (limits, family) = (self.history.last(), asked.model.family);
        let rules = Rules::of(limits, family);
        let in_flight_max = limits.of(family).in_flight;
        let lane = self.lanes.entry((asked.key, family)).or_default();
        lane.drain(&rules, now);
        let crowded = in_flight_max.filter(|limit| lane.in_flight.count() >= *limit);
        let refusal =
            lane.full(&rules, asked).or_else(|| crowded.map(|limit| Box::new(too_many(asked.model, limit))));
        if refusal.is_none() || limits.charge_refusals {
            lane.take(&rules, asked);
        }
        let headers = if limits.headers { lane.headers(&rules) } else { Vec::new() };
        let Some(mut error) = refusal else {
            lane.book.accepted(now, asked.images, asked.tokens);
            return Ok(Admitted { in_flight: lane.in_flight.hold(), headers });
        };
        lane.book.refused(now);
        error.retry_after = error.retry_after.filter(|_| limits.headers);
        Err(Box::new(Refused { error: *error, headers }))
    }

    /// The headers of an answer that goes out now, where they are not those of its admission.
    pub(crate) fn headers_at_the_end(&mut self, id: LaneId, now: Duration) -> Option<LimitHeaders> {
        self.advance(now);
        let limits = self.history.last();
        if limits.late_headers || !limits.headers {
            return None;
        }
        let lane = self.lanes.get_mut(&id)?;
        let rules = Rules::of(limits, id.1);
        lane.drain(&rules, now);
        Some(lane.headers(&rules))
    }

    /// How the limits were used; without spans, from the first request until now.
    pub(crate) fn pace(
        &mut self,
        spans: Option<Vec<Span>>,
        now: Duration,
        fingerprint: impl Fn(KeyIndex) -> String,
    ) -> Pace {
        self.advance(now);
        let began = self.began.unwrap_or(now);
        let since = now.saturating_sub(began);
        let spans = spans.unwrap_or_else(|| vec![Span { from: Duration::ZERO, to: since }]);
        let spans: Vec<Span> = spans.iter().map(|span| span.after(began, now)).collect();
        let lanes = self.lanes.iter().map(|((key, family), lane)| LanePace {
            key: key.0,
            api_key_fingerprint: fingerprint(*key),
            family: *family,
            total: lane.book.counted(&[Span { from: began, to: now }]),
            measured: lane.book.judged(&self.history, *family, &spans),
        });
        Pace { now_ms: self.began.map(|_| since.as_millis() as u64), lanes: lanes.collect() }
    }
}

impl Rules {
    fn of(limits: &Limits, family: Family) -> Self {
        let own = limits.of(family);
        let rule = |limit: Option<u64>, foreign| limit.map(|limit| rule(limits, limit, foreign));
        Self([rule(own.requests, 0.0), rule(own.images, own.foreign_images), rule(own.tokens, 0.0)])
    }
}

impl Lane {
    /// Its buckets with their rules, names and what a request takes.
    fn buckets<'l>(
        &'l mut self,
        rules: &'l Rules,
    ) -> impl Iterator<Item = (&'l mut Bucket, &'l Rule, Dimension)> {
        let buckets = [&mut self.requests, &mut self.images, &mut self.tokens];
        let limited = buckets.into_iter().zip(&rules.0).zip(DIMENSIONS);
        limited.filter_map(|((bucket, rule), dimension)| Some((bucket, rule.as_ref()?, dimension)))
    }

    fn drain(&mut self, rules: &Rules, now: Duration) {
        self.buckets(rules).for_each(|(bucket, rule, _)| bucket.drain(rule, now));
    }

    /// The first limit that has no room for a request, in words.
    fn full(&mut self, rules: &Rules, asked: &Asked<'_>) -> Option<Box<ApiError>> {
        let mut full = self.buckets(rules).filter_map(|(bucket, rule, dimension)| {
            let full = bucket.check(rule, (dimension.quantity)(asked)).err()?;
            Some(Box::new(over(asked, dimension, &full)))
        });
        full.next()
    }

    fn take(&mut self, rules: &Rules, asked: &Asked<'_>) {
        self.buckets(rules).for_each(|(bucket, rule, dimension)| {
            bucket.take(rule, (dimension.quantity)(asked));
        });
    }

    fn headers(&mut self, rules: &Rules) -> LimitHeaders {
        self.buckets(rules)
            .flat_map(|(bucket, rule, dimension)| limit_headers(dimension.label, &bucket.read(rule)))
            .collect()
    }
}

#[derive(Clone, Copy, Debug)]
struct Dimension {
    label: &'static str,
    words: &'static str,
    quantity: fn(&Asked<'_>) -> u64,
}

const DIMENSIONS: [Dimension; 3] = [
    Dimension { label: "requests", words: "requests per min (RPM)", quantity: |_| 1 },
    Dimension { label: "images", words: "images per min", quantity: |asked| asked.images },
    Dimension { label: "tokens", words: "tokens per min (TPM)", quantity: |asked| asked.tokens },
];

fn rule(limits: &Limits, limit: u64, foreign: f64) -> Rule {
    let share = limits.quantum_seconds.map_or(1.0, |quantum| (quantum / limits.window_seconds).min(1.0));
    let depth = (limit as f64 * share).max(f64::from(u8::from(limit > 0)));
    Rule { limit, window: limits.window_seconds, depth, foreign }
}

fn over(asked: &Asked<'_>, dimension: Dimension, full: &Full) -> ApiError {
    let Full { limit, used, requested, wait } = *full;
    let model = asked.model.id;
    let of_family = if asked.model.is_gpt() { " (for limit gpt-image)" } else { "" };
    let place =
        format!("for {model}{of_family} in organization {} on {}", asked.organization, dimension.words);
    let error = |message| {
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, dimension.label, message).code("rate_limit_exceeded")
    };
    if limit == 0 {
        return error(format!("Rate limit reached {place}: Limit 0, Used 0, Requested {requested}."));
    }
    if requested > limit {
        return error(format!(
            "Request too large {place}: Limit {limit}, Requested {requested}. \
             The input or output tokens must be reduced in order to run successfully."
        ));
    }
    let message = format!(
        "Rate limit reached {place}: Limit {limit}, Used {used}, Requested {requested}. \
         Please try again in {}.",
        go_style(wait)
    );
    ApiError { retry_after: Some(wait), ..error(message) }
}

fn too_many(model: &Model, limit: u64) -> ApiError {
    let message = format!(
        "Too many concurrent requests for {}: {limit} are in flight. Please try again when one has ended.",
        model.id
    );
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "requests", message).code("rate_limit_exceeded")
}

fn limit_headers(label: &str, reading: &Reading) -> LimitHeaders {
    vec![
        (format!("x-ratelimit-limit-{label}"), reading.limit.to_string()),
        (format!("x-ratelimit-remaining-{label}"), reading.remaining.to_string()),
        (format!("x-ratelimit-reset-{label}"), go_style(reading.reset)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        models,
        options::{Change, steps},
    };

    fn limiter(change: impl FnOnce(&mut Limits)) -> Limiter {
        let mut limits = Limits::none();
        limits.gpt_image.images = Some(5);
        change(&mut limits);
        Limiter::new(limits, Vec::new())
    }

    fn ask(limiter: &mut Limiter, model: &str, images: u64, now_ms: u64) -> Result<Admitted, Box<Refused>> {
        let model = models::find(model).unwrap();
        let asked = Asked { key: KeyIndex(0), model, organization: "org-x", images, tokens: 1_000 * images };
        limiter.admit(&asked, Duration::from_millis(now_ms))
    }

    fn message(answer: Result<Admitted, Box<Refused>>) -> String {
        answer.unwrap_err().error.message
    }

    #[test]
    fn speaks_as_the_api_does() {
        let mut limiter = limiter(|_| ());
        let headers = ask(&mut limiter, "gpt-image-2", 5, 0).unwrap().headers;
        assert!(headers.contains(&("x-ratelimit-remaining-images".to_owned(), "0".to_owned())));
        assert_eq!(
            message(ask(&mut limiter, "gpt-image-1", 1, 0)),
            "Rate limit reached for gpt-image-1 (for limit gpt-image) in organization org-x on images per min: \
             Limit 5, Used 5, Requested 1. Please try again in 12s."
        );
        assert!(message(ask(&mut limiter, "gpt-image-2", 6, 0)).starts_with("Request too large"));
        ask(&mut limiter, "dall-e-3", 1, 0).unwrap();
    }

    #[test]
    fn refusals_are_charged_only_on_request() {
        for (charge, admitted) in [(false, true), (true, false)] {
            let mut limiter = limiter(|limits| limits.charge_refusals = charge);
            ask(&mut limiter, "gpt-image-2", 5, 0).unwrap();
            ask(&mut limiter, "gpt-image-2", 1, 11_000).unwrap_err();
            assert_eq!(ask(&mut limiter, "gpt-image-2", 1, 12_000).is_ok(), admitted);
        }
    }

    #[test]
    fn counts_requests_and_those_in_flight() {
        let mut limiter = limiter(|limits| {
            limits.gpt_image.requests = Some(3);
            limits.gpt_image.in_flight = Some(1);
        });
        let first = ask(&mut limiter, "gpt-image-2", 1, 0).unwrap();
        assert!(message(ask(&mut limiter, "gpt-image-2", 1, 0)).starts_with("Too many concurrent"));
        drop(first);
        ask(&mut limiter, "gpt-image-2", 1, 0).unwrap();
        ask(&mut limiter, "gpt-image-2", 1, 0).unwrap();
        assert!(
            message(ask(&mut limiter, "gpt-image-2", 1, 0))
                .contains("requests per min (RPM): Limit 3, Used 3")
        );
    }

    #[test]
    fn tokens_are_charged_as_they_are_expected() {
        let mut limiter = limiter(|limits| {
            limits.gpt_image.images = None;
            limits.gpt_image.tokens = Some(2_500);
        });
        ask(&mut limiter, "gpt-image-2", 2, 0).unwrap();
        assert!(message(ask(&mut limiter, "gpt-image-2", 1, 0)).contains(
            "on tokens per min (TPM): Limit 2500, Used 2000, Requested 1000. Please try again in 12s."
        ));
        assert!(message(ask(&mut limiter, "gpt-image-2", 3, 0)).starts_with("Request too large"));
        let headers = ask(&mut limiter, "gpt-image-2", 1, 12_000).unwrap().headers;
        assert!(headers.contains(&("x-ratelimit-limit-tokens".to_owned(), "2500".to_owned())));
    }

    #[test]
    fn limits_change_on_time_and_every_bucket_drains_by_those_of_its_time() {
        let change =
            Change { after_seconds: 30.0, limits: serde_json::json!({ "gpt-image": { "images": 10 } }) };
        let mut limits = Limits::none();
        limits.gpt_image.images = Some(60);
        let changes = steps(&limits, &[change]).unwrap();
        let mut limiter = Limiter::new(limits, changes);
        // The clock of the change begins with the first request.
        ask(&mut limiter, "gpt-image-2", 10, 100_000).unwrap();
        let used = |limiter: &mut Limiter, now_ms| {
            let headers = ask(limiter, "gpt-image-2", 1, now_ms).unwrap().headers;
            headers[..2].iter().map(|(_, value)| value.parse().unwrap()).collect::<Vec<u64>>()
        };
        for (at, _) in (0..26).map(|n| (129_000, n)) {
            ask(&mut limiter, "gpt-image-2", 1, at).unwrap();
        }
        assert_eq!(used(&mut limiter, 129_000), [60, 33]);
        // 27 were left; one second drained one of them, and then there was room for 10.
        assert!(
            message(ask(&mut limiter, "gpt-image-2", 1, 130_000)).contains("Limit 10, Used 10, Requested 1")
        );
        assert_eq!(used(&mut limiter, 136_000), [10, 0]);
        let pace = limiter.pace(None, Duration::from_secs(190), |_| String::new());
        assert_eq!(pace.now_ms, Some(90_000));
        let told = serde_json::to_value(&pace.lanes[0]).unwrap();
        assert_eq!(told["total"], serde_json::json!({ "requests": 29, "images": 38, "refused": 1 }));
        assert_eq!((&told["measured"]["possible"], &told["measured"]["taken"]), (&40.0.into(), &38.into()));
    }

    #[test]
    fn headers_are_late_unless_asked_otherwise() {
        for (late, expected) in [(true, None), (false, Some("5"))] {
            let mut limiter = limiter(|limits| limits.late_headers = late);
            ask(&mut limiter, "gpt-image-2", 5, 0).unwrap();
            let id = (KeyIndex(0), Family::GptImage);
            let headers = limiter.headers_at_the_end(id, Duration::from_secs(60));
            let remaining = headers.as_ref().map(|headers| headers[1].1.as_str());
            assert_eq!(remaining, expected);
        }
    }
}
