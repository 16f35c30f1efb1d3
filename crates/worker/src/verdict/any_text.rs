//! Refusals with any text at all: read without harm, and exactly where they say something.

use std::time::Duration;

use proptest::prelude::*;

use super::rate_limit::{Dimension, RateLimit};
use crate::provider::{AnswerHeaders, ApiError};

const A_DAY: Duration = Duration::from_secs(24 * 3600);

const NAMES: [(&str, Dimension); 6] = [
    ("requests per min (RPM)", Dimension::RequestsPerMinute),
    ("requests per day (RPD)", Dimension::RequestsPerDay),
    ("images per min", Dimension::ImagesPerMinute),
    ("input-images per min", Dimension::InputImagesPerMinute),
    ("images per day", Dimension::ImagesPerDay),
    ("tokens per min (TPM)", Dimension::TokensPerMinute),
];

fn read(message: &str, kind: Option<String>, retry_after: Option<Duration>) -> RateLimit {
    let headers = AnswerHeaders { retry_after, ..AnswerHeaders::default() };
    let error = ApiError { message: message.to_owned(), kind, headers, ..ApiError::default() };
    RateLimit::read(&error, false)
}

/// The words of real refusals in any order, with anything between them.
fn shuffled() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "Rate limit reached for ",
        " on ",
        "images per min",
        "tokens per day",
        ": ",
        "Limit ",
        "Used ",
        "Current: ",
        "Requested ",
        "Please try again in ",
        "(for limit ",
        ")",
        "retry after ",
        "ms",
        "s",
        "h",
        ".",
        ",",
        " / min",
        "٣",
        "İ",
        "µ",
    ]);
    let number = prop_oneof![any::<u64>().prop_map(|n| n.to_string()), "[0-9]{1,40}(\\.[0-9]{0,40})?"];
    let part = prop_oneof![3 => words.prop_map(str::to_owned), 2 => number, 1 => any::<String>()];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_text_does_harm(
        message in prop_oneof![any::<String>(), shuffled()],
        kind in proptest::option::of(any::<String>()),
    ) {
        let limit = read(&message, kind, None);
        prop_assert!(limit.wait.is_none_or(|wait| wait <= A_DAY), "{limit:?}");
        let _decided = limit.is_out_of_reach();
    }

    #[test]
    fn what_the_long_form_says_is_read_to_the_digit(
        at in 0..NAMES.len(),
        model in "[a-z0-9.-]{1,24}",
        organization in "[A-Za-z0-9]{0,30}",
        numbers in any::<[u32; 3]>(),
        tenths in 0..36_000_u64,
        tail in "( Visit https://[a-z./]{1,30} to learn more\\.)?",
    ) {
        let (name, dimension) = NAMES[at];
        let [limit, used, requested] = numbers.map(u64::from);
        let message = format!(
            "Rate limit reached for {model} (for limit gpt-image) in organization org-{organization} on {name}: Limit \
             {limit}, Used {used}, Requested {requested}. Please try again in {}.{}s.{tail}",
            tenths / 10,
            tenths % 10,
        );
        let found = read(&message, None, Some(Duration::from_secs(7)));
        prop_assert_eq!(found.dimension, Some(dimension));
        prop_assert_eq!((found.limit, found.used, found.requested), (Some(limit), Some(used), Some(requested)));
        prop_assert_eq!(found.family.as_deref(), Some("gpt-image"));
        let wait = found.wait.expect("the text says when");
        prop_assert!(wait.abs_diff(Duration::from_millis(tenths * 100)) < Duration::from_micros(10));
    }

    #[test]
    fn the_short_form_says_only_when(hundredths in 0..360_000_u64) {
        let message = format!(
            "You've exceeded the rate limit, please slow down and try again after {}.{:02} seconds.",
            hundredths / 100,
            hundredths % 100,
        );
        let found = read(&message, None, None);
        let wait = found.wait.expect("the text says when");
        prop_assert!(wait.abs_diff(Duration::from_millis(hundredths * 10)) < Duration::from_micros(10));
        prop_assert_eq!(RateLimit { wait: None, ..found }, RateLimit::default());
    }
}
