//! Where Pictor keeps images: S3 and directories.
//!
//! Both keep the promises of [`pictor_common::store::Store`]; a test runs one contract over both.

mod directory;
mod object;
mod public;
mod s3;

use std::{path::Path, sync::Arc};

use pictor_common::store::{Store, StoreError, StoreErrorKind};

pub use directory::DirectoryStore;
pub use public::PublicBase;
pub use s3::{Checksums, S3Settings, S3Store, Sse};

/// Opens the store that a URL names: `s3://bucket/prefix`, `file:///path`, or a path.
///
/// A directory is created when it is missing. For S3 nothing is sent yet, so that a worker can start
/// while its store is away; `list("", None, 1)` tells whether bucket and credentials are right.
///
/// # Errors
/// The URL or the settings cannot work, or the directory cannot be used.
pub async fn open(url: &str, settings: &S3Settings) -> Result<Arc<dyn Store>, StoreError> {
    if let Some(rest) = url.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        return Ok(Arc::new(S3Store::open(bucket, prefix, settings).await?));
    }
    if url.starts_with("file:") {
        // A URL library would quietly read `file:images` as `/images`.
        let parsed = url.starts_with("file:///").then(|| url::Url::parse(url).ok()).flatten();
        let path = parsed.and_then(|parsed| parsed.to_file_path().ok());
        let path = path.ok_or_else(|| invalid(format!("{url:?} names no local path: write file:///path")))?;
        return Ok(Arc::new(DirectoryStore::open(&path).await?));
    }
    if let Some((scheme, _)) = url.split_once("://") {
        return Err(invalid(format!("no store is known for {scheme}:// : use s3://bucket/prefix or a path")));
    }
    if url.is_empty() {
        return Err(invalid("the store has no name: use s3://bucket/prefix or a path".to_owned()));
    }
    Ok(Arc::new(DirectoryStore::open(Path::new(url)).await?))
}

fn invalid(message: String) -> StoreError {
    StoreError { kind: StoreErrorKind::Invalid, message, source: None }
}

fn unsupported(message: String) -> StoreError {
    StoreError { kind: StoreErrorKind::Unsupported, message, source: None }
}

fn unavailable(message: String, source: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError { kind: StoreErrorKind::Unavailable, message, source: Some(source) }
}
