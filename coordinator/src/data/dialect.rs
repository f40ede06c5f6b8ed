//! Which character separates the cells.

use std::path::Path;

use super::content::{Encoding, Head};
use super::error::{DataError, show};

/// The separators that are tried, the most usual first.
const CANDIDATES: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How many records decide.
const SAMPLE: usize = 200;

/// A reader that treats every line alike, the header too, and leaves ragged rows to the caller.
pub(super) fn reader<R: std::io::Read>(source: R, delimiter: u8) -> csv::Reader<R> {
    csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(256 * 1024)
        .from_reader(source)
}

/// Whether a record is a line with nothing but blanks.
pub(super) fn is_blank(record: &csv::ByteRecord) -> bool {
    record.len() == 1 && record.iter().all(|cell| cell.iter().all(u8::is_ascii_whitespace))
}

/// Whether the header line is nothing but a quoted blank. Such a line is no blank line, so the
/// runner would take it for the header and the line after it for data.
pub(super) fn starts_with_quoted_blank(head: &Head) -> bool {
    let text = head.bytes.trim_ascii_start();
    let mut records = reader(text, b',').into_byte_records();
    text.starts_with(b"\"") && records.next().is_some_and(|first| first.is_ok_and(|first| is_blank(&first)))
}

/// The separator that gives the most records as many cells as the first one has; at least two.
pub(super) fn detect(head: &Head) -> Option<u8> {
    let mut best: Option<(f64, usize, u8)> = None;
    for delimiter in CANDIDATES {
        let widths = widths(head, delimiter);
        let Some(&width) = widths.first().filter(|&&width| width >= 2) else {
            continue;
        };
        let share = widths.iter().filter(|&&w| w == width).count() as f64 / widths.len() as f64;
        // Strictly better only, so that the more usual one wins a tie.
        if best.is_none_or(|(s, w, _)| share > s || (share >= s && width > w)) {
            best = Some((share, width, delimiter));
        }
    }
    best.map(|(_, _, delimiter)| delimiter)
}

fn widths(head: &Head, delimiter: u8) -> Vec<usize> {
    let mut records = reader(head.bytes.as_slice(), delimiter).into_byte_records();
    let read = records.by_ref().filter_map(Result::ok).filter(|record| !is_blank(record));
    let mut widths: Vec<usize> = read.take(SAMPLE).map(|record| record.len()).collect();
    // The end of the sample may cut the last record.
    if !head.complete && widths.len() > 1 && widths.len() < SAMPLE {
        widths.pop();
    }
    widths
}

/// The error for a file in which no separator was found.
pub(super) fn no_delimiter(path: &Path, head: &Head, encoding: Encoding) -> DataError {
    let mut records = reader(head.bytes.as_slice(), b',').into_byte_records().filter_map(Result::ok);
    let first = records.find(|record| !is_blank(record));
    let name = first.as_ref().and_then(|record| record.get(0)).unwrap_or_default();
    let (path, name) = (path.to_owned(), show(encoding.decode(name).trim()));
    if CANDIDATES.iter().any(|&delimiter| begins_late(&widths(head, delimiter))) {
        DataError::Preamble { path, line: name }
    } else {
        DataError::SingleColumn { path, column: name }
    }
}

/// Whether a table follows on lines of one cell: at least three records of one width.
fn begins_late(widths: &[usize]) -> bool {
    let start = widths.iter().position(|&width| width > 1).unwrap_or(widths.len());
    let table = widths.get(start..).unwrap_or_default();
    table.len() >= 3 && table.iter().all(|width| Some(width) == table.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_one_that_fits_every_row() {
        let cases = [
            ("a,b\n1,2\n", Some(b',')),
            ("a;b\n1,5;2,5\n", Some(b';')),
            ("a\tb c, d\n1\t2\n", Some(b'\t')),
            ("a|b|c\n1|2|3\n", Some(b'|')),
            // Commas inside quotes and text do not count.
            ("\"a,b\";\"c,d\"\n\"1,2\";x, y, z\n", Some(b';')),
            ("\"x\ny,z\",b\n1,\"p;q\"\n", Some(b',')),
            // One ragged row does not turn the choice.
            ("a,b;x,c\n1,2,3\n1,2,3\n1,2,3,4\n1,2,3\n", Some(b',')),
            ("\n\n  \na,b\n1,2\n", Some(b',')),
            ("alone\n1\n2\n", None),
        ];
        for (text, expected) in cases {
            let head = Head { bytes: text.as_bytes().to_vec(), complete: true };
            assert_eq!(detect(&head), expected, "{text:?}");
        }
    }
}
