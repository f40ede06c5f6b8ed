//! What a written value means, without running anything.

use tree_sitter::Node;

use crate::language::Language;

/// Parentheses and operators inside one another beyond this are not looked into: no script has them, and the look
/// goes on by recursion.
const DEPTH: usize = 50;

/// What a constant's value means.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A whole number, also one that is calculated from others: `2**19`.
    Int(i64),
    /// A finite number with a fraction or an exponent.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text, without quotes and escapes.
    Text(String),
    /// Several values in a fixed order; in Rust also an array.
    Tuple(Vec<Literal>),
    /// Python's `None`.
    None,
}

impl Literal {
    /// The number it is, if it is one and a 64-bit float holds it exactly.
    pub(crate) fn number(&self) -> Option<f64> {
        match *self {
            Self::Int(value) => exact(value),
            Self::Float(value) => Some(value),
            _ => None,
        }
    }

    /// The word for its kind, with an article.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Bool(_) => "a truth value",
            Self::Text(_) => "a text",
            Self::Tuple(_) => "a tuple",
            Self::None => "`None`",
        }
    }
}

/// Whole numbers beyond this are not all floats.
pub(crate) const EXACT: f64 = 9_007_199_254_740_992.0;

fn exact(value: i64) -> Option<f64> {
    let float = value as f64;
    (float.abs() <= EXACT).then_some(float)
}

/// What the value at `node` means; `None` if it takes more than literals and arithmetic to know.
pub(crate) fn literal(language: Language, node: Node<'_>, source: &str) -> Option<Literal> {
    if node.has_error() {
        return None;
    }
    Reader { language, source }.read(node, DEPTH)
}

struct Reader<'a> {
    language: Language,
    source: &'a str,
}

impl Reader<'_> {
    fn text(&self, node: Node<'_>) -> Option<&str> {
        self.source.get(node.byte_range())
    }

    fn read(&self, node: Node<'_>, depth: usize) -> Option<Literal> {
        let depth = depth.checked_sub(1)?;
        match node.kind() {
            "integer" | "float" | "integer_literal" | "float_literal" => {
                number(self.language, self.text(node)?)
            }
            "true" => Some(Literal::Bool(true)),
            "false" => Some(Literal::Bool(false)),
            "boolean_literal" => Some(Literal::Bool(self.text(node)? == "true")),
            "none" => Some(Literal::None),
            "string" | "string_literal" | "raw_string_literal" => {
                string(self.language, self.text(node)?).map(Literal::Text)
            }
            "parenthesized_expression" => match parts(node).as_slice() {
                [inner] => self.read(*inner, depth),
                _ => None,
            },
            "tuple" | "expression_list" | "tuple_expression" | "array_expression" => {
                // `[0.5; 2]` is no list of what stands in it.
                if node.child_by_field_name("length").is_some() {
                    return None;
                }
                parts(node)
                    .into_iter()
                    .map(|part| self.read(part, depth))
                    .collect::<Option<_>>()
                    .map(Literal::Tuple)
            }
            "unary_operator" | "unary_expression" => {
                let sign = self.text(node.child(0)?)?;
                match (sign, self.read(*parts(node).first()?, depth)?) {
                    ("-", Literal::Int(value)) => value.checked_neg().map(Literal::Int),
                    ("-", Literal::Float(value)) => Some(Literal::Float(-value)),
                    ("+", number @ (Literal::Int(_) | Literal::Float(_))) => Some(number),
                    _ => None,
                }
            }
            "binary_operator" | "binary_expression" => {
                let left = self.read(node.child_by_field_name("left")?, depth)?;
                let right = self.read(node.child_by_field_name("right")?, depth)?;
                calculate(self.language, self.text(node.child_by_field_name("operator")?)?, &left, &right)
            }
            _ => None,
        }
    }
}

/// The named children, without comments.
fn parts(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|child| !child.is_extra()).collect()
}

fn number(language: Language, written: &str) -> Option<Literal> {
    let digits = written.replace('_', "").to_ascii_lowercase();
    let digits = match language {
        Language::Python => digits.as_str(),
        Language::Rust => digits.strip_suffix(&suffix(written).replace('_', ""))?,
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits.strip_prefix(prefix) {
            return i64::from_str_radix(digits, radix).ok().map(Literal::Int);
        }
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) && !suffix(written).contains('f') {
        return digits.parse().ok().map(Literal::Int);
    }
    // Python's imaginary numbers end here, too.
    let value: f64 = digits.parse().ok()?;
    value.is_finite().then_some(Literal::Float(value))
}

/// The type that ends a number in Rust, with the underscore before it: `_u32` of `8_u32`; empty if there is none.
pub(crate) fn suffix(written: &str) -> &str {
    const TYPES: [&str; 14] = [
        "u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "u128", "i128", "isize", "usize", "f32", "f64",
    ];
    let of_hex = written.starts_with("0x");
    let ends = |name: &&&str| written.ends_with(**name) && !(of_hex && name.starts_with('f'));
    let Some(name) = TYPES.iter().find(ends) else {
        return "";
    };
    let digits = written[..written.len() - name.len()].trim_end_matches('_');
    if digits.is_empty() { "" } else { &written[digits.len()..] }
}

/// What a string means; `None` if it is made of bytes, is filled in when it runs, or has an escape that stands for
/// something else in another language.
fn string(language: Language, written: &str) -> Option<String> {
    let open = written.find(['"', '\''])?;
    let prefix = written[..open].to_ascii_lowercase();
    let raw = prefix.starts_with('r');
    let body = match (language, prefix.as_str()) {
        (Language::Python, "" | "u" | "r") => {
            let quotes = &written[open..];
            let triple = [r#"""""#, "'''"].into_iter().find(|t| quotes.starts_with(t));
            let quote = triple.unwrap_or(quotes.get(..1)?);
            quotes.strip_prefix(quote)?.strip_suffix(quote)?
        }
        (Language::Rust, _) if prefix.is_empty() || raw => {
            let hashes = prefix.get(1..).unwrap_or_default();
            written.get(open + 1..)?.strip_suffix(hashes)?.strip_suffix('"')?
        }
        _ => return None,
    };
    if raw { Some(body.to_owned()) } else { unescaped(body) }
}

fn unescaped(body: &str) -> Option<String> {
    let mut text = String::with_capacity(body.len());
    let mut letters = body.chars();
    while let Some(letter) = letters.next() {
        text.push(match letter {
            '\\' => match letters.next()? {
                same @ ('\\' | '"' | '\'') => same,
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                _ => return None,
            },
            other => other,
        });
    }
    Some(text)
}

/// Arithmetic as the language does it; `None` where it would overflow, divide by zero or not be a number.
fn calculate(language: Language, operator: &str, left: &Literal, right: &Literal) -> Option<Literal> {
    match (left, right) {
        (Literal::Int(a), Literal::Int(b)) => whole(language, operator, *a, *b),
        (Literal::Int(a), Literal::Float(b)) if language == Language::Python => {
            broken(language, operator, *a as f64, *b)
        }
        (Literal::Float(a), Literal::Int(b)) if language == Language::Python => {
            broken(language, operator, *a, *b as f64)
        }
        (Literal::Float(a), Literal::Float(b)) => broken(language, operator, *a, *b),
        _ => None,
    }
}

fn whole(language: Language, operator: &str, a: i64, b: i64) -> Option<Literal> {
    let value = match (language, operator) {
        (_, "+") => a.checked_add(b),
        (_, "-") => a.checked_sub(b),
        (_, "*") => a.checked_mul(b),
        (_, "<<") => u32::try_from(b).ok().and_then(|b| 2_i64.checked_pow(b)).and_then(|b| a.checked_mul(b)),
        (Language::Rust, "/") => a.checked_div(b),
        (Language::Python, "//") => {
            let down = a.checked_rem(b)? != 0 && (a < 0) != (b < 0);
            a.checked_div(b).map(|quotient| quotient - i64::from(down))
        }
        (Language::Python, "**") if b >= 0 => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        (Language::Python, "/" | "**") => return broken(language, operator, a as f64, b as f64),
        _ => None,
    };
    value.map(Literal::Int)
}

fn broken(language: Language, operator: &str, a: f64, b: f64) -> Option<Literal> {
    let value = match (language, operator) {
        (_, "+") => a + b,
        (_, "-") => a - b,
        (_, "*") => a * b,
        (_, "/") => a / b,
        (Language::Python, "**") => a.powf(b),
        (Language::Python, "//") => {
            // From the remainder, as Python does it: the floor of a / b is another number where a / b is rounded.
            let rest = a % b;
            let down = rest != 0.0 && (rest < 0.0) != (b < 0.0);
            ((a - rest) / b).round() - f64::from(u8::from(down))
        }
        _ => return None,
    };
    value.is_finite().then_some(Literal::Float(value))
}
