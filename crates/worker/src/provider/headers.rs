//! The headers of an answer that matter, and the durations they are written in.

use std::{collections::BTreeMap, time::Duration};

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::header::{DATE, HeaderMap};

/// No wait a server asks for is believed beyond this.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

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
                .and_then(|value| finite(value.parse::<f64>().ok()? / 1000.0))
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
            "reset" => limit.reset = parse_duration(value),
            _ => {}
        }
    }
    limits.retain(|_, limit| *limit != HeaderLimit::default());
    limits
}

/// Seconds, or an HTTP date; a date is judged by the clock of the server that wrote it.
fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = value.parse::<f64>() {
        return finite(seconds);
    }
    let at = |text: &str| rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
    let wait = at(value)?.duration_since(date.and_then(at).unwrap_or_else(Timestamp::now));
    finite(wait.as_secs_f64().max(0.0))
}

/// Reads a duration as servers write it: `1s`, `6m0s`, `120ms`, `1h2m3.5s`, or bare seconds.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if let Ok(seconds) = rest.parse::<f64>() {
        return finite(seconds);
    }
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        seconds += number.parse::<f64>().ok()? * unit_seconds(unit)?;
        rest = tail.trim_start();
    }
    finite(seconds)
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "us" | "µs" => 1e-6,
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    })
}

fn finite(seconds: f64) -> Option<Duration> {
    (seconds.is_finite() && seconds >= 0.0)
        .then(|| Duration::from_secs_f64(seconds.min(LONGEST_WAIT.as_secs_f64())))
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
    fn durations_in_every_form() {
        let millis = |text: &str| parse_duration(text).map(|wait| wait.as_millis());
        for (text, expected) in [
            ("1s", 1000),
            ("6m0s", 360_000),
            ("120ms", 120),
            ("58.891s", 58_891),
            ("7m12s", 432_000),
            ("28m48s", 1_728_000),
            ("1h2m3.5s", 3_723_500),
            ("51.84 seconds", 51_840),
            ("2", 2000),
            ("999999999s", 86_400_000),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for text in ["", "soon", "-1", "5x", "s", "NaN", "1s later"] {
            assert_eq!(millis(text), None, "{text}");
        }
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
        let images =
            HeaderLimit { limit: Some(50_000), remaining: Some(49_999), reset: Some(Duration::from_millis(1)) };
        assert_eq!(headers.limits["input-images"], images);
        assert_eq!(headers.limits["requests"].reset, Some(Duration::from_secs(360)));
        assert_eq!(headers.limits.len(), 2);
    }
}
