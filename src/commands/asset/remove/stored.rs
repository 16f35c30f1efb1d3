//! What the store has of one asset: its image, the JSON beside it, what was derived, and bytes that were set aside.

use pictor_common::{
    AssetKey,
    batch::Made,
    derivative::folder,
    stamp::Stamp,
    store::{Store, StoreError, StoredObject, rejected_name, sidecar_name},
};

/// Names a call brings.
const PAGE: usize = 1_000;

/// What a look at the store found.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) images: Vec<StoredObject>,
    pub(super) sidecar: Option<String>,
    /// Undecodable or damaged bytes that were paid for.
    pub(super) set_aside: Vec<String>,
    pub(super) derived: Vec<String>,
    /// Where the asset's own names begin.
    own: Vec<String>,
}

impl Stored {
    /// Looks for all of it; also for an image that was stored under a name of another kind.
    pub(super) async fn look(
        store: &dyn Store,
        key: &AssetKey,
        made: Option<&Made>,
    ) -> Result<Self, StoreError> {
        let sidecar = sidecar_name(key);
        let beside = sidecar.strip_suffix("json").unwrap_or(&sidecar).to_owned();
        let rejected = rejected_name(key, "");
        let rejected = rejected.strip_suffix(".bin").unwrap_or(&rejected).to_owned();
        let mut found = Self {
            set_aside: listed(store, &rejected).await?,
            derived: listed(store, &folder(key)).await?,
            ..Self::default()
        };
        let mut names = listed(store, &beside).await?;
        if let Some(place) = names.iter().position(|name| *name == sidecar) {
            found.sidecar = Some(names.swap_remove(place));
        }
        let elsewhere = made.map(|made| &made.object).filter(|object| !object.is_empty());
        let elsewhere = elsewhere.filter(|name| !names.contains(name) && !found.set_aside.contains(name));
        names.extend(elsewhere.cloned());
        for name in names {
            found.images.extend(store.head(&name).await?);
        }
        found.own = vec![sidecar, folder(key)];
        Ok(found)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names().next().is_none()
    }

    /// All names, that of the image first: who derives from it finds nothing any more.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let images = self.images.iter().map(|image| &image.name);
        images.chain(&self.sidecar).chain(&self.set_aside).chain(&self.derived).cloned()
    }

    /// Whether an image is one that was seen, or the same bytes written once more by who made it.
    pub(super) fn has(&self, image: &StoredObject) -> bool {
        let token = |object: &StoredObject| Stamp::of(object).map(|stamp| stamp.attempt.token);
        let same = |seen: &StoredObject| {
            seen.name == image.name
                && (seen == image || token(seen).is_some_and(|seen| token(image) == Some(seen)))
        };
        self.images.iter().any(same)
    }

    /// Whether something that is there now may go: what was seen, and what can be made again.
    pub(super) fn may_delete(&self, name: &str) -> bool {
        self.names().any(|seen| seen == *name) || self.own.iter().any(|own| name.starts_with(own))
    }
}

async fn listed(store: &dyn Store, prefix: &str) -> Result<Vec<String>, StoreError> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let page = store.list(prefix, names.last().map(String::as_str), PAGE).await?;
        let is_last = page.len() < PAGE;
        names.extend(page);
        if is_last {
            return Ok(names);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pictor_common::{
        MicroUsd, Spec,
        queue::Attempt,
        store::{Body, NewObject},
    };

    use super::*;

    fn stamp(key: &AssetKey, token: &str, at_ms: u64) -> Stamp {
        let attempt = Attempt {
            key: key.clone(),
            token: token.to_owned(),
            attempt: 1,
            payer: "b".to_owned(),
            tenant: String::new(),
            lane: "acme.x".to_owned(),
            model: "m".to_owned(),
            request_id: None,
        };
        Stamp { attempt, made: Made { cost: MicroUsd(1), at_ms, ..Made::default() } }
    }

    async fn put(store: &dyn Store, name: &str, metadata: BTreeMap<String, String>) {
        let (body, content_type) = (Body::Bytes(name.to_owned().into()), "image/png".to_owned());
        store.put(NewObject { name: name.to_owned(), body, content_type, metadata }).await.unwrap();
    }

    #[tokio::test]
    async fn an_image_that_came_meanwhile_is_another_and_what_is_not_its_own_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let store = pictor_store::DirectoryStore::open(dir.path()).await.unwrap();
        let key = AssetKey::of(&Spec::default());
        let image = format!("assets/{}/{key}.png", &key.as_str()[..2]);
        put(&store, &image, stamp(&key, "w-1", 5).to_metadata()).await;
        for name in [sidecar_name(&key), rejected_name(&key, "w-0"), folder_of(&key)] {
            put(&store, &name, BTreeMap::new()).await;
        }
        let neighbour = AssetKey::of(&Spec { take: 1, ..Spec::default() });
        for name in [sidecar_name(&neighbour), rejected_name(&neighbour, "w-0"), folder_of(&neighbour)] {
            put(&store, &name, BTreeMap::new()).await;
        }
        let seen = Stored::look(&store, &key, None).await.unwrap();
        assert_eq!(seen.names().count(), 4);
        assert!(seen.names().all(|name| name.contains(key.as_str())));

        put(&store, &image, stamp(&key, "w-1", 9).to_metadata()).await;
        put(&store, &rejected_name(&key, "w-2"), BTreeMap::new()).await;
        let same = Stored::look(&store, &key, None).await.unwrap();
        assert!(seen.has(&same.images[0]), "its worker wrote the same once more");
        assert!(
            !seen.may_delete(&rejected_name(&key, "w-2")) && seen.may_delete(&rejected_name(&key, "w-0"))
        );
        assert!(seen.may_delete(&format!("{}8w-png.v1.png", folder(&key))), "what can be derived again");

        put(&store, &image, stamp(&key, "w-2", 9).to_metadata()).await;
        let other = Stored::look(&store, &key, None).await.unwrap();
        assert!(!seen.has(&other.images[0]), "somebody paid for it");
    }

    fn folder_of(key: &AssetKey) -> String {
        format!("{}32w-jpeg.v1.jpg", folder(key))
    }
}
