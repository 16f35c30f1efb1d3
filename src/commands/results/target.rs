//! Where images are laid out: a directory or a bucket.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use pictor_common::{
    AssetKey,
    batch::Made,
    stamp::Stamp,
    store::{Body, NewObject, Put, Store, StoreError, StoreErrorKind, StoredObject},
};

use super::{
    folder::{Folder, sha256},
    guard::local,
};
use crate::{config::Settings, exit::refused, parts};

/// An image to be put under a name.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) name: String,
    pub(super) key: AssetKey,
    pub(super) made: Made,
    pub(super) overwrite: bool,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Laid {
    Copied,
    Linked,
    /// The same image is there already.
    There,
    /// It is not there, though others may be: why.
    Refused(String),
}

impl Laid {
    pub(super) fn differs(place: &str) -> Self {
        Self::Refused(format!("{place} is there and differs; --overwrite replaces it"))
    }
}

/// A directory or a bucket.
#[derive(Debug)]
pub(super) enum Target {
    Folder(Arc<Folder>),
    Bucket(Arc<dyn Store>),
}

impl Target {
    /// Opens a place; nothing is written yet.
    pub(super) async fn open(settings: &Settings, store: &str, to: &str, link: bool) -> anyhow::Result<Self> {
        let in_bucket = to.starts_with("s3://");
        if link && (in_bucket || store.starts_with("s3://")) {
            return Err(refused(
                "--link: only files can be linked; leave it out to copy from or to a bucket",
            ));
        }
        if in_bucket {
            let store = parts::open_answering_store(settings, to).await;
            return store.map(Self::Bucket).map_err(|error| match error.downcast_ref::<StoreError>() {
                Some(cause) if cause.kind == StoreErrorKind::Invalid => {
                    refused(format!("--to {to}: {cause}"))
                }
                _ => error,
            });
        }
        if to.is_empty() || (to.contains("://") && !to.starts_with("file:///")) {
            return Err(refused(format!("--to {to:?}: write s3://bucket/prefix or a directory")));
        }
        Ok(Self::Folder(Arc::new(Folder::new(local(to), link))))
    }

    /// The bucket's store; a directory here is none.
    pub(super) fn store(&self) -> Option<&dyn Store> {
        match self {
            Self::Folder(_) => None,
            Self::Bucket(store) => Some(&**store),
        }
    }

    /// Whether names that differ in case are one on some systems.
    pub(super) const fn folds_case(&self) -> bool {
        matches!(self, Self::Folder(_))
    }

    pub(super) fn location(&self, name: &str) -> String {
        match self {
            Self::Folder(folder) => folder.path(name).display().to_string(),
            Self::Bucket(store) => store.location(name),
        }
    }

    /// Makes ready to write.
    pub(super) async fn begin(&self) -> anyhow::Result<()> {
        match self {
            Self::Folder(folder) => Arc::clone(folder).begin().await,
            Self::Bucket(_) => Ok(()),
        }
    }

    /// Clears up.
    pub(super) async fn end(&self) {
        if let Self::Folder(folder) = self {
            Arc::clone(folder).end().await;
        }
    }

    /// What a person should know of how it went.
    pub(super) fn warning(&self) -> Option<String> {
        match self {
            Self::Folder(folder) => folder.warning(),
            Self::Bucket(_) => None,
        }
    }

    /// Puts an image under its name. An error is one that the other images would meet too.
    pub(super) async fn put(&self, store: &dyn Store, mut order: Order) -> anyhow::Result<Laid> {
        if order.made.digest.is_empty()
            && let Err(error) = learn_digest(store, &mut order.made).await
        {
            return own(error).map_err(Into::into);
        }
        let body = match store.body(&order.made.object) {
            Ok(body) => body,
            Err(error) => return own(error).map_err(Into::into),
        };
        match self {
            Self::Folder(folder) => Arc::clone(folder).put(store, body, order).await,
            Self::Bucket(bucket) => {
                let place = bucket.location(&order.name);
                let put = into_bucket(&**bucket, store, body, &order).await;
                put.or_else(own).with_context(|| format!("cannot put an image at {place}"))
            }
        }
    }
}

/// Redis keeps no digests of images: the object itself says it.
async fn learn_digest(store: &dyn Store, made: &mut Made) -> Result<(), StoreError> {
    let object = store.head(&made.object).await?;
    if let Some(stamp) = object.as_ref().and_then(Stamp::of) {
        made.digest = stamp.made.digest;
        return Ok(());
    }
    // Copied there by other means, without what Pictor writes beside it.
    if let Some(bytes) = store.get(&made.object).await? {
        made.digest = sha256(&mut bytes.as_ref()).unwrap_or_default();
    }
    Ok(())
}

/// Tells what is wrong with one image from what would stop them all.
pub(super) fn own(error: StoreError) -> Result<Laid, StoreError> {
    match error.kind {
        StoreErrorKind::NotFound => Ok(Laid::Refused(format!("the store no longer has it: {error}"))),
        StoreErrorKind::Invalid => Ok(Laid::Refused(error.to_string())),
        StoreErrorKind::Unavailable
        | StoreErrorKind::Denied
        | StoreErrorKind::Full
        | StoreErrorKind::Unsupported => Err(error),
    }
}

async fn into_bucket(
    bucket: &dyn Store,
    store: &dyn Store,
    body: Body,
    order: &Order,
) -> Result<Laid, StoreError> {
    let made = &order.made;
    let standing = bucket.head(&order.name).await?;
    if let Some(found) = &standing {
        if same(bucket, found, made).await? {
            return Ok(Laid::There);
        }
        if !order.overwrite {
            return Ok(Laid::differs(&bucket.location(&order.name)));
        }
    }
    // Customers may see an object's metadata: neither cost nor prompt are among them.
    let metadata = BTreeMap::from([
        ("digest".to_owned(), made.digest.clone()),
        ("key".to_owned(), order.key.to_string()),
    ]);
    let content_type =
        if made.content_type.is_empty() { "application/octet-stream" } else { made.content_type.as_str() };
    let object =
        NewObject { name: order.name.clone(), body, content_type: content_type.to_owned(), metadata };
    let put = match write(bucket, object.clone(), standing.is_some()).await {
        // Another server: the bytes come by here, as many at once as images are on their way.
        Err(error) if error.kind == StoreErrorKind::Unsupported => match store.get(&made.object).await? {
            Some(bytes) => {
                write(bucket, NewObject { body: Body::Bytes(bytes), ..object }, standing.is_some()).await?
            }
            None => return Ok(Laid::Refused(format!("the store no longer has {}", made.object))),
        },
        put => put?,
    };
    match put {
        Put::Created => Ok(Laid::Copied),
        // Another delivery came first.
        Put::Exists(found) if same(bucket, &found, made).await? => Ok(Laid::There),
        Put::Exists(_) => Ok(Laid::differs(&bucket.location(&order.name))),
    }
}

async fn write(bucket: &dyn Store, object: NewObject, replace: bool) -> Result<Put, StoreError> {
    if replace { bucket.put(object).await.map(|()| Put::Created) } else { bucket.put_if_absent(object).await }
}

/// Whether an object is the image; one that somebody else put there is read.
async fn same(bucket: &dyn Store, found: &StoredObject, made: &Made) -> Result<bool, StoreError> {
    if found.length != made.bytes {
        return Ok(false);
    }
    if let Some(digest) = found.metadata.get("digest") {
        return Ok(*digest == made.digest);
    }
    let bytes = bucket.get(&found.name).await?;
    Ok(bytes.is_some_and(|bytes| sha256(&mut bytes.as_ref()).is_ok_and(|digest| digest == made.digest)))
}
