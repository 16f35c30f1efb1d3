//! Kinds of failure, by names that never change: people group, filter and retry by them.

use std::{fmt, str::FromStr};

use pictor_common::queue::MODERATION;
use serde::{Deserialize, Serialize};

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Refused on content.
    Moderation,
    /// The API does not accept the spec.
    BadSpec,
    /// No money, or a spending limit at the provider.
    AccountBilling,
    /// The key is not accepted.
    Auth,
    /// The key is fine, and this is not allowed to it.
    Permission,
    /// There is no such model.
    ModelNotFound,
    /// There is no such model any more.
    ModelRetired,
    /// A rate limit.
    RateLimit,
    /// One request asks for more than the limit allows in all.
    OverLimit,
    /// The API has too much to do.
    Overloaded,
    /// The API failed.
    ServerError,
    /// Something between here and the API failed.
    Gateway,
    /// What answers there is not an image API.
    Endpoint,
    /// A success without a usable image.
    BadAnswer,
    /// A larger image than allowed.
    TooLarge,
    /// The image was answered as an address, and could not be fetched from it.
    ResultFetch,
    /// The connection failed.
    Transport,
    /// Time ran out.
    Timeout,
    /// The worker's disk failed.
    Spool,
    /// The worker died between sending and receiving.
    UnknownOutcome,
    /// Workers died of it.
    Poison,
}

impl FailureClass {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::Moderation,
        Self::BadSpec,
        Self::AccountBilling,
        Self::Auth,
        Self::Permission,
        Self::ModelNotFound,
        Self::ModelRetired,
        Self::RateLimit,
        Self::OverLimit,
        Self::Overloaded,
        Self::ServerError,
        Self::Gateway,
        Self::Endpoint,
        Self::BadAnswer,
        Self::TooLarge,
        Self::ResultFetch,
        Self::Transport,
        Self::Timeout,
        Self::Spool,
        Self::UnknownOutcome,
        Self::Poison,
    ];

    /// Whether the API, or the way to it, failed, and not this request.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        matches!(self, Self::Overloaded | Self::ServerError | Self::Gateway | Self::Transport | Self::Timeout)
    }

    /// Whether another model may make what failed for good so: it is about the model, and free.
    ///
    /// Not where the content was refused or the spec was wrong, nor what is wrong with the account, the way or this host.
    #[must_use]
    pub const fn is_of_the_model(self) -> bool {
        matches!(
            self,
            Self::ModelNotFound | Self::ModelRetired | Self::OverLimit | Self::Overloaded | Self::ServerError
        )
    }

    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Moderation => MODERATION,
            Self::BadSpec => "bad_spec",
            Self::AccountBilling => "account_billing",
            Self::Auth => "auth",
            Self::Permission => "permission",
            Self::ModelNotFound => "model_not_found",
            Self::ModelRetired => "model_retired",
            Self::RateLimit => "rate_limit",
            Self::OverLimit => "over_limit",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server_error",
            Self::Gateway => "gateway",
            Self::Endpoint => "endpoint",
            Self::BadAnswer => "bad_answer",
            Self::TooLarge => "too_large",
            Self::ResultFetch => "result_fetch",
            Self::Transport => "transport",
            Self::Timeout => "timeout",
            Self::Spool => "spool",
            Self::UnknownOutcome => "unknown_outcome",
            Self::Poison => "poison",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a text does not name a kind of failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a kind of failure")]
pub struct NotClass(String);

impl FromStr for FailureClass {
    type Err = NotClass;

    fn from_str(text: &str) -> Result<Self, NotClass> {
        Self::ALL.into_iter().find(|class| class.as_str() == text).ok_or_else(|| NotClass(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_everywhere() {
        for class in FailureClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
            assert_eq!(class.as_str().parse(), Ok(class));
        }
        assert!("Moderation".parse::<FailureClass>().is_err());
    }
}
