//! The table, row by row.

use std::time::Duration;

use crate::provider::{
    Answer, AnswerHeaders, ApiError, BodyShape, Moderation, ModerationStage, RefusedKey, Stage, Unsent,
    Unusable, UnusableReason,
};

use super::{
    Billed::{self, No, Unknown, Yes},
    Dimension, FailureClass as Class, Next, Patience, RateLimit, Tries, Verdict, judge, judge_undecodable,
};

const FIRST: Tries = Tries { attempt: 1, unknowns: 0, bad_answers: 0, unsent: 0 };
const QUARTER: Next = Next::PauseLane { expires: Some(Duration::from_secs(900)) };
const FOR_GOOD: Next = Next::PauseLane { expires: None };

fn json(status: u16, kind: &str, code: &str, message: &str) -> Answer {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Answer::Refused(Box::new(ApiError {
        status,
        shape: BodyShape::Json,
        message: message.to_owned(),
        kind: some(kind),
        code: some(code),
        ..ApiError::default()
    }))
}

fn shaped(status: u16, shape: BodyShape, message: &str) -> Answer {
    Answer::Refused(Box::new(ApiError { status, shape, message: message.to_owned(), ..ApiError::default() }))
}

fn unusable(reason: UnusableReason, saw_image: bool) -> Answer {
    let detail = "detail".to_owned();
    Answer::Unusable(Box::new(Unusable { reason, saw_image, detail, headers: AnswerHeaders::default() }))
}

fn unsent(stage: Stage) -> Answer {
    Answer::Unsent(Unsent { stage, detail: "detail".to_owned() })
}

fn lost(timed_out: bool) -> Answer {
    Answer::Lost { timed_out, detail: "detail".to_owned() }
}

fn moderated(stage: ModerationStage) -> Answer {
    let Answer::Refused(mut error) = json(400, "image_generation_user_error", "moderation_blocked", "no")
    else {
        unreachable!()
    };
    error.moderation = Some(Moderation { stage, categories: vec!["violence".to_owned()] });
    Answer::Refused(error)
}

fn first(answer: &Answer) -> Verdict {
    judge(answer, &FIRST, &Patience::default())
}

fn expect(rows: &[(Answer, Billed, Next, Class)]) {
    for (answer, billed, next, class) in rows {
        let verdict = first(answer);
        assert_eq!(
            (verdict.billed, &verdict.next, verdict.class),
            (*billed, next, Some(*class)),
            "{answer:?}"
        );
        assert!(!verdict.message.is_empty(), "{answer:?}");
    }
}

#[test]
fn an_image_is_paid_and_done() {
    let verdict = first(&Answer::Image(Box::default()));
    assert_eq!((verdict.billed, verdict.next, verdict.class), (Yes, Next::Done, None));
}

#[test]
fn the_documented_errors() {
    let user = "image_generation_user_error";
    let invalid = "invalid_request_error";
    expect(&[
        (json(400, user, "moderation_blocked", "no"), No, Next::Fail, Class::Moderation),
        (json(400, invalid, "content_policy_violation", "no"), No, Next::Fail, Class::Moderation),
        (json(400, "", "image_content_policy_violation", "no"), No, Next::Fail, Class::Moderation),
        (json(400, invalid, "", "rejected by our safety system"), No, Next::Fail, Class::Moderation),
        (moderated(ModerationStage::Input), No, Next::Fail, Class::Moderation),
        (moderated(ModerationStage::Output), Unknown, Next::Fail, Class::Moderation),
        (moderated(ModerationStage::Unknown), Unknown, Next::Fail, Class::Moderation),
        (json(400, user, "invalid_value", "Invalid size"), No, Next::Fail, Class::BadSpec),
        (json(400, user, "invalid_image_file", "x"), No, Next::Fail, Class::BadSpec),
        (json(400, invalid, "invalid_input_fidelity_model", "x"), No, Next::Fail, Class::BadSpec),
        (json(400, invalid, "unknown_parameter", "x"), No, Next::Fail, Class::BadSpec),
        (json(400, invalid, "unsupported_file_mimetype", "x"), No, Next::Fail, Class::BadSpec),
        (json(400, user, "billing_hard_limit_reached", "x"), No, FOR_GOOD, Class::AccountBilling),
        (json(400, invalid, "billing_hard_limit_reached", "x"), No, FOR_GOOD, Class::AccountBilling),
        (json(401, invalid, "invalid_api_key", "x"), No, FOR_GOOD, Class::Auth),
        (json(401, invalid, "ip_not_authorized", "x"), No, FOR_GOOD, Class::Auth),
        (json(401, "", "", "x"), No, FOR_GOOD, Class::Auth),
        (
            json(403, "", "", "Your organization must be verified to use the model `m`"),
            No,
            QUARTER,
            Class::Permission,
        ),
        (json(403, "", "unsupported_model", "must be verified"), No, QUARTER, Class::Permission),
        (json(403, "", "unsupported_country_region_territory", "x"), No, FOR_GOOD, Class::Permission),
        (json(404, invalid, "model_not_found", "x"), No, Next::Fail, Class::ModelNotFound),
        (json(404, "", "DeploymentNotFound", "x"), No, Next::Fail, Class::ModelNotFound),
        (json(410, "", "", "x"), No, Next::Fail, Class::ModelRetired),
        (json(500, "server_error", "server_error", "x"), No, Next::Retry, Class::ServerError),
        (json(500, "", "", "x"), No, Next::Retry, Class::ServerError),
        (
            json(503, "service_unavailable_error", "server_is_overloaded", "x"),
            No,
            Next::Retry,
            Class::Overloaded,
        ),
        (json(503, "", "slow_down", "x"), No, Next::Retry, Class::Overloaded),
    ]);
}

#[test]
fn accounts_without_money_pause_their_lane() {
    for code in [
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "insufficient_quota",
    ] {
        let verdict = first(&json(429, "insufficient_quota", code, "no money"));
        assert_eq!((verdict.next, verdict.class), (FOR_GOOD, Some(Class::AccountBilling)), "{code}");
        assert_eq!((verdict.message.as_str(), verdict.code.as_deref()), ("no money", Some(code)));
    }
    expect(&[
        (json(429, "insufficient_quota", "", "x"), No, FOR_GOOD, Class::AccountBilling),
        (json(402, "", "", "x"), No, FOR_GOOD, Class::AccountBilling),
    ]);
}

#[test]
fn rate_limits_are_no_attempts_and_teach() {
    let text = "Rate limit reached for gpt-image-2 (for limit gpt-image) in organization o on input-images per min: \
                Limit 5, Used 5, Requested 1. Please try again in 12s.";
    let Next::Refused(learnt) = first(&json(429, "input-images", "rate_limit_exceeded", text)).next else {
        panic!("not a refusal")
    };
    let expected = RateLimit {
        dimension: Some(Dimension::InputImagesPerMinute),
        family: Some("gpt-image".to_owned()),
        limit: Some(5),
        used: Some(5),
        requested: Some(1),
        wait: Some(Duration::from_secs(12)),
        slow_down: false,
    };
    assert_eq!(learnt, expected);
    let unlearnt = || Next::Refused(RateLimit::default());
    let slow = Next::Refused(RateLimit { slow_down: true, ..RateLimit::default() });
    expect(&[
        (json(429, "rate_limit_error", "slow_down", "x"), No, slow, Class::RateLimit),
        (json(429, "throttling_error", "", "x"), No, unlearnt(), Class::RateLimit),
        (shaped(429, BodyShape::Html, "Too many"), No, unlearnt(), Class::RateLimit),
        (shaped(429, BodyShape::Empty, ""), No, unlearnt(), Class::RateLimit),
    ]);
    let last = Tries { attempt: 99, ..FIRST };
    let verdict = judge(&json(429, "", "rate_limit_exceeded", "x"), &last, &Patience::default());
    assert_eq!(verdict.next, unlearnt());
}

#[test]
fn limits_that_waiting_does_not_lift() {
    let limited =
        |text: &str| json(429, "", "rate_limit_exceeded", &format!("for m on images per min: {text}"));
    expect(&[
        (limited("Limit 0, Requested 1."), No, FOR_GOOD, Class::Permission),
        (limited("Limit 5, Used 0, Requested 8."), No, Next::Fail, Class::OverLimit),
        (limited("Limit 5, Requested 8."), No, Next::Fail, Class::OverLimit),
    ]);
}

#[test]
fn proxies_and_strangers() {
    use BodyShape::{Empty, Html, Other};
    expect(&[
        (shaped(500, Html, "x"), Unknown, Next::Retry, Class::ServerError),
        (shaped(500, Empty, ""), Unknown, Next::Retry, Class::ServerError),
        (shaped(502, Html, "Bad gateway"), Unknown, Next::Retry, Class::Gateway),
        (shaped(504, Empty, ""), Unknown, Next::Retry, Class::Gateway),
        (json(502, "server_error", "server_error", "x"), Unknown, Next::Retry, Class::Gateway),
        (shaped(503, Html, "x"), Unknown, Next::Retry, Class::Gateway),
        (shaped(520, Html, "x"), Unknown, Next::Retry, Class::Gateway),
        (shaped(524, Html, "x"), Unknown, Next::Retry, Class::Gateway),
        (shaped(521, Html, "x"), No, Next::Retry, Class::Gateway),
        (shaped(408, Other, "x"), Unknown, Next::Retry, Class::Timeout),
        (shaped(403, Html, "x"), No, Next::Retry, Class::Permission),
        (shaped(404, Empty, ""), No, Next::Retry, Class::Endpoint),
        (shaped(404, Html, "x"), No, Next::Retry, Class::Endpoint),
        (shaped(400, Html, "x"), No, Next::Fail, Class::BadSpec),
        (shaped(422, Other, "x"), No, Next::Fail, Class::BadSpec),
        (shaped(302, Empty, "x"), No, QUARTER, Class::Endpoint),
        (json(200, "", "", "in a success"), No, Next::Retry, Class::ServerError),
        (json(200, "rate_limit_error", "", "x"), No, Next::Refused(RateLimit::default()), Class::RateLimit),
        (json(500, "", "", "a string for an error"), No, Next::Retry, Class::ServerError),
        (json(418, "", "", "x"), No, Next::Fail, Class::BadSpec),
    ]);
    assert_eq!(first(&shaped(502, Html, "Bad gateway")).message, "HTTP 502: Bad gateway");
    assert_eq!(first(&shaped(504, Empty, "")).message, "HTTP 504 without a word");
}

#[test]
fn what_happens_below_http() {
    use UnusableReason as Reason;
    expect(&[
        (unsent(Stage::Request), No, Next::Fail, Class::BadSpec),
        (unsent(Stage::Disk), No, Next::GiveBack, Class::Spool),
        (unsent(Stage::Resolve), No, Next::GiveBack, Class::Transport),
        (unsent(Stage::Connect), No, Next::GiveBack, Class::Transport),
        (lost(true), Unknown, Next::Retry, Class::Timeout),
        (lost(false), Unknown, Next::Retry, Class::Transport),
        (unusable(Reason::Truncated, true), Yes, Next::Retry, Class::BadAnswer),
        (unusable(Reason::Truncated, false), Unknown, Next::Retry, Class::Transport),
        (unusable(Reason::Stalled, true), Yes, Next::Retry, Class::BadAnswer),
        (unusable(Reason::Stalled, false), Unknown, Next::Retry, Class::Timeout),
        (unusable(Reason::NotJson, false), Unknown, Next::Retry, Class::BadAnswer),
        (unusable(Reason::NoImage, false), Unknown, Next::Retry, Class::BadAnswer),
        (unusable(Reason::NotBase64, true), Yes, Next::Retry, Class::BadAnswer),
        (unusable(Reason::TooLarge, true), Yes, Next::Fail, Class::TooLarge),
        (unusable(Reason::TooLarge, false), Unknown, Next::Park, Class::TooLarge),
        (unusable(Reason::HostRefused, true), Yes, FOR_GOOD, Class::ResultFetch),
        (unusable(Reason::FetchFailed, true), Yes, Next::Retry, Class::ResultFetch),
        (unusable(Reason::Disk, true), Yes, Next::Retry, Class::Spool),
    ]);
}

#[test]
fn patience_ends() {
    let patience = Patience::default();
    let next = |answer: &Answer, tries: Tries| judge(answer, &tries, &patience).next;
    let last = Tries { attempt: 5, ..FIRST };
    assert_eq!(next(&json(500, "", "", "x"), Tries { attempt: 4, ..FIRST }), Next::Retry);
    assert_eq!(next(&json(500, "", "", "x"), last), Next::Fail);
    assert_eq!(next(&lost(true), Tries { attempt: 2, unknowns: 1, ..FIRST }), Next::Park);
    assert_eq!(next(&lost(true), last), Next::Park);
    let cautious = Patience { max_unknown: 0, ..patience };
    assert_eq!(judge(&lost(true), &FIRST, &cautious).next, Next::Park);
    let again = Tries { attempt: 2, bad_answers: 1, ..FIRST };
    assert_eq!(next(&unusable(UnusableReason::NotBase64, true), again), Next::Fail);
    assert_eq!(next(&unusable(UnusableReason::NotJson, false), again), Next::Park);
    assert_eq!(next(&unsent(Stage::Connect), Tries { unsent: 19, ..last }), Next::GiveBack);
    assert_eq!(next(&unsent(Stage::Connect), Tries { unsent: 20, ..last }), Next::Fail);
    let undecodable = judge_undecodable("cut", &FIRST, &patience);
    assert_eq!((undecodable.billed, undecodable.next), (Yes, Next::Retry));
    assert_eq!(judge_undecodable("cut", &again, &patience).next, Next::Fail);
}

#[test]
fn a_named_wait_is_kept() {
    let Answer::Refused(mut error) = json(503, "", "server_is_overloaded", "x") else { unreachable!() };
    error.headers.retry_after = Some(Duration::from_secs(7));
    let verdict = first(&Answer::Refused(error));
    assert_eq!(verdict.next, Next::RetryAfter(Duration::from_secs(7)));
}

#[test]
fn a_key_that_was_replaced_stops_no_lane() {
    let refused = |replaced, trouble: Option<&str>| {
        let Answer::Refused(mut error) = json(401, "", "invalid_api_key", "Incorrect API key") else {
            unreachable!()
        };
        error.refused_key = Some(RefusedKey {
            digest: "0123456789ab".to_owned(),
            replaced,
            trouble: trouble.map(str::to_owned),
        });
        Answer::Refused(error)
    };
    expect(&[
        (refused(true, None), No, Next::AnotherKey, Class::Auth),
        (refused(false, None), No, FOR_GOOD, Class::Auth),
    ]);
    let told = first(&refused(false, Some("key_command vault ended with 2"))).message;
    assert_eq!(told, "Incorrect API key (another key was looked for: key_command vault ended with 2)");
}
