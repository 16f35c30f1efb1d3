//! A store in memory, for what is archived and for images.

use std::{
    collections::BTreeMap,
    ops::Bound,
    path::Path,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use pictor_common::store::{Body, NewObject, Presigned, Put, Store, StoreError, StoredObject};

/// What an object holds, and its metadata.
type Object = (Bytes, BTreeMap<String, String>);

#[derive(Debug, Default)]
pub(crate) struct MemoryStore(Mutex<BTreeMap<String, Object>>);

#[async_trait::async_trait]
impl Store for MemoryStore {
    async fn put_if_absent(&self, object: NewObject) -> Result<Put, StoreError> {
        let bytes = match object.body {
            Body::Bytes(bytes) => bytes,
            Body::File(path) => std::fs::read(path).unwrap().into(),
            Body::Remote(_) => panic!("an archive is not copied"),
        };
        let mut objects = self.0.lock().unwrap();
        if let Some(there) = objects.get(&object.name) {
            let (name, length) = (object.name, there.0.len() as u64);
            return Ok(Put::Exists(StoredObject {
                name,
                length,
                content_type: None,
                metadata: BTreeMap::new(),
            }));
        }
        objects.insert(object.name, (bytes, object.metadata));
        Ok(Put::Created)
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.lock().unwrap().get(name).map(|(bytes, _)| bytes.clone()))
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let objects = self.0.lock().unwrap();
        let from = Bound::Excluded(after.unwrap_or_default().to_owned());
        let names = objects.range((from, Bound::Unbounded)).map(|(name, _)| name);
        Ok(names.filter(|name| name.starts_with(prefix)).take(limit).cloned().collect())
    }

    fn location(&self, name: &str) -> String {
        format!("memory:{name}")
    }

    async fn put(&self, _: NewObject) -> Result<(), StoreError> {
        panic!("a segment is never replaced")
    }

    async fn head(&self, name: &str) -> Result<Option<StoredObject>, StoreError> {
        let objects = self.0.lock().unwrap();
        Ok(objects.get(name).map(|(bytes, metadata)| StoredObject {
            name: name.to_owned(),
            length: bytes.len() as u64,
            content_type: None,
            metadata: metadata.clone(),
        }))
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        assert!(!name.starts_with("archive/"), "what is archived is never removed");
        self.0.lock().unwrap().remove(name);
        Ok(())
    }

    async fn save(&self, _: &str, _: &Path) -> Result<bool, StoreError> {
        panic!("an archive does not ask that")
    }

    fn body(&self, _: &str) -> Result<Body, StoreError> {
        panic!("an archive does not ask that")
    }

    async fn presign(&self, _: &str, _: SystemTime, _: Duration) -> Result<Presigned, StoreError> {
        panic!("an archive does not ask that")
    }
}
