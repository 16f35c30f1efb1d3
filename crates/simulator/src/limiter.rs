//! Limits per API key and family, refused in the words and headers of the API.

use std::{collections::HashMap, time::Duration};

use axum::http::StatusCode;

use crate::{
    auth::KeyIndex,
    bucket::{Bucket, Full, Reading, Rule},
    duration::go_style,
    errors::ApiError,
    gauge::{Gauge, Held},
    models::{Family, Model},
    options::{FamilyLimits, Limits},
};

/// All limits and how far they are used.
#[derive(Debug)]
pub(crate) struct Limiter {
    pub(crate) limits: Limits,
    lanes: HashMap<(KeyIndex, Family), Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    requests: Bucket,
    images: Bucket,
    in_flight: Gauge,
}

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
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, lanes: HashMap::new() }
    }

    /// Empties all buckets.
    pub(crate) fn reset(&mut self) {
        for lane in self.lanes.values_mut() {
            (lane.requests, lane.images) = (Bucket::default(), Bucket::default());
        }
    }

    /// Lets a request in, taking from every limit, or refuses it. `now` is the time since start.
    pub(crate) fn admit(&mut self, asked: &Asked<'_>, now: Duration) -> Result<Admitted, Box<Refused>> {
        let family = asked.model.family;
        let own = family_limits(&self.limits, family);
        let requests = own.requests.map(|limit| rule(&self.limits, limit, 0.0));
        let images = own.images.map(|limit| rule(&self.limits, limit, own.foreign_images));
        let in_flight_max = own.in_flight;
        let lane = self.lanes.entry((asked.key, family)).or_default();
        let mut refusal = None;
        for (bucket, rule, quantity, dimension) in
            [(&mut lane.requests, &requests, 1, REQUESTS), (&mut lane.images, &images, asked.images, IMAGES)]
        {
            if let Some(rule) = rule {
                bucket.drain(rule, now);
                let full = bucket.check(rule, quantity).err();
                refusal = refusal.or(full.map(|full| over(asked, dimension, &full)));
            }
        }
        let crowded = in_flight_max.filter(|limit| lane.in_flight.count() >= *limit);
        let refusal = refusal.or_else(|| crowded.map(|limit| too_many(asked.model, limit)));
        if refusal.is_none() || self.limits.charge_refusals {
            if let Some(rule) = &requests {
                lane.requests.take(rule, 1);
            }
            if let Some(rule) = &images {
                lane.images.take(rule, asked.images);
            }
        }
        let readings = [
            (REQUESTS.label, requests.map(|rule| lane.requests.read(&rule))),
            (IMAGES.label, images.map(|rule| lane.images.read(&rule))),
        ];
        let headers = if self.limits.headers { limit_headers(&readings) } else { Vec::new() };
        match refusal {
            None => Ok(Admitted { in_flight: lane.in_flight.hold(), headers }),
            Some(mut error) => {
                error.retry_after = error.retry_after.filter(|_| self.limits.headers);
                Err(Box::new(Refused { error, headers }))
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Dimension {
    label: &'static str,
    words: &'static str,
}

const REQUESTS: Dimension = Dimension { label: "requests", words: "requests per min (RPM)" };
const IMAGES: Dimension = Dimension { label: "images", words: "images per min" };

fn family_limits(limits: &Limits, family: Family) -> &FamilyLimits {
    match family {
        Family::DallE2 => &limits.dall_e_2,
        Family::DallE3 => &limits.dall_e_3,
        Family::GptImage => &limits.gpt_image,
    }
}

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

fn limit_headers(readings: &[(&str, Option<Reading>)]) -> LimitHeaders {
    let known = readings.iter().filter_map(|(label, reading)| reading.map(|reading| (label, reading)));
    known
        .flat_map(|(label, reading)| {
            [
                (format!("x-ratelimit-limit-{label}"), reading.limit.to_string()),
                (format!("x-ratelimit-remaining-{label}"), reading.remaining.to_string()),
                (format!("x-ratelimit-reset-{label}"), go_style(reading.reset)),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models;

    fn limiter(change: impl FnOnce(&mut Limits)) -> Limiter {
        let mut limits = Limits::none();
        limits.gpt_image.images = Some(5);
        change(&mut limits);
        Limiter::new(limits)
    }

    fn ask(limiter: &mut Limiter, model: &str, images: u64, now_ms: u64) -> Result<Admitted, Box<Refused>> {
        let model = models::find(model).unwrap();
        let asked = Asked { key: KeyIndex(0), model, organization: "org-x", images };
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
}
