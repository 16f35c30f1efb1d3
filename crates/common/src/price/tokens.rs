//! Requests that are priced by the tokens they use.

use super::{Counted, Estimate, Terms, Unpriced, Usage, rates::Rates, unpriced};
use crate::{
    MicroUsd, Spec,
    catalogue::{Model, VERBATIM_PREAMBLE, sent_prompt_chars, size},
};

/// Text tokens billed beyond the prompt: users measured 32 with an input image, none without.
const FRAMING: u64 = 32;

/// Frames of a GIF whose spec names none.
const FRAMES: u64 = 9;

/// Estimates one request.
pub(super) fn estimate(model: &Model, spec: &Spec, terms: Terms) -> Result<Estimate, Unpriced> {
    let Counted { expected, most } = counted(model, spec)?;
    let extra = svg_extra(model, spec)?;
    Ok(Estimate {
        expected: Rates::on(model, terms)?.cost(&expected) + extra,
        ceiling: Rates::most_since(model, terms)?.cost_up(&most) + extra,
        tokens: expected.tokens(),
    })
}

/// Counts the tokens of one request.
///
/// A prompt takes about a token for four characters and never more than one a byte. Nothing is expected to be cached.
pub(super) fn counted(model: &Model, spec: &Spec) -> Result<Counted, Unpriced> {
    let output = output(model, spec)?;
    let images =
        (spec.inputs.len() + usize::from(spec.mask.is_some()) + usize::from(spec.markup.is_some())) as u64;
    let fidelity =
        if spec.input_fidelity.as_deref() == Some("high") { model.input_image.high_fidelity } else { 0 };
    let chars = sent_prompt_chars(spec) as u64;
    let preamble = if spec.verbatim { VERBATIM_PREAMBLE.len() } else { 0 };
    let bytes = (spec.prompt.as_ref().map_or(0, String::len) + preamble) as u64;
    let expected = Usage {
        text_input: chars.div_ceil(4) + if images > 0 { FRAMING } else { 0 },
        image_input: images.saturating_mul(model.input_image.expected + fidelity),
        image_output: output.expected,
        ..Usage::default()
    };
    let most = Usage {
        text_input: bytes + FRAMING,
        image_input: images
            .saturating_mul(model.input_image.ceiling.max(model.input_image.expected) + fidelity),
        image_output: output.ceiling,
        text_output: model.text_output_ceiling,
        ..Usage::default()
    };
    Ok(Counted { expected, most })
}

/// What the model that writes an SVG may add; an SVG has no price without it.
pub(super) fn svg_extra(model: &Model, spec: &Spec) -> Result<MicroUsd, Unpriced> {
    match (spec.format.as_deref(), model.svg_extra) {
        (Some("svg"), Some(extra)) => Ok(extra.0),
        (Some("svg"), None) => Err(unpriced(model, "format svg (svg_extra)".to_owned())),
        _ => Ok(MicroUsd::ZERO),
    }
}

struct Output {
    expected: u64,
    ceiling: u64,
}

/// Tokens of the image: `auto` is expected to be medium at 1024x1024, and may be the most
/// expensive quality at the most expensive size that `auto` can choose.
fn output(model: &Model, spec: &Spec) -> Result<Output, Unpriced> {
    let asked = |field: &Option<String>| field.clone().filter(|value| value != "auto");
    let (quality, size) = (asked(&spec.quality), asked(&spec.size));
    let likely = (quality.as_deref().unwrap_or("medium"), size.as_deref().unwrap_or("1024x1024"));
    let none = || unpriced(model, format!("{} {}", likely.0, likely.1));
    let expected = Table::Expected.tokens(model, likely.0, likely.1).ok_or_else(none)?;
    let qualities = quality.as_ref().map_or_else(|| qualities(model), |one| vec![one]);
    let sizes: Vec<&String> =
        size.as_ref().map_or_else(|| model.auto_sizes.iter().collect(), |one| vec![one]);
    let combinations = qualities.iter().flat_map(|quality| sizes.iter().map(move |size| (quality, size)));
    let most = combinations.filter_map(|(quality, size)| Table::Ceiling.tokens(model, quality, size)).max();
    let most = u128::from(most.unwrap_or(0).max(expected)) * u128::from(model.ceiling_percent.unwrap_or(100));
    let ceiling = u64::try_from(most.div_ceil(100)).unwrap_or(u64::MAX);
    let frames = match spec.format.as_deref() {
        Some("gif") => spec.frame_count.map_or(FRAMES, u64::from),
        _ => 1,
    };
    Ok(Output { expected: expected.saturating_mul(frames), ceiling: ceiling.saturating_mul(frames) })
}

fn qualities(model: &Model) -> Vec<&String> {
    model.output_grid.keys().chain(model.output_tokens.keys()).collect()
}

#[derive(Clone, Copy)]
enum Table {
    Expected,
    Ceiling,
}

impl Table {
    fn tokens(self, model: &Model, quality: &str, size: &str) -> Option<u64> {
        if model.output_grid.is_empty() {
            return model.output_tokens.get(quality)?.get(size).copied();
        }
        let expected = model.output_grid.get(quality).copied()?;
        let grid = match self {
            Self::Expected => expected,
            Self::Ceiling => model.ceiling_grid.get(quality).copied().unwrap_or(expected).max(expected),
        };
        let (width, height) = size::parse(size)?;
        Some(grid_tokens(grid, width, height))
    }
}

/// The published estimator: the long edge is cut into `grid` cells and the short edge in
/// proportion, rounded half to even; larger images take more tokens for each cell.
fn grid_tokens(grid: u64, width: u32, height: u32) -> u64 {
    let (long, short) = (u128::from(width.max(height)), u128::from(width.min(height)));
    let grid = u128::from(grid);
    let (cells, rest) = (grid * short / long, grid * short % long);
    let up = match (rest * 2).cmp(&long) {
        std::cmp::Ordering::Greater => 1,
        std::cmp::Ordering::Equal => cells % 2,
        std::cmp::Ordering::Less => 0,
    };
    let tokens = (grid * (cells + up) * (2_000_000 + long * short)).div_ceil(4_000_000);
    u64::try_from(tokens).unwrap_or(u64::MAX)
}
