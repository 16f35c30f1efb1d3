//! The words of a derivative.

use std::str::FromStr;

use super::{Derivative, Encoding, MOST, MOST_PIXELS, MOST_SIDE, Size};

const EXAMPLE: &str = "such as: 256x256 cover webp q80, 1200w jpeg, 2048 contain png";

/// Why a text says no derivative.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotWords(String);

impl NotWords {
    pub(super) fn too_many(count: usize) -> Self {
        Self(format!("{count} derivatives of one image: {MOST} are the most"))
    }

    pub(super) fn no_list(cell: &str) -> Self {
        let shown: String = cell.chars().take(60).collect();
        Self(format!("{shown:?} is no JSON list of texts; write [\"256x256 cover webp\", \"1200w jpeg\"]"))
    }
}

impl TryFrom<String> for Derivative {
    type Error = NotWords;

    fn try_from(text: String) -> Result<Self, NotWords> {
        text.parse()
    }
}

impl From<Derivative> for String {
    fn from(derivative: Derivative) -> Self {
        derivative.to_string()
    }
}

/// What was said so far.
#[derive(Default)]
struct Said {
    size: Option<Box>,
    fit: Option<Fit>,
    format: Option<Format>,
    quality: Option<u8>,
    background: Option<[u8; 3]>,
    upscale: Option<()>,
    keep: Option<()>,
}

#[derive(Clone, Copy)]
enum Box {
    Width(u32),
    Height(u32),
    Both(u32, u32),
}

#[derive(Clone, Copy, PartialEq)]
enum Fit {
    Cover,
    Contain,
}

#[derive(Clone, Copy)]
enum Format {
    Webp,
    Jpeg,
    Png,
    Avif,
}

impl FromStr for Derivative {
    type Err = NotWords;

    fn from_str(text: &str) -> Result<Self, NotWords> {
        let refuse = |why: String| {
            let shown: String = text.chars().take(60).collect();
            NotWords(format!("{shown:?}: {why}"))
        };
        let mut said = Said::default();
        for word in text.to_lowercase().split_whitespace() {
            said.word(word).map_err(refuse)?;
        }
        said.whole().map_err(refuse)
    }
}

impl Said {
    fn word(&mut self, word: &str) -> Result<(), String> {
        match word {
            "cover" => once(&mut self.fit, Fit::Cover, "cover or contain"),
            "contain" => once(&mut self.fit, Fit::Contain, "cover or contain"),
            "webp" => once(&mut self.format, Format::Webp, "the format"),
            "jpeg" | "jpg" => once(&mut self.format, Format::Jpeg, "the format"),
            "png" => once(&mut self.format, Format::Png, "the format"),
            "avif" => once(&mut self.format, Format::Avif, "the format"),
            "gif" | "svg" => Err(format!("{word} is not made; use webp, jpeg, png or avif")),
            "upscale" => once(&mut self.upscale, (), "upscale"),
            "keep" => once(&mut self.keep, (), "keep"),
            _ if word.starts_with('#') => once(&mut self.background, colour(word)?, "the colour"),
            _ if word.starts_with('q') => once(&mut self.quality, quality(word)?, "the quality"),
            _ if word.starts_with(|c: char| c.is_ascii_digit()) => {
                once(&mut self.size, size(word)?, "the size")
            }
            _ => Err(format!(
                "{word:?} is none of a size, cover, contain, #rrggbb, webp, jpeg, png, avif, q1 to q100, upscale and keep"
            )),
        }
    }

    fn whole(self) -> Result<Derivative, String> {
        let size = match (self.size, self.fit) {
            (None, _) => return Err(format!("a size is missing; {EXAMPLE}")),
            (Some(Box::Both(width, height)), Some(Fit::Cover)) => Size::Cover(width, height),
            (Some(Box::Both(width, height)), _) => Size::Contain(width, height),
            (Some(Box::Width(_) | Box::Height(_)), Some(_)) => {
                return Err(
                    "cover and contain need a box, such as 256x256; 1200w and 800h keep the shape".to_owned()
                );
            }
            (Some(Box::Width(width)), None) => Size::Width(width),
            (Some(Box::Height(height)), None) => Size::Height(height),
        };
        if let (Some(Box::Both(width, height)), true) =
            (self.size, self.upscale.is_some() || self.background.is_some())
            && u64::from(width) * u64::from(height) > u64::from(MOST_PIXELS)
        {
            return Err(format!(
                "{width}x{height} is too large to be upscaled or filled: at most {MOST_PIXELS} pixels, such as 4096x4096"
            ));
        }
        let encoding = match (self.format.unwrap_or(Format::Webp), self.quality) {
            (Format::Webp, quality) => Encoding::Webp(quality.unwrap_or(80)),
            (Format::Jpeg, quality) => Encoding::Jpeg(quality.unwrap_or(85)),
            (Format::Avif, quality) => Encoding::Avif(quality.unwrap_or(80)),
            (Format::Png, None) => Encoding::Png,
            (Format::Png, Some(_)) => {
                return Err("png loses nothing and has no quality; leave q out".to_owned());
            }
        };
        let (upscale, keep) = (self.upscale.is_some(), self.keep.is_some());
        Ok(Derivative { size, background: self.background, encoding, upscale, keep })
    }
}

fn once<T>(place: &mut Option<T>, value: T, what: &str) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{what} is said twice; separate several derivatives by |")),
    }
}

fn size(word: &str) -> Result<Box, String> {
    let wrong =
        || format!("{word:?} is no size; write 256x256, 1200w (wide), 800h (high) or 2048 (a square box)");
    let side = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let side = if plain { digits.parse().unwrap_or(u64::MAX) } else { return Err(wrong()) };
        match u32::try_from(side) {
            Ok(side @ 1..=MOST_SIDE) => Ok(side),
            _ => Err(format!("{word:?}: a side is 1 to {MOST_SIDE} pixels")),
        }
    };
    if let Some((width, height)) = word.split_once('x') {
        return Ok(Box::Both(side(width)?, side(height)?));
    }
    match (word.strip_suffix('w'), word.strip_suffix('h')) {
        (Some(width), _) => side(width).map(Box::Width),
        (_, Some(height)) => side(height).map(Box::Height),
        (None, None) => side(word).map(|side| Box::Both(side, side)),
    }
}

fn quality(word: &str) -> Result<u8, String> {
    match word[1..].parse() {
        Ok(quality @ 1..=100) if word[1..].bytes().all(|b| b.is_ascii_digit()) => Ok(quality),
        _ => Err(format!("{word:?} is no quality; write q1 to q100")),
    }
}

fn colour(word: &str) -> Result<[u8; 3], String> {
    let digits = &word[1..];
    let wrong = || format!("{word:?} is no colour; write #rrggbb, such as #ffffff for white");
    if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_not_hex| wrong());
    Ok([part(0)?, part(2)?, part(4)?])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{AssetKey, Spec, derivative::of_cell};

    #[test]
    fn words_have_one_spelling() {
        for (text, canonical) in [
            ("256x256 cover webp q80", "256x256 cover webp q80"),
            (" WEBP 256X256  cover", "256x256 cover webp q80"),
            ("1200w jpeg", "1200w jpeg q85"),
            ("jpg 1200w q085", "1200w jpeg q85"),
            ("800h png", "800h png"),
            ("AVIF 256 cover", "256x256 cover avif q80"),
            ("2048 contain png", "2048x2048 contain png"),
            ("64", "64x64 contain webp q80"),
            ("512x512 contain #FFFFFF jpeg q85", "512x512 contain #ffffff jpeg q85"),
            ("keep 64x32 upscale", "64x32 contain webp q80 upscale keep"),
        ] {
            assert_eq!(text.parse::<Derivative>().unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        for (text, words) in [
            ("", "a size is missing; such as: 256x256"),
            ("webp", "a size is missing"),
            ("0x10", "a side is 1 to 8192"),
            ("8193w", "a side is 1 to 8192"),
            ("99999999999999999999999w", "a side is 1 to 8192"),
            ("10x", "is no size; write 256x256"),
            ("1e3w", "is no size"),
            ("256x256x3", "is no size"),
            ("1200w cover", "need a box"),
            ("256 png q80", "has no quality"),
            ("256 q0", "q1 to q100"),
            ("256 q+5", "q1 to q100"),
            ("256 q101", "q1 to q100"),
            ("256 #fff", "#rrggbb"),
            ("256 #éé12", "#rrggbb"),
            ("256 512", "the size is said twice"),
            ("256 webp png", "the format is said twice"),
            ("8192x8192 contain #ffffff png upscale", "at most 16777216 pixels, such as 4096x4096"),
            ("4097x4096 cover upscale", "is too large to be upscaled or filled"),
            ("8192 #000000", "is too large to be upscaled or filled"),
            ("256 crop", "\"crop\" is none of"),
            ("256 gif", "gif is not made"),
            ("256 \u{1b}[31m", "is none of"),
        ] {
            let told = text.parse::<Derivative>().unwrap_err().to_string();
            assert!(told.contains(words), "{text}: {told}");
            assert!(!told.contains('\u{1b}'), "{told}");
        }
    }

    #[test]
    fn a_cell_holds_several() {
        let texts = |cell| of_cell(cell).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        let two = ["256x256 cover webp q80", "1200w jpeg q85"];
        assert_eq!(texts("256 cover | 1200w jpeg"), two);
        assert_eq!(texts(r#"["256 cover", "1200w jpeg", "256x256 cover webp"]"#), two);
        assert_eq!(texts(" | "), [""; 0]);
        assert!(of_cell("[1]").unwrap_err().to_string().contains("JSON list"));
        let many: Vec<String> = (1..=17).map(|side| format!("{side}w")).collect();
        assert!(of_cell(&many.join("|")).unwrap_err().to_string().contains("16 are the most"));
    }

    #[test]
    fn a_name_depends_on_key_and_words() {
        let key = AssetKey::of(&Spec::default());
        let name = "512x512 contain #ffffff jpeg".parse::<Derivative>().unwrap().name(&key);
        let folder = format!("derivatives/{}/{key}/", &key.as_str()[..2]);
        assert_eq!(name, format!("{folder}512x512-contain-ffffff-jpeg-q85.v1.jpg"));
        let name = "256x256 cover avif q60".parse::<Derivative>().unwrap().name(&key);
        assert_eq!(name, format!("{folder}256x256-cover-avif-q60.v1.avif"));
    }

    proptest! {
        #[test]
        fn canonical_words_come_back(
            side in 1..=MOST_SIDE, other in 1..=MOST_SIDE, shape in 0..4_u8, format in 0..4_u8,
            quality in 1..=100_u8, background in prop::option::of(any::<[u8; 3]>()), upscale: bool, keep: bool,
        ) {
            let size = [Size::Width(side), Size::Height(side), Size::Contain(side, other), Size::Cover(side, other)];
            let encoding =
                [Encoding::Webp(quality), Encoding::Jpeg(quality), Encoding::Png, Encoding::Avif(quality)];
            let derivative = Derivative {
                size: size[usize::from(shape)], encoding: encoding[usize::from(format)], background, upscale, keep,
            };
            let larger = upscale || background.is_some();
            let boxed = matches!(derivative.size, Size::Contain(..) | Size::Cover(..));
            prop_assume!(!(larger && boxed && u64::from(side) * u64::from(other) > u64::from(MOST_PIXELS)));
            prop_assert_eq!(derivative.to_string().parse::<Derivative>(), Ok(derivative));
        }

        #[test]
        fn no_text_breaks_the_parser(text in "\\PC{0,30}") {
            let _ = text.parse::<Derivative>();
            let _ = of_cell(&text);
        }
    }
}
