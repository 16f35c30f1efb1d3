//! The models served: what each accepts and costs.

use serde::Serialize;
use serde_json::{Value, json};

/// Models that share a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) enum Family {
    #[serde(rename = "dall-e-2")]
    DallE2,
    #[serde(rename = "dall-e-3")]
    DallE3,
    #[serde(rename = "gpt-image")]
    GptImage,
}

/// Which sizes a model draws.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sizes {
    Listed(&'static [&'static str]),
    /// Any within the rules of GPT Image 2.
    Free,
}

/// How many output tokens a picture takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TokenRule {
    /// Low, medium, high; for square, portrait, landscape.
    Table([[u64; 3]; 3]),
    /// The published formula; the grid's longer edge for each quality the model has.
    Grid(&'static [u64]),
}

/// What a picture costs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Price {
    /// DALL·E 2, by size.
    DallE2,
    /// DALL·E 3, by size and quality.
    DallE3,
    /// Micro-USD per token: dollars per million tokens.
    Tokens { text_input: u64, image_output: u64, rule: TokenRule },
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) id: &'static str,
    pub(crate) family: Family,
    pub(crate) created: u64,
    pub(crate) shutdown_date: Option<&'static str>,
    pub(crate) sizes: Sizes,
    /// Qualities from the cheapest.
    pub(crate) qualities: &'static [&'static str],
    /// The quality where none, or `auto`, is asked.
    pub(crate) default_quality: &'static str,
    pub(crate) prompt_max: usize,
    pub(crate) complexity: bool,
    pub(crate) price: Price,
    /// Median latency in milliseconds, one per quality.
    pub(crate) latency_ms: &'static [u64],
}

impl Model {
    pub(crate) fn is_gpt(&self) -> bool {
        self.family == Family::GptImage
    }

    /// The place of a quality in the model's list.
    pub(crate) fn quality_index(&self, quality: &str) -> usize {
        self.qualities.iter().position(|known| *known == quality).unwrap_or(0)
    }

    pub(crate) fn describe(&self) -> Value {
        json!({
            "id": self.id,
            "object": "model",
            "created": self.created,
            "owned_by": "system",
            "shutdown_date": self.shutdown_date,
        })
    }
}

pub(crate) fn find(id: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.id == id)
}

const GPT_1_SIZES: Sizes = Sizes::Listed(&["1024x1024", "1024x1536", "1536x1024"]);
const THREE: &[&str] = &["low", "medium", "high"];
const FIVE: &[&str] = &["low", "medium", "high", "xhigh", "max"];
const GPT_1_TOKENS: TokenRule = TokenRule::Table([[272, 408, 400], [1056, 1584, 1568], [4160, 6240, 6208]]);
/// The published prices of the small model, at its price per token.
const GPT_1_MINI_TOKENS: TokenRule =
    TokenRule::Table([[625, 750, 750], [1375, 1875, 1875], [4500, 6500, 6500]]);

const fn gpt_1(
    id: &'static str,
    shutdown_date: &'static str,
    price: Price,
    latency_ms: &'static [u64],
) -> Model {
    Model {
        id,
        family: Family::GptImage,
        created: 1_745_000_000,
        shutdown_date: Some(shutdown_date),
        sizes: GPT_1_SIZES,
        qualities: THREE,
        default_quality: "high",
        prompt_max: 32_000,
        complexity: false,
        price,
        latency_ms,
    }
}

const fn gpt_2_5(id: &'static str, latency_ms: &'static [u64]) -> Model {
    let rule = TokenRule::Grid(&[16, 24, 48, 64, 96]);
    Model {
        id,
        family: Family::GptImage,
        created: 1_788_825_600,
        shutdown_date: None,
        sizes: Sizes::Free,
        qualities: FIVE,
        default_quality: "medium",
        prompt_max: 32_000,
        complexity: false,
        price: Price::Tokens { text_input: 5, image_output: 30, rule },
        latency_ms,
    }
}

const fn gpt_2_6(id: &'static str, latency_ms: &'static [u64]) -> Model {
    Model { created: 1_793_750_400, complexity: true, ..gpt_2_5(id, latency_ms) }
}

const fn tokens(text_input: u64, image_output: u64, rule: TokenRule) -> Price {
    Price::Tokens { text_input, image_output, rule }
}

pub(crate) static MODELS: [Model; 10] = [
    Model {
        id: "dall-e-2",
        family: Family::DallE2,
        created: 1_698_798_177,
        shutdown_date: Some("2026-05-12"),
        sizes: Sizes::Listed(&["256x256", "512x512", "1024x1024"]),
        qualities: &["standard"],
        default_quality: "standard",
        prompt_max: 1_000,
        complexity: false,
        price: Price::DallE2,
        latency_ms: &[7_000],
    },
    Model {
        id: "dall-e-3",
        family: Family::DallE3,
        created: 1_698_785_189,
        shutdown_date: Some("2026-05-12"),
        sizes: Sizes::Listed(&["1024x1024", "1024x1792", "1792x1024"]),
        qualities: &["standard", "hd"],
        default_quality: "standard",
        prompt_max: 4_000,
        complexity: false,
        price: Price::DallE3,
        latency_ms: &[12_000, 20_000],
    },
    gpt_1("gpt-image-1", "2026-10-23", tokens(5, 40, GPT_1_TOKENS), &[12_000, 22_000, 45_000]),
    gpt_1("gpt-image-1-mini", "2026-12-01", tokens(2, 8, GPT_1_MINI_TOKENS), &[8_000, 14_000, 28_000]),
    gpt_1("gpt-image-1.5", "2026-12-01", tokens(5, 32, GPT_1_TOKENS), &[10_000, 16_000, 32_000]),
    Model {
        created: 1_776_729_600,
        qualities: THREE,
        price: tokens(5, 30, TokenRule::Grid(&[16, 48, 96])),
        ..gpt_2_5("gpt-image-2", &[23_000, 48_100, 154_700])
    },
    gpt_2_5("gpt-image-2.5-flare", &[10_400, 13_800, 18_100, 26_700, 45_600]),
    gpt_2_5("gpt-image-2.5-sunburst", &[15_700, 18_100, 29_900, 46_700, 85_000]),
    gpt_2_6("gpt-image-2.6-flare", &[7_000, 9_200, 12_000, 17_800, 30_400]),
    gpt_2_6("gpt-image-2.6-sunburst", &[10_500, 12_100, 19_900, 31_100, 56_700]),
];
