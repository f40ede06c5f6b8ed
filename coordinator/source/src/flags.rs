//! What a user asks of a constant: `NAME=low..high:log`, `NAME=one|other`.

use std::fmt;

use ar_common::Scale;

use crate::constants::value;
use crate::language::Language;

/// What a right flag looks like.
pub(crate) const EXAMPLES: &str =
    "`MATRIX_LR=0.01..0.1:log`, `DEPTH=2..8:int` or `ACTIVATION=relu2|gelu|silu`";

/// A constant to search, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct KnobFlag {
    /// The constant's name.
    pub name: String,
    /// What may stand in its place.
    pub wanted: Wanted,
    /// As the user wrote it, for messages.
    text: String,
}

/// What may stand in the place of a constant's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// What would be searched if nothing spoke against it: `DEPTH`.
    Default,
    /// Numbers of a range: `0.01..0.1:log`.
    Range {
        /// The smallest.
        low: f64,
        /// The largest, above `low`.
        high: f64,
        /// How they are spaced, by `:log` or `:linear`; if not said, as it suits the constant.
        scale: Option<Scale>,
        /// Whole numbers only, by `:int`; a whole constant stays whole without it.
        integer: bool,
    },
    /// These values, as written: `relu2|gelu`. At least one, none of them empty.
    Choices(Vec<String>),
}

/// Why a flag is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// It does not begin with a name.
    #[error("`{flag}` does not begin with the name of a constant; write e.g. {EXAMPLES}")]
    NoName {
        /// As the user wrote it.
        flag: String,
    },
    /// Nothing behind the equals sign, or between two bars.
    #[error("`{flag}` has an empty choice; write e.g. {EXAMPLES}")]
    EmptyChoice {
        /// As the user wrote it.
        flag: String,
    },
    /// An end of the range that is no number.
    #[error("`{end}` in `{flag}` is not a number; write e.g. {EXAMPLES}")]
    NotANumber {
        /// As the user wrote it.
        flag: String,
        /// The end.
        end: String,
    },
    /// A range that does not rise.
    #[error("the range of `{flag}` is empty; give the smaller number first, e.g. {EXAMPLES}")]
    EmptyRange {
        /// As the user wrote it.
        flag: String,
    },
    /// A word behind the range that says nothing.
    #[error("`:{word}` in `{flag}` is not known; it is `:log`, `:linear` or `:int`, e.g. {EXAMPLES}")]
    UnknownWord {
        /// As the user wrote it.
        flag: String,
        /// The word.
        word: String,
    },
    /// A character that no line of a script holds.
    #[error("`{flag}` has a line break or another control character in it; write e.g. {EXAMPLES}")]
    Control {
        /// As the user wrote it, with its control characters escaped.
        flag: String,
    },
}

impl KnobFlag {
    /// Reads `NAME`, `NAME=low..high` with `:log`, `:linear` and `:int` behind it, or `NAME=one|other`. Ends of a range
    /// may be calculated (`2**14..2**20`). A single value is one choice beside the present one; a text that has `..`
    /// in it stands in quotes.
    ///
    /// # Errors
    /// A flag of another form, which the error names, with right ones to copy.
    pub fn parse(flag: &str) -> Result<Self, FlagError> {
        let text = || flag.to_owned();
        if flag.contains(char::is_control) {
            return Err(FlagError::Control { flag: flag.escape_debug().to_string() });
        }
        let (name, wanted) = match flag.split_once('=') {
            Some((name, wanted)) => (name.trim(), Some(wanted.trim())),
            None => (flag.trim(), None),
        };
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_word) {
            return Err(FlagError::NoName { flag: text() });
        }
        let wanted = match wanted {
            None => Wanted::Default,
            Some(range) if range.contains("..") && !range.contains(['|', '"', '\'']) => {
                parse_range(flag, range)?
            }
            Some(choices) => {
                let choices: Vec<String> =
                    choices.split('|').map(|choice| choice.trim().to_owned()).collect();
                if choices.iter().any(String::is_empty) {
                    return Err(FlagError::EmptyChoice { flag: text() });
                }
                Wanted::Choices(choices)
            }
        };
        Ok(Self { name: name.to_owned(), wanted, text: text() })
    }
}

impl fmt::Display for KnobFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse_range(flag: &str, range: &str) -> Result<Wanted, FlagError> {
    let (range, words) = range.split_once(':').map_or((range, None), |(range, words)| (range, Some(words)));
    let end = |text: &str| {
        let number = value(Language::Python, text).and_then(|literal| literal.number());
        number.ok_or_else(|| FlagError::NotANumber { flag: flag.to_owned(), end: text.trim().to_owned() })
    };
    let (low, high) = range.split_once("..").unwrap_or((range, ""));
    let (low, high) = (end(low)?, end(high)?);
    if low >= high {
        return Err(FlagError::EmptyRange { flag: flag.to_owned() });
    }
    let (mut scale, mut integer) = (None, false);
    for word in words.iter().flat_map(|words| words.split(':')) {
        match word.trim() {
            "log" => scale = Some(Scale::Log),
            "linear" => scale = Some(Scale::Linear),
            "int" => integer = true,
            other => {
                return Err(FlagError::UnknownWord { flag: flag.to_owned(), word: other.to_owned() });
            }
        }
    }
    Ok(Wanted::Range { low, high, scale, integer })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(flag: &str) -> Wanted {
        KnobFlag::parse(flag).unwrap().wanted
    }

    fn choices(list: &[&str]) -> Wanted {
        Wanted::Choices(list.iter().map(|&choice| choice.to_owned()).collect())
    }

    #[test]
    fn a_flag_says_what_is_wanted() {
        let log = Wanted::Range { low: 0.01, high: 0.1, scale: Some(Scale::Log), integer: false };
        assert_eq!(wanted("MATRIX_LR=0.01..0.1:log"), log);
        let range = |integer| Wanted::Range { low: 2.0, high: 8.0, scale: None, integer };
        assert_eq!(wanted("DEPTH=2..8"), range(false));
        assert_eq!(wanted(" DEPTH = 2..8:int "), range(true));
        let sizes = Wanted::Range { low: 16_384.0, high: 1e6, scale: Some(Scale::Linear), integer: true };
        assert_eq!(wanted("BATCH=2**14..1_000_000:linear:int"), sizes);
        let below = Wanted::Range { low: -0.5, high: 1e-3, scale: None, integer: false };
        assert_eq!(wanted("SHIFT=-.5..1e-3"), below);
        assert_eq!(wanted("ACTIVATION=relu2|gelu | silu"), choices(&["relu2", "gelu", "silu"]));
        assert_eq!(wanted("ADAM_BETAS=(0.8,0.95)|(0.9,0.95)"), choices(&["(0.8,0.95)", "(0.9,0.95)"]));
        assert_eq!(wanted("MARK='a..b'"), choices(&["'a..b'"]));
        assert_eq!(wanted("DEPTH"), Wanted::Default);
        assert_eq!(KnobFlag::parse("DEPTH=2..8").unwrap().to_string(), "DEPTH=2..8");
    }

    #[test]
    fn a_flag_that_is_not_understood_is_named_with_a_right_one() {
        for (flag, reason) in [
            ("", "does not begin with the name"),
            ("=2..8", "does not begin with the name"),
            ("MY-DEPTH=2..8", "does not begin with the name"),
            ("2..8", "does not begin with the name"),
            ("DEPTH=", "empty choice"),
            ("DEPTH=2||4", "empty choice"),
            ("DEPTH=2..", "`` in"),
            ("DEPTH=two..8", "`two` in"),
            ("DEPTH=2..inf", "`inf` in"),
            ("DEPTH=2..True", "`True` in"),
            ("DEPTH=8..2", "smaller number first"),
            ("DEPTH=2..2", "smaller number first"),
            ("LR=0.1..1:lin", "`:lin` in"),
            ("LR=0.1..1:", "`:` in"),
            ("LR=0.1\n..1", "control character"),
        ] {
            let error = KnobFlag::parse(flag).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(
                error.contains(&flag.escape_debug().to_string()) && error.contains("DEPTH=2..8:int"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_flag_makes_it_panic(flag in prop_oneof![".*", "[A-Z]{1,3}=[-0-9.|:()*a-z' ]{0,12}"]) {
            if let Ok(KnobFlag { wanted: Wanted::Range { low, high, .. }, .. }) = KnobFlag::parse(&flag) {
                prop_assert!(low < high && low.is_finite() && high.is_finite());
            }
        }
    }
}
