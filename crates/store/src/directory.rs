//! A store in a directory, for one machine or a shared volume.
//!
//! Objects are plain files under their names, so that any program can read them. What a file cannot
//! say is kept apart:
//!
//! ```text
//! <root>/<name>                           the object
//! <root>/.pictor/meta/<name>.meta.json    its content type and metadata
//! <root>/.pictor/tmp/                     files being written; leftovers harm nobody
//! <root>/.pictor/lock/                    64 lock files, each for the names that hash to it
//! ```
//!
//! A writer fsyncs a temporary file, takes the lock of the name, writes the metadata, then links the
//! file to its name: an object that is visible is whole and has its own metadata, whoever else writes
//! and whoever is killed. Replacing is less strict: a kill between its two renames leaves the old bytes
//! with the new metadata.

mod disk;
mod list;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use pictor_common::store::{Body, NewObject, Presigned, Put, Store, StoreError, StoredObject};
use tokio::sync::Semaphore;

use crate::{object, unavailable, unsupported};
use disk::Disk;

/// More threads in fsync at once gain nothing and take the blocking pool from others.
const AT_ONCE: usize = 16;

/// Keeps objects as files below a directory.
#[derive(Clone, Debug)]
pub struct DirectoryStore {
    disk: Arc<Disk>,
    slots: Arc<Semaphore>,
}

impl DirectoryStore {
    /// Opens a directory, creating it when it is missing.
    ///
    /// # Errors
    /// The directory cannot be created or written.
    pub async fn open(root: &Path) -> Result<Self, StoreError> {
        let root = root.to_owned();
        let disk = run(move || Disk::open(root)).await?;
        Ok(Self { disk: Arc::new(disk), slots: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Where an object lies, or would lie.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.disk.object(name)
    }

    async fn on_disk<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Disk) -> Result<T, StoreError> + Send + 'static,
    {
        let slot = Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed");
        let disk = Arc::clone(&self.disk);
        run(move || {
            // A caller that is dropped does not stop the thread, which keeps its slot.
            let _slot = slot;
            work(&disk)
        })
        .await
    }
}

async fn run<T, F>(work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(gone) => Err(unavailable("the thread that served the store ended early".to_owned(), gone.into())),
    }
}

#[async_trait]
impl Store for DirectoryStore {
    async fn put_if_absent(&self, object: NewObject) -> Result<Put, StoreError> {
        object::check(&object)?;
        self.on_disk(move |disk| disk.create(&object)).await
    }

    async fn put(&self, object: NewObject) -> Result<(), StoreError> {
        object::check(&object)?;
        self.on_disk(move |disk| disk.replace(&object)).await
    }

    async fn head(&self, name: &str) -> Result<Option<StoredObject>, StoreError> {
        object::check_name(name)?;
        let name = name.to_owned();
        self.on_disk(move |disk| disk.head(&name)).await
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        object::check_name(name)?;
        let name = name.to_owned();
        self.on_disk(move |disk| disk.read(&name)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.on_disk(move |disk| disk.list(&prefix, after.as_deref(), limit)).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        object::check_name(name)?;
        let name = name.to_owned();
        self.on_disk(move |disk| disk.remove(&name)).await
    }

    async fn save(&self, name: &str, file: &Path) -> Result<bool, StoreError> {
        object::check_name(name)?;
        let (name, file) = (name.to_owned(), file.to_owned());
        self.on_disk(move |disk| disk.save(&name, &file)).await
    }

    fn body(&self, name: &str) -> Result<Body, StoreError> {
        object::check_name(name)?;
        Ok(Body::File(self.path(name)))
    }

    async fn presign(
        &self,
        _name: &str,
        _from: SystemTime,
        _lasts: Duration,
    ) -> Result<Presigned, StoreError> {
        Err(unsupported(format!("files in {} have no URL that could be signed", self.location(""))))
    }

    fn location(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}
