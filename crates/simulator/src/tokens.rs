//! Tokens and money of one picture, by the published tables and formulas.

use crate::{
    models::{Model, Price, TokenRule},
    seed::Seed,
    sizes::Size,
    validate::ImageRequest,
};

/// Tokens of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) text_input: u64,
    /// Of all its pictures.
    pub(crate) image_output: u64,
}

/// What a request cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    /// Absent where the model is priced per picture.
    pub(crate) usage: Option<Usage>,
    /// Micro-USD of each picture; the first carries the prompt.
    pub(crate) micro_usd: Vec<u64>,
}

/// Output tokens of one picture before any variation.
pub(crate) fn output_tokens(rule: &TokenRule, quality: usize, size: Size) -> u64 {
    let (width, height) = (u64::from(size.width), u64::from(size.height));
    match rule {
        TokenRule::Table(table) => {
            let shape = usize::from(height > width) + 2 * usize::from(width > height);
            table.get(quality).and_then(|row| row.get(shape)).copied().unwrap_or(0)
        }
        TokenRule::Grid(grids) => {
            let grid = grids.get(quality).copied().unwrap_or(0);
            let ratio = width.max(height) as f64 / width.min(height) as f64;
            let short = (grid as f64 / ratio).round_ties_even() as u64;
            (grid * short * (2_000_000 + width * height)).div_ceil(4_000_000)
        }
    }
}

/// Tokens of a prompt, about.
fn text_tokens(prompt: &str) -> u64 {
    (prompt.chars().count() as u64).div_ceil(4).max(1)
}

/// Tokens that are expected of a request before it is generated; none where pictures have a price each.
pub(crate) fn expected(request: &ImageRequest) -> u64 {
    match &request.model.price {
        Price::DallE2 | Price::DallE3 => 0,
        Price::Tokens { rule, .. } => {
            let picture = output_tokens(rule, request.model.quality_index(request.quality), request.size);
            text_tokens(&request.prompt) + picture * request.count as u64
        }
    }
}

/// Charges a request of `count` equal pictures; the seed varies their tokens by up to `vary_percent`.
pub(crate) fn charge(
    model: &Model,
    quality: &str,
    size: Size,
    prompt: &str,
    count: usize,
    vary_percent: f64,
    seed: &mut Seed,
) -> Charge {
    let per_picture = |micro_usd| Charge { usage: None, micro_usd: vec![micro_usd; count] };
    match &model.price {
        Price::DallE2 => per_picture(match size.width {
            256 => 16_000,
            512 => 18_000,
            _ => 20_000,
        }),
        Price::DallE3 => per_picture(match (quality, size == Size::SQUARE) {
            ("hd", true) | ("standard", false) => 80_000,
            ("hd", false) => 120_000,
            _ => 40_000,
        }),
        Price::Tokens { text_input, image_output, rule } => {
            let plain = output_tokens(rule, model.quality_index(quality), size);
            let text = text_tokens(prompt);
            let outputs: Vec<u64> = (0..count)
                .map(|_| {
                    (plain as f64 * (1.0 + seed.between(-vary_percent, vary_percent) / 100.0)).round() as u64
                })
                .collect();
            let micro_usd = outputs.iter().enumerate().map(|(index, output)| {
                let input = if index == 0 { text } else { 0 };
                input * text_input + output * image_output
            });
            Charge {
                usage: Some(Usage { text_input: text, image_output: outputs.iter().sum() }),
                micro_usd: micro_usd.collect(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models;

    #[test]
    fn formula_gives_the_published_table() {
        let model = models::find("gpt-image-2.5-flare").unwrap();
        let Price::Tokens { rule, .. } = &model.price else { panic!("priced per token") };
        for (quality, row) in [
            ("low", [196, 158, 397, 371]),
            ("medium", [439, 343, 892, 865]),
            ("high", [1756, 1372, 3568, 3336]),
            ("xhigh", [3122, 2459, 6343, 5930]),
            ("max", [7024, 5488, 14272, 13342]),
        ] {
            for (size, expected) in ["1024x1024", "1536x1024", "2048x2048", "3840x2160"].iter().zip(row) {
                let size = size.parse().unwrap();
                assert_eq!(
                    output_tokens(rule, model.quality_index(quality), size),
                    expected,
                    "{quality} {size}"
                );
            }
        }
    }

    #[test]
    fn charges_published_prices() {
        for (model, quality, size, cents_hundredths) in [
            ("dall-e-2", "standard", "256x256", 160),
            ("dall-e-3", "standard", "1024x1024", 400),
            ("dall-e-3", "hd", "1024x1792", 1200),
            ("gpt-image-1", "low", "1024x1024", 110),
            ("gpt-image-1", "high", "1024x1536", 2500),
            ("gpt-image-1-mini", "medium", "1024x1024", 110),
            ("gpt-image-1.5", "high", "1536x1024", 2000),
            ("gpt-image-2", "high", "1024x1024", 2110),
            ("gpt-image-2", "medium", "1536x1024", 410),
        ] {
            let found = models::find(model).unwrap();
            let size = size.parse().unwrap();
            let charge = charge(found, quality, size, "x", 1, 0.0, &mut Seed::numbered(0, 0));
            let difference = charge.micro_usd[0].abs_diff(cents_hundredths * 100);
            assert!(difference <= 1400, "{model} {quality} {size}: {charge:?}");
        }
    }

    #[test]
    fn variation_stays_within_its_bounds_and_repeats() {
        let model = models::find("gpt-image-2").unwrap();
        let once = |seed| charge(model, "high", Size::SQUARE, "x", 10, 10.0, &mut Seed::numbered(seed, 0));
        assert_eq!(once(1), once(1));
        assert_ne!(once(1), once(2));
        assert!(once(3).micro_usd[1..].iter().all(|cost| (6321 * 30..=7727 * 30).contains(cost)));
    }
}
