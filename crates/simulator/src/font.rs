//! Text in an 8×8 bitmap font, rounded as it grows.

use std::collections::HashMap;

use font8x8::{BASIC_FONTS, GREEK_FONTS, HIRAGANA_FONTS, LATIN_FONTS, UnicodeFonts};

use crate::canvas::{Canvas, Color};

/// Edge of a letter before scaling.
pub(crate) const CELL: usize = 8;
/// A hollow box, for letters the font lacks.
const UNKNOWN: [u8; 8] = [0x00, 0x7e, 0x42, 0x42, 0x42, 0x42, 0x7e, 0x00];

/// The font at one scale.
#[derive(Debug)]
pub(crate) struct Font {
    pub(crate) scale: usize,
    glyphs: HashMap<char, Vec<Vec<bool>>>,
}

impl Font {
    pub(crate) fn new(scale: usize) -> Self {
        Self { scale, glyphs: HashMap::new() }
    }

    /// Width of a letter.
    pub(crate) const fn advance(&self) -> usize {
        CELL * self.scale
    }

    /// Writes a line from its upper left corner.
    pub(crate) fn write(&mut self, canvas: &mut Canvas, text: &str, left: usize, top: usize, color: Color) {
        let (scale, advance) = (self.scale, self.advance());
        for (index, letter) in text.chars().enumerate() {
            let glyph = self.glyphs.entry(letter).or_insert_with(|| rounded(letter, scale));
            for (y, row) in glyph.iter().enumerate() {
                for (x, _) in row.iter().enumerate().filter(|(_, set)| **set) {
                    canvas.block(left + index * advance + x, top + y, color);
                }
            }
        }
    }
}

/// Breaks text into lines of at most `columns` letters; ends in `...` where `rows` are not enough.
pub(crate) fn wrap(text: &str, columns: usize, rows: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_whitespace() {
        for piece in chopped(word, columns.max(1)) {
            let width = line.chars().count();
            if width > 0 && width + 1 + piece.chars().count() > columns {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&piece);
        }
        if lines.len() > rows {
            break;
        }
    }
    lines.push(line);
    if lines.len() > rows {
        lines.truncate(rows);
        if let Some(last) = lines.last_mut() {
            *last = last.chars().take(columns.saturating_sub(3)).collect::<String>() + "...";
        }
    }
    lines
}

fn chopped(word: &str, columns: usize) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    letters.chunks(columns).map(|chunk| chunk.iter().collect()).collect()
}

fn rows(letter: char) -> [u8; 8] {
    let plain = match letter {
        '‘' | '’' => '\'',
        '“' | '”' => '"',
        '–' | '—' | '‑' => '-',
        '…' => '.',
        other => other,
    };
    let found = BASIC_FONTS.get(plain).or_else(|| LATIN_FONTS.get(plain));
    found.or_else(|| GREEK_FONTS.get(plain)).or_else(|| HIRAGANA_FONTS.get(plain)).unwrap_or(UNKNOWN)
}

/// Doubles a letter with rounded corners while that is possible, then repeats its pixels.
fn rounded(letter: char, scale: usize) -> Vec<Vec<bool>> {
    let bits = |row: u8| (0..CELL).map(|x| row >> x & 1 == 1).collect();
    let mut glyph: Vec<Vec<bool>> = rows(letter).map(bits).to_vec();
    let mut left = scale;
    while left.is_multiple_of(2) && left > 1 {
        glyph = doubled(&glyph);
        left /= 2;
    }
    let wide =
        |row: Vec<bool>| row.into_iter().flat_map(|set| std::iter::repeat_n(set, left)).collect::<Vec<_>>();
    glyph.into_iter().map(wide).flat_map(|row| std::iter::repeat_n(row, left)).collect()
}

/// The Scale2x rule.
fn doubled(glyph: &[Vec<bool>]) -> Vec<Vec<bool>> {
    let at = |x: usize, y: usize| glyph.get(y).and_then(|row| row.get(x)).copied().unwrap_or(false);
    let size = glyph.len();
    let mut out = vec![vec![false; size * 2]; size * 2];
    for (y, x) in (0..size).flat_map(|y| (0..size).map(move |x| (y, x))) {
        let center = at(x, y);
        let (up, down) = (y > 0 && at(x, y.saturating_sub(1)), at(x, y + 1));
        let (left, right) = (x > 0 && at(x.saturating_sub(1), y), at(x + 1, y));
        let corner = |a: bool, b: bool, c: bool, d: bool| if a == b && a != c && b != d { a } else { center };
        out[2 * y][2 * x] = corner(left, up, down, right);
        out[2 * y][2 * x + 1] = corner(up, right, left, down);
        out[2 * y + 1][2 * x] = corner(down, left, right, up);
        out[2 * y + 1][2 * x + 1] = corner(right, down, up, left);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_at_words_and_says_when_text_is_cut() {
        assert_eq!(wrap("a red mug on oak", 9, 9), ["a red mug", "on oak"]);
        assert_eq!(wrap("abcdefghij", 4, 9), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("one two three four five", 9, 2), ["one two", "three..."]);
        assert_eq!(wrap("", 9, 2), [""]);
    }

    #[test]
    fn letters_grow_to_their_scale() {
        for scale in [1, 2, 3, 4, 8] {
            let glyph = rounded('g', scale);
            assert_eq!((glyph.len(), glyph[0].len()), (CELL * scale, CELL * scale));
        }
        assert_eq!(rows('\u{4e2d}'), UNKNOWN);
    }
}
