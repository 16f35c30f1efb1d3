//! What a request is expected to cost, can cost at most, and did cost.

mod tokens;

use serde::{Deserialize, Serialize};

use crate::{MicroUsd, Spec, catalogue::Model};

/// The cost of one request before it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// What it will most likely cost.
    pub expected: MicroUsd,
    /// The most it can cost; this is what is reserved.
    pub ceiling: MicroUsd,
    /// Tokens it is expected to use; 0 where the model is priced per image.
    pub tokens: u64,
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
}

impl Usage {
    /// All of them, as limits per minute count them.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.text_input + self.image_input + self.image_output + self.text_output
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

/// Estimates one request.
pub fn estimate(model: &Model, spec: &Spec) -> Result<Estimate, Unpriced> {
    if let Some(rates) = model.per_token() {
        return tokens::estimate(model, rates, spec);
    }
    let quality = spec.quality.as_deref().unwrap_or("standard");
    let size = spec.size.as_deref().unwrap_or("1024x1024");
    let price = model.per_image().get(quality).and_then(|sizes| sizes.get(size));
    let price = price.ok_or_else(|| unpriced(model, format!("{quality} {size}")))?.0;
    Ok(Estimate { expected: price, ceiling: price, tokens: 0 })
}

/// The cost of a finished request: by its usage where the API reported one and the model is
/// priced per token, else by the price list.
///
/// Where neither is exact, since no usage came back and the model chose size or quality itself or
/// its token table is an estimate, the ceiling is charged: what was spent is never understated.
pub fn actual(model: &Model, spec: &Spec, usage: Option<&Usage>) -> Result<MicroUsd, Unpriced> {
    let reported = usage.filter(|usage| usage.image_output > 0);
    if let (Some(rates), Some(usage)) = (model.per_token(), reported) {
        return Ok(tokens::cost(rates, usage) + tokens::svg_extra(model, spec)?);
    }
    let estimate = estimate(model, spec)?;
    let chosen_by_model = |asked: &Option<String>| matches!(asked.as_deref(), None | Some("auto"));
    let guessed =
        chosen_by_model(&spec.quality) || chosen_by_model(&spec.size) || !model.ceiling_grid.is_empty();
    Ok(if model.per_token().is_some() && guessed { estimate.ceiling } else { estimate.expected })
}

/// What a month of 30 days costs at so many images a day.
#[must_use]
pub const fn monthly(per_image: MicroUsd, images_per_day: u64) -> MicroUsd {
    per_image.times(images_per_day.saturating_mul(30))
}

fn unpriced(model: &Model, what: String) -> Unpriced {
    Unpriced { model: model.id.clone(), what }
}

#[cfg(test)]
mod tests;
