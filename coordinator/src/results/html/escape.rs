//! The one way of text into a page.

use std::fmt::{self, Display, Formatter, Write};

/// Text from outside, written so that a browser shows it and does nothing else with it, in content and in quoted
/// attributes. What no page may hold (control characters) or what turns the order of letters round stands as an escape.
pub(super) fn esc(text: &str) -> Escaped<'_> {
    Escaped(text)
}

pub(super) struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in crate::text::plain(self.0).chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_it_is_markup() {
        let text = "<b a='1' b=\"2\">&amp;\u{0}\n\u{202e}é</b>";
        let expected = "&lt;b a=&#39;1&#39; b=&quot;2&quot;&gt;&amp;amp;\\u{0}\\n\\u{202e}é&lt;/b&gt;";
        assert_eq!(esc(text).to_string(), expected);
    }
}
