//! The file as bytes: what it is, its digest, its encoding, and whether its quotes close.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use ar_common::Digest;
use serde::Serialize;

use super::error::DataError;

/// How bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// Latin-1, the fallback for bytes that are not UTF-8.
    Latin1,
}

impl Encoding {
    /// The text of `bytes`.
    pub(super) fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes),
            Self::Latin1 => match std::str::from_utf8(bytes) {
                Ok(text) if text.is_ascii() => Cow::Borrowed(text),
                _ => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
            },
        }
    }
}

/// The byte order mark of UTF-8.
pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

/// How much of the file decides about its format and delimiter.
const HEAD_BYTES: u64 = 256 * 1024;

/// The first bytes of the file, without the byte order mark.
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    /// Whether these are all bytes of the file.
    pub(super) complete: bool,
}

/// What the first pass found out.
pub(super) struct Content {
    pub(super) digest: Digest,
    pub(super) encoding: Encoding,
    pub(super) has_bom: bool,
    /// Whether its first line ends with a carriage return and a line feed.
    pub(super) has_crlf: bool,
    /// Its length without the byte order mark, if its last line has no end.
    pub(super) open_end: Option<u64>,
}

type Magic = (&'static [u8], &'static str, &'static str);

const EXPORT: &str = "export it as csv";
const UNPACK: &str = "unpack it and give the csv file inside";
const UTF8: &str = "save it as utf-8 text";
const DOWNLOAD: &str = "download the csv file itself";

/// Formats told by their first bytes.
const MAGIC: [Magic; 12] = [
    (b"\x1f\x8b", "gzip-compressed", UNPACK),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed", UNPACK),
    (b"\xfd7zXZ\0", "xz-compressed", UNPACK),
    (b"BZh91AY&SY", "bzip2-compressed", UNPACK),
    // What follows is always the same, and columns may well be called par1 or arrow1.
    (b"PAR1\x15", "a parquet file", EXPORT),
    (b"PK\x03\x04", "an excel workbook or a zip archive", EXPORT),
    (b"\xd0\xcf\x11\xe0", "an old excel workbook", EXPORT),
    (b"SQLite format 3\0", "an sqlite database", EXPORT),
    (b"ARROW1\0", "an arrow file", EXPORT),
    (b"\x89HDF", "an hdf5 file", EXPORT),
    (b"\xff\xfe", "utf-16 text", UTF8),
    (b"\xfe\xff", "utf-16 text", UTF8),
];

/// Formats of text, told by their first characters: small letters, no blanks.
const TEXT_MAGIC: [Magic; 8] = [
    (b"<!doctypehtml", "a web page", DOWNLOAD),
    (b"<html", "a web page", DOWNLOAD),
    (b"<?xml", "an xml file", EXPORT),
    (b"%pdf-", "a pdf file", EXPORT),
    (b"{\"", "a json file", EXPORT),
    (b"[{", "a json file", EXPORT),
    (b"[[", "a json file", EXPORT),
    (b"@relation", "an arff file", EXPORT),
];

fn magic(bytes: &[u8]) -> Option<Magic> {
    let text = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let start = text.iter().filter(|byte| !byte.is_ascii_whitespace()).take(16);
    let start: Vec<u8> = start.map(u8::to_ascii_lowercase).collect();
    let binary = MAGIC.iter().find(|magic| bytes.starts_with(magic.0));
    binary.or_else(|| TEXT_MAGIC.iter().find(|magic| start.starts_with(magic.0))).copied()
}

fn open(path: &Path) -> Result<File, DataError> {
    let facts = std::fs::metadata(path).map_err(|e| DataError::io(path, e))?;
    if facts.is_dir() {
        return Err(DataError::Directory { path: path.to_owned() });
    }
    // Opening a pipe would wait for a writer, and the file is read more than once.
    if !facts.is_file() {
        return Err(DataError::NotAFile { path: path.to_owned() });
    }
    File::open(path).map_err(|e| DataError::io(path, e))
}

/// Reads the start of the file and refuses what is recognisably no CSV.
pub(super) fn head(path: &Path) -> Result<Head, DataError> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(HEAD_BYTES).read_to_end(&mut bytes).map_err(|e| DataError::io(path, e))?;
    let complete = (bytes.len() as u64) < HEAD_BYTES;
    if let Some((_, format, advice)) = magic(&bytes) {
        return Err(DataError::NotCsv { path: path.to_owned(), format, advice });
    }
    if bytes.starts_with(BOM) {
        bytes.drain(..BOM.len());
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    Ok(Head { bytes, complete })
}

/// Reads the whole file once.
pub(super) fn scan(path: &Path, delimiter: u8) -> Result<Content, DataError> {
    let mut file = open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut utf8 = Utf8::default();
    let mut quotes = Quotes::new(delimiter);
    let (mut first, mut controls, mut total) = (true, 0_usize, 0_usize);
    let (mut has_bom, mut first_line, mut last) = (false, None, 0);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(DataError::io(path, e)),
        };
        let mut chunk = buffer.get(..read).unwrap_or_default();
        hasher.update(chunk);
        if first {
            first = false;
            has_bom = chunk.starts_with(BOM);
            chunk = chunk.strip_prefix(BOM).unwrap_or(chunk);
        }
        if chunk.contains(&0) {
            let what = "it holds NUL bytes".to_owned();
            return Err(DataError::Binary { path: path.to_owned(), what });
        }
        if first_line.is_none()
            && let Some(end) = chunk.iter().position(|&byte| byte == b'\n')
        {
            let before = end.checked_sub(1).and_then(|at| chunk.get(at)).copied();
            first_line = Some(before.unwrap_or(last) == b'\r');
        }
        last = chunk.last().copied().unwrap_or(last);
        controls += chunk.iter().filter(|&&byte| is_control(byte)).count();
        total += chunk.len();
        utf8.feed(chunk);
        quotes.feed(chunk);
    }
    if controls * 100 > total {
        let what = format!("{controls} of {total} bytes are control characters");
        return Err(DataError::Binary { path: path.to_owned(), what });
    }
    if let Some(line) = quotes.open_since() {
        return Err(DataError::UnterminatedQuote { path: path.to_owned(), line });
    }
    if let Some(line) = quotes.lone_return {
        return Err(DataError::LoneReturn { path: path.to_owned(), line });
    }
    let encoding = if utf8.is_valid() { Encoding::Utf8 } else { Encoding::Latin1 };
    Ok(Content {
        digest: Digest::from_hasher(&hasher),
        encoding,
        has_bom,
        has_crlf: first_line.unwrap_or(false),
        open_end: (last != b'\n').then_some(total as u64),
    })
}

/// Whether a byte has no place in a text file.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && !byte.is_ascii_whitespace()
}

/// Whether a stream is UTF-8; a character may be cut by the end of a chunk.
#[derive(Default)]
struct Utf8 {
    invalid: bool,
    cut: Vec<u8>,
}

impl Utf8 {
    fn feed(&mut self, chunk: &[u8]) {
        if self.invalid {
            return;
        }
        let mut rest = chunk;
        // Completes the cut character byte by byte; it has at most four.
        while let ([_, ..], Some((&byte, after))) = (self.cut.as_slice(), rest.split_first()) {
            self.cut.push(byte);
            rest = after;
            match std::str::from_utf8(&self.cut) {
                Ok(_) => self.cut.clear(),
                Err(e) if e.error_len().is_none() => {}
                Err(_) => {
                    self.invalid = true;
                    return;
                }
            }
        }
        if let Err(e) = std::str::from_utf8(rest) {
            self.invalid = e.error_len().is_some();
            self.cut = rest.get(e.valid_up_to()..).unwrap_or_default().to_vec();
        }
    }

    fn is_valid(&self) -> bool {
        !self.invalid && self.cut.is_empty()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    CellStart,
    Bare,
    Quoted,
    /// After a quote inside quotes: the end of the cell, or half of a doubled quote.
    QuoteInQuoted,
}

/// Whether a byte after a carriage return leaves that alone. A second one is half of the `\r\r\n`
/// that a text mode makes of `\r\n`, which every reader takes for line ends.
fn stays_on_line(byte: u8) -> bool {
    !matches!(byte, b'\r' | b'\n')
}

/// Follows quotes through the file, because the parser takes the end of the file for their end, and
/// finds carriage returns outside of them that no line feed follows.
struct Quotes {
    delimiter: u8,
    at: At,
    line: u64,
    opened: u64,
    /// Whether the last byte was a carriage return outside of quotes.
    returned: bool,
    /// The line of the first one that stands alone.
    lone_return: Option<u64>,
}

impl Quotes {
    fn new(delimiter: u8) -> Self {
        Self { delimiter, at: At::CellStart, line: 1, opened: 1, returned: false, lone_return: None }
    }

    fn feed(&mut self, chunk: &[u8]) {
        // Most files quote nothing: without a quote only the lines and the last byte matter.
        let in_quotes = matches!(self.at, At::Quoted | At::QuoteInQuoted);
        if !in_quotes && !chunk.contains(&b'"') && !self.has_lone_return(chunk) {
            self.line += chunk.iter().filter(|&&byte| byte == b'\n').count() as u64;
            if let Some(&last) = chunk.last() {
                self.at = self.after_bare(last);
                self.returned = last == b'\r';
            }
            return;
        }
        for &byte in chunk {
            if self.returned && stays_on_line(byte) {
                self.lone_return.get_or_insert(self.line);
            }
            self.line += u64::from(byte == b'\n');
            self.at = match (self.at, byte) {
                (At::CellStart, b'"') => {
                    self.opened = self.line;
                    At::Quoted
                }
                (At::Quoted, b'"') => At::QuoteInQuoted,
                (At::Quoted, _) | (At::QuoteInQuoted, b'"') => At::Quoted,
                (At::CellStart | At::Bare | At::QuoteInQuoted, byte) => self.after_bare(byte),
            };
            self.returned = byte == b'\r' && self.at == At::CellStart;
        }
    }

    /// Whether a chunk without quotes has a carriage return alone.
    fn has_lone_return(&self, chunk: &[u8]) -> bool {
        let pairs = chunk.iter().zip(chunk.iter().skip(1));
        let within = pairs.filter(|&(&byte, &next)| byte == b'\r' && stays_on_line(next)).count();
        within > 0 || (self.returned && chunk.first().is_some_and(|&byte| stays_on_line(byte)))
    }

    fn after_bare(&self, byte: u8) -> At {
        if byte == self.delimiter || byte == b'\n' || byte == b'\r' { At::CellStart } else { At::Bare }
    }

    /// The line on which a quote was opened that is still open.
    fn open_since(&self) -> Option<u64> {
        (self.at == At::Quoted).then_some(self.opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_cut_between_chunks_is_whole() {
        for (bytes, valid) in [("aé€😀z".as_bytes(), true), (b"a\xe9z", false), (b"a\xe2\x82", false)] {
            for size in 1..=bytes.len() {
                let mut utf8 = Utf8::default();
                bytes.chunks(size).for_each(|chunk| utf8.feed(chunk));
                assert_eq!(utf8.is_valid(), valid, "{bytes:?} by {size}");
            }
        }
    }

    #[test]
    fn quotes_are_followed_whatever_the_chunks() {
        let cases: [(&[u8], Option<u64>); 7] = [
            (b"a,b\n\"x\ny\",2\n", None),
            (b"a,b\n1,2\n\"x\ny,2\n", Some(3)),
            (b"a,b\n\"say \"\"hi\"\"\",2", None),
            (b"a,b\n\"say \"\"hi\"\",2", Some(2)),
            (b"a,b\n5\",2\n3,it\"s", None),
            (b"a,b\n1,\"", Some(2)),
            (b"a;b\n1;\"x\n", Some(2)),
        ];
        for (bytes, open) in cases {
            let delimiter = if bytes.contains(&b';') { b';' } else { b',' };
            for size in 1..=bytes.len() {
                let mut quotes = Quotes::new(delimiter);
                bytes.chunks(size).for_each(|chunk| quotes.feed(chunk));
                assert_eq!(quotes.open_since(), open, "{:?} by {size}", String::from_utf8_lossy(bytes));
            }
        }
    }
    #[test]
    fn carriage_returns_alone_are_found_whatever_the_chunks() {
        let cases: [(&[u8], Option<u64>); 8] = [
            (b"a,b\r\n1,2\r\n", None),
            (b"a,b\r\r\n1,2\r\r\n", None),
            (b"a,b\n1,\"x\ry\"\n", None),
            (b"a,b\n\"x\r\",\"y\"\r\n", None),
            (b"a,b\r1,2\r", Some(1)),
            (b"a,b\n1,2\n3,x\ry\n", Some(3)),
            (b"a,b\n\"1\"\r2,3\n", Some(2)),
            (b"a,b\n1,2\r", None),
        ];
        for (bytes, line) in cases {
            for size in 1..=bytes.len() {
                let mut quotes = Quotes::new(b',');
                bytes.chunks(size).for_each(|chunk| quotes.feed(chunk));
                assert_eq!(quotes.lone_return, line, "{:?} by {size}", String::from_utf8_lossy(bytes));
            }
        }
    }
}
