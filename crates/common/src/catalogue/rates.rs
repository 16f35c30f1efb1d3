//! What a model costs, as the catalogue describes it: per image or per token, standard and batch.

use jiff::civil::Date;
use serde::Deserialize;

use super::{ByQualityAndSize, Model, Price};
use crate::MicroUsd;

/// An amount written in a catalogue as text, so that it is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Dollars(pub MicroUsd);

impl TryFrom<String> for Dollars {
    type Error = crate::money::NotMoney;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// Prices of 1,000,000 tokens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Of the prompt.
    pub text_input: Price,
    /// Of the prompt where the provider had it cached.
    pub cached_text_input: Option<Price>,
    /// Of input images.
    pub image_input: Price,
    /// Of input images where the provider had them cached.
    pub cached_image_input: Option<Price>,
    /// Of the image made.
    pub image_output: Price,
    /// Of text the model writes; none where that is not billed.
    pub text_output: Option<Price>,
}

impl Rates {
    /// All that there are, by the names a catalogue gives them.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Price)> {
        [
            ("text_input", Some(&self.text_input)),
            ("cached_text_input", self.cached_text_input.as_ref()),
            ("image_input", Some(&self.image_input)),
            ("cached_image_input", self.cached_image_input.as_ref()),
            ("image_output", Some(&self.image_output)),
            ("text_output", self.text_output.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, price)| Some((name, price?)))
    }

    fn begin(&mut self, day: Date) -> Result<(), String> {
        let always = [&mut self.text_input, &mut self.image_input, &mut self.image_output];
        let others = [&mut self.cached_text_input, &mut self.cached_image_input, &mut self.text_output];
        always.into_iter().chain(others.into_iter().flatten()).try_for_each(|price| price.begin(day))
    }
}

impl Model {
    /// Whether anything it makes has a price.
    #[must_use]
    pub fn is_priced(&self) -> bool {
        !self.per_image.is_empty() || self.per_token.is_some()
    }

    /// Prices by quality and size; empty where the model is priced per token.
    #[must_use]
    pub const fn per_image(&self) -> &ByQualityAndSize<Price> {
        &self.per_image
    }

    /// The same through the provider's batch API; empty where it has none.
    #[must_use]
    pub const fn per_image_batch(&self) -> &ByQualityAndSize<Price> {
        &self.per_image_batch
    }

    /// Prices of tokens, where the model is priced by them.
    #[must_use]
    pub const fn per_token(&self) -> Option<&Rates> {
        self.per_token.as_ref()
    }

    /// Prices of tokens through the provider's batch API, where it has one.
    #[must_use]
    pub const fn per_token_batch(&self) -> Option<&Rates> {
        self.per_token_batch.as_ref()
    }

    /// The first day after this one on which any of its prices changes, by what is known today.
    #[must_use]
    pub fn prices_change_after(&self, day: Date) -> Option<Date> {
        let images = [&self.per_image, &self.per_image_batch].into_iter().flat_map(|by| by.values());
        let images = images.flat_map(|sizes| sizes.values());
        let rates = [&self.per_token, &self.per_token_batch].into_iter().flatten();
        let rates = rates.flat_map(|rates| rates.named().map(|(_, price)| price));
        images.chain(rates).filter_map(|price| price.changes_after(day)).min()
    }

    /// Dates every price that has no day of its own by `priced_from` and `batch_priced_from`.
    pub(super) fn date_prices(&mut self) -> Result<(), String> {
        for (day, per_image, per_token) in [
            (self.priced_from, &mut self.per_image, &mut self.per_token),
            (self.batch_priced_from, &mut self.per_image_batch, &mut self.per_token_batch),
        ] {
            let Some(day) = day else { continue };
            per_image.values_mut().flat_map(|sizes| sizes.values_mut()).try_for_each(|p| p.begin(day))?;
            per_token.iter_mut().try_for_each(|rates| rates.begin(day))?;
        }
        Ok(())
    }
}
