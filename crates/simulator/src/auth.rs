//! Who asks: API keys, compared and never repeated.

use axum::http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use crate::errors::ApiError;

/// The keys that are known, each let in or revoked.
#[derive(Debug)]
pub(crate) struct Keys(Vec<(SecretString, bool)>);

impl Keys {
    pub(crate) fn new(keys: &[SecretString]) -> Self {
        Self(keys.iter().map(|key| (key.clone(), true)).collect())
    }

    /// Lets a key in, or no longer; a key that was known keeps its limits.
    pub(crate) fn set(&mut self, key: &SecretString, let_in: bool) {
        match self.0.iter_mut().find(|(known, _)| known.expose_secret() == key.expose_secret()) {
            Some((_, known)) => *known = let_in,
            None => self.0.push((key.clone(), let_in)),
        }
    }

    /// The last characters of a key.
    pub(crate) fn fingerprint(&self, index: KeyIndex) -> String {
        self.0.get(index.0).map(|(key, _)| fingerprint(key)).unwrap_or_default()
    }
}

/// An API key by its place among all that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyIndex(pub(crate) usize);

/// Finds the key of a request: `Authorization: Bearer …` or `api-key: …`.
pub(crate) fn authenticate(headers: &HeaderMap, keys: &Keys) -> Result<KeyIndex, ApiError> {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let Some(given) = bearer.or_else(|| text("api-key")).map(str::trim).filter(|key| !key.is_empty()) else {
        return Err(refused(
            "You didn't provide an API key. You need to provide your API key in an Authorization header \
             using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        ));
    };
    let found = keys.0.iter().position(|(key, let_in)| *let_in && key.expose_secret() == given);
    found.map(KeyIndex).ok_or_else(|| {
        refused(
            "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
        )
    })
}

/// The last four characters of a key, or fewer of a short one.
fn fingerprint(key: &SecretString) -> String {
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
        let mut keys = Keys::new(&["first-key", "second-key"].map(SecretString::from));
        let ask = |keys: &Keys, name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            authenticate(&headers, keys)
        };
        assert_eq!(ask(&keys, "authorization", "Bearer first-key"), Ok(KeyIndex(0)));
        assert_eq!(ask(&keys, "api-key", "second-key"), Ok(KeyIndex(1)));
        for (name, value) in
            [("authorization", "Bearer third-key"), ("authorization", "first-key"), ("x", "y")]
        {
            let error = ask(&keys, name, value).unwrap_err();
            assert_eq!((error.status.as_u16(), error.code), (401, Some("invalid_api_key")));
            assert!(!error.message.contains("third-key"));
        }
        assert_eq!(keys.fingerprint(KeyIndex(0)), "-key");
        keys.set(&"first-key".into(), false);
        keys.set(&"third-key".into(), true);
        assert_eq!(ask(&keys, "authorization", "Bearer first-key").unwrap_err().status, 401);
        assert_eq!(ask(&keys, "authorization", "Bearer third-key"), Ok(KeyIndex(2)));
        keys.set(&"first-key".into(), true);
        assert_eq!(ask(&keys, "authorization", "Bearer first-key"), Ok(KeyIndex(0)));
    }
}
