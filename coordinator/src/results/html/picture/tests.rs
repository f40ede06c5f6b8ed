//! The picture in pixels.

use super::raster::SCALE;
use super::{Anchor, BLACK, Colour, GREEN, GREY, HEIGHT, LEFT, Mark, PALE, RED, RIGHT, WIDTH, marks, png};
use crate::results::Report;
use crate::results::html::tests::{evil, report};

/// A decoded picture.
struct Pixels {
    width: u32,
    bytes: Vec<u8>,
}

impl Pixels {
    fn of(report: &Report) -> Self {
        let bytes = png(report).unwrap();
        let mut reader = ::png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        assert_eq!((info.width, info.height), ((WIDTH * SCALE) as u32, (HEIGHT * SCALE) as u32));
        assert_eq!(info.color_type, ::png::ColorType::Rgb);
        Self { width: info.width, bytes }
    }

    fn at(&self, x: f64, y: f64) -> Colour {
        let (x, y) = ((x * SCALE) as usize, (y * SCALE) as usize);
        let at = (y * self.width as usize + x) * 3;
        [self.bytes[at], self.bytes[at + 1], self.bytes[at + 2]]
    }

    /// How many pixels that are nearly of a colour are in a box: letters have soft edges.
    fn count(&self, from: (f64, f64), to: (f64, f64), colour: Colour) -> usize {
        let steps = |from: f64, to: f64| {
            let n = ((to - from) * SCALE) as usize;
            (0..n).map(move |i| from + i as f64 / SCALE)
        };
        steps(from.1, to.1)
            .flat_map(|y| steps(from.0, to.0).map(move |x| self.at(x, y)))
            .filter(|c| c.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 64))
            .count()
    }
}

#[test]
fn the_png_has_every_mark_in_its_colour_and_its_place() {
    for (direction, kept) in [("minimize", 3), ("maximize", 2)] {
        let scores = [Some(1.0), Some(0.9), None, Some(1.2), Some(0.8), Some(1.1)];
        let report = report("val_bpb", direction, &scores);
        let pixels = Pixels::of(&report);
        let (mut discs, mut greens, mut crosses) = (0, 0, 0);
        for mark in marks(&report) {
            match mark {
                Mark::Disc { at: (x, y), colour, .. } => {
                    assert_eq!(pixels.at(x, y), colour, "{direction}: at {x} {y}");
                    discs += 1;
                    greens += usize::from(colour == GREEN);
                    assert!(colour == GREEN || colour == GREY);
                }
                Mark::Across { y } => assert_eq!(pixels.at(LEFT + 2.0, y), PALE),
                Mark::Steps { points } => {
                    assert_eq!(points.len(), kept);
                    let last = points.last().unwrap();
                    assert_eq!(pixels.at(WIDTH - RIGHT - 1.0, last.1), GREEN, "it goes on to the right end");
                    for pair in points.windows(2) {
                        let ((from, y), (to, next)) = (pair[0], pair[1]);
                        assert_eq!(pixels.at(from + (to - from) * 0.5, y), GREEN, "level");
                        assert_eq!(pixels.at(to, (y + next) / 2.0), GREEN, "then to the next");
                    }
                }
                Mark::Text { at: (x, y), anchor, colour, text, .. } => {
                    let (from, to) = match anchor {
                        Anchor::Start => (x, x + 40.0),
                        Anchor::Middle => (x - 8.0, x + 8.0),
                        Anchor::End => (x - 40.0, x),
                    };
                    let ink = pixels.count((from, y - 12.0), (to, y + 4.0), colour);
                    assert!(ink > 3, "{text}: {ink} pixels");
                    assert!(colour == BLACK || colour == RED);
                    crosses += usize::from(colour == RED);
                }
            }
        }
        assert_eq!((discs, greens, crosses), (5, kept, 1), "{direction}");
        assert_eq!(pixels.at(1.0, 1.0), [255; 3], "and nothing where nothing is");
    }
}

#[test]
fn there_is_a_png_whatever_the_study_is_called_and_has() {
    Pixels::of(&report("val_bpb", "minimize", &[None]));
    Pixels::of(&report("val_bpb", "minimize", &[]));
    Pixels::of(&report("val_bpb", "minimize", &[Some(f64::NAN), Some(1e300), Some(-1e300)]));
    Pixels::of(&evil());
}
