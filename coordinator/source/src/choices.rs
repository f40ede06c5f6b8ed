//! What may stand for a value that is on no scale, or that the user lists.

use ar_common::space::BASE;
use ar_common::{Dimension, OptionSpec};

use crate::constants::{Constant, value};
use crate::literal::Literal;
use crate::ranges;

/// What was wrong with a list of choices.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ChoiceError {
    /// A choice that is of another kind than the constant.
    Kind(String),
    /// Nothing but the present value.
    OnlyPresent,
    /// A choice called `base`.
    Base,
    /// A constant that cannot have choices.
    NoKind,
}

/// The dimension of a truth value: the other one.
pub(crate) fn of_bool(constant: &Constant, present: bool) -> (Dimension, String) {
    let other = constant.language.bool(!present).to_owned();
    let why = format!("{} or {other}", constant.language.bool(present));
    (slot(&constant.name, &constant.text, vec![other]), why)
}

/// The dimension of the choices that are listed, without the present value and what is listed twice.
pub(crate) fn listed(constant: &Constant, choices: &[String]) -> Result<(Dimension, String), ChoiceError> {
    let mut seen = vec![constant.value.clone()];
    let mut names = Vec::new();
    let mut values = Vec::new();
    for choice in choices {
        let (name, literal) = read(constant, choice)?;
        if seen.contains(&literal) {
            continue;
        }
        if name == BASE {
            return Err(ChoiceError::Base);
        }
        values.extend(literal.number());
        seen.push(literal);
        names.push(name);
    }
    if names.is_empty() {
        return Err(ChoiceError::OnlyPresent);
    }
    let Some(default) = constant.value.number() else {
        let why = format!("{} or {}", shown(constant), names.join(", "));
        return Ok((slot(&constant.name, &shown(constant), names), why));
    };
    let low = values.iter().copied().fold(default, f64::min);
    let scale = ranges::scale(&constant.name, &constant.value, low);
    let why = format!("{default} or {}", names.join(", "));
    Ok((ranges::numbers(&constant.name, default, values, scale), why))
}

/// The name of a choice, and what it means.
fn read(constant: &Constant, choice: &str) -> Result<(String, Literal), ChoiceError> {
    let kind = || ChoiceError::Kind(choice.to_owned());
    if let Literal::Text(_) = constant.value {
        let text = unquoted(choice);
        return Ok((text.to_owned(), Literal::Text(text.to_owned())));
    }
    let literal = value(constant.language, choice).ok_or_else(kind)?;
    let name = match (&constant.value, &literal) {
        (Literal::Int(_), Literal::Int(_)) | (Literal::Float(_), Literal::Float(_)) => number(&literal),
        (Literal::Float(_), Literal::Int(whole)) => {
            return Ok((number(&literal).ok_or_else(kind)?, Literal::Float(*whole as f64)));
        }
        (Literal::Bool(_), Literal::Bool(value)) => Some(constant.language.bool(*value).to_owned()),
        (Literal::Tuple(present), Literal::Tuple(parts)) if present.len() == parts.len() => {
            Some(choice.to_owned())
        }
        (Literal::None, _) => return Err(ChoiceError::NoKind),
        _ => None,
    };
    Ok((name.ok_or_else(kind)?, literal))
}

fn number(literal: &Literal) -> Option<String> {
    literal.number().map(|number| number.to_string())
}

/// The present value in the form of a choice.
fn shown(constant: &Constant) -> String {
    match &constant.value {
        Literal::Text(text) => text.clone(),
        _ => constant.text.clone(),
    }
}

/// A dimension of options that are each a lineage of their own. Names of families are unique in a space, and two
/// constants may have the same choices, so the constant is part of them.
fn slot(name: &str, present: &str, others: Vec<String>) -> Dimension {
    let option = |option: String, meaning: &str| OptionSpec {
        name: option,
        family: format!("{name}={meaning}"),
        ..OptionSpec::default()
    };
    let others = others.into_iter().map(|other| {
        let meaning = other.clone();
        option(other, &meaning)
    });
    let options = std::iter::once(option(BASE.to_owned(), present)).chain(others).collect();
    Dimension { name: name.to_owned(), options, ..Dimension::default() }
}

/// The choices that a comment lists: `"relu2" | "gelu"`, or `choices: relu2, gelu` at its beginning.
pub(crate) fn in_comment(comment: &str) -> Option<Vec<String>> {
    let comment = comment.trim();
    let head = comment.get(.."choices:".len()).filter(|head| head.eq_ignore_ascii_case("choices:"));
    let choices: Vec<String> = match head {
        Some(head) => {
            comment[head.len()..].split([',', '|']).map(|c| unquoted(c.trim()).to_owned()).collect()
        }
        None => quoted_between_bars(comment)?,
    };
    let is_choice = |choice: &String| !choice.is_empty() && !choice.contains(char::is_control);
    choices.iter().all(is_choice).then_some(choices)
}

/// `"relu2" | "gelu"`, with words before the first and behind the last.
fn quoted_between_bars(comment: &str) -> Option<Vec<String>> {
    let pieces: Vec<&str> = comment.split('|').map(str::trim).collect();
    let [first, between @ .., last] = pieces.as_slice() else {
        return None;
    };
    let quote = |letter: &char| matches!(letter, '"' | '\'');
    let at_end = first.chars().next_back().filter(quote)?;
    let first = first.strip_suffix(at_end)?.rsplit_once(at_end)?.1;
    let at_start = last.chars().next().filter(quote)?;
    let last = last.strip_prefix(at_start)?.split_once(at_start)?.0;
    let between = between.iter().map(|piece| (unquoted(piece) != *piece).then(|| unquoted(piece)));
    let between: Vec<&str> = between.collect::<Option<_>>()?;
    Some([&[first], between.as_slice(), &[last]].concat().into_iter().map(str::to_owned).collect())
}

/// Without the quotes around it, if there are any.
fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_list_choices_in_two_ways() {
        for (comment, wanted) in [
            (r#""relu2" | "gelu""#, &["relu2", "gelu"][..]),
            (r#"activation: "relu2" | 'gelu' | "silu" (squared first)"#, &["relu2", "gelu", "silu"]),
            ("choices: relu2, gelu", &["relu2", "gelu"]),
            (r#"Choices: "relu2" | "gelu""#, &["relu2", "gelu"]),
        ] {
            assert_eq!(in_comment(comment).unwrap(), wanted, "{comment}");
        }
        for none in [
            "",
            "sliding window: L=full, S=half",
            "a | b",
            r#""a" | b | "c""#,
            "choices:",
            "choices: a,,b",
            "\"",
        ] {
            assert_eq!(in_comment(none), None, "{none}");
        }
    }
}
