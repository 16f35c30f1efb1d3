//! A grid of pixels and the few shapes that are drawn on it.

/// Red, green, blue.
pub(crate) type Color = [u8; 3];

/// A colour and how much of it: 255 covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    pub(crate) color: Color,
    pub(crate) alpha: u8,
}

impl Paint {
    pub(crate) const fn solid(color: Color) -> Self {
        Self { color, alpha: 255 }
    }
}

/// A rectangle of whole pixels, the far edges excluded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) right: usize,
    pub(crate) bottom: usize,
}

/// Centre and radius in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disc {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) radius: f32,
}

/// Pixels as red, green, blue, alpha.
#[derive(Debug)]
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pixels: Vec<[u8; 4]>,
}

impl Canvas {
    /// A canvas of nothing.
    pub(crate) fn transparent(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![[0; 4]; width * height] }
    }

    pub(crate) fn all(&self) -> Area {
        Area { left: 0, top: 0, right: self.width, bottom: self.height }
    }

    /// Fills all with a gradient from top to bottom.
    pub(crate) fn gradient(&mut self, top: Color, bottom: Color) {
        let height = self.height.max(1);
        for (y, row) in self.pixels.chunks_mut(self.width).enumerate() {
            let [red, green, blue] = mix(top, bottom, y as f32 / height as f32);
            row.fill([red, green, blue, 255]);
        }
    }

    pub(crate) fn rectangle(&mut self, area: Area, paint: Paint) {
        for y in area.top..area.bottom.min(self.height) {
            self.span(y, area.left, area.right, paint);
        }
    }

    /// Draws a disc, smooth at its edge, within an area.
    pub(crate) fn disc(&mut self, disc: Disc, paint: Paint, clip: Area) {
        let Disc { x: center_x, y: center_y, radius } = disc;
        let first = (center_y - radius).floor().max(clip.top as f32) as usize;
        let last = ((center_y + radius).ceil().max(0.0) as usize).min(clip.bottom).min(self.height);
        for y in first..last {
            let rise = y as f32 + 0.5 - center_y;
            let half = (radius * radius - rise * rise).max(0.0).sqrt();
            if half > 0.0 {
                self.smooth_span(y, center_x - half, center_x + half, paint, clip);
            }
        }
    }

    /// Fills a row between two places, counting the parts of the pixels at either end.
    pub(crate) fn smooth_span(&mut self, y: usize, from: f32, to: f32, paint: Paint, clip: Area) {
        let (from, to) = (from.max(clip.left as f32), to.min(clip.right.min(self.width) as f32));
        if to <= from || y >= clip.bottom.min(self.height) {
            return;
        }
        let (start, end) = (from.ceil() as usize, to.floor() as usize);
        if start > end {
            return self.dot(from as usize, y, paint, to - from);
        }
        self.span(y, start, end, paint);
        if start > 0 && start as f32 > from {
            self.dot(start - 1, y, paint, start as f32 - from);
        }
        self.dot(end, y, paint, to - end as f32);
    }

    /// Covers a square of pixels.
    pub(crate) fn block(&mut self, x: usize, y: usize, color: Color) {
        self.span(y, x, x + 1, Paint::solid(color));
    }

    fn dot(&mut self, x: usize, y: usize, paint: Paint, cover: f32) {
        let alpha = (f32::from(paint.alpha) * cover) as u8;
        self.span(y, x, x + 1, Paint { alpha, ..paint });
    }

    fn span(&mut self, y: usize, from: usize, to: usize, paint: Paint) {
        let (from, to) = (from.min(self.width), to.min(self.width));
        if from >= to || y >= self.height || paint.alpha == 0 {
            return;
        }
        let Some(row) = self.pixels.get_mut(y * self.width + from..y * self.width + to) else { return };
        let [red, green, blue] = paint.color;
        if paint.alpha == 255 {
            return row.fill([red, green, blue, 255]);
        }
        for pixel in row {
            *pixel = over(*pixel, paint);
        }
    }

    /// Bytes of the pixels, four of each.
    pub(crate) fn rgba(&self) -> &[u8] {
        self.pixels.as_flattened()
    }

    /// Bytes of the pixels, three of each, whatever their alpha.
    pub(crate) fn rgb(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.pixels.len() * 3);
        for [red, green, blue, _] in &self.pixels {
            bytes.extend_from_slice(&[*red, *green, *blue]);
        }
        bytes
    }
}

fn over(below: [u8; 4], paint: Paint) -> [u8; 4] {
    let [red, green, blue, alpha] = below;
    if alpha == 0 {
        let [red, green, blue] = paint.color;
        return [red, green, blue, paint.alpha];
    }
    let share = u32::from(paint.alpha);
    let blend = |under: u8, color: u8| {
        ((u32::from(under) * (255 - share) + u32::from(color) * share + 127) / 255) as u8
    };
    let [over_red, over_green, over_blue] = paint.color;
    [blend(red, over_red), blend(green, over_green), blend(blue, over_blue), blend(alpha, 255)]
}

/// The colour at a part of the way from one to another.
pub(crate) fn mix(from: Color, to: Color, part: f32) -> Color {
    let channel = |index: usize| {
        let (from, to) = (f32::from(from[index]), f32::from(to[index]));
        (from + (to - from) * part).round() as u8
    };
    [channel(0), channel(1), channel(2)]
}
