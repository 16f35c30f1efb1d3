//! What a refusal means, by its code, else its type, else its status and words.

use std::time::Duration;

use crate::provider::{ApiError, BodyShape, ModerationStage};

use super::{Billed, FailureClass as Class, Judge, Next, RateLimit, Verdict, verdict};

/// How long a lane waits for something that people or time put right.
const RECHECK: Duration = Duration::from_secs(15 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ruling {
    Moderation,
    Fail(Class),
    Pause(Class, Option<Duration>),
    Limit { slow_down: bool },
    Retry(Class),
    Unknown(Class),
}

impl Judge<'_> {
    pub(super) fn refusal(self, error: &ApiError) -> Verdict {
        let message = words(error);
        let judged = match ruling(error) {
            Ruling::Moderation => verdict(moderation_billed(error), Next::Fail, Class::Moderation, &message),
            Ruling::Fail(class) => verdict(Billed::No, Next::Fail, class, &message),
            Ruling::Pause(Class::Auth, _) if error.refused_key.as_ref().is_some_and(|key| key.replaced) => {
                verdict(Billed::No, Next::AnotherKey, Class::Auth, &message)
            }
            Ruling::Pause(class, expires) => {
                verdict(Billed::No, Next::PauseLane { expires }, class, &message)
            }
            Ruling::Limit { slow_down } => limited(RateLimit::read(error, slow_down), &message),
            Ruling::Retry(class) => self.retry(class, error.headers.retry_after, &message),
            Ruling::Unknown(class) => self.unknown(class, &message),
        };
        Verdict { code: error.code.clone().or_else(|| error.kind.clone()), ..judged }
    }
}

fn limited(limit: RateLimit, message: &str) -> Verdict {
    if limit.limit == Some(0) {
        return verdict(Billed::No, Next::PauseLane { expires: None }, Class::Permission, message);
    }
    if limit.is_out_of_reach() {
        return verdict(Billed::No, Next::Fail, Class::OverLimit, message);
    }
    verdict(Billed::No, Next::Refused(limit), Class::RateLimit, message)
}

/// An image that was made and then refused may be billed.
fn moderation_billed(error: &ApiError) -> Billed {
    match error.moderation.as_ref().map(|moderation| moderation.stage) {
        None | Some(ModerationStage::Input) => Billed::No,
        Some(ModerationStage::Output | ModerationStage::Unknown) => Billed::Unknown,
    }
}

fn words(error: &ApiError) -> String {
    let trouble = error.refused_key.as_ref().and_then(|key| key.trouble.as_ref());
    let words = stated(error);
    trouble.map_or(words.clone(), |trouble| format!("{words} (another key was looked for: {trouble})"))
}

fn stated(error: &ApiError) -> String {
    match (error.shape, error.message.as_str()) {
        (_, "") => format!("HTTP {} without a word", error.status),
        (BodyShape::Json, message) => message.to_owned(),
        (_, message) => format!("HTTP {}: {message}", error.status),
    }
}

fn ruling(error: &ApiError) -> Ruling {
    let codes = [&error.inner_code, &error.code];
    let by_code =
        codes.into_iter().flatten().find_map(|code| by_code(&code.to_ascii_lowercase(), error.status));
    let by_type = || by_type(&error.kind.as_deref()?.to_ascii_lowercase(), error.status);
    by_code.or_else(by_type).unwrap_or_else(|| by_status(error))
}

fn by_code(code: &str, status: u16) -> Option<Ruling> {
    Some(match code {
        "moderation_blocked" | "content_policy_violation" | "image_content_policy_violation" => {
            Ruling::Moderation
        }
        "content_filter" | "contentfilter" | "responsibleaipolicyviolation" => Ruling::Moderation,
        "billing_hard_limit_reached"
        | "credit_balance_exhausted"
        | "organization_spend_limit_exceeded"
        | "project_spend_limit_exceeded"
        | "organization_usage_limit_exceeded"
        | "insufficient_quota"
        | "billing_not_active" => Ruling::Pause(Class::AccountBilling, None),
        "invalid_api_key" | "ip_not_authorized" | "invalid_organization" | "account_deactivated" => {
            Ruling::Pause(Class::Auth, None)
        }
        country if country.starts_with("unsupported_country") => Ruling::Pause(Class::Permission, None),
        "unsupported_model" if status == 403 => Ruling::Pause(Class::Permission, Some(RECHECK)),
        "model_not_found" | "deploymentnotfound" => Ruling::Fail(Class::ModelNotFound),
        "model_deprecated" | "model_retired" => Ruling::Fail(Class::ModelRetired),
        "slow_down" if status != 503 => Ruling::Limit { slow_down: true },
        "rate_limit_exceeded" | "ratelimitreached" => Ruling::Limit { slow_down: false },
        // Whoever writes 502 or 504 speaks for somebody who may have made the image.
        _ if matches!(status, 502 | 504) => return None,
        "server_is_overloaded" | "slow_down" => Ruling::Retry(Class::Overloaded),
        "server_error" => Ruling::Retry(Class::ServerError),
        _ => return None,
    })
}

fn by_type(kind: &str, status: u16) -> Option<Ruling> {
    Some(match (kind, status) {
        ("insufficient_quota", _) => Ruling::Pause(Class::AccountBilling, None),
        ("rate_limit_error", 200 | 400..=499) => Ruling::Limit { slow_down: false },
        ("authentication_error", _) => Ruling::Pause(Class::Auth, None),
        ("service_unavailable_error" | "overloaded_error", 200 | 500 | 503 | 529) => {
            Ruling::Retry(Class::Overloaded)
        }
        ("server_error", 200 | 500 | 503) => Ruling::Retry(Class::ServerError),
        ("invalid_request_error" | "image_generation_user_error", 200) => Ruling::Fail(Class::BadSpec),
        _ => return None,
    })
}

fn by_status(error: &ApiError) -> Ruling {
    let speaks = error.shape == BodyShape::Json;
    let message = error.message.to_ascii_lowercase();
    match error.status {
        200..=299 => Ruling::Retry(Class::ServerError),
        300..=399 | 407 => Ruling::Pause(Class::Endpoint, Some(RECHECK)),
        400 | 403 if says_moderation(&message) => Ruling::Moderation,
        400 if message.contains("billing hard limit") => Ruling::Pause(Class::AccountBilling, None),
        401 => Ruling::Pause(Class::Auth, None),
        402 => Ruling::Pause(Class::AccountBilling, None),
        403 if message.contains("country") => Ruling::Pause(Class::Permission, None),
        403 if speaks => Ruling::Pause(Class::Permission, Some(RECHECK)),
        // A firewall that dislikes one prompt must not stop the lane.
        403 => Ruling::Retry(Class::Permission),
        404 if speaks && (message.contains("model") || message.contains("deployment")) => {
            Ruling::Fail(Class::ModelNotFound)
        }
        404 | 405 | 415 | 426 | 501 => Ruling::Retry(Class::Endpoint),
        // Gateways write these when the API behind them took too long.
        408 | 499 => Ruling::Unknown(Class::Timeout),
        409 | 425 => Ruling::Retry(Class::ServerError),
        410 => Ruling::Fail(Class::ModelRetired),
        429 => Ruling::Limit { slow_down: false },
        400..=499 => Ruling::Fail(Class::BadSpec),
        500 if speaks => Ruling::Retry(Class::ServerError),
        503 | 529 if speaks => Ruling::Retry(Class::Overloaded),
        500 => Ruling::Unknown(Class::ServerError),
        // Cloudflare writes these when it never reached the API.
        521 | 523 | 525 | 526 => Ruling::Retry(Class::Gateway),
        _ => Ruling::Unknown(Class::Gateway),
    }
}

fn says_moderation(message: &str) -> bool {
    ["safety system", "content management policy", "content policy"]
        .iter()
        .any(|words| message.contains(words))
}
