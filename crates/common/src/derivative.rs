//! Derivatives: resized or re-encoded copies of an image, made locally and free.
//!
//! What one is, is said in a few words, `256x256 cover webp q80`. They are no part of the spec: an
//! image is bought once, whatever is derived from it.

mod geometry;
mod words;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use geometry::{Crop, Plan};
pub use words::NotWords;

use crate::AssetKey;

/// Longest side of a derivative, in pixels.
pub const MOST_SIDE: u32 = 8_192;
/// Pixels of a derivative that is made larger than its image, or filled up: 4096x4096.
pub const MOST_PIXELS: u32 = 4_096 * 4_096;
/// Derivatives of one image.
pub const MOST: usize = 16;
/// What the encoders are set to, beside what words say. Whoever changes the bytes they make raises it: the names of
/// derivatives hold it, so those of an older one stand beside the new.
pub const ENCODERS: u32 = 1;
/// Where all derivatives are.
pub const FOLDER: &str = "derivatives/";

/// The box a derivative has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// So many pixels across; down as the image is.
    Width(u32),
    /// So many pixels down; across as the image is.
    Height(u32),
    /// Inside this box, whole; with a colour, the rest of the box is filled with it.
    Contain(u32, u32),
    /// This box, filled: what does not fit is cut off on both sides alike.
    Cover(u32, u32),
}

/// What a derivative is encoded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Lossy WebP of a quality from 1 to 100.
    Webp(u8),
    /// JPEG of a quality from 1 to 100.
    Jpeg(u8),
    /// PNG.
    Png,
    /// AVIF of a quality from 1 to 100. Not every build makes it, but all know its words and names.
    Avif(u8),
}

impl Encoding {
    /// What its file names end with.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Webp(_) => "webp",
            Self::Jpeg(_) => "jpg",
            Self::Png => "png",
            Self::Avif(_) => "avif",
        }
    }

    /// Its MIME type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Webp(_) => "image/webp",
            Self::Jpeg(_) => "image/jpeg",
            Self::Png => "image/png",
            Self::Avif(_) => "image/avif",
        }
    }
}

/// What is derived from an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Derivative {
    /// How large it is.
    pub size: Size,
    /// What lies behind what is transparent, and fills a box around a contained image.
    pub background: Option<[u8; 3]>,
    /// What it is encoded as.
    pub encoding: Encoding,
    /// Whether a smaller image is made larger.
    pub upscale: bool,
    /// Whether EXIF data is kept.
    pub keep: bool,
}

impl Derivative {
    /// Where a derivative of an asset is: it depends on the key, the words and the settings of the encoders alone.
    #[must_use]
    pub fn name(&self, key: &AssetKey) -> String {
        format!("{}{}.v{ENCODERS}.{}", folder(key), self.slug(), self.encoding.extension())
    }

    /// The words as a file name has them.
    #[must_use]
    pub fn slug(&self) -> String {
        self.to_string().replace('#', "").replace(' ', "-")
    }
}

/// Where the derivatives of an asset are.
#[must_use]
pub fn folder(key: &AssetKey) -> String {
    format!("{FOLDER}{}/{key}/", &key.as_str()[..2])
}

impl fmt::Display for Derivative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.size {
            Size::Width(width) => write!(f, "{width}w")?,
            Size::Height(height) => write!(f, "{height}h")?,
            Size::Contain(width, height) => write!(f, "{width}x{height} contain")?,
            Size::Cover(width, height) => write!(f, "{width}x{height} cover")?,
        }
        if let Some([red, green, blue]) = self.background {
            write!(f, " #{red:02x}{green:02x}{blue:02x}")?;
        }
        match self.encoding {
            Encoding::Webp(quality) => write!(f, " webp q{quality}")?,
            Encoding::Jpeg(quality) => write!(f, " jpeg q{quality}")?,
            Encoding::Png => f.write_str(" png")?,
            Encoding::Avif(quality) => write!(f, " avif q{quality}")?,
        }
        let flags = [(self.upscale, " upscale"), (self.keep, " keep")];
        flags.iter().filter(|(set, _)| *set).try_for_each(|(_, word)| f.write_str(word))
    }
}

/// Adds derivatives to a list that has each once; refuses more than [`MOST`].
pub fn add(list: &mut Vec<Derivative>, more: impl IntoIterator<Item = Derivative>) -> Result<(), NotWords> {
    for derivative in more {
        if !list.contains(&derivative) {
            list.push(derivative);
        }
    }
    if list.len() > MOST {
        return Err(NotWords::too_many(list.len()));
    }
    Ok(())
}

/// The column whose cells ask for derivatives of their row's images.
pub const COLUMN: &str = "derive";

/// What is derived from the images of a line: what its batch asks for, and what its own cell does.
#[must_use]
pub fn of_line(of_batch: &[Derivative], columns: &[String], cells: &[String]) -> Vec<Derivative> {
    let column = columns.iter().position(|title| title.trim().eq_ignore_ascii_case(COLUMN));
    let cell = column.and_then(|column| cells.get(column));
    let mut list = of_batch.to_vec();
    // It was checked before it was submitted.
    let own = cell.and_then(|cell| of_cell(cell).ok()).unwrap_or_default();
    list.extend(own.into_iter().filter(|derivative| !of_batch.contains(derivative)));
    list.truncate(MOST);
    list
}

/// Derivatives as a cell has them: words, several of them separated by `|`, or a JSON list of them.
pub fn of_cell(cell: &str) -> Result<Vec<Derivative>, NotWords> {
    let cell = cell.trim();
    let texts: Vec<String> = if cell.starts_with('[') {
        serde_json::from_str(cell).map_err(|_not_texts| NotWords::no_list(cell))?
    } else {
        cell.split('|').map(str::to_owned).collect()
    };
    let mut list = Vec::new();
    for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        add(&mut list, [text.parse::<Derivative>()?])?;
    }
    Ok(list)
}
