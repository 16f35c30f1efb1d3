//! The seam behind which images are kept.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;

use crate::{AssetKey, Spec};

/// What is written: bytes in memory, a file that is already complete on disk, or an object to copy.
#[derive(Clone, Debug)]
pub enum Body {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A complete file on the local disk.
    File(PathBuf),
    /// An object that the server of the store copies by itself. A server without conditional copies
    /// decides `put_if_absent` by a look beforehand.
    Remote(Remote),
}

/// An object in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// URL of the server; none for Amazon's own.
    pub endpoint: Option<String>,
    /// The bucket.
    pub bucket: String,
    /// The key in the bucket, prefix included.
    pub key: String,
}

/// A URL that lets anybody read one object for a while; whoever has it needs no other right.
#[derive(Clone, Debug)]
pub struct Presigned {
    /// The URL.
    pub url: SecretString,
    /// Signed with credentials that may end before the URL does, and end it with them.
    pub temporary: bool,
}

/// An object about to be written.
#[derive(Clone, Debug)]
pub struct NewObject {
    /// Name below the store's prefix, with `/` between parts.
    pub name: String,
    /// The content.
    pub body: Body,
    /// MIME type.
    pub content_type: String,
    /// ASCII names (lower case, digits, `-`) and ASCII values; 2 KiB in all at most.
    pub metadata: BTreeMap<String, String>,
}

/// What a store knows of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Name below the store's prefix.
    pub name: String,
    /// Length in bytes.
    pub length: u64,
    /// MIME type, where the store keeps one.
    pub content_type: Option<String>,
    /// Metadata given when it was written.
    pub metadata: BTreeMap<String, String>,
}

/// How a conditional write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// This call wrote the object.
    Created,
    /// An object of that name stood there already and was left as it is.
    Exists(StoredObject),
}

/// What kind of failure a store reports, so that callers can decide to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Away, slow, throttled or broken for now: try again.
    Unavailable,
    /// Credentials or permissions are wrong: a person must act.
    Denied,
    /// The bucket, directory or object does not exist.
    NotFound,
    /// The request itself can never succeed.
    Invalid,
    /// No room is left.
    Full,
    /// A store of this kind cannot do it, on this object or at all.
    Unsupported,
}

impl StoreErrorKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Unavailable, Self::Denied, Self::NotFound, Self::Invalid, Self::Full, Self::Unsupported];

    /// Its name, for machines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::Full => "full",
            Self::Unsupported => "unsupported",
        }
    }
}

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What a caller may branch on.
    pub kind: StoreErrorKind,
    /// What was tried, on what, and what the store answered; no secrets.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Keeps objects under names. All operations are safe to repeat.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Writes an object unless one of that name exists; atomic under any number of writers,
    /// and never leaves a partial object visible.
    ///
    /// `Exists` may be this caller's own object, when the answer to an earlier try was lost: compare
    /// its metadata before calling anything lost.
    async fn put_if_absent(&self, object: NewObject) -> Result<Put, StoreError>;

    /// Writes an object, replacing what stood there.
    async fn put(&self, object: NewObject) -> Result<(), StoreError>;

    /// Looks an object up without reading it; `None` when there is none.
    ///
    /// S3 answers the same when the bucket does not exist, which `list` and the writes tell.
    async fn head(&self, name: &str) -> Result<Option<StoredObject>, StoreError>;

    /// Reads an object whole; `None` when there is none.
    async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError>;

    /// Lists up to `limit` names that start with `prefix` and come after `after`.
    ///
    /// The order is that of bytes, but some S3 servers list a folder whole where the folder stands.
    /// Either way, going on after the last name of a page neither skips nor repeats a name. Fewer
    /// names than `limit` are the end. A bucket or directory that is missing is `NotFound`.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError>;

    /// Removes an object; removing what is not there succeeds.
    async fn delete(&self, name: &str) -> Result<(), StoreError>;

    /// Writes an object into a new file; `false` when there is no such object. A file that was begun is
    /// left to the caller.
    async fn save(&self, name: &str, file: &Path) -> Result<bool, StoreError>;

    /// What another store can write an object from, without a look whether it exists. A store that
    /// cannot reach it answers `Unsupported`: then `get` or `save` it first.
    fn body(&self, name: &str) -> Result<Body, StoreError>;

    /// Makes a URL from which anybody can read an object from `from` on, for as long as it `lasts`.
    /// Does not look whether the object exists. Directories are `Unsupported`.
    async fn presign(&self, name: &str, from: SystemTime, lasts: Duration) -> Result<Presigned, StoreError>;

    /// Says where an object is, for people: `s3://bucket/prefix/name` or a path.
    fn location(&self, name: &str) -> String;
}

/// Name of an asset's image; depends on the spec alone.
#[must_use]
pub fn image_name(key: &AssetKey, spec: &Spec) -> String {
    format!("assets/{}/{key}.{}", &key.as_str()[..2], spec.extension())
}

/// Name of the JSON beside an image.
#[must_use]
pub fn sidecar_name(key: &AssetKey) -> String {
    format!("assets/{}/{key}.json", &key.as_str()[..2])
}

/// Name under which undecodable bytes that were paid for are kept.
#[must_use]
pub fn rejected_name(key: &AssetKey, token: &str) -> String {
    format!("rejected/{key}-{token}.bin")
}
