//! What a process printed, kept within fixed bounds: the beginning, the end, and how much lay between.

use std::borrow::Cow;

/// Bytes kept from the beginning.
const HEAD: usize = 64 << 10;
/// Bytes kept from the end.
const TAIL: usize = 256 << 10;
/// Characters of a line that is quoted as a reason.
const QUOTED: usize = 300;

/// The first 64 KiB and the last 256 KiB of a stream. What lies between is counted and dropped, so a
/// process that prints without end costs no more memory than one that fills the bounds.
#[derive(Debug, Clone, Default)]
pub struct Bounded {
    head: Vec<u8>,
    /// A ring once it is full.
    tail: Vec<u8>,
    /// Where the ring's oldest byte is; 0 until it is full.
    oldest: usize,
    dropped: u64,
}

impl Bounded {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        let (to_head, rest) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
        append(&mut self.head, to_head, HEAD);
        let (to_tail, over) = rest.split_at(rest.len().min(TAIL - self.tail.len()));
        append(&mut self.tail, to_tail, TAIL);
        self.dropped += over.len() as u64;
        // Of more than a whole ring only the last part survives.
        let mut over = over.get(over.len().saturating_sub(TAIL)..).unwrap_or_default();
        while !over.is_empty() {
            let (now, later) = over.split_at(over.len().min(TAIL - self.oldest));
            if let Some(place) = self.tail.get_mut(self.oldest..self.oldest + now.len()) {
                place.copy_from_slice(now);
            }
            self.oldest = (self.oldest + now.len()) % TAIL;
            over = later;
        }
    }

    /// Bytes that were not kept.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What was kept, with a line that says how much was left out where something was. Bytes that are
    /// not UTF-8 become replacement characters.
    pub fn text(&self) -> String {
        let tail = self.tail();
        if self.dropped == 0 {
            return String::from_utf8_lossy(&[&self.head, &*tail].concat()).into_owned();
        }
        // A character that was cut by our own bounds is left out whole: it is not the stream's fault.
        let cut = self.head.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
        let head = self.head.get(..self.head.len() - cut).unwrap_or_default();
        let begun = tail.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
        let left_out = self.dropped + (cut + begun) as u64;
        let head = String::from_utf8_lossy(head);
        let tail = String::from_utf8_lossy(tail.get(begun..).unwrap_or_default());
        format!("{head}\n... {left_out} bytes left out ...\n{tail}")
    }

    /// The last line that says something, fit to be quoted in one line: no control characters, no
    /// terminal colours, at most 300 characters. Empty if nothing was said.
    pub fn last_line(&self) -> String {
        let tail = self.tail();
        let kept: Cow<'_, [u8]> = if self.dropped == 0 { [&self.head, &*tail].concat().into() } else { tail };
        let last = |bytes: &[u8]| {
            // A progress bar ends its lines with a carriage return.
            bytes
                .rsplit(|byte| matches!(byte, b'\n' | b'\r'))
                .map(|line| one_line(&String::from_utf8_lossy(line)))
                .find(|line| !line.is_empty())
        };
        last(&kept).or_else(|| last(&self.head)).unwrap_or_default()
    }

    fn tail(&self) -> Cow<'_, [u8]> {
        let (newer, older) = self.tail.split_at(self.oldest);
        if newer.is_empty() { older.into() } else { [older, newer].concat().into() }
    }
}

/// Appends to a vector that never takes more than `limit`, in few steps.
fn append(to: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    let length = to.len() + bytes.len();
    if length > to.capacity() {
        let capacity = length.max(2 * to.capacity()).min(limit);
        to.reserve_exact(capacity - to.len());
    }
    to.extend_from_slice(bytes);
}

/// `text` without what could disturb a terminal or a log, cut to what may be quoted.
pub(crate) fn one_line(text: &str) -> String {
    let mut shown = String::new();
    let mut left = text.chars().peekable();
    while let Some(c) = left.next() {
        if c == '\u{1b}' {
            skip_escape(&mut left);
        } else if c == '\t' {
            shown.push(' ');
        } else if !c.is_control() && !rearranges(c) {
            shown.push(c);
        }
    }
    let shown = shown.trim();
    if shown.chars().count() <= QUOTED {
        return shown.to_owned();
    }
    shown.chars().take(QUOTED - 1).chain(['…']).collect()
}

/// Skips what follows an escape character: `[`, parameters, and the letter that ends them.
fn skip_escape(left: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    if left.next_if_eq(&'[').is_none() {
        return;
    }
    while left.next_if(|c| (' '..='?').contains(c)).is_some() {}
    left.next_if(|c| ('@'..='~').contains(c));
}

/// Whether a character ends a line or turns the direction of writing without being a control character.
fn rearranges(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a plain implementation that keeps everything would show.
    fn expected(all: &[u8]) -> String {
        if all.len() <= HEAD + TAIL {
            return String::from_utf8_lossy(all).into_owned();
        }
        let (head, tail) = (&all[..HEAD], &all[all.len() - TAIL..]);
        let out = all.len() - HEAD - TAIL;
        format!(
            "{}\n... {out} bytes left out ...\n{}",
            String::from_utf8_lossy(head),
            String::from_utf8_lossy(tail)
        )
    }

    #[test]
    fn every_size_of_stream_and_of_piece_keeps_head_and_tail() {
        let all: Vec<u8> = (0..HEAD + 3 * TAIL + 17).map(|i| b'a' + (i % 23) as u8).collect();
        for length in
            [0, 1, HEAD - 1, HEAD, HEAD + 1, HEAD + TAIL - 1, HEAD + TAIL, HEAD + TAIL + 1, all.len()]
        {
            for piece in [7, 8192, TAIL, TAIL + 1, all.len()] {
                let mut output = Bounded::default();
                all[..length].chunks(piece).for_each(|bytes| output.push(bytes));
                assert!(output.text() == expected(&all[..length]), "{length} bytes in pieces of {piece}");
                assert_eq!(output.dropped(), length.saturating_sub(HEAD + TAIL) as u64);
            }
        }
    }

    #[test]
    fn memory_stays_constant_however_much_is_pushed() {
        let mut output = Bounded::default();
        output.push(b"small");
        assert!(output.head.capacity() + output.tail.capacity() < 1024, "little output costs little");
        let piece = vec![b'x'; 10_000];
        (0..5_000).for_each(|_| output.push(&piece));
        assert_eq!(output.head.capacity() + output.tail.capacity(), HEAD + TAIL);
        assert_eq!(output.dropped(), 50_000_005 - (HEAD + TAIL) as u64);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_and_our_own_cuts_break_no_character() {
        let mut output = Bounded::default();
        output.push(b"caf\xe9 \xff\n");
        assert_eq!(output.text(), "caf\u{fffd} \u{fffd}\n");

        let mut output = Bounded::default();
        output.push(b"x");
        "€".repeat(200_000).as_bytes().chunks(1000).for_each(|bytes| output.push(bytes));
        let text = output.text();
        assert!(!text.contains('\u{fffd}'), "a character was cut in two");
        let kept: usize = text.chars().filter(|c| *c == '€').count();
        let left_out: usize =
            text.split_once("... ").unwrap().1.split_once(" bytes").unwrap().0.parse().unwrap();
        assert_eq!(1 + 3 * kept + left_out, 600_001, "every byte is kept or counted");
    }

    #[test]
    fn the_last_line_is_the_last_that_says_something_and_is_safe_to_show() {
        let said = |bytes: &[u8]| {
            let mut output = Bounded::default();
            output.push(bytes);
            output.last_line()
        };
        assert_eq!(said(b""), "");
        assert_eq!(said(b"\n \n\r\n"), "");
        assert_eq!(said(b"first\nValueError: no\n\n  \x1b[0m\n"), "ValueError: no");
        assert_eq!(said(b"10%\r50%\r100%\r"), "100%");
        assert_eq!(said(b"\x1b[1;31mred\x1b[0m\x07\ta\x00b\x1b"), "red ab");
        assert_eq!(said("safe\u{202e}txt".as_bytes()), "safetxt");
        let long = said("é".repeat(1000).as_bytes());
        assert_eq!((long.chars().count(), long.chars().last()), (300, Some('…')));
    }

    #[test]
    fn the_last_line_is_found_across_the_bounds() {
        let mut output = Bounded::default();
        output.push(&vec![b'.'; HEAD - 3]);
        output.push(b"\nlast line");
        assert_eq!(output.last_line(), "last line", "it lies across head and tail");
        output.push(&vec![b'\n'; 2 * TAIL]);
        assert_eq!(output.last_line().chars().next(), Some('l'), "the end says nothing, the beginning does");
    }
}
