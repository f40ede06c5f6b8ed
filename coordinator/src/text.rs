//! Text that stays where it is put, and numbers as people read them.

/// Text from outside for a terminal: on one line, and what would steer the terminal or turn the order of the letters
/// round is written as an escape.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    text.chars().for_each(|c| push_plain(&mut shown, c));
    shown
}

/// Pushes a character that stays on the line and says what it is, any other as an escape.
pub fn push_plain(text: &mut String, c: char) {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    if c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}') {
        text.extend(c.escape_default());
    } else {
        text.push(c);
    }
}

/// The first `most` characters, with a mark where there are more.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// How numbers that stand beside each other are written: with as many digits after the point as the largest needs
/// to show `significant` digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digits {
    after_point: usize,
    /// Too small or too large to be written out.
    scientific: bool,
}

impl Digits {
    /// For these numbers.
    pub fn of(values: impl IntoIterator<Item = f64>, significant: i32) -> Self {
        let largest =
            values.into_iter().filter(|v| v.is_finite()).fold(0.0, |most: f64, v| most.max(v.abs()));
        if largest == 0.0 {
            return Self { after_point: 0, scientific: false };
        }
        let before = largest.log10().floor() as i32 + 1;
        let scientific = !(-6..=12).contains(&before);
        let after = if scientific { significant - 1 } else { significant - before };
        Self { after_point: after.clamp(0, 12) as usize, scientific }
    }

    /// The number.
    pub fn show(self, value: f64) -> String {
        let digits = self.after_point;
        let text = if self.scientific { format!("{value:.digits$e}") } else { format!("{value:.digits$}") };
        // What is rounded away has no sign.
        let nothing = text.strip_prefix('-').filter(|rest| rest.chars().all(|c| c == '0' || c == '.'));
        nothing.map_or(text.clone(), str::to_owned)
    }

    /// The number with its sign.
    pub fn signed(self, value: f64) -> String {
        let text = self.show(value);
        if text.starts_with('-') { text } else { format!("+{text}") }
    }
}

/// One number with `significant` digits.
pub fn number(value: f64, significant: i32) -> String {
    Digits::of([value], significant).show(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_written_as_an_escape() {
        assert_eq!(plain("a\u{1b}[2Jb\n\u{202e}c é 漢"), "a\\u{1b}[2Jb\\n\\u{202e}c é 漢");
        assert_eq!((cut("abcdef", 3), cut("äbc", 3)), ("abc…".into(), "äbc".into()));
    }

    #[test]
    fn numbers_have_the_digits_that_the_largest_of_them_needs() {
        let digits = Digits::of([0.0123, -0.5], 3);
        assert_eq!([0.0123, -0.5, -0.0001].map(|v| digits.signed(v)), ["+0.012", "-0.500", "+0.000"]);
        assert_eq!([1234.5, 0.0, 1.5e-9].map(|v| number(v, 3)), ["1234", "0", "1.50e-9"]);
        assert_eq!(number(-3.5e20, 2), "-3.5e20");
        assert_eq!(Digits::of([f64::NAN], 3).show(0.0), "0");
    }
}
