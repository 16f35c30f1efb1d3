//! Fetches an image from the store, with what lies beside it, and makes its small picture.

use std::{sync::Arc, thread};

use pictor_common::{
    AssetKey, Spec,
    batch::Made,
    stamp::Stamp,
    store::{Store, StoreError, StoreErrorKind, sidecar_name},
};
use pictor_worker::thumbnail::{NoThumbnail, Thumbnail, thumbnail};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::{card::Card, full::FullImages};
use crate::commands::results::pages::Item;

/// Larger than any image that a model makes; nothing of more bytes is read.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// KiB of images that are in memory at once, as they lie in the store.
const ROOM: usize = 128 * 1024;

/// The picture of a card.
#[derive(Debug)]
pub(super) enum Picture {
    Small(Thumbnail),
    /// There is no image, and nothing to say of it.
    None,
    /// The image is of a kind that is not made small.
    Unseen(String),
    /// The store does not have the image.
    Missing,
    /// It does not decode.
    Broken(String),
    /// The store did not give it.
    Away(String),
}

impl Picture {
    /// Why there is no picture of an image that was made.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Small(_) | Self::None => None,
            Self::Unseen(why) => Some(why.clone()),
            Self::Missing => Some("the store does not have it any more: pictor verify tells more".to_owned()),
            Self::Broken(why) => Some(why.clone()),
            Self::Away(why) => Some(format!("the store did not give it: {why}")),
        }
    }
}

/// Makes the cards of a page.
#[derive(Debug)]
pub(super) struct Pictures {
    store: Arc<dyn Store>,
    side: u32,
    pub(super) full: FullImages,
    /// KiB of images that may still be read.
    room: Semaphore,
    /// As many are decoded at once as there are cores.
    decoders: Semaphore,
}

/// What is read of the JSON beside an image.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Beside {
    spec: Option<Spec>,
    made: Option<Made>,
}

impl Pictures {
    pub(super) fn new(store: Arc<dyn Store>, side: u32, full: FullImages) -> Self {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { store, side, full, room: Semaphore::new(ROOM), decoders: Semaphore::new(cores) }
    }

    /// The card of an image and its picture. An error is one that the other images would meet too.
    pub(super) async fn card(&self, item: Item) -> anyhow::Result<(Card, Picture)> {
        let mut card = Card::of(&item);
        let Some(made) = &item.state.made else { return Ok((card, Picture::None)) };
        let picture = match self.fetched(&item.key, made, &mut card).await {
            Ok(picture) => picture,
            Err(error) => match error.kind {
                StoreErrorKind::NotFound => Picture::Missing,
                StoreErrorKind::Invalid => Picture::Broken(error.to_string()),
                StoreErrorKind::Unavailable
                | StoreErrorKind::Denied
                | StoreErrorKind::Full
                | StoreErrorKind::Unsupported => Picture::Away(error.to_string()),
            },
        };
        card.problem = picture.problem();
        if !matches!(picture, Picture::Missing) {
            self.full.link(&*self.store, &made.object, &mut card).await?;
        }
        Ok((card, picture))
    }

    async fn fetched(&self, key: &AssetKey, made: &Made, card: &mut Card) -> Result<Picture, StoreError> {
        let Some(object) = self.store.head(&made.object).await? else { return Ok(Picture::Missing) };
        if let Some(stamp) = Stamp::of(&object) {
            card.came(&stamp.made);
        }
        self.add_beside(key, card).await;
        if object.length > MOST_BYTES {
            return Ok(Picture::Broken(format!(
                "the object has {} bytes, more than any image",
                object.length
            )));
        }
        let kib = u32::try_from(object.length / 1024 + 1).unwrap_or(u32::MAX);
        let _room = self.room.acquire_many(kib).await;
        let Some(bytes) = self.store.get(&made.object).await? else { return Ok(Picture::Missing) };
        let side = self.side;
        let decoding = self.decoders.acquire().await;
        let made = tokio::task::spawn_blocking(move || thumbnail(&bytes, side)).await;
        drop(decoding);
        Ok(match made {
            Ok(Ok(small)) => Picture::Small(small),
            Ok(Err(why @ NoThumbnail::Unsupported(_))) => Picture::Unseen(why.to_string()),
            Ok(Err(why @ NoThumbnail::Undecodable(_))) => Picture::Broken(why.to_string()),
            Err(_died) => Picture::Broken("the decoder failed on it".to_owned()),
        })
    }

    /// The prompt, and the revised one whole. Where the JSON is missing, the card says less.
    async fn add_beside(&self, key: &AssetKey, card: &mut Card) {
        let read = self.store.get(&sidecar_name(key)).await;
        let beside = match read {
            Ok(bytes) => bytes.and_then(|bytes| serde_json::from_slice::<Beside>(&bytes).ok()),
            Err(error) => {
                tracing::debug!(%error, "what lies beside an image is not told");
                None
            }
        };
        let Some(Beside { spec, made }) = beside else { return };
        if let Some(spec) = &spec {
            card.asked(spec);
        }
        if let Some(made) = &made {
            card.came(made);
        }
    }
}
