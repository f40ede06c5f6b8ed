//! Text into a script, in place of other text.

use std::ops::Range;

/// Why a script is not rewritten. Positions are bytes from its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// Two changes of the same text, or two insertions at one place, whose order nothing says.
    #[error(
        "the changes of bytes {}..{} and {}..{} overlap; make one change of them", first.start, first.end,
        second.start, second.end
    )]
    Overlap {
        /// The one that starts first.
        first: Range<usize>,
        /// The other.
        second: Range<usize>,
    },
    /// A range that is not in the text.
    #[error(
        "bytes {}..{} are not a range of a text of {length} bytes; find the constants again in the text as it is now",
        range.start, range.end
    )]
    OutOfBounds {
        /// The range.
        range: Range<usize>,
        /// Bytes of the text.
        length: usize,
    },
    /// A range that begins or ends within a character.
    #[error(
        "bytes {}..{} begin or end within a character; find the constants again in the text as it is now",
        range.start, range.end
    )]
    InsideCharacter {
        /// The range.
        range: Range<usize>,
    },
}

/// `source` with the text at each range (in bytes, in any order) replaced; all other bytes stay as they are.
///
/// # Errors
/// A range that is not in the text, splits a character, or overlaps another.
pub fn rewrite(source: &str, changes: &[(Range<usize>, String)]) -> Result<String, RewriteError> {
    let mut sorted: Vec<&(Range<usize>, String)> = changes.iter().collect();
    sorted.sort_by_key(|(range, _)| (range.start, range.end));
    let mut text = String::with_capacity(source.len());
    let mut before: Option<&Range<usize>> = None;
    for (range, replacement) in sorted {
        if range.start > range.end || range.end > source.len() {
            return Err(RewriteError::OutOfBounds { range: range.clone(), length: source.len() });
        }
        if let Some(first) = before.filter(|first| range.start < first.end || range == *first) {
            return Err(RewriteError::Overlap { first: first.clone(), second: range.clone() });
        }
        let inside = || RewriteError::InsideCharacter { range: range.clone() };
        let kept = source.get(before.map_or(0, |range| range.end)..range.start).ok_or_else(inside)?;
        source.get(range.clone()).ok_or_else(inside)?;
        text.push_str(kept);
        text.push_str(replacement);
        before = Some(range);
    }
    text.push_str(source.get(before.map_or(0, |range| range.end)..).unwrap_or_default());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(range: Range<usize>, text: &str) -> (Range<usize>, String) {
        (range, text.to_owned())
    }

    #[test]
    fn ranges_are_replaced_in_any_order() {
        let changes = [change(4..5, "zwei"), change(0..1, ""), change(5..5, "!"), change(9..9, "\n")];
        assert_eq!(rewrite("ä = 2 # ü", &[]), Ok("ä = 2 # ü".to_owned()));
        assert_eq!(rewrite("a = 2 # b", &changes), Ok(" = zwei! # b\n".to_owned()));
    }

    #[test]
    fn ranges_that_cannot_be_are_refused() {
        let refused = |changes: &[(Range<usize>, String)]| rewrite("äbc", changes).unwrap_err();
        assert_eq!(
            refused(&[change(3..4, "x"), change(2..4, "y")]),
            RewriteError::Overlap { first: 2..4, second: 3..4 }
        );
        assert!(matches!(refused(&[change(2..2, "x"), change(2..2, "y")]), RewriteError::Overlap { .. }));
        assert_eq!(refused(&[change(3..5, "x")]), RewriteError::OutOfBounds { range: 3..5, length: 4 });
        #[expect(clippy::reversed_empty_ranges, reason = "that is what must be refused")]
        let reversed = 3..2;
        assert!(matches!(refused(&[change(reversed, "x")]), RewriteError::OutOfBounds { .. }));
        assert_eq!(refused(&[change(0..1, "x")]), RewriteError::InsideCharacter { range: 0..1 });
        assert_eq!(refused(&[change(1..1, "x")]), RewriteError::InsideCharacter { range: 1..1 });
    }

    proptest! {
        #[test]
        fn what_is_not_changed_stays(parts in prop::collection::vec((".{0,6}", ".{0,6}", ".{0,4}"), 0..6), last in ".{0,6}") {
            let (mut source, mut wanted, mut changes) = (String::new(), String::new(), Vec::new());
            for (kept, old, new) in &parts {
                // A character between two changes, so that none meets the next.
                source.push_str(kept);
                source.push('|');
                changes.push((source.len()..source.len() + old.len(), new.clone()));
                source.push_str(old);
                wanted.extend([kept.as_str(), "|", new.as_str()]);
            }
            source.push_str(&last);
            wanted.push_str(&last);
            changes.reverse();
            prop_assert_eq!(rewrite(&source, &changes), Ok(wanted));
        }

        #[test]
        fn no_ranges_make_it_panic(source in ".{0,12}", ranges in prop::collection::vec((0_usize..30, 0_usize..30), 0..4)) {
            let changes: Vec<_> = ranges.iter().map(|&(a, b)| change(a..b, "é")).collect();
            if let Ok(text) = rewrite(&source, &changes) {
                let removed: usize = ranges.iter().map(|(a, b)| b - a).sum();
                prop_assert_eq!(text.len(), source.len() - removed + 2 * changes.len());
            }
        }
    }
}
