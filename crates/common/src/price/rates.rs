//! What tokens cost on one day.

use jiff::civil::Date;

use super::{Terms, Unpriced, Usage, unpriced};
use crate::{
    MicroUsd,
    catalogue::{self, Model, Price},
};

/// Micro-USD for 1,000,000 tokens of each kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    text_input: MicroUsd,
    cached_text_input: MicroUsd,
    image_input: MicroUsd,
    cached_image_input: MicroUsd,
    image_output: MicroUsd,
    text_output: MicroUsd,
}

impl Rates {
    /// Those in force.
    pub(super) fn on(model: &Model, terms: Terms) -> Result<Self, Unpriced> {
        Self::of(model, terms, |price| price.on(terms.day).map(|step| step.usd.0))
    }

    /// The dearest from that day on that are known.
    pub(super) fn most_since(model: &Model, terms: Terms) -> Result<Self, Unpriced> {
        Self::of(model, terms, |price| price.most_since(terms.day))
    }

    /// Without a rate of their own, cached tokens cost as much as others.
    fn of(
        model: &Model,
        terms: Terms,
        amount: impl Fn(&Price) -> Option<MicroUsd>,
    ) -> Result<Self, Unpriced> {
        let through = if terms.batch_api { "tokens through the provider's batch API" } else { "tokens" };
        let rates = dated(model, terms).ok_or_else(|| unpriced(model, through.to_owned()))?;
        let needed = |price: &Price| {
            amount(price).ok_or_else(|| unpriced(model, format!("{through} on {}", terms.day)))
        };
        let optional = |price: &Option<Price>| price.as_ref().and_then(&amount);
        let (text_input, image_input) = (needed(&rates.text_input)?, needed(&rates.image_input)?);
        Ok(Self {
            text_input,
            cached_text_input: optional(&rates.cached_text_input).unwrap_or(text_input),
            image_input,
            cached_image_input: optional(&rates.cached_image_input).unwrap_or(image_input),
            image_output: needed(&rates.image_output)?,
            text_output: optional(&rates.text_output).unwrap_or_default(),
        })
    }

    /// The price of a usage, to the nearest micro-USD.
    pub(super) fn cost(&self, usage: &Usage) -> MicroUsd {
        let nearest = self.millionths(usage).saturating_add(500_000) / 1_000_000;
        MicroUsd(nearest.try_into().unwrap_or(u64::MAX))
    }

    /// The price of a usage, up to the next micro-USD.
    pub(super) fn cost_up(&self, usage: &Usage) -> MicroUsd {
        MicroUsd(self.millionths(usage).div_ceil(1_000_000).try_into().unwrap_or(u64::MAX))
    }

    /// No more can be cached than was read.
    fn millionths(&self, usage: &Usage) -> u128 {
        let cached_text = usage.cached_text_input.min(usage.text_input);
        let cached_image = usage.cached_image_input.min(usage.image_input);
        [
            (usage.text_input - cached_text, self.text_input),
            (cached_text, self.cached_text_input),
            (usage.image_input - cached_image, self.image_input),
            (cached_image, self.cached_image_input),
            (usage.image_output, self.image_output),
            (usage.text_output, self.text_output),
        ]
        .into_iter()
        .map(|(tokens, rate)| u128::from(tokens) * u128::from(rate.0))
        .fold(0, u128::saturating_add)
    }
}

/// The latest day on which one of the rates of a plain request began.
pub(super) fn since(model: &Model, terms: Terms) -> Option<Date> {
    let rates = dated(model, terms)?;
    let used = [&rates.text_input, &rates.image_output];
    used.into_iter().filter_map(|price| price.on(terms.day)?.from).max()
}

fn dated(model: &Model, terms: Terms) -> Option<&catalogue::Rates> {
    if terms.batch_api { model.per_token_batch() } else { model.per_token() }
}
