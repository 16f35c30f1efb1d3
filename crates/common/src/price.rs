//! What a request is expected to cost, can cost at most, and did cost.

mod rates;
mod terms;
mod tokens;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{
    MicroUsd, Spec,
    catalogue::{Model, Price},
};

pub use terms::{NotADay, Terms};

/// Days of the month that estimates of a month reckon with.
pub const DAYS_OF_A_MONTH: u64 = 30;

/// What a model that is priced per image makes where nothing is asked.
pub const DEFAULT_QUALITY: &str = "standard";

/// What a model that is priced per image makes where nothing is asked.
pub const DEFAULT_SIZE: &str = "1024x1024";

/// The cost of one request, or of many, before they are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// What it will most likely cost.
    pub expected: MicroUsd,
    /// The most it can cost; this is what is reserved.
    pub ceiling: MicroUsd,
    /// Tokens it is expected to use; 0 where the model is priced per image.
    pub tokens: u64,
}

impl Estimate {
    /// So many of them, exactly; none where that is more than can be counted.
    #[must_use]
    pub fn times(self, count: u64) -> Option<Self> {
        Some(Self {
            expected: MicroUsd(self.expected.0.checked_mul(count)?),
            ceiling: MicroUsd(self.ceiling.0.checked_mul(count)?),
            tokens: self.tokens.checked_mul(count)?,
        })
    }

    /// Both together; none where that is more than can be counted.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            expected: MicroUsd(self.expected.0.checked_add(other.expected.0)?),
            ceiling: MicroUsd(self.ceiling.0.checked_add(other.ceiling.0)?),
            tokens: self.tokens.checked_add(other.tokens)?,
        })
    }
}

/// Token counts as the API reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Text tokens of the prompt.
    pub text_input: u64,
    /// Tokens of input images.
    pub image_input: u64,
    /// Tokens of the image made.
    pub image_output: u64,
    /// Text tokens written by the model.
    pub text_output: u64,
    /// Those of `text_input` that the provider had cached.
    pub cached_text_input: u64,
    /// Those of `image_input` that the provider had cached.
    pub cached_image_input: u64,
}

/// Tokens of one request before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// What it will most likely use.
    pub expected: Usage,
    /// The most it can use.
    pub most: Usage,
}

impl Usage {
    /// All of them, as limits per minute count them; an API may claim any number.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        let input = self.text_input.saturating_add(self.image_input);
        input.saturating_add(self.image_output).saturating_add(self.text_output)
    }
}

/// Why a spec has no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("model {model} has no price for {what}; set one in the catalogue")]
pub struct Unpriced {
    /// The model.
    pub model: String,
    /// Quality and size that have no price.
    pub what: String,
}

/// Estimates one request at the prices of a day.
///
/// What waits may be sent later, so the ceiling takes the dearest price from that day on that is known.
pub fn estimate(model: &Model, spec: &Spec, terms: Terms) -> Result<Estimate, Unpriced> {
    if model.per_token().is_some() {
        return tokens::estimate(model, spec, terms);
    }
    let (price, what) = of_image(model, spec, terms)?;
    let today = price.on(terms.day).zip(price.most_since(terms.day));
    let (step, most) = today.ok_or_else(|| unpriced(model, format!("{what} on {}", terms.day)))?;
    Ok(Estimate { expected: step.usd.0, ceiling: most, tokens: 0 })
}

/// The first day on which what a request is expected to cost was that; none where the catalogue does not say.
#[must_use]
pub fn since(model: &Model, spec: &Spec, terms: Terms) -> Option<Date> {
    if model.per_token().is_some() {
        return rates::since(model, terms);
    }
    of_image(model, spec, terms).ok()?.0.on(terms.day)?.from
}

/// Tokens of one request; none where the model is priced per image.
pub fn counted(model: &Model, spec: &Spec) -> Result<Option<Counted>, Unpriced> {
    model.per_token().map(|_| tokens::counted(model, spec)).transpose()
}

/// The cost of a finished request at the prices of its day: by its usage where the API reported one and the
/// model is priced per token, else by the price list.
///
/// Where neither is exact, since no usage came back and the model chose size or quality itself or
/// its token table is an estimate, the ceiling is charged: what was spent is never understated.
pub fn actual(model: &Model, spec: &Spec, usage: Option<&Usage>, terms: Terms) -> Result<MicroUsd, Unpriced> {
    let reported = usage.filter(|usage| usage.image_output > 0);
    if let (Some(_), Some(usage)) = (model.per_token(), reported) {
        return Ok(rates::Rates::on(model, terms)?.cost(usage) + tokens::svg_extra(model, spec)?);
    }
    let estimate = estimate(model, spec, terms)?;
    let chosen_by_model = |asked: &Option<String>| matches!(asked.as_deref(), None | Some("auto"));
    let guessed =
        chosen_by_model(&spec.quality) || chosen_by_model(&spec.size) || !model.ceiling_grid.is_empty();
    Ok(if model.per_token().is_some() && guessed { estimate.ceiling } else { estimate.expected })
}

/// What a month costs at so many images a day; none where that is more than can be counted.
#[must_use]
pub fn monthly(each: Estimate, images_per_day: u64, days: u64) -> Option<Estimate> {
    each.times(images_per_day.checked_mul(days)?)
}

/// The price of an image that has one, and what it is of.
fn of_image<'m>(model: &'m Model, spec: &Spec, terms: Terms) -> Result<(&'m Price, String), Unpriced> {
    let quality = spec.quality.as_deref().unwrap_or(DEFAULT_QUALITY);
    let size = spec.size.as_deref().unwrap_or(DEFAULT_SIZE);
    let (prices, through) = if terms.batch_api {
        (model.per_image_batch(), " through the provider's batch API")
    } else {
        (model.per_image(), "")
    };
    let what = format!("{quality} {size}{through}");
    match prices.get(quality).and_then(|sizes| sizes.get(size)) {
        Some(price) => Ok((price, what)),
        None => Err(unpriced(model, what)),
    }
}

fn unpriced(model: &Model, what: String) -> Unpriced {
    Unpriced { model: model.id.clone(), what }
}

#[cfg(test)]
mod tests;
