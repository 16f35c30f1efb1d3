//! What is owed to any refusal: read as `serde_json` reads it, without secrets, and never taken for what costs nothing
//! where nobody knows; shared by the tests and the fuzz target.

use std::time::Duration;

use pictor_worker::{
    provider::{Answer, AnswerHeaders, ApiError, BodyShape, ModerationStage},
    verdict::{Billed, Dimension, FailureClass as Class, Next, Patience, RateLimit, Tries, Verdict, judge},
};
use serde_json::{Value, json};

const SECRET: &str = "hunter2-7";
const STATUSES: [u16; 24] = [
    429, 400, 401, 402, 403, 404, 408, 409, 410, 413, 422, 425, 499, 500, 501, 502, 503, 504, 521, 529, 200,
    302, 407, 599,
];
/// Whoever says these speaks for somebody who may have made the image.
const NOBODY_KNOWS: [u16; 4] = [408, 499, 502, 504];
const A_DAY: Duration = Duration::from_secs(24 * 3600);
const LONGEST: usize = 400;
const PATIENCE: Patience = Patience { max_attempts: 4, max_unknown: 1, max_unsent: 20 };
const NAMES: [(&str, Dimension); 6] = [
    ("requests per min (RPM)", Dimension::RequestsPerMinute),
    ("requests per day (RPD)", Dimension::RequestsPerDay),
    ("images per min", Dimension::ImagesPerMinute),
    ("input-images per min", Dimension::InputImagesPerMinute),
    ("images per day", Dimension::ImagesPerDay),
    ("tokens per min (TPM)", Dimension::TokensPerMinute),
];

/// Reads bytes as a refusal: the first says the status, the second what happened before, the rest is its body. The same
/// bytes are the numbers of a refusal by rate limit.
pub(crate) fn refusal(data: &[u8]) {
    let Some(([status, before], body)) = data.split_first_chunk() else { return };
    let status = STATUSES[usize::from(*status) % STATUSES.len()];
    let retry_after = (before & 4 > 0).then(|| Duration::from_secs(u64::from(*before)));
    let headers = AnswerHeaders { retry_after, ..AnswerHeaders::default() };
    let error = ApiError::read(status, headers.clone(), body, [SECRET.into()]);
    assert_eq!(error, ApiError::read(status, headers, body, [SECRET.into()]));
    clean(&error);
    as_json_has_it(&error, body);
    let tries = Tries {
        attempt: u32::from(before & 7) + 1,
        unknowns: u32::from(before >> 3 & 3),
        ..Tries::default()
    };
    let verdict = judge(&Answer::Refused(Box::new(error.clone())), &tries, &PATIENCE);
    costs(&error, &tries, &verdict);
    stated_limit(data);
}

/// No secret is in any part, and each is one line that is not too long.
fn clean(error: &ApiError) {
    let categories = error.moderation.iter().flat_map(|moderation| &moderation.categories);
    let named = [&error.kind, &error.code, &error.inner_code, &error.param].into_iter().flatten();
    for text in [&error.message].into_iter().chain(named).chain(categories) {
        assert!(!text.contains(SECRET), "{text:?}");
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(text.chars().count() <= LONGEST + 1, "{text:?}");
    }
    assert!(!format!("{error:?}").contains(SECRET));
}

/// The same by way of a tree of values.
fn as_json_has_it(error: &ApiError, body: &[u8]) {
    let Ok(whole) = serde_json::from_slice::<Value>(body) else {
        let text = String::from_utf8_lossy(body);
        let shape = match text.trim().chars().next() {
            None => BodyShape::Empty,
            Some('<') => BodyShape::Html,
            Some(_) => BodyShape::Other,
        };
        assert_eq!((error.shape, &error.code, &error.moderation), (shape, &None, &None));
        return;
    };
    let Some(stated) = whole["error"].as_object() else { return };
    if let Some(message) = stated.get("message").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        assert_eq!(error.shape, BodyShape::Json);
        if !message.contains("sk-") && !message.contains(SECRET) && !message.contains(char::is_control) {
            let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
            let kept: String = line.chars().take(LONGEST).collect();
            assert!(error.message.starts_with(&kept), "{:?} of {message:?}", error.message);
        }
    }
    match stated.get("code") {
        Some(Value::Number(code)) if code.to_string() == error.status.to_string() => {
            assert_eq!(error.code, None)
        }
        Some(Value::Number(code)) => assert_eq!(error.code, Some(code.to_string())),
        None if !stated.is_empty() => assert_eq!(error.code, None),
        _ => {}
    }
}

/// What a verdict may say of money.
fn costs(error: &ApiError, tries: &Tries, verdict: &Verdict) {
    let class = verdict.class.expect("a refusal is no image");
    assert!(verdict.next != Next::Done && verdict.billed != Billed::Yes, "{verdict:?}");
    assert!(!verdict.message.is_empty() && !verdict.message.contains(char::is_control), "{verdict:?}");
    assert!(!format!("{verdict:?}").contains(SECRET));
    let risky = tries.unknowns >= PATIENCE.max_unknown || tries.attempt >= PATIENCE.max_attempts;
    if verdict.billed == Billed::Unknown && class != Class::Moderation {
        assert_eq!(verdict.next, if risky { Next::Park } else { Next::Retry });
    }
    let made = error.moderation.as_ref().is_some_and(|seen| seen.stage != ModerationStage::Input);
    let unsaid = error.code.is_none() && error.inner_code.is_none() && error.kind.is_none();
    if class == Class::Moderation {
        assert_eq!(verdict.billed, if made { Billed::Unknown } else { Billed::No });
        assert_eq!(verdict.next, Next::Fail);
    } else if unsaid && NOBODY_KNOWS.contains(&error.status) {
        assert_eq!(verdict.billed, Billed::Unknown, "{error:?}");
    } else if (400..=499).contains(&error.status) && !NOBODY_KNOWS.contains(&error.status) {
        assert_eq!(verdict.billed, Billed::No, "{error:?}");
    }
    if unsaid && error.status == 429 {
        assert!(matches!(class, Class::RateLimit | Class::OverLimit | Class::Permission), "{verdict:?}");
    }
    if let Next::Refused(limit) = &verdict.next {
        assert!(limit.wait.is_none_or(|wait| wait <= A_DAY.max(Duration::from_secs(255))), "{limit:?}");
        assert!(limit.limit.is_none_or(|most| most > 0 && limit.requested.is_none_or(|asked| asked <= most)));
    }
}

/// A refusal by rate limit as OpenAI writes it is read to the digit.
fn stated_limit(data: &[u8]) {
    let Some((head, rest)) = data.split_first_chunk::<16>() else { return };
    let number =
        |at: usize| u64::from(u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    let [limit, used, requested] = [number(0), number(4), number(8)];
    let (name, dimension) = NAMES[usize::from(head[12]) % NAMES.len()];
    let (hours, minutes, seconds) =
        (u64::from(head[13] % 20), u64::from(head[14] % 60), u64::from(head[15] % 60));
    let tenths = limit % 10;
    let (wait, millis) = match head[12] >> 4 & 3 {
        0 => (format!("{hours}h{minutes}m{seconds}s"), (hours * 3600 + minutes * 60 + seconds) * 1000),
        1 => (format!("{minutes}m{seconds}.{tenths}s"), (minutes * 60 + seconds) * 1000 + tenths * 100),
        2 => (format!("{limit}ms"), limit.min(24 * 3_600_000)),
        _ => (format!("{seconds}.{tenths} seconds"), seconds * 1000 + tenths * 100),
    };
    let model: String = rest.iter().take(40).map(|byte| char::from(byte % 26 + b'a')).collect();
    let message = format!(
        "Rate limit reached for {model} (for limit gpt-image) in organization org-{model} on {name}: Limit {limit}, \
         Used {used}, Requested {requested}. Please try again in {wait}. Visit https://x.test to learn more."
    );
    let body = json!({ "error": { "message": message, "type": "tokens", "code": "rate_limit_exceeded" } })
        .to_string();
    let headers = AnswerHeaders { retry_after: Some(Duration::from_secs(9)), ..AnswerHeaders::default() };
    let error = ApiError::read(429, headers, body.as_bytes(), []);
    let verdict =
        judge(&Answer::Refused(Box::new(error)), &Tries { attempt: 1, ..Tries::default() }, &PATIENCE);
    assert_eq!(verdict.billed, Billed::No);
    match verdict.next {
        Next::PauseLane { expires: None } => assert_eq!((limit, verdict.class), (0, Some(Class::Permission))),
        Next::Fail => assert!(requested > limit && verdict.class == Some(Class::OverLimit)),
        Next::Refused(read) => {
            let found = read.wait.expect("the text says when");
            assert!(
                found.abs_diff(Duration::from_millis(millis)) < Duration::from_millis(1),
                "{found:?}: {message}"
            );
            let family = Some("gpt-image".to_owned());
            let (limit, used, requested) = (Some(limit), Some(used), Some(requested));
            let wait = read.wait;
            let said = RateLimit {
                dimension: Some(dimension),
                family,
                limit,
                used,
                requested,
                wait,
                slow_down: false,
            };
            assert_eq!(read, said);
        }
        other => panic!("{other:?}: {message}"),
    }
}
