//! One model as the catalogue describes it.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{Dollars, Price, Rates, Retirement, SizeRule, size};
use crate::{batch::check_name, spec::Operation};

/// Something that depends on quality, then size.
pub type ByQualityAndSize<T> = BTreeMap<String, BTreeMap<String, T>>;

/// One model.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Id as the API names it.
    #[serde(skip)]
    pub id: String,
    /// Family: models that share a limit, such as `gpt-image`; part of the route.
    pub family: String,
    /// What it can be asked.
    pub operations: Vec<Operation>,
    pub(super) sizes: Vec<String>,
    pub(super) size_rule: Option<SizeRule>,
    pub(crate) auto_sizes: Vec<String>,
    pub(super) qualities: Vec<String>,
    pub(super) styles: Vec<String>,
    pub(super) backgrounds: Vec<String>,
    pub(super) formats: Vec<String>,
    pub(super) compression: bool,
    pub(super) moderations: Vec<String>,
    pub(super) complexities: Vec<String>,
    pub(super) input_fidelities: Vec<String>,
    pub(super) max_inputs: usize,
    pub(super) mask: bool,
    pub(super) markup: bool,
    pub(super) verbatim: bool,
    pub(super) prompt_limit: usize,
    max_n: u32,
    response_format: ResponseFormat,
    limits: Limits,
    seconds: u64,
    timeout_seconds: u64,
    released: Option<jiff::civil::Date>,
    pub(super) retires: BTreeMap<String, Retirement>,
    pub(super) priced_from: Option<jiff::civil::Date>,
    pub(super) batch_priced_from: Option<jiff::civil::Date>,
    pub(super) per_image: ByQualityAndSize<Price>,
    pub(super) per_image_batch: ByQualityAndSize<Price>,
    pub(super) per_token: Option<Rates>,
    pub(super) per_token_batch: Option<Rates>,
    pub(crate) output_tokens: ByQualityAndSize<u64>,
    pub(crate) output_grid: BTreeMap<String, u64>,
    pub(crate) ceiling_grid: BTreeMap<String, u64>,
    pub(crate) ceiling_percent: Option<u64>,
    pub(crate) text_output_ceiling: u64,
    pub(crate) input_image: InputImage,
    pub(crate) svg_extra: Option<Dollars>,
}

/// Whether a request may say how the image comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResponseFormat {
    /// `response_format` is refused and must not be sent; answers are always base64.
    #[default]
    Never,
    /// `response_format` may be `url` or `b64_json`.
    Choose,
}

/// What the lowest paid tier allows per minute; `None` is no known limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests per minute.
    pub requests: Option<u64>,
    /// Images per minute.
    pub images: Option<u64>,
    /// Tokens per minute.
    pub tokens: Option<u64>,
}

/// Tokens of one input image, mask or markup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputImage {
    /// What it most likely takes.
    pub expected: u64,
    /// The most it can take.
    pub ceiling: u64,
    /// What high input fidelity adds.
    pub high_fidelity: u64,
}

impl Model {
    /// Sizes it makes; where [`Self::size_rule`] says more, the usual ones.
    #[must_use]
    pub fn sizes(&self) -> &[String] {
        &self.sizes
    }

    /// What any other size must keep to.
    #[must_use]
    pub const fn size_rule(&self) -> Option<&SizeRule> {
        self.size_rule.as_ref()
    }

    /// Qualities it takes.
    #[must_use]
    pub fn qualities(&self) -> &[String] {
        &self.qualities
    }

    /// Formats it makes. Where only `png` stands the API has no such parameter, and none is sent.
    #[must_use]
    pub fn formats(&self) -> &[String] {
        &self.formats
    }

    /// The most characters a prompt may have.
    #[must_use]
    pub const fn prompt_limit(&self) -> usize {
        self.prompt_limit
    }

    /// The most images the API makes in one request. Pictor asks for one.
    #[must_use]
    pub const fn max_n(&self) -> u32 {
        self.max_n
    }

    /// Whether `response_format` may be sent.
    #[must_use]
    pub const fn response_format(&self) -> ResponseFormat {
        self.response_format
    }

    /// Limits of this model's family where nothing better is known.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Default limits per minute of this model's family: requests, images. `None` is no known limit.
    #[must_use]
    pub const fn default_limits(&self) -> (Option<u64>, Option<u64>) {
        (self.limits.requests, self.limits.images)
    }

    /// How long one image typically takes, for forecasts.
    #[must_use]
    pub const fn latency(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// How long one request may take before it is given up as unknown.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// The day it could first be called (`YYYY-MM-DD`), where known.
    #[must_use]
    pub fn released(&self) -> Option<String> {
        self.released.map(|day| day.to_string())
    }

    /// Says what makes the description unusable.
    pub(super) fn validate(&self) -> Result<(), String> {
        check_name(&self.family).map_err(|e| format!("family: {e}"))?;
        let bad_size = |text: &&String| text.as_str() != "auto" && size::parse(text).is_none();
        let priced_sizes =
            self.per_image.values().chain(self.per_image_batch.values()).flat_map(BTreeMap::keys);
        let counted_sizes = self.output_tokens.values().flat_map(BTreeMap::keys);
        let mut sizes = self.sizes.iter().chain(&self.auto_sizes).chain(priced_sizes).chain(counted_sizes);
        if let Some(text) = sizes.find(bad_size) {
            return Err(format!("{text:?} is not a size such as 1024x1024"));
        }
        let tabled = !self.output_tokens.is_empty() || !self.output_grid.is_empty();
        let mut wrong = [
            (self.operations.is_empty(), "operations names none"),
            (self.sizes.is_empty(), "sizes names none"),
            (self.formats.is_empty(), "formats names none"),
            (self.prompt_limit == 0, "prompt_limit is missing"),
            (self.timeout_seconds == 0, "timeout_seconds is missing"),
            (self.size_rule.is_some_and(|rule| rule.multiple == 0), "size_rule.multiple is zero"),
            (self.per_token.is_some() && !tabled, "per_token needs output_tokens or output_grid"),
            (
                self.ceiling_percent.is_some_and(|p| !(100..=10_000).contains(&p)),
                "ceiling_percent is 100 to 10000",
            ),
            (
                self.output_grid.values().chain(self.ceiling_grid.values()).any(|g| *g > 10_000),
                "a grid is over 10000",
            ),
        ]
        .into_iter()
        .filter_map(|(is_wrong, why)| is_wrong.then_some(why));
        wrong.next().map_or(Ok(()), |why| Err(why.to_owned()))
    }
}
