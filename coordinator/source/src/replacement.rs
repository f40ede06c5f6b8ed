//! A chosen option as source text.

use ar_common::OptionSpec;
use ar_common::space::BASE;

use crate::constants::Constant;
use crate::language::Language;
use crate::literal::{Literal, suffix};

/// The text that puts `option` in the place of the value of `constant`: `base` is the value as written; a number is
/// written as the option names it, whole if the constant is whole and otherwise with a fraction, and with the type
/// that ended it in Rust; a text gets the quotes of the present one; a truth value or a tuple is the option's name.
/// The option is one of the dimension that [`knobs`](crate::knobs()) made of the constant.
pub fn replacement(constant: &Constant, option: &OptionSpec) -> String {
    if option.name == BASE {
        return constant.text.clone();
    }
    let name = &option.name;
    match &constant.value {
        Literal::Text(_) => quoted(constant, name),
        Literal::Int(_) => format!("{name}{}", number_suffix(constant)),
        Literal::Float(_) => {
            let fraction = if name.contains(['.', 'e', 'E']) { "" } else { ".0" };
            format!("{name}{fraction}{}", number_suffix(constant))
        }
        Literal::Bool(_) | Literal::Tuple(_) | Literal::None => name.clone(),
    }
}

fn number_suffix(constant: &Constant) -> &str {
    match constant.language {
        Language::Python => "",
        Language::Rust => suffix(&constant.text),
    }
}

/// `text` in the quotes of the constant. A raw string cannot hold everything, and becomes a plain one where it must.
fn quoted(constant: &Constant, text: &str) -> String {
    let written = constant.text.as_str();
    let open = written.find(['"', '\'']).unwrap_or(0);
    let (prefix, quotes) = written.split_at_checked(open).unwrap_or(("", written));
    let quote = quotes.chars().next().unwrap_or('"');
    let three = quote.to_string().repeat(3);
    let is_triple = constant.language == Language::Python && quotes.starts_with(&three) && quotes.len() >= 6;
    let quotes = if is_triple { three } else { quote.to_string() };
    let is_raw = prefix.starts_with(['r', 'R']);
    if is_raw && !text.contains([quote, '\\', '\n', '\r']) {
        return format!("{prefix}{quotes}{text}{quotes}{}", prefix.get(1..).unwrap_or_default());
    }
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            same if same == quote => escaped.extend(['\\', same]),
            other => escaped.push(other),
        }
    }
    let prefix = if is_raw { "" } else { prefix };
    format!("{prefix}{quotes}{escaped}{quotes}")
}
