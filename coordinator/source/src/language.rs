//! The languages whose constants are understood.

use std::ops::ControlFlow;

use tree_sitter::{ParseOptions, ParseState, Parser, Tree};

use crate::constants::SourceError;

/// A language whose constants are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Python 3.
    Python,
    /// Rust.
    Rust,
}

/// How often the parser may report progress, once in 100 steps of its own, for any text and beyond that per byte.
/// A script takes one report in 100 to 200 bytes, and text made to confuse the parser up to ten times that.
const REPORTS: usize = 10_000;
const BYTES_PER_REPORT: usize = 100;

impl Language {
    /// The language of the file at `path`, by its ending; `None` for every other.
    pub fn of_path(path: &str) -> Option<Self> {
        let file = path.rsplit(['/', '\\']).next()?;
        match file.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "py" | "pyw" => Some(Self::Python),
            "rs" => Some(Self::Rust),
            _ => None,
        }
    }

    /// The syntax tree of `source`, with error nodes where it is broken.
    pub(crate) fn parse(self, source: &str) -> Result<Tree, SourceError> {
        let grammar = match self {
            Self::Python => tree_sitter_python::LANGUAGE,
            Self::Rust => tree_sitter_rust::LANGUAGE,
        };
        let mut parser = Parser::new();
        parser.set_language(&grammar.into()).map_err(|e| SourceError::Grammar(e.to_string()))?;
        let mut left = REPORTS + source.len() / BYTES_PER_REPORT;
        let mut patience = |_: &ParseState| match left.checked_sub(1) {
            Some(fewer) => {
                left = fewer;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        };
        let options = ParseOptions::new().progress_callback(&mut patience);
        let mut read = |at: usize, _| source.as_bytes().get(at..).unwrap_or_default();
        parser.parse_with_options(&mut read, None, Some(options)).ok_or(SourceError::Tangled)
    }

    /// How a truth value is written.
    pub(crate) fn bool(self, value: bool) -> &'static str {
        match (self, value) {
            (Self::Python, true) => "True",
            (Self::Python, false) => "False",
            (Self::Rust, true) => "true",
            (Self::Rust, false) => "false",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_told_by_the_ending_of_the_file() {
        assert_eq!(Language::of_path("runs/train.py"), Some(Language::Python));
        assert_eq!(Language::of_path("C:\\runs\\TRAIN.PY"), Some(Language::Python));
        assert_eq!(Language::of_path("src/main.rs"), Some(Language::Rust));
        for other in ["", ".", "py", "train", "train.ipynb", "some.py/train", "train.py.txt"] {
            assert_eq!(Language::of_path(other), None, "{other}");
        }
    }
}
