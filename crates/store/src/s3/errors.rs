//! What an S3 failure means for the caller.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId as _,
};
use pictor_common::store::{StoreError, StoreErrorKind};

/// A write that failed, with the status that a conditional write branches on.
pub(super) struct Refusal {
    pub(super) status: Option<u16>,
    pub(super) error: StoreError,
}

impl Refusal {
    pub(super) fn of<E>(verb: &str, location: &str, error: SdkError<E>) -> Self
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        Self { status: status(&error), error: failed(verb, location, error) }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self { status: None, error }
    }
}

/// The HTTP status of an answer, if there was one.
pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

pub(super) fn failed<E>(verb: &str, location: &str, error: SdkError<E>) -> StoreError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let answer = status(&error);
    let Some(service) = error.as_service_error() else { return unanswered(verb, location, answer, error) };
    let (code, words) = (service.code().unwrap_or("no code"), service.message().unwrap_or("no message"));
    let request = error.request_id().map(|id| format!(", request id {id}")).unwrap_or_default();
    let shown = answer.unwrap_or_default();
    let message = format!("{verb} {location}: {shown} {code}: {words}{request}");
    StoreError { kind: kind(answer, code), message, source: None }
}

fn kind(status: Option<u16>, code: &str) -> StoreErrorKind {
    match code {
        "QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded" => {
            return StoreErrorKind::Full;
        }
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "AuthorizationHeaderMalformed" => {
            return StoreErrorKind::Denied;
        }
        "BadDigest" | "IncompleteBody" | "RequestTimeout" => return StoreErrorKind::Unavailable,
        _ => {}
    }
    match status {
        Some(404) => StoreErrorKind::NotFound,
        // A bucket in another region: only other settings help.
        Some(301 | 307 | 401 | 403) => StoreErrorKind::Denied,
        Some(507) => StoreErrorKind::Full,
        Some(408 | 409 | 412 | 425 | 429) => StoreErrorKind::Unavailable,
        // 501: a store without conditional writes, or without this encryption.
        Some(400..=499 | 501) => StoreErrorKind::Invalid,
        _ => StoreErrorKind::Unavailable,
    }
}

/// No answer came, or none that S3 would give.
fn unanswered<E>(verb: &str, location: &str, answer: Option<u16>, error: SdkError<E>) -> StoreError
where
    E: Error + Send + Sync + 'static,
{
    let (kind, words) = match &error {
        SdkError::TimeoutError(_) => (StoreErrorKind::Unavailable, "no answer in time".to_owned()),
        SdkError::ResponseError(_) => {
            let shown = answer.unwrap_or_default();
            (kind(answer, ""), format!("an answer ({shown}) that is not S3's"))
        }
        SdkError::ConstructionFailure(_) => {
            (StoreErrorKind::Invalid, "the request cannot be built".to_owned())
        }
        _ => (StoreErrorKind::Unavailable, "the store cannot be reached".to_owned()),
    };
    let cause = without_response(error);
    let (kind, words) = match credentials(&*cause) {
        Some(kind) => (kind, "no credentials".to_owned()),
        None => (kind, words),
    };
    StoreError { kind, message: format!("{verb} {location}: {words}"), source: Some(cause) }
}

/// Drops the raw answer, which repeats the signature and the access key.
fn without_response<E>(error: SdkError<E, HttpResponse>) -> Box<dyn Error + Send + Sync>
where
    E: Error + Send + Sync + 'static,
{
    error.into_source().unwrap_or_else(|bare| bare.to_string().into())
}

fn credentials(cause: &(dyn Error + 'static)) -> Option<StoreErrorKind> {
    let mut next = Some(cause);
    while let Some(error) = next {
        match error.downcast_ref() {
            Some(CredentialsError::ProviderTimedOut(_)) => return Some(StoreErrorKind::Unavailable),
            Some(_) => return Some(StoreErrorKind::Denied),
            None => next = error.source(),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_kinds() {
        use StoreErrorKind::{Denied, Full, Invalid, NotFound, Unavailable};
        for (status, code, expected) in [
            (403, "AccessDenied", Denied),
            (400, "ExpiredToken", Denied),
            (301, "PermanentRedirect", Denied),
            (404, "NoSuchBucket", NotFound),
            (400, "InvalidArgument", Invalid),
            (501, "NotImplemented", Invalid),
            (400, "BadDigest", Unavailable),
            (409, "ConditionalRequestConflict", Unavailable),
            (429, "TooManyRequests", Unavailable),
            (503, "SlowDown", Unavailable),
            (403, "QuotaExceeded", Full),
            (507, "no code", Full),
        ] {
            assert_eq!(kind(Some(status), code), expected, "{status} {code}");
        }
    }
}
