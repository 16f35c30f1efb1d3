//! What the fallback of a batch offers for an asset that its own model cannot make.

use pictor_common::{
    AssetKey, Spec,
    batch::{NewAsset, Route},
    catalogue::Catalogue,
    price::{self, Terms},
    queue::{Attempt, Ended, Offer, Parted, Unmade},
    stamp::Stamp,
    store::image_name,
};
use tracing::{info, warn};

use crate::engine::{Engine, wall_ms};

impl Engine {
    /// Records an attempt after which other models may make the asset, waiting out Redis and the store.
    pub(crate) async fn part_until_done(&self, attempt: &Attempt, unmade: &Unmade<'_>, spec: &Spec) {
        let mut offers = Vec::new();
        let mut tries = 0;
        loop {
            match self.queue.part(attempt, unmade, &offers).await {
                Ok(Parted::Ended(ended)) => {
                    self.metrics.ended(attempt, unmade, ended);
                    if ended == Ended::Substituted {
                        info!(key = %attempt.key, model = attempt.model, "left to another model");
                    }
                    return;
                }
                Ok(Parted::Wants(models)) => {
                    for model in models {
                        offers.push(self.offer(model, spec).await);
                    }
                }
                Err(error) => {
                    if tries == 0 {
                        warn!(%error, key = %attempt.key, "cannot record a failed attempt yet: waiting for Redis");
                    }
                    Self::pause(&mut tries).await;
                }
            }
        }
    }

    /// What a model would make of a spec; the store may have it already, though Redis does not know it.
    async fn offer(&self, model: String, spec: &Spec) -> Offer {
        let Some(mut asset) = asset_of(&self.catalogue, &model, spec, Terms::at_ms(wall_ms())) else {
            warn!(model, "this worker's catalogue does not let the fallback make it; it stays failed");
            return Offer { model, asset: None };
        };
        let name = image_name(&asset.key, &asset.spec);
        let mut tries = 0;
        loop {
            match self.store.head(&name).await {
                Ok(object) => {
                    asset.made = object.as_ref().and_then(Stamp::of).map(|stamp| stamp.made);
                    return Offer { model, asset: Some(asset) };
                }
                Err(error) => {
                    if tries == 0 {
                        warn!(%error, name, "cannot look for the fallback's image yet: waiting for the store");
                    }
                    Self::pause(&mut tries).await;
                }
            }
        }
    }
}

/// The asset of another model, with the same wishes; none where that model is unknown or would refuse them.
fn asset_of(catalogue: &Catalogue, model: &str, spec: &Spec, terms: Terms) -> Option<NewAsset> {
    let spec = Spec { model: model.to_owned(), ..spec.clone() };
    let model = catalogue.model(model).filter(|model| model.check(&spec).is_empty())?;
    let estimate = price::estimate(model, &spec, terms).ok()?;
    Some(NewAsset {
        key: AssetKey::of(&spec),
        route: Route::new(&model.family, spec.operation),
        ceiling: estimate.ceiling,
        tokens: estimate.tokens,
        made: None,
        spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_asset_has_key_price_and_route_of_its_own_model() {
        let catalogue = Catalogue::embedded();
        let spec = Spec {
            model: "dall-e-3".to_owned(),
            prompt: Some("a mug".to_owned()),
            size: Some("1024x1024".to_owned()),
            take: 2,
            ..Spec::default()
        };
        let terms = Terms::at_ms(1_795_219_200_000);
        let other = asset_of(&catalogue, "dall-e-2", &spec, terms).unwrap();
        let expected = Spec { model: "dall-e-2".to_owned(), ..spec.clone() };
        assert_eq!((&other.key, &other.spec), (&AssetKey::of(&expected), &expected));
        assert_eq!((other.route.as_str(), other.ceiling.0, other.tokens), ("dall-e-2.generate", 20_000, 0));
        let mini = asset_of(&catalogue, "gpt-image-1-mini", &spec, terms).unwrap();
        assert!(
            mini.tokens > 0 && mini.ceiling.0 > 0 && mini.route.as_str() == "gpt-image.generate",
            "{mini:?}"
        );
        let vivid = Spec { style: Some("vivid".to_owned()), ..spec.clone() };
        assert_eq!(asset_of(&catalogue, "dall-e-2", &vivid, terms), None);
        assert_eq!(asset_of(&catalogue, "nobody", &spec, terms), None);
    }
}
