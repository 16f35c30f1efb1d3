//! What is drawn: shapes in one of a few palettes, and the prompt to read on a panel below them.

use std::f32::consts::TAU;

use crate::{
    canvas::{Area, Canvas, Color, Disc, Paint, mix},
    font::{CELL, Font, wrap},
    seed::Seed,
};

/// Sky, ground, and three colours for shapes.
type Palette = [Color; 5];

const PALETTES: [Palette; 8] = [
    [[255, 236, 210], [252, 182, 159], [231, 111, 81], [38, 70, 83], [42, 157, 143]],
    [[224, 242, 254], [147, 197, 253], [59, 130, 246], [30, 58, 138], [251, 191, 36]],
    [[253, 242, 248], [251, 207, 232], [219, 39, 119], [88, 28, 135], [56, 189, 248]],
    [[236, 253, 245], [167, 243, 208], [16, 185, 129], [6, 78, 59], [250, 204, 21]],
    [[255, 251, 235], [253, 230, 138], [245, 158, 11], [120, 53, 15], [13, 148, 136]],
    [[238, 242, 255], [199, 210, 254], [99, 102, 241], [49, 46, 129], [244, 114, 182]],
    [[250, 250, 249], [214, 211, 209], [168, 162, 158], [68, 64, 60], [234, 88, 12]],
    [[30, 41, 59], [51, 65, 85], [34, 211, 238], [226, 232, 240], [251, 113, 133]],
];
const INK: Color = [17, 24, 39];
const PAPER: Color = [255, 255, 255];

/// Draws a picture of a prompt; what is transparent has no background.
pub(crate) fn draw(canvas: &mut Canvas, seed: &mut Seed, transparent: bool, prompt: &str, caption: &str) {
    let palette = PALETTES[seed.below(PALETTES.len())];
    if !transparent {
        canvas.gradient(palette[0], palette[1]);
    }
    match seed.below(4) {
        0 => hills(canvas, seed, &palette),
        1 => orbs(canvas, seed, &palette),
        2 => rings(canvas, seed, &palette),
        _ => tiles(canvas, seed, &palette),
    }
    panel(canvas, &palette, prompt, caption);
}

fn short_edge(canvas: &Canvas) -> f32 {
    canvas.width.min(canvas.height) as f32
}

fn hills(canvas: &mut Canvas, seed: &mut Seed, palette: &Palette) {
    let (width, height, unit) = (canvas.width as f32, canvas.height as f32, short_edge(canvas));
    let all = canvas.all();
    let sun = Disc {
        x: seed.between(0.2, 0.8) as f32 * width,
        y: seed.between(0.18, 0.32) as f32 * height,
        radius: unit * 0.13,
    };
    let glow = Disc { radius: sun.radius * 1.5, ..sun };
    canvas.disc(glow, Paint { color: palette[4], alpha: 70 }, all);
    canvas.disc(sun, Paint::solid(palette[4]), all);
    for layer in 0..4 {
        let color = mix(mix(palette[1], palette[2], 0.6), palette[3], layer as f32 / 3.0);
        let base = height * (0.36 + 0.1 * layer as f32);
        let (phase, waves) = (seed.between(0.0, 1.0) as f32, seed.between(0.7, 2.2) as f32);
        for x in 0..canvas.width {
            let angle = TAU * (phase + waves * x as f32 / width);
            let top = base + unit * 0.05 * (angle.sin() + 0.4 * (2.3 * angle).sin());
            let column = Area { left: x, right: x + 1, top: top.max(0.0) as usize, bottom: all.bottom };
            canvas.rectangle(column, Paint::solid(color));
        }
    }
}

fn orbs(canvas: &mut Canvas, seed: &mut Seed, palette: &Palette) {
    let (width, height, unit) = (canvas.width as f32, canvas.height as f32, short_edge(canvas));
    let all = canvas.all();
    for index in 0..9 {
        let disc = Disc {
            x: seed.between(0.0, 1.0) as f32 * width,
            y: seed.between(0.0, 0.75) as f32 * height,
            radius: unit * seed.between(0.06, 0.26) as f32,
        };
        let color = palette[2 + index % 3];
        canvas.disc(disc, Paint { color, alpha: 150 }, all);
        let core = Disc { radius: disc.radius * 0.55, ..disc };
        canvas.disc(core, Paint { color, alpha: 190 }, all);
    }
}

fn rings(canvas: &mut Canvas, seed: &mut Seed, palette: &Palette) {
    let (width, height, unit) = (canvas.width as f32, canvas.height as f32, short_edge(canvas));
    let all = canvas.all();
    let x = seed.between(0.25, 0.75) as f32 * width;
    let y = seed.between(0.25, 0.45) as f32 * height;
    for index in (1..=7_usize).rev() {
        let color = match index % 4 {
            0 => palette[1],
            other => palette[1 + other],
        };
        canvas.disc(Disc { x, y, radius: unit * 0.075 * index as f32 }, Paint::solid(color), all);
    }
}

fn tiles(canvas: &mut Canvas, seed: &mut Seed, palette: &Palette) {
    let cell = (canvas.width.min(canvas.height) / 4).max(1);
    let (columns, rows) = (canvas.width.div_ceil(cell), canvas.height.div_ceil(cell));
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        let area = Area {
            left: column * cell,
            top: row * cell,
            right: (column + 1) * cell,
            bottom: (row + 1) * cell,
        };
        let (ground, shape) = (seed.below(5), 1 + seed.below(4));
        let ground = palette[ground];
        let color = palette[(shape + usize::from(palette[shape] == ground)) % 5];
        canvas.rectangle(area, Paint { color: ground, alpha: 235 });
        let (left, top, edge) = (area.left as f32, area.top as f32, cell as f32);
        let paint = Paint::solid(color);
        match seed.below(6) {
            0 => canvas.disc(Disc { x: left, y: top, radius: edge }, paint, area),
            1 => canvas.disc(Disc { x: left + edge, y: top, radius: edge }, paint, area),
            2 => canvas.disc(Disc { x: left, y: top + edge, radius: edge }, paint, area),
            3 => canvas.disc(Disc { x: left + edge, y: top + edge, radius: edge }, paint, area),
            4 => canvas.disc(
                Disc { x: left + edge / 2.0, y: top + edge / 2.0, radius: edge * 0.36 },
                paint,
                area,
            ),
            _ => (area.top..area.bottom).for_each(|y| {
                canvas.smooth_span(y, left, left + (y - area.top) as f32, paint, area);
            }),
        }
    }
}

/// The largest text that takes no more than two fifths of the picture.
fn fitted(canvas: &Canvas, prompt: &str) -> (Font, Vec<String>) {
    let mut scale = (canvas.width.min(canvas.height) / 256).max(1);
    loop {
        let margin = 2 * scale * CELL;
        let columns = canvas.width.saturating_sub(margin) / (scale * CELL);
        let rows = (canvas.height * 2 / 5 / line_height(scale)).max(1);
        let lines = wrap(prompt, columns, rows);
        if scale == 1 || !lines.last().is_some_and(|line| line.ends_with("...")) {
            return (Font::new(scale), lines);
        }
        scale /= 2;
    }
}

const fn line_height(scale: usize) -> usize {
    CELL * scale + 3 * scale
}

fn panel(canvas: &mut Canvas, palette: &Palette, prompt: &str, caption: &str) {
    let (mut font, lines) = fitted(canvas, prompt);
    let unit = (canvas.width.min(canvas.height) / 256).max(1);
    let mut small = Font::new((unit / 2).max(1));
    let margin = CELL * unit;
    let text_height = lines.len() * line_height(font.scale);
    let height = margin + text_height + line_height(small.scale) + margin;
    let top = canvas.height.saturating_sub(height);
    let area = Area { top, ..canvas.all() };
    canvas.rectangle(area, Paint { color: INK, alpha: 225 });
    canvas.rectangle(Area { bottom: top + 2 * unit, ..area }, Paint::solid(palette[4]));
    for (index, line) in lines.iter().enumerate() {
        font.write(canvas, line, margin, top + margin + index * line_height(font.scale), PAPER);
    }
    let fits = canvas.width.saturating_sub(2 * margin) / small.advance();
    let caption: String = caption.chars().take(fits).collect();
    let baseline = top + margin + text_height + 2 * unit;
    small.write(canvas, &caption, margin, baseline, mix(palette[4], PAPER, 0.25));
}
