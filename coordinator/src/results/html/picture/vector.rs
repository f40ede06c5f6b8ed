//! The picture as SVG; a file of its own, without script or style from elsewhere.

use std::fmt::Write;

use super::super::escape::esc;
use super::{Anchor, BLACK, Colour, GREEN, HEIGHT, LEFT, Mark, PALE, RIGHT, WIDTH};
use crate::results::Report;

/// `progress.svg`.
pub(in crate::results) fn svg(report: &Report) -> String {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>"
    );
    for mark in super::marks(report) {
        // Writing to a string has no way to fail.
        let _ = draw(&mut text, &mark);
    }
    text.push_str("</svg>");
    text
}

fn draw(out: &mut String, mark: &Mark) -> std::fmt::Result {
    match mark {
        Mark::Text { at: (x, y), anchor, is_head, colour, text, title } => {
            write!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\"")?;
            match anchor {
                Anchor::Start => {}
                Anchor::Middle => out.push_str(" text-anchor=\"middle\""),
                Anchor::End => out.push_str(" text-anchor=\"end\""),
            }
            if *is_head {
                out.push_str(" font-size=\"16\"");
            }
            if *colour != BLACK {
                write!(out, " fill=\"{}\"", hex(*colour))?;
            }
            write!(out, ">{}", esc(text))?;
            if let Some(title) = title {
                write!(out, "<title>{}</title>", esc(title))?;
            }
            out.push_str("</text>");
        }
        Mark::Across { y } => {
            let (right, stroke) = (WIDTH - RIGHT, hex(PALE));
            write!(
                out,
                "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{stroke}\"/>"
            )?;
        }
        Mark::Disc { at: (x, y), radius, colour, title } => write!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{}\"><title>{}</title></circle>",
            hex(*colour),
            esc(title)
        )?,
        Mark::Steps { points } => {
            out.push_str("<path d=\"");
            for (i, (x, y)) in points.iter().enumerate() {
                if i == 0 { write!(out, "M{x:.1} {y:.1}")? } else { write!(out, "H{x:.1}V{y:.1}")? }
            }
            let (right, stroke) = (WIDTH - RIGHT, hex(GREEN));
            write!(out, "H{right:.1}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"2\"/>")?;
        }
    }
    Ok(())
}

fn hex([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}
