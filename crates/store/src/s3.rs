//! A store in an S3 bucket, or in anything that speaks its protocol.

mod body;
mod copy;
mod errors;
mod presign;
mod save;
mod settings;

use std::{
    fmt,
    path::Path,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_sdk_s3::{
    Client, operation::put_object::builders::PutObjectFluentBuilder, types::ServerSideEncryption,
};
use bytes::Bytes;
use pictor_common::store::{Body, NewObject, Presigned, Put, Remote, Store, StoreError, StoredObject};
use tokio::time::{sleep, timeout};

use crate::{invalid, object, unavailable};
use errors::{Refusal, failed, status};
pub use settings::{Checksums, S3Settings, Sse};

/// Rounds of a conditional write that S3 answers with a conflict, 5 s in all at most.
const CONFLICTS: u32 = 8;
const CONFLICT_DELAY: Duration = Duration::from_millis(50);
const LIST_PAGE: i32 = 1000;

/// Keeps objects in a bucket, below a prefix.
#[derive(Clone)]
pub struct S3Store {
    client: Client,
    bucket: String,
    /// Empty, or ends in a slash.
    prefix: String,
    settings: S3Settings,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Store({})", self.location(""))
    }
}

impl S3Store {
    /// Prepares a client; nothing is sent to the bucket.
    ///
    /// # Errors
    /// The bucket, the prefix or the settings cannot work.
    pub async fn open(bucket: &str, prefix: &str, settings: &S3Settings) -> Result<Self, StoreError> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(good) {
            return Err(invalid(format!("{bucket:?} cannot name a bucket")));
        }
        let mut prefix = prefix.trim_matches('/').to_owned();
        if !prefix.is_empty() {
            if prefix.len() > 100 {
                return Err(invalid(format!("the prefix {prefix:?} is longer than 100 bytes")));
            }
            object::check_name(&prefix)?;
            prefix.push('/');
        }
        let client = settings.client().await?;
        Ok(Self { client, bucket: bucket.to_owned(), prefix, settings: settings.clone() })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    async fn request(&self, object: &NewObject) -> Result<PutObjectFluentBuilder, StoreError> {
        let settings = &self.settings;
        let sum = match &object.body {
            Body::File(path) if settings.checksums == Checksums::WhenSupported => {
                Some(body::crc32(path).await?)
            }
            Body::File(_) | Body::Bytes(_) | Body::Remote(_) => None,
        };
        Ok(self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(self.key(&object.name))
            .content_type(&object.content_type)
            .set_metadata(Some(object.metadata.clone().into_iter().collect()))
            .set_cache_control(settings.cache_control.clone())
            .set_server_side_encryption(settings.sse.map(ServerSideEncryption::from))
            .set_ssekms_key_id(settings.sse_kms_key_id.clone())
            .set_checksum_crc32(sum)
            .body(body::stream(&object.body).await?))
    }

    /// Writes once; with `only_new`, on the condition that nothing is there.
    async fn write(&self, object: &NewObject, only_new: bool) -> Result<(), Refusal> {
        let condition = only_new.then(|| "*".to_owned());
        if let Body::Remote(from) = &object.body {
            return self.copy(from, object, condition).await;
        }
        let request = self.request(object).await?.set_if_none_match(condition).customize();
        // TLS and the checksum guard the bytes already; hashing them once more costs 12 ms a picture.
        let request = if self.settings.is_https() { request.disable_payload_signing() } else { request };
        request
            .send()
            .await
            .map(drop)
            .map_err(|error| Refusal::of("PUT", &self.location(&object.name), error))
    }
}

#[async_trait]
impl Store for S3Store {
    async fn put_if_absent(&self, object: NewObject) -> Result<Put, StoreError> {
        object::check(&object)?;
        // Not every server knows conditional copies.
        if matches!(object.body, Body::Remote(_))
            && let Some(found) = self.head(&object.name).await?
        {
            return Ok(Put::Exists(found));
        }
        let mut delay = CONFLICT_DELAY;
        let mut round = 1;
        loop {
            let Err(refusal) = self.write(&object, true).await else { return Ok(Put::Created) };
            match refusal.status {
                Some(412) => {
                    if let Some(found) = self.head(&object.name).await? {
                        return Ok(Put::Exists(found));
                    }
                }
                Some(409) => {}
                _ => return Err(refusal.error),
            }
            if round == CONFLICTS {
                return Err(refusal.error);
            }
            sleep(rand::random_range(delay / 2..=delay)).await;
            delay = (delay * 2).min(Duration::from_secs(1));
            round += 1;
        }
    }

    async fn put(&self, object: NewObject) -> Result<(), StoreError> {
        object::check(&object)?;
        self.write(&object, false).await.map_err(|refusal| refusal.error)
    }

    async fn head(&self, name: &str) -> Result<Option<StoredObject>, StoreError> {
        object::check_name(name)?;
        let request = self.client.head_object().bucket(&self.bucket).key(self.key(name));
        match request.send().await {
            Ok(found) => Ok(Some(StoredObject {
                name: name.to_owned(),
                length: found.content_length().and_then(|length| length.try_into().ok()).unwrap_or(0),
                content_type: found.content_type().map(str::to_owned),
                metadata: found.metadata.into_iter().flatten().collect(),
            })),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(failed("HEAD", &self.location(name), error)),
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        object::check_name(name)?;
        let request = self.client.get_object().bucket(&self.bucket).key(self.key(name));
        let found = match request.send().await {
            Ok(found) => found,
            Err(error) if error.as_service_error().is_some_and(|cause| cause.is_no_such_key()) => {
                return Ok(None);
            }
            Err(error) => return Err(failed("GET", &self.location(name), error)),
        };
        let broken = |cause| unavailable(format!("GET {}: the body broke off", self.location(name)), cause);
        match timeout(self.settings.attempt_timeout(), found.body.collect()).await {
            Ok(Ok(body)) => Ok(Some(body.into_bytes())),
            Ok(Err(cause)) => Err(broken(cause.into())),
            Err(late) => Err(broken(late.into())),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let mut names: Vec<String> = Vec::new();
        let mut next = None;
        while names.len() < limit {
            let wanted = i32::try_from(limit - names.len()).map_or(LIST_PAGE, |left| left.min(LIST_PAGE));
            let request = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(self.key(prefix))
                .set_start_after(after.map(|name| self.key(name)))
                .set_continuation_token(next.take())
                .max_keys(wanted);
            let page = request.send().await.map_err(|error| failed("LIST", &self.location(prefix), error))?;
            let keys = page.contents().iter().filter_map(|object| object.key());
            let found = keys.filter_map(|key| key.strip_prefix(&self.prefix));
            names.extend(found.filter(|name| after != Some(*name)).map(str::to_owned));
            next = page.next_continuation_token().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        names.truncate(limit);
        Ok(names)
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        object::check_name(name)?;
        let request = self.client.delete_object().bucket(&self.bucket).key(self.key(name));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed("DELETE", &self.location(name), error)),
        }
    }

    async fn save(&self, name: &str, file: &Path) -> Result<bool, StoreError> {
        object::check_name(name)?;
        self.save_to(name, file).await
    }

    fn body(&self, name: &str) -> Result<Body, StoreError> {
        object::check_name(name)?;
        let endpoint = self.settings.endpoint.clone();
        Ok(Body::Remote(Remote { endpoint, bucket: self.bucket.clone(), key: self.key(name) }))
    }

    async fn presign(&self, name: &str, from: SystemTime, lasts: Duration) -> Result<Presigned, StoreError> {
        object::check_name(name)?;
        self.presigned(name, from, lasts).await
    }

    fn location(&self, name: &str) -> String {
        format!("s3://{}/{}", self.bucket, self.key(name))
    }
}
