//! The headers of an answer that matter.

use std::{collections::BTreeMap, time::Duration};

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::header::{DATE, HeaderMap};

use crate::duration_text::{self, from_seconds};

/// What an answer's headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerHeaders {
    /// `x-request-id`, which the invoice can be matched by.
    pub request_id: Option<String>,
    /// `retry-after-ms`, else `retry-after` in either of its forms.
    pub retry_after: Option<Duration>,
    /// `x-ratelimit-*` by its last part: `requests`, `tokens`, `images`, `input-images` …
    pub limits: BTreeMap<String, HeaderLimit>,
}

/// One dimension of a limit, as headers state it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderLimit {
    /// The limit.
    pub limit: Option<u64>,
    /// What is left of it.
    pub remaining: Option<u64>,
    /// Until it is whole again, which is not when the next request may be sent.
    pub reset: Option<Duration>,
}

impl AnswerHeaders {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let request_id = text("x-request-id").or_else(|| text("apim-request-id"));
        Self {
            request_id: request_id.filter(|id| !id.is_empty()).map(|id| id.chars().take(128).collect()),
            retry_after: text("retry-after-ms")
                .and_then(|value| from_seconds(value.parse::<f64>().ok()? / 1000.0))
                .or_else(|| retry_after(text("retry-after")?, text(DATE.as_str()))),
            limits: limits(headers),
        }
    }
}

fn limits(headers: &HeaderMap) -> BTreeMap<String, HeaderLimit> {
    let mut limits = BTreeMap::<String, HeaderLimit>::new();
    for (name, value) in headers {
        let Some((part, dimension)) =
            name.as_str().strip_prefix("x-ratelimit-").and_then(|rest| rest.split_once('-'))
        else {
            continue;
        };
        let Ok(value) = value.to_str() else { continue };
        let number = value.trim().parse().ok();
        let limit = limits.entry(dimension.to_owned()).or_default();
        match part {
            "limit" => limit.limit = number,
            "remaining" => limit.remaining = number,
            "reset" => limit.reset = duration_text::parse(value),
            _ => {}
        }
    }
    limits.retain(|_, limit| *limit != HeaderLimit::default());
    limits
}

/// Seconds, or an HTTP date; a date is judged by the clock of the server that wrote it.
fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = value.parse::<f64>() {
        return from_seconds(seconds);
    }
    let at = |text: &str| rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
    let wait = at(value)?.duration_since(date.and_then(at).unwrap_or_else(Timestamp::now));
    from_seconds(wait.as_secs_f64().max(0.0))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> AnswerHeaders {
        let pairs = pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)));
        AnswerHeaders::read(&pairs.collect())
    }

    #[test]
    fn milliseconds_win_over_rounded_seconds() {
        let headers = read(&[("retry-after", "1"), ("retry-after-ms", "534"), ("x-request-id", "req_1")]);
        assert_eq!(headers.retry_after, Some(Duration::from_millis(534)));
        assert_eq!(headers.request_id.as_deref(), Some("req_1"));
        assert_eq!(read(&[("retry-after", "12")]).retry_after, Some(Duration::from_secs(12)));
    }

    #[test]
    fn dates_are_judged_by_the_servers_clock() {
        let date = ("date", "Fri, 31 Dec 1999 23:59:00 GMT");
        let later = read(&[("retry-after", "Fri, 31 Dec 1999 23:59:30 GMT"), date]);
        assert_eq!(later.retry_after, Some(Duration::from_secs(30)));
        let past = read(&[("retry-after", "Fri, 31 Dec 1999 23:58:30 GMT"), date]);
        assert_eq!(past.retry_after, Some(Duration::ZERO));
        assert_eq!(read(&[("retry-after", "whenever"), date]).retry_after, None);
    }

    #[test]
    fn limits_by_dimension() {
        let headers = read(&[
            ("x-ratelimit-limit-input-images", "50000"),
            ("x-ratelimit-remaining-input-images", "49999"),
            ("x-ratelimit-reset-input-images", "1ms"),
            ("x-ratelimit-reset-requests", "6m0s"),
            ("x-ratelimit-other-thing", "x"),
        ]);
        let images = HeaderLimit {
            limit: Some(50_000),
            remaining: Some(49_999),
            reset: Some(Duration::from_millis(1)),
        };
        assert_eq!(headers.limits["input-images"], images);
        assert_eq!(headers.limits["requests"].reset, Some(Duration::from_secs(360)));
        assert_eq!(headers.limits.len(), 2);
    }
}
