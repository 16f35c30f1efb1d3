//! What a refusal by rate limit says of the limit.

use std::time::Duration;

use crate::{duration_text, provider::ApiError};

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Requests per minute.
    RequestsPerMinute,
    /// Images per minute.
    ImagesPerMinute,
    /// Input images per minute; OpenAI also writes this of images to be made.
    InputImagesPerMinute,
    /// Tokens per minute.
    TokensPerMinute,
    /// Requests per day.
    RequestsPerDay,
    /// Images per day.
    ImagesPerDay,
    /// Tokens per day.
    TokensPerDay,
}

/// What is known of a limit that refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// What it counts, where said.
    pub dimension: Option<Dimension>,
    /// The models that share it, where said: `gpt-image`.
    pub family: Option<String>,
    /// The limit, exactly.
    pub limit: Option<u64>,
    /// How much of it is used, exactly.
    pub used: Option<u64>,
    /// How much this request asked for.
    pub requested: Option<u64>,
    /// When to try again, by the most exact source there is.
    pub wait: Option<Duration>,
    /// Not the limit was reached: traffic grew too fast.
    pub slow_down: bool,
}

impl RateLimit {
    /// Reads a refusal: the message is exact, the headers are rounded.
    pub(super) fn read(error: &ApiError, slow_down: bool) -> Self {
        let message = error.message.as_str();
        let stated = message.match_indices(" on ").find_map(|(at, on)| {
            let (named, numbers) = message[at + on.len()..].split_once([':', '.'])?;
            Some((dimension(named)?, numbers, &message[..at]))
        });
        let (named, numbers, subject) = match stated {
            Some((named, numbers, subject)) => (Some(named), numbers, subject),
            None => (None, message, message),
        };
        Self {
            dimension: named.or_else(|| dimension(error.kind.as_deref()?)),
            family: subject
                .split_once("(for limit ")
                .and_then(|(_, rest)| Some(rest.split_once(')')?.0.to_owned())),
            limit: number_after(numbers, "limit"),
            used: number_after(numbers, "used").or_else(|| number_after(numbers, "current")),
            requested: number_after(numbers, "requested"),
            wait: wait(message).or(error.headers.retry_after),
            slow_down,
        }
    }

    /// Whether no waiting would ever let this request through.
    pub(super) fn is_out_of_reach(&self) -> bool {
        matches!((self.requested, self.limit), (Some(requested), Some(limit)) if requested > limit)
    }
}

fn dimension(text: &str) -> Option<Dimension> {
    let text = text.trim().to_ascii_lowercase();
    let per_day = text.contains("day");
    let of_inputs = text.starts_with("input-image") || text.starts_with("input image");
    Some(match () {
        () if text.starts_with("request") && per_day => Dimension::RequestsPerDay,
        () if text.starts_with("request") => Dimension::RequestsPerMinute,
        () if text.starts_with("token") && per_day => Dimension::TokensPerDay,
        () if text.starts_with("token") => Dimension::TokensPerMinute,
        () if (text.starts_with("image") || of_inputs) && per_day => Dimension::ImagesPerDay,
        () if of_inputs => Dimension::InputImagesPerMinute,
        () if text.starts_with("image") => Dimension::ImagesPerMinute,
        () => return None,
    })
}

/// The first number that directly follows a word: `Limit 5`, `Limit: 3 / min`.
fn number_after(text: &str, word: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    lower.match_indices(word).find_map(|(at, _)| {
        let rest = lower[at + word.len()..].trim_start_matches([':', ' ']);
        let digits: String =
            rest.chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(|c| *c != ',').collect();
        digits.parse().ok()
    })
}

fn wait(message: &str) -> Option<Duration> {
    let lower = message.to_ascii_lowercase();
    ["again in ", "again after ", "retry after ", "retry in "].into_iter().find_map(|words| {
        let at = lower.find(words)? + words.len();
        duration_text::leading(&lower[at..]).map(|(wait, _)| wait)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::AnswerHeaders;

    fn of(message: &str) -> RateLimit {
        RateLimit::read(&ApiError { message: message.to_owned(), ..ApiError::default() }, false)
    }

    fn exact(dimension: Dimension, numbers: [u64; 3], wait_ms: u64) -> RateLimit {
        let [limit, used, requested] = numbers.map(Some);
        let wait = Some(Duration::from_millis(wait_ms));
        RateLimit { dimension: Some(dimension), limit, used, requested, wait, ..RateLimit::default() }
    }

    #[test]
    fn the_long_form() {
        let read = of("Rate limit reached for gpt-image-2 (for limit gpt-image) in organization org-x on \
                       input-images per min: Limit 5, Used 5, Requested 1. Please try again in 12s.");
        let expected = RateLimit {
            family: Some("gpt-image".to_owned()),
            ..exact(Dimension::InputImagesPerMinute, [5, 5, 1], 12_000)
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn names_that_look_like_its_words() {
        let read =
            of("Rate limit reached for on (for limit gpt-image) in organization org-on on requests per \
                       day (RPD): Limit 5, Used 5, Requested 1. Please try again in 12s.");
        assert_eq!(
            (read.dimension, read.family.as_deref()),
            (Some(Dimension::RequestsPerDay), Some("gpt-image"))
        );
    }

    #[test]
    fn all_dimensions_and_units() {
        let rows = [
            (
                "tokens per min (TPM): Limit 30000, Used 29446, Requested 821. Please try again in 534ms.",
                exact(Dimension::TokensPerMinute, [30_000, 29_446, 821], 534),
            ),
            (
                "requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s. Visit https://x.",
                exact(Dimension::RequestsPerMinute, [3, 3, 1], 20_000),
            ),
            (
                "requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in 7m12s.",
                exact(Dimension::RequestsPerDay, [200, 200, 1], 432_000),
            ),
            (
                "requests per day (RPD): Limit 10, Used 10, Requested 1. Please try again in 2h24m0s.",
                exact(Dimension::RequestsPerDay, [10, 10, 1], 8_640_000),
            ),
            (
                "images per minute: Limit 250, Used 250, Requested 1. Please try again in 240ms.",
                exact(Dimension::ImagesPerMinute, [250, 250, 1], 240),
            ),
            (
                "images per day: Limit 1,000, Used 1,000, Requested 1. Please try again in 1m26.4s.",
                exact(Dimension::ImagesPerDay, [1000, 1000, 1], 86_400),
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(
                of(&format!("Rate limit reached for m in organization o on {text}")),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn the_short_and_the_old_forms() {
        let short = of("You've exceeded the rate limit, please slow down and try again after 51.84 seconds.");
        assert_eq!(short, RateLimit { wait: Some(Duration::from_millis(51_840)), ..RateLimit::default() });
        let old =
            of("Rate limit reached for default on requests per min. Limit: 3 / min. Current: 4 / min. \
                      Please try again in 20s.");
        assert_eq!(
            (old.limit, old.used, old.dimension),
            (Some(3), Some(4), Some(Dimension::RequestsPerMinute))
        );
        assert_eq!(of("Rate limit reached. Limit: 0/1min").limit, Some(0));
        assert_eq!(of("Please retry after 6 seconds.").wait, Some(Duration::from_secs(6)));
        assert_eq!(of("Too many requests"), RateLimit::default());
    }

    #[test]
    fn what_can_never_pass() {
        let large = of(
            "Request too large for m in organization o on tokens per min (TPM): Limit 30000, Requested 80715.",
        );
        assert!(large.is_out_of_reach());
        assert!(!of("o on x: Limit 5, Used 5, Requested 1.").is_out_of_reach());
    }

    #[test]
    fn type_and_headers_fill_in() {
        let error = ApiError {
            kind: Some("input-images".to_owned()),
            headers: AnswerHeaders { retry_after: Some(Duration::from_secs(9)), ..AnswerHeaders::default() },
            ..ApiError::default()
        };
        let read = RateLimit::read(&error, true);
        assert_eq!(
            (read.dimension, read.wait),
            (Some(Dimension::InputImagesPerMinute), Some(Duration::from_secs(9)))
        );
        assert!(read.slow_down);
    }
}
