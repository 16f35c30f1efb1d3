//! What decides an image.

use serde::{Deserialize, Deserializer, Serialize};

/// What is asked of the image API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// A new image from a prompt.
    #[default]
    Generate,
    /// A changed image from input images and a prompt.
    Edit,
    /// Another version of one input image, without a prompt.
    Variation,
}

impl Operation {
    /// The word used in specs, routes and the catalogue.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Edit => "edit",
            Self::Variation => "variation",
        }
    }
}

/// Everything that decides an image, and nothing else.
///
/// Account, tenant, file name, safety identifier, partial images and timeouts are
/// outside on purpose: they do not change the picture. Absent fields mean the
/// default that is frozen with the key version (see [`crate::asset_key`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spec {
    /// What is asked of the API.
    #[serde(deserialize_with = "null_is_absent")]
    pub operation: Operation,
    /// Model id as the API names it.
    pub model: String,
    /// The words; absent for variations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// SHA-256 (hex) of each input image, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_absent")]
    pub inputs: Vec<String>,
    /// SHA-256 (hex) of the mask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
    /// SHA-256 (hex) of the markup drawn over the first input image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub markup: Option<String>,
    /// `WIDTHxHEIGHT` in pixels, or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// `low`, `medium`, `high`, `xhigh`, `max`, `auto`, `standard` or `hd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
    /// `vivid` or `natural`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<String>,
    /// `transparent`, `opaque` or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
    /// `png`, `jpeg`, `webp`, `gif` or `svg`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// 0–100, for JPEG and WebP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<u8>,
    /// `auto` or `low`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moderation: Option<String>,
    /// `high` or `low`, for edits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_fidelity: Option<String>,
    /// `low`, `medium` or `high`: planning effort.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complexity: Option<String>,
    /// Frames of a GIF, 2–16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_count: Option<u32>,
    /// Duration of each GIF frame in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_duration_ms: Option<u32>,
    /// Model that writes an SVG.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub svg_model: Option<String>,
    /// Reasoning effort of the model that writes an SVG.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub svg_effort: Option<String>,
    /// Asks the model not to rewrite the prompt.
    #[serde(skip_serializing_if = "std::ops::Not::not", deserialize_with = "null_is_absent")]
    pub verbatim: bool,
    /// Which of several images of one prompt: 0, 1, 2 …
    #[serde(deserialize_with = "null_is_absent")]
    pub take: u32,
}

/// Reads `null` as absent, which is the same to the asset key.
fn null_is_absent<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Names of the spec fields a manifest may set, in the order they are documented.
pub const MANIFEST_FIELDS: &[&str] = &[
    "operation",
    "model",
    "prompt",
    "size",
    "quality",
    "style",
    "background",
    "format",
    "compression",
    "moderation",
    "input_fidelity",
    "complexity",
    "frame_count",
    "frame_duration_ms",
    "svg_model",
    "svg_effort",
    "verbatim",
    "take",
];

impl Spec {
    /// Width and height in pixels, where the size is not `auto` or absent.
    #[must_use]
    pub fn dimensions(&self) -> Option<(u32, u32)> {
        let (width, height) = self.size.as_deref()?.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?))
    }

    /// File extension of the asked format.
    #[must_use]
    pub fn extension(&self) -> &str {
        match self.format.as_deref() {
            Some("jpeg") => "jpg",
            Some(other) => other,
            None => "png",
        }
    }
}
