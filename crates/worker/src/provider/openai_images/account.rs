//! What has to be known of an account to talk to its API.

use std::{collections::BTreeMap, path::PathBuf};

use pictor_common::spec::Operation;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::{Host, Url};

use super::{KeyCommand, KeyError};

/// One account at an OpenAI-compatible image API.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Account {
    /// What it is called in messages.
    #[serde(skip)]
    pub name: String,
    /// Where the API is. A bare host means `/v1` below it; any path is taken as it stands, so
    /// `https://api.openai.com`, `https://api.openai.com/v1` and
    /// `https://NAME.openai.azure.com/openai/v1` all work.
    pub base_url: String,
    /// Paths that replace `{base}/images/…`, per operation, from the root of the host. `{model}`
    /// stands for the model: `generate = "/openai/deployments/{model}/images/generations"`.
    pub paths: Paths,
    /// How the key is sent.
    pub auth: Auth,
    /// The key, where it is given once for all; may be absent when `auth` is `none`.
    pub api_key: Option<SecretString>,
    /// A file with the key, which may be replaced at any time.
    pub api_key_file: Option<PathBuf>,
    /// A program and its arguments that print the key.
    pub key_command: Option<KeyCommand>,
    /// How often the command is run, besides whenever a key is refused.
    pub key_refresh_seconds: u64,
    /// Variables that the command does not get to see.
    #[serde(skip)]
    pub without_variables: Vec<String>,
    /// Sent as `OpenAI-Organization`.
    pub organization: Option<String>,
    /// Sent as `OpenAI-Project`.
    pub project: Option<String>,
    /// Further headers. Their values are treated as secrets.
    pub headers: BTreeMap<String, SecretString>,
    /// Further query parameters, such as `api-version`. Their values are treated as secrets.
    pub query: BTreeMap<String, SecretString>,
    /// What this API calls a model: `"dall-e-3" = "my-deployment"`. Other models keep their id.
    pub models: BTreeMap<String, String>,
    /// Leaves `model` out of the body, as classic Azure deployments want.
    pub omit_model: bool,
    /// What to ask of models that can answer with a URL; GPT Image models cannot and are not asked.
    pub response_format: ResponseFormat,
    /// Hosts from which images answered as URLs are fetched, besides the API's own; `*.domain`
    /// allows all below a domain.
    pub result_hosts: Vec<String>,
    /// Allows plain HTTP to the API and to result hosts. An API at a loopback address needs no
    /// permission.
    pub allow_http: bool,
    /// A larger image is refused.
    pub max_image_bytes: u64,
}

/// Paths per operation.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// Replaces `{base}/images/generations`.
    pub generate: Option<String>,
    /// Replaces `{base}/images/edits`.
    pub edit: Option<String>,
    /// Replaces `{base}/images/variations`.
    pub variation: Option<String>,
}

/// How a key is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// `Authorization: Bearer KEY`.
    #[default]
    Bearer,
    /// In a header of this name, such as `api-key`.
    Header(String),
    /// Not at all.
    None,
}

/// The form in which an image is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseFormat {
    /// Inside the answer.
    #[default]
    B64Json,
    /// As an address to fetch it from.
    Url,
    /// As the API likes: nothing is said.
    Unsaid,
}

impl ResponseFormat {
    /// The word in a request.
    pub(super) const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::B64Json => Some("b64_json"),
            Self::Url => Some("url"),
            Self::Unsaid => None,
        }
    }
}

impl Default for Account {
    fn default() -> Self {
        Self {
            name: String::new(),
            base_url: "https://api.openai.com/v1".to_owned(),
            paths: Paths::default(),
            auth: Auth::default(),
            api_key: None,
            api_key_file: None,
            key_command: None,
            key_refresh_seconds: 300,
            without_variables: Vec::new(),
            organization: None,
            project: None,
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            models: BTreeMap::new(),
            omit_model: false,
            response_format: ResponseFormat::default(),
            result_hosts: vec!["*.blob.core.windows.net".to_owned()],
            allow_http: false,
            max_image_bytes: 64 * 1024 * 1024,
        }
    }
}

/// What is wrong with an account's settings; no secrets.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The base URL cannot be used.
    #[error("base_url {0}")]
    BaseUrl(String),
    /// A key is needed and there is none.
    #[error("api_key is missing; set it, or auth = \"none\" for an API that wants no key")]
    NoKey,
    /// The key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A header cannot be sent.
    #[error("{0} cannot be sent as a header")]
    Header(String),
    /// The HTTP client could not be set up, for instance without root certificates.
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
}

impl Account {
    /// The base URL, judged: an API key does not travel over plain HTTP unasked.
    pub(super) fn base(&self) -> Result<Url, AccountError> {
        let refuse = |why: &str| Err(AccountError::BaseUrl(why.to_owned()));
        let base = match Url::parse(&self.base_url) {
            Ok(base) => base,
            Err(error) => return refuse(&format!("is not a URL: {error}")),
        };
        let Some(host) = base.host() else { return refuse("has no host") };
        if !base.username().is_empty() || base.password().is_some() {
            return refuse("must not carry credentials; use api_key or headers");
        }
        match base.scheme() {
            "https" => Ok(base),
            "http" if self.allow_http || is_loopback(&host.to_owned()) => Ok(base),
            "http" => {
                refuse("is plain HTTP, which would show the key to everybody on the way; set allow_http")
            }
            _ => refuse("is neither https nor http"),
        }
    }

    /// Where an operation is asked for.
    pub(super) fn endpoint(&self, base: &Url, operation: Operation, model: &str) -> Url {
        let (path, name) = match operation {
            Operation::Generate => (&self.paths.generate, "generations"),
            Operation::Edit => (&self.paths.edit, "edits"),
            Operation::Variation => (&self.paths.variation, "variations"),
        };
        let mut url = base.clone();
        match path {
            Some(path) => url.set_path(&path.replace("{model}", model)),
            None => url.set_path(&format!("{}/images/{name}", below(base))),
        }
        self.queried(url)
    }

    /// Where the models are listed.
    pub(super) fn models_endpoint(&self, base: &Url) -> Url {
        let mut url = base.clone();
        url.set_path(&format!("{}/models", below(base)));
        self.queried(url)
    }

    fn queried(&self, mut url: Url) -> Url {
        if !self.query.is_empty() {
            let pairs = self.query.iter().map(|(name, value)| (name, value.expose_secret()));
            url.query_pairs_mut().extend_pairs(pairs);
        }
        url
    }

    /// The headers of every request, but for the key.
    pub(super) fn plain_headers(&self) -> Result<HeaderMap, AccountError> {
        let mut map = HeaderMap::new();
        for (name, value) in [("openai-organization", &self.organization), ("openai-project", &self.project)]
        {
            if let Some(value) = value {
                let (name, value) = header(name, value)?;
                map.insert(name, value);
            }
        }
        for (name, value) in &self.headers {
            let (name, value) = header(name, value.expose_secret())?;
            map.insert(name, value);
        }
        Ok(map)
    }

    /// The header that carries a key.
    pub(super) fn key_header(
        &self,
        key: &SecretString,
    ) -> Result<Option<(HeaderName, HeaderValue)>, AccountError> {
        match &self.auth {
            Auth::None => Ok(None),
            Auth::Bearer => header("authorization", &format!("Bearer {}", key.expose_secret())).map(Some),
            Auth::Header(name) => header(name, key.expose_secret()).map(Some),
        }
    }

    /// Everything that must not be repeated in messages.
    pub(super) fn secrets(&self) -> impl Iterator<Item = SecretString> {
        self.api_key.iter().chain(self.headers.values()).chain(self.query.values()).cloned()
    }
}

/// The path that all others are below.
fn below(base: &Url) -> &str {
    let path = base.path().trim_end_matches('/');
    if path.is_empty() { "/v1" } else { path }
}

/// Whether a host is this machine itself.
pub(super) fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(v4) => v4.is_loopback(),
        Host::Ipv6(v6) => v6.is_loopback(),
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), AccountError> {
    let refused = || AccountError::Header(name.to_owned());
    let header: HeaderName = name.parse().map_err(|_invalid| refused())?;
    let mut value = HeaderValue::from_str(value).map_err(|_invalid| refused())?;
    value.set_sensitive(true);
    Ok((header, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(base_url: &str) -> Account {
        Account {
            base_url: base_url.to_owned(),
            api_key: Some("sk-test-0123456789".into()),
            ..Account::default()
        }
    }

    fn generate(account: &Account) -> String {
        account.endpoint(&account.base().unwrap(), Operation::Generate, "m").to_string()
    }

    #[test]
    fn bases_with_and_without_a_path() {
        for (base, expected) in [
            ("https://api.openai.com", "https://api.openai.com/v1/images/generations"),
            ("https://api.openai.com/v1/", "https://api.openai.com/v1/images/generations"),
            ("https://x.azure.com/openai/v1", "https://x.azure.com/openai/v1/images/generations"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/images/generations"),
        ] {
            assert_eq!(generate(&at(base)), expected);
        }
        let lists = |account: &Account| account.models_endpoint(&account.base().unwrap()).to_string();
        assert_eq!(lists(&at("https://api.openai.com")), "https://api.openai.com/v1/models");
        let mut classic = at("https://x.azure.com");
        classic.paths.generate = Some("/openai/deployments/{model}/images/generations".to_owned());
        classic.query.insert("api-version".to_owned(), "2025-04-01-preview".into());
        let expected =
            "https://x.azure.com/openai/deployments/m/images/generations?api-version=2025-04-01-preview";
        assert_eq!(generate(&classic), expected);
    }

    #[test]
    fn keys_do_not_travel_in_the_open_unasked() {
        assert!(at("http://images.internal").base().is_err());
        assert!(Account { allow_http: true, ..at("http://images.internal") }.base().is_ok());
        for base in ["http://localhost:1", "http://[::1]:1", "http://127.0.0.1"] {
            assert!(at(base).base().is_ok(), "{base}");
        }
        for base in ["", "api.openai.com", "ftp://host", "https://user:pw@host"] {
            let error = at(base).base().unwrap_err().to_string();
            assert!(!error.contains("pw"), "{error}");
        }
    }

    #[test]
    fn keys_are_sent_as_asked_and_never_shown() {
        let sent = |account: &Account| {
            let (name, value) = account.key_header(account.api_key.as_ref().unwrap()).unwrap().unwrap();
            format!("{name}: {}", value.to_str().unwrap())
        };
        let mut account = at("https://host");
        assert_eq!(sent(&account), "authorization: Bearer sk-test-0123456789");
        account.auth = Auth::Header("api-key".to_owned());
        account.headers.insert("x-extra".to_owned(), "s3cret-value".into());
        assert_eq!(sent(&account), "api-key: sk-test-0123456789");
        let headers = account.plain_headers().unwrap();
        assert_eq!(headers["x-extra"], "s3cret-value");
        let key = account.key_header(account.api_key.as_ref().unwrap()).unwrap();
        let shown = format!("{account:?} {headers:?} {key:?}");
        assert!(!shown.contains("0123456789") && !shown.contains("s3cret"), "{shown}");
        account.auth = Auth::None;
        assert!(account.key_header(&"k".into()).unwrap().is_none());
    }

    #[test]
    fn settings_read_as_documented() {
        let account: Account = serde_json::from_value(serde_json::json!({
            "base_url": "https://host", "auth": {"header": "api-key"}, "api_key": "k", "response_format": "url",
            "models": {"dall-e-3": "mine"}, "query": {"api-version": "1"}, "paths": {"edit": "/e"},
        }))
        .unwrap();
        assert_eq!(account.auth, Auth::Header("api-key".to_owned()));
        assert_eq!(account.response_format.as_str(), Some("url"));
        assert!(serde_json::from_str::<Account>(r#"{"base_ulr": "x"}"#).is_err());
    }
}
