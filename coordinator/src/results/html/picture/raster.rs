//! The picture as PNG, for where an SVG is not shown. What is drawn is upright lines, discs and text in one size, so a
//! canvas of a few lines does in place of a library for drawing.

use std::io;

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use super::{Anchor, BLACK, Colour, GREEN, HEIGHT, LEFT, Mark, PALE, RIGHT, WIDTH};
use crate::results::Report;

/// Pixels per unit, as dense screens have them.
pub(super) const SCALE: f64 = 2.0;
const FONT: (FontWeight, RasterHeight) = (FontWeight::Regular, RasterHeight::Size24);
const HEAD: (FontWeight, RasterHeight) = (FontWeight::Bold, RasterHeight::Size24);
/// Share of a character's box that is above the line it stands on.
const ASCENT: f64 = 0.8;
/// Drawn for what the font does not have.
const UNKNOWN: char = '?';

/// `progress.png`.
///
/// # Errors
/// When it cannot be put into bytes.
pub(in crate::results) fn png(report: &Report) -> io::Result<Vec<u8>> {
    let mut canvas = Canvas::new((WIDTH * SCALE) as u32, (HEIGHT * SCALE) as u32);
    for mark in super::marks(report) {
        canvas.draw(&mark);
    }
    canvas.encoded()
}

/// Pixels, white at first.
struct Canvas {
    width: u32,
    height: u32,
    bytes: Vec<u8>,
}

impl Canvas {
    fn new(width: u32, height: u32) -> Self {
        Self { width, height, bytes: vec![255; width as usize * height as usize * 3] }
    }

    fn draw(&mut self, mark: &Mark) {
        match mark {
            Mark::Text { at, anchor, is_head, colour, text, .. } => {
                // A thin mark in colour would hardly be seen.
                let font = if *is_head || *colour != BLACK { HEAD } else { FONT };
                self.text(*at, *anchor, font, *colour, text);
            }
            Mark::Across { y } => self.bar((LEFT, y - 0.5), (WIDTH - RIGHT, y + 0.5), PALE),
            Mark::Disc { at, radius, colour, .. } => self.disc(*at, *radius, *colour),
            Mark::Steps { points } => {
                let next = points.iter().skip(1).copied().map(Some).chain([None]);
                for ((x, y), next) in points.iter().zip(next) {
                    let right = next.map_or(WIDTH - RIGHT, |(right, _)| right);
                    self.bar((*x, y - 1.0), (right + 1.0, y + 1.0), GREEN);
                    if let Some((right, to)) = next {
                        self.bar((right - 1.0, y.min(to) - 1.0), (right + 1.0, y.max(to) + 1.0), GREEN);
                    }
                }
            }
        }
    }

    /// Lays a colour over a pixel, as much of it as `share` says. What is outside is left out.
    fn blend(&mut self, x: i64, y: i64, colour: Colour, share: f64) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if x >= self.width || y >= self.height {
            return;
        }
        let at = (y as usize * self.width as usize + x as usize) * 3;
        for (byte, new) in self.bytes.iter_mut().skip(at).zip(colour) {
            let old = f64::from(*byte);
            *byte = (old + (f64::from(new) - old) * share.clamp(0.0, 1.0)).round() as u8;
        }
    }

    /// An upright rectangle.
    fn bar(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour) {
        let pixel = |place: f64| (place * SCALE).round() as i64;
        for y in pixel(from.1)..pixel(to.1) {
            for x in pixel(from.0)..pixel(to.0) {
                self.blend(x, y, colour, 1.0);
            }
        }
    }

    fn disc(&mut self, (x, y): (f64, f64), radius: f64, colour: Colour) {
        let (x, y, radius) = (x * SCALE, y * SCALE, radius * SCALE);
        let reach = |middle: f64| (middle - radius).floor() as i64..=(middle + radius).ceil() as i64;
        for py in reach(y) {
            for px in reach(x) {
                let distance = (px as f64 + 0.5 - x).hypot(py as f64 + 0.5 - y);
                // About as much of a pixel on the edge as lies inside.
                self.blend(px, py, colour, radius - distance + 0.5);
            }
        }
    }

    fn text(
        &mut self,
        (x, y): (f64, f64),
        anchor: Anchor,
        (weight, size): (FontWeight, RasterHeight),
        colour: Colour,
        text: &str,
    ) {
        let step = get_raster_width(weight, size) as i64;
        let length = step * i64::try_from(text.chars().count()).unwrap_or(0);
        let left = (x * SCALE).round() as i64
            - match anchor {
                Anchor::Start => 0,
                Anchor::Middle => length / 2,
                Anchor::End => length,
            };
        let top = (y * SCALE - size.val() as f64 * ASCENT).round() as i64;
        for (at, c) in (0..).map(|i| left + i * step).zip(text.chars()) {
            let Some(glyph) = get_raster(c, weight, size).or_else(|| get_raster(UNKNOWN, weight, size))
            else {
                continue;
            };
            for (py, row) in (top..).zip(glyph.rows()) {
                for (px, share) in (at..).zip(row) {
                    self.blend(px, py, colour, f64::from(*share) / 255.0);
                }
            }
        }
    }

    fn encoded(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(io::Error::other)?;
        writer.write_image_data(&self.bytes).map_err(io::Error::other)?;
        writer.finish().map_err(io::Error::other)?;
        Ok(bytes)
    }
}
