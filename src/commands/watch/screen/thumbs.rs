//! Small pictures of images, made outside of what draws, one at a time.

use std::{io::Cursor, sync::Arc};

use anyhow::Context as _;
use image::{ImageReader, Limits, RgbImage};
use pictor_common::{queue::LatestImage, store::Store};
use tokio::sync::{OnceCell, Semaphore};

use crate::{config::Settings, parts};

/// Pixels of a small picture, each way.
const SIDE: u32 = 160;
/// Larger files are not looked at.
const MOST_BYTES: u64 = 32 << 20;
const MOST_PIXELS: u32 = 8_192;
const MOST_MEMORY: u64 = 256 << 20;

/// What is shown of an image.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Thumb {
    Coming,
    Picture(RgbImage),
    /// Why there is none.
    Without(String),
}

/// Fetches images and makes them small.
#[derive(Clone)]
pub(super) struct Thumbs {
    settings: Arc<Settings>,
    store: Arc<OnceCell<Arc<dyn Store>>>,
    one: Arc<Semaphore>,
}

impl Thumbs {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: Arc::new(settings.clone()), store: Arc::default(), one: Arc::new(Semaphore::new(1)) }
    }

    pub(super) async fn of(&self, image: &LatestImage) -> Thumb {
        match self.picture(image).await {
            Ok(picture) => Thumb::Picture(picture),
            Err(error) => Thumb::Without(super::words::shown(&format!("{error:#}"))),
        }
    }

    async fn picture(&self, image: &LatestImage) -> anyhow::Result<RgbImage> {
        anyhow::ensure!(image.made.bytes <= MOST_BYTES, "too large to preview");
        let _turn = self.one.acquire().await?;
        let open = || async {
            let url = parts::store_url(&self.settings, None);
            parts::open_store(&self.settings, url).await
        };
        let store = self.store.get_or_try_init(open).await?;
        let bytes = store.get(&image.made.object).await?.context("it is not in the store")?;
        anyhow::ensure!(bytes.len() as u64 <= MOST_BYTES, "too large to preview");
        tokio::task::spawn_blocking(move || small(&bytes)).await?
    }
}

fn small(bytes: &[u8]) -> anyhow::Result<RgbImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_PIXELS);
    limits.max_image_height = Some(MOST_PIXELS);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    Ok(reader.decode()?.thumbnail(SIDE, SIDE).to_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_becomes_small_and_what_is_none_says_so() {
        let mut file = Cursor::new(Vec::new());
        let large = RgbImage::from_pixel(400, 200, image::Rgb([200, 30, 30]));
        large.write_to(&mut file, image::ImageFormat::Png).unwrap();
        let picture = small(file.get_ref()).unwrap();
        assert_eq!((picture.dimensions(), picture.get_pixel(5, 5).0), ((160, 80), [200, 30, 30]));
        assert!(small(b"not an image").is_err());
        let cut = &file.get_ref()[..file.get_ref().len() / 2];
        assert!(small(cut).is_err());
    }
}
