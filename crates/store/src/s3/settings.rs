//! How to reach a bucket: where, as whom, and how patiently.

use std::time::Duration;

use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation,
        ResponseChecksumValidation, retry::RetryConfig, timeout::TimeoutConfig,
    },
    types::ServerSideEncryption,
};
use pictor_common::store::StoreError;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::invalid;

/// When checksums are sent and checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksums {
    /// Wherever S3 knows them.
    #[default]
    WhenSupported,
    /// Only where S3 insists, for stores that refuse or mishandle them.
    WhenRequired,
}

/// Encryption at rest that is asked for with every write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Sse {
    /// Keys held by S3.
    #[serde(rename = "AES256")]
    Aes256,
    /// Keys held by KMS.
    #[serde(rename = "aws:kms")]
    AwsKms,
}

impl From<Sse> for ServerSideEncryption {
    fn from(sse: Sse) -> Self {
        match sse {
            Sse::Aes256 => Self::Aes256,
            Sse::AwsKms => Self::AwsKms,
        }
    }
}

/// How to reach S3; every field may be left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Settings {
    /// URL of a store other than AWS.
    pub endpoint: Option<String>,
    /// Otherwise from the AWS profile or environment; `us-east-1` with an endpoint or static keys.
    pub region: Option<String>,
    /// Puts the bucket in the path instead of the host name; by default with an endpoint only.
    pub path_style: Option<bool>,
    /// When checksums are sent and checked.
    pub checksums: Checksums,
    /// `Cache-Control` of every object.
    pub cache_control: Option<String>,
    /// Encryption at rest.
    pub sse: Option<Sse>,
    /// The KMS key for `sse = "aws:kms"`, when not the account's own.
    pub sse_kms_key_id: Option<String>,
    /// Static keys; without them the AWS chain is asked (environment, profile, web identity, ECS, EC2).
    pub access_key_id: Option<String>,
    /// Goes with `access_key_id`.
    pub secret_access_key: Option<SecretString>,
    /// For temporary static keys.
    pub session_token: Option<SecretString>,
    /// To open a connection.
    pub connect_timeout_seconds: u64,
    /// For one attempt, body included.
    pub attempt_timeout_seconds: u64,
    /// For one operation with all its attempts.
    pub operation_timeout_seconds: u64,
    /// Attempts of one operation; callers retry above this.
    pub max_attempts: u32,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            path_style: None,
            checksums: Checksums::default(),
            cache_control: None,
            sse: None,
            sse_kms_key_id: None,
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            connect_timeout_seconds: 5,
            attempt_timeout_seconds: 60,
            operation_timeout_seconds: 150,
            max_attempts: 3,
        }
    }
}

impl S3Settings {
    pub(super) fn is_https(&self) -> bool {
        self.endpoint.as_ref().is_none_or(|endpoint| endpoint.starts_with("https://"))
    }

    pub(super) fn attempt_timeout(&self) -> Duration {
        Duration::from_secs(self.attempt_timeout_seconds)
    }

    pub(super) async fn client(&self) -> Result<Client, StoreError> {
        self.check()?;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(self.connect_timeout_seconds))
            .operation_attempt_timeout(self.attempt_timeout())
            .operation_timeout(Duration::from_secs(self.operation_timeout_seconds))
            .build();
        let (requests, responses) = match self.checksums {
            Checksums::WhenSupported => {
                (RequestChecksumCalculation::WhenSupported, ResponseChecksumValidation::WhenSupported)
            }
            Checksums::WhenRequired => {
                (RequestChecksumCalculation::WhenRequired, ResponseChecksumValidation::WhenRequired)
            }
        };
        let builder = self
            .identified()
            .await?
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(self.max_attempts))
            .force_path_style(self.path_style.unwrap_or(self.endpoint.is_some()))
            .request_checksum_calculation(requests)
            .response_checksum_validation(responses);
        let builder = match &self.endpoint {
            Some(endpoint) => builder.endpoint_url(endpoint),
            None => builder,
        };
        Ok(Client::from_conf(builder.build()))
    }

    /// Credentials and region. With static keys the AWS chain is not asked at all: it would look for
    /// the metadata service of a cloud that may not be there.
    async fn identified(&self) -> Result<Builder, StoreError> {
        let region = self.region.clone().map(Region::new);
        let nearest = Region::from_static("us-east-1");
        if let (Some(id), Some(secret)) = (&self.access_key_id, &self.secret_access_key) {
            let token = self.session_token.as_ref().map(|token| token.expose_secret().to_owned());
            let keys = Credentials::new(id, secret.expose_secret(), token, None, "pictor settings");
            return Ok(Builder::new()
                .behavior_version(BehaviorVersion::latest())
                .credentials_provider(keys)
                .region(region.unwrap_or(nearest)));
        }
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = region.or_else(|| self.endpoint.as_ref().map(|_| nearest)) {
            loader = loader.region(region);
        }
        let loaded = loader.load().await;
        if loaded.region().is_none() {
            return Err(invalid("no region is set for S3, and the AWS environment names none".to_owned()));
        }
        Ok(Builder::from(&loaded))
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            return Err(invalid("S3: access_key_id and secret_access_key belong together".to_owned()));
        }
        if self.session_token.is_some() && self.access_key_id.is_none() {
            return Err(invalid("S3: session_token needs access_key_id and secret_access_key".to_owned()));
        }
        if self.sse_kms_key_id.is_some() && self.sse != Some(Sse::AwsKms) {
            return Err(invalid("S3: sse_kms_key_id needs sse = \"aws:kms\"".to_owned()));
        }
        let times =
            [self.connect_timeout_seconds, self.attempt_timeout_seconds, self.operation_timeout_seconds];
        if times.contains(&0) || self.max_attempts == 0 {
            return Err(invalid("S3: timeouts and max_attempts must be 1 or more".to_owned()));
        }
        let Some(endpoint) = &self.endpoint else { return Ok(()) };
        // The URL is not repeated in the error, since it may hold a password.
        let Ok(url) = url::Url::parse(endpoint) else {
            return Err(invalid("S3: the endpoint is not a URL".to_owned()));
        };
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some()
        {
            return Err(invalid(
                "S3: the endpoint must be http:// or https:// without credentials".to_owned(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(json: &str) -> S3Settings {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        with("{}").check().unwrap();
        with(r#"{"sse": "aws:kms", "sse_kms_key_id": "k", "checksums": "when_required"}"#).check().unwrap();
        for bad in [
            r#"{"access_key_id": "a"}"#,
            r#"{"secret_access_key": "s"}"#,
            r#"{"session_token": "t"}"#,
            r#"{"sse": "AES256", "sse_kms_key_id": "k"}"#,
            r#"{"max_attempts": 0}"#,
            r#"{"endpoint": "localhost:9000"}"#,
            r#"{"endpoint": "http://user:hunter2@127.0.0.1"}"#,
        ] {
            let error = with(bad).check().unwrap_err();
            assert!(!error.to_string().contains("hunter2"));
        }
        serde_json::from_str::<S3Settings>(r#"{"bukket": "x"}"#).unwrap_err();
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings =
            with(r#"{"access_key_id": "a", "secret_access_key": "hunter2", "session_token": "hunter3"}"#);
        assert!(!format!("{settings:?}").contains("hunter"));
    }
}
