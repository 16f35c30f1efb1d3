//! Who asks: API keys, compared and never repeated.

use axum::http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use crate::errors::ApiError;

/// An API key by its place in the configured list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyIndex(pub(crate) usize);

/// Finds the key of a request: `Authorization: Bearer …` or `api-key: …`.
pub(crate) fn authenticate(headers: &HeaderMap, keys: &[SecretString]) -> Result<KeyIndex, ApiError> {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let Some(given) = bearer.or_else(|| text("api-key")).map(str::trim).filter(|key| !key.is_empty()) else {
        return Err(refused(
            "You didn't provide an API key. You need to provide your API key in an Authorization header \
             using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        ));
    };
    keys.iter().position(|key| key.expose_secret() == given).map(KeyIndex).ok_or_else(|| {
        refused(
            "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
        )
    })
}

/// The last four characters of a key, or fewer of a short one.
pub(crate) fn fingerprint(key: &SecretString) -> String {
    let key: Vec<char> = key.expose_secret().chars().collect();
    let shown = (key.len() / 2).min(4);
    key.iter().skip(key.len() - shown).collect()
}

fn refused(message: &'static str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message).code("invalid_api_key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_keys_in_either_header() {
        let keys = ["first-key", "second-key"].map(SecretString::from);
        let ask = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            authenticate(&headers, &keys)
        };
        assert_eq!(ask("authorization", "Bearer first-key"), Ok(KeyIndex(0)));
        assert_eq!(ask("api-key", "second-key"), Ok(KeyIndex(1)));
        for (name, value) in
            [("authorization", "Bearer third-key"), ("authorization", "first-key"), ("x", "y")]
        {
            let error = ask(name, value).unwrap_err();
            assert_eq!((error.status.as_u16(), error.code), (401, Some("invalid_api_key")));
            assert!(!error.message.contains("third-key"));
        }
        assert_eq!(fingerprint(&keys[0]), "-key");
    }
}
