//! A plot that fills the width of any screen: across it everything is placed in percent, so that letters and marks keep
//! their size. Beside the plot stand the names of its rows, below it those of its columns.

use std::fmt::Write;

use super::axis::Axis;
use super::escape::esc;

/// Shapes by which things are told apart without colour.
const SHAPES: &str = "<svg class=\"shapes\" aria-hidden=\"true\"><defs>\
<path id=\"m-x\" d=\"M-4-4L4 4M-4 4L4-4\"/>\
<path id=\"m-diamond\" d=\"M0-5.5L5.5 0L0 5.5L-5.5 0Z\"/>\
<path id=\"m-down\" d=\"M-5-3.5L5-3.5L0 5Z\"/>\
<path id=\"m-tick\" d=\"M0-5V5\"/>\
</defs></svg>";

/// The shapes, once per page.
pub(super) fn shapes() -> &'static str {
    SHAPES
}

/// A plot under construction. Up is better: `worst` lies at the bottom.
pub(super) struct Plot {
    id: &'static str,
    title: String,
    description: String,
    /// Pixels of the part that has a scale, and of all.
    room: f64,
    height: f64,
    body: String,
}

/// Pixels above the scale, for names of columns that stand there.
const ABOVE: f64 = 22.0;
/// Pixels below it, for the names of columns.
const BELOW: f64 = 22.0;

impl Plot {
    /// An empty plot with `room` pixels for its scale and `rail` for what has no place on it.
    pub(super) fn new(id: &'static str, title: &str, description: &str, room: f64, rail: f64) -> Self {
        Self {
            id,
            title: title.to_owned(),
            description: description.to_owned(),
            room,
            height: ABOVE + room + rail + BELOW,
            body: String::new(),
        }
    }

    /// The pixel of a share of the scale, 1 at its top.
    pub(super) fn y(&self, share: f64) -> f64 {
        ABOVE + self.room * (1.0 - share)
    }

    /// Names the rows and rules a line for each. `better_low`: the lower value is the better one, and stands above.
    pub(super) fn rows(&mut self, axis: &Axis, better_low: bool) {
        for tick in &axis.ticks {
            let share = axis.place(*tick);
            let y = self.y(if better_low { 1.0 - share } else { share });
            let _ = write!(
                self.body,
                "<line class=\"rule\" x1=\"0\" x2=\"100%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"row\" x=\"-6\" y=\"{:.1}\">{}</text>",
                y + 4.0,
                esc(&axis.name(*tick))
            );
        }
    }

    /// Names the columns, with a line for each.
    pub(super) fn columns(&mut self, axis: &Axis, unit: &str) {
        let bottom = self.height - BELOW;
        for tick in &axis.ticks {
            let x = across(axis.place(*tick));
            let _ = write!(
                self.body,
                "<line class=\"rule\" x1=\"{x}\" x2=\"{x}\" y1=\"{ABOVE}\" y2=\"{bottom:.1}\"/>\
                 <text class=\"column\" x=\"{x}\" y=\"{:.1}\">{}{unit}</text>",
                bottom + 15.0,
                esc(&axis.name(*tick))
            );
        }
    }

    /// A line down the whole plot, named at its top where there is a name.
    pub(super) fn divide(&mut self, x: f64, name: &str) {
        let bottom = self.height - BELOW;
        let at = across(x);
        let _ = write!(
            self.body,
            "<line class=\"divide\" x1=\"{at}\" x2=\"{at}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>",
            ABOVE - 6.0
        );
        if !name.is_empty() {
            let _ =
                write!(self.body, "<text class=\"over\" x=\"{at}\" dx=\"3\" y=\"12\">{}</text>", esc(name));
        }
    }

    /// Steps through points from left to right: `(x, y)` as shares and pixels. Each holds until the next.
    pub(super) fn steps(&mut self, points: &[(f64, f64)], end: f64) {
        for (i, (x, y)) in points.iter().enumerate() {
            let (next, down) = points.get(i + 1).map_or((end, *y), |next| *next);
            let (from, to) = (across(*x), across(next));
            let _ = write!(
                self.body,
                "<line class=\"best\" x1=\"{from}\" x2=\"{to}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <line class=\"best\" x1=\"{to}\" x2=\"{to}\" y1=\"{y:.1}\" y2=\"{down:.1}\"/>"
            );
        }
    }

    /// A curve through points: `(x, y)` as shares and pixels.
    pub(super) fn curve(&mut self, line: Line, points: &[(f64, f64)], name: &str) {
        let _ = write!(self.body, "<g class=\"{}\"><title>{}</title>", line.class(), esc(name));
        for ends in points.windows(2) {
            let [(x, y), (to, down)] = ends else { continue };
            let (x, to) = (across(*x), across(*to));
            let _ = write!(self.body, "<line x1=\"{x}\" x2=\"{to}\" y1=\"{y:.1}\" y2=\"{down:.1}\"/>");
        }
        self.body.push_str("</g>");
    }

    /// A mark at a share of the width and a pixel of the height, with what it stands for.
    pub(super) fn mark(&mut self, mark: Mark, x: f64, y: f64, name: &str) {
        let (class, x, name) = (mark.class(), across(x), esc(name));
        let _ = match mark.shape() {
            None => write!(
                self.body,
                "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y:.1}\" r=\"4\"><title>{name}</title></circle>"
            ),
            Some(shape) => write!(
                self.body,
                "<use class=\"{class}\" href=\"#{shape}\" x=\"{x}\" y=\"{y:.1}\"><title>{name}</title></use>"
            ),
        };
    }

    /// A word beside a rail.
    pub(super) fn beside(&mut self, y: f64, word: &str) {
        let _ = write!(self.body, "<text class=\"row\" x=\"-6\" y=\"{:.1}\">{}</text>", y + 4.0, esc(word));
    }

    /// The plot as markup.
    pub(super) fn finish(self) -> String {
        let Self { id, title, description, height, body, .. } = self;
        format!(
            "<svg class=\"plot\" height=\"{height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
             <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>{body}</svg>",
            esc(&title),
            esc(&description)
        )
    }
}

/// Whose curve it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// The base.
    Base,
    /// What is handed over.
    Best,
    /// Any other.
    Other,
}

impl Line {
    fn class(self) -> &'static str {
        match self {
            Self::Base => "l base",
            Self::Best => "l best",
            Self::Other => "l",
        }
    }
}

/// What a mark stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A score of the study's own split.
    Done,
    /// A score of a fresh split.
    Again,
    /// A score of what breaks the constraints.
    Refused,
    /// A score far below all others.
    Low,
    /// No score, through its own fault.
    Failed,
    /// Ended early, a twin, or called off.
    Ended,
    /// Has not ended.
    Pending,
    /// Nothing is better on both counts.
    Front,
}

impl Mark {
    fn class(self) -> &'static str {
        match self {
            Self::Done => "m done",
            Self::Again => "m again",
            Self::Refused => "m refused",
            Self::Low => "m low",
            Self::Failed => "m failed",
            Self::Ended => "m ended",
            Self::Pending => "m pending",
            Self::Front => "m front",
        }
    }

    fn shape(self) -> Option<&'static str> {
        match self {
            Self::Done | Self::Again | Self::Pending | Self::Front => None,
            Self::Refused => Some("m-diamond"),
            Self::Low => Some("m-down"),
            Self::Failed => Some("m-x"),
            Self::Ended => Some("m-tick"),
        }
    }
}

/// Marks with their words, for below a plot.
pub(super) fn legend(marks: &[(Mark, &str)]) -> String {
    let mut text = "<ul class=\"legend\">".to_owned();
    for (mark, word) in marks {
        let class = mark.class();
        let shape = match mark.shape() {
            None => format!("<circle class=\"{class}\" cx=\"8\" cy=\"8\" r=\"4\"/>"),
            Some(shape) => format!("<use class=\"{class}\" href=\"#{shape}\" x=\"8\" y=\"8\"/>"),
        };
        let _ = write!(
            text,
            "<li><svg width=\"16\" height=\"16\" aria-hidden=\"true\">{shape}</svg>{}</li>",
            esc(word)
        );
    }
    text + "</ul>"
}

/// A share of the width.
fn across(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}
