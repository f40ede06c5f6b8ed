//! Where text for people goes. A closed pipe (`| head`) is no error.

use std::io::{self, IsTerminal, Write};

/// A line to standard output.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// One line to standard error that says what is wrong. What it quotes may be anything.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "error: {}", crate::text::plain(text));
}

/// Text for people: standard output, or standard error where standard output carries JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console {
    json: bool,
}

impl Console {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn line(self, text: &str) {
        if self.json {
            let _ = writeln!(io::stderr().lock(), "{text}");
        } else {
            say(text);
        }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    pub(crate) fn is_terminal(self) -> bool {
        if self.json { io::stderr().is_terminal() } else { io::stdout().is_terminal() }
    }

    /// Columns of the terminal, or a width that suits a file.
    pub(crate) fn width(self) -> usize {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        columns.unwrap_or(100)
    }
}
