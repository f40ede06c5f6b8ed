//! Tables: with a caption and heads, so that they can be read aloud.

use std::fmt::{Display, Write};

use super::escape::esc;

/// A table of texts from anywhere.
pub(super) fn plain(caption: &str, heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new(caption, heads, "");
    for row in rows {
        table.row("");
        row.iter().for_each(|cell| table.text(cell));
    }
    table.finish()
}

/// A table under construction. Cells go to the row that was begun last.
pub(super) struct Table {
    text: String,
    open: bool,
}

impl Table {
    /// A head that begins with `>` stands above numbers.
    pub(super) fn new(caption: &str, heads: &[&str], class: &'static str) -> Self {
        let mut text = format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">\
             <table class=\"{class}\"><caption>{}</caption><thead><tr>",
            esc(caption),
            esc(caption)
        );
        for head in heads {
            let _ = match head.strip_prefix('>') {
                Some(head) => write!(text, "<th scope=\"col\" class=\"n\">{}</th>", esc(head)),
                None => write!(text, "<th scope=\"col\">{}</th>", esc(head)),
            };
        }
        Self { text: text + "</tr></thead><tbody>", open: false }
    }

    /// Begins a row.
    pub(super) fn row(&mut self, class: &'static str) {
        if self.open {
            self.text.push_str("</tr>");
        }
        self.open = true;
        let _ = match class {
            "" => write!(self.text, "<tr>"),
            class => write!(self.text, "<tr class=\"{class}\">"),
        };
    }

    /// What the row is about.
    pub(super) fn head(&mut self, text: &str) {
        // Names are long and break best between them, else between their parts. No escape has these characters.
        let whole = esc(text).to_string().replace('=', "=<wbr>").replace('_', "_<wbr>");
        let text: Vec<String> = whole.split(' ').map(|name| format!("<span>{name}</span>")).collect();
        let text = text.join(" ");
        let _ = write!(self.text, "<th scope=\"row\">{text}</th>");
    }

    /// Text from anywhere.
    pub(super) fn text(&mut self, text: &str) {
        let _ = write!(self.text, "<td>{}</td>", esc(text));
    }

    /// A number, or nothing.
    pub(super) fn number(&mut self, text: &str) {
        let _ = write!(self.text, "<td class=\"n\">{}</td>", esc(text));
    }

    /// Markup of ours, with a class of ours.
    pub(super) fn markup(&mut self, class: &str, markup: impl Display) {
        let _ = write!(self.text, "<td class=\"{class}\">{markup}</td>");
    }

    pub(super) fn finish(mut self) -> String {
        if self.open {
            self.text.push_str("</tr>");
        }
        self.text + "</tbody></table></div>"
    }
}
