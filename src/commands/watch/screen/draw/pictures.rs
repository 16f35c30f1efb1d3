//! Recent images as half blocks: two pixels a cell.

use image::{RgbImage, imageops::FilterType};
use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::Line,
};

use super::body::{WIDE, put};
use crate::commands::watch::screen::{
    panes::{Pane, clock},
    state::{Screen, Tab},
    thumbs::Thumb,
    words::{cut, wrapped},
};

/// Cells of a picture and its caption, at least.
const TILE: (u16, u16) = (26, 13);
/// Pictures that are looked for at once.
const MOST: usize = 24;

/// The images whose pictures are seen on a terminal as large as this, by their keys.
pub(in super::super) fn pictured(screen: &Screen, size: (u16, u16)) -> Vec<String> {
    let seen = match screen.tab {
        Tab::One(Pane::Images) => true,
        Tab::Overview => size.0 >= WIDE,
        Tab::One(_) => false,
    };
    if !screen.previews || !seen {
        return Vec::new();
    }
    let most = usize::from(size.0 / TILE.0) * usize::from(size.1 / TILE.1);
    let sheet = screen.sheet(Pane::Images);
    let first = screen.place(Pane::Images, &sheet);
    sheet.rows.iter().skip(first).take(most.clamp(1, MOST)).map(|row| row.id.clone()).collect()
}

/// Draws as many as there is room for, from the one that is chosen on.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let sheet = screen.sheet(Pane::Images);
    let dim = Style::new().add_modifier(Modifier::DIM);
    let room = usize::from(area.width);
    let Some(view) = screen.view.as_ref().filter(|_| screen.previews && !sheet.rows.is_empty()) else {
        let why = match (screen.previews, screen.ways.colour) {
            _ if sheet.rows.is_empty() => "no image was paid for lately",
            (_, false) => "previews need colour",
            _ => "v shows previews",
        };
        put(frame, area, vec![Line::styled(cut(why, room), dim)]);
        return;
    };
    if area.height < 2 {
        return;
    }
    let columns = (area.width / TILE.0).max(1);
    let rows = (area.height / TILE.1).max(1);
    let (wide, high) = (area.width / columns, area.height / rows);
    let first = screen.place(Pane::Images, &sheet);
    let images = sheet
        .rows
        .iter()
        .skip(first)
        .filter_map(|row| view.images.iter().find(|image| image.key.as_str() == row.id));
    let places = (0..rows).flat_map(|y| (0..columns).map(move |x| (x, y)));
    for (image, (x, y)) in images.zip(places) {
        let tile =
            Rect { x: area.x + x * wide, y: area.y + y * high, width: wide.saturating_sub(1), height: high };
        let caption = format!("{} {}", clock(image.made.at_ms * 1_000), image.key.short());
        let caption = Line::styled(cut(&caption, usize::from(tile.width)), dim);
        let mut under = tile.bottom() - 1;
        let picture = Rect { height: tile.height.saturating_sub(1), ..tile };
        match screen.thumbs.get(image.key.as_str()) {
            Some(Thumb::Picture(thumb)) => {
                let high = blocks(frame.buffer_mut(), picture, thumb, screen.ways.true_colour);
                under = (tile.y + high).min(under);
            }
            Some(Thumb::Without(why)) => {
                let lines = wrapped(&format!("no preview: {why}"), usize::from(tile.width));
                put(frame, picture, lines.into_iter().map(|line| Line::styled(line, dim)).collect());
            }
            Some(Thumb::Coming) | None => put(frame, picture, vec![Line::styled("…", dim)]),
        }
        put(frame, Rect { y: under, height: 1, ..tile }, vec![caption]);
    }
}

/// A picture as large as fits, its sides as they are: a cell is twice as high as wide. Returns its height in cells.
fn blocks(buffer: &mut Buffer, area: Rect, thumb: &RgbImage, true_colour: bool) -> u16 {
    let (room_x, room_y) = (u32::from(area.width), u32::from(area.height) * 2);
    if room_x == 0 || room_y == 0 || thumb.width() == 0 || thumb.height() == 0 {
        return 0;
    }
    let by_width = (room_x, (room_x * thumb.height() / thumb.width()).max(1));
    let (wide, high) = if by_width.1 <= room_y {
        by_width
    } else {
        ((room_y * thumb.width() / thumb.height()).max(1), room_y)
    };
    let scaled = image::imageops::resize(thumb, wide, high, FilterType::Triangle);
    let pixel = |x: u32, y: u32| (y < high).then(|| colour(scaled.get_pixel(x, y).0, true_colour));
    for y in 0..high.div_ceil(2) {
        for x in 0..wide {
            let (Ok(dx), Ok(dy)) = (u16::try_from(x), u16::try_from(y)) else { continue };
            let Some(cell) = buffer.cell_mut((area.x + dx, area.y + dy)) else { continue };
            let upper = pixel(x, 2 * y).unwrap_or(Color::Reset);
            cell.set_symbol("▀").set_fg(upper).set_bg(pixel(x, 2 * y + 1).unwrap_or(Color::Reset));
        }
    }
    u16::try_from(high.div_ceil(2)).unwrap_or(area.height)
}

/// A colour, or the nearest of the palette's cube of six levels each.
fn colour([r, g, b]: [u8; 3], true_colour: bool) -> Color {
    if true_colour {
        return Color::Rgb(r, g, b);
    }
    let level = |part: u8| match part {
        0..48 => 0,
        48..115 => 1,
        _ => (part - 35) / 40,
    };
    Color::Indexed(16 + 36 * level(r) + 6 * level(g) + level(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_fall_on_the_nearest_of_the_cube() {
        assert_eq!(colour([255, 255, 255], false), Color::Indexed(231));
        assert_eq!(colour([0, 0, 0], false), Color::Indexed(16));
        assert_eq!(colour([255, 0, 0], false), Color::Indexed(196));
        assert_eq!(colour([1, 2, 3], true), Color::Rgb(1, 2, 3));
    }

    #[test]
    fn a_picture_keeps_its_sides() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 10));
        let thumb = RgbImage::from_pixel(100, 50, image::Rgb([255, 0, 0]));
        assert_eq!(blocks(&mut buffer, Rect::new(0, 0, 20, 10), &thumb, true), 5);
        let drawn = buffer.content.iter().filter(|cell| cell.symbol() == "▀").count();
        assert_eq!(drawn, 20 * 5);
    }
}
