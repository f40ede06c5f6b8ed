//! Bytes and letters: encodings, byte order marks, and what is no text at all.

use super::{File, assert_says, names, plain, table, yes_or_no};
use crate::data::Encoding;

fn accents() -> String {
    table("größe,ort,ziel", 40, |i| format!("{},{},{}", i % 9, ["Köln", "Genève"][i % 2], yes_or_no(i / 2)))
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

#[test]
fn names_and_labels_may_have_letters_of_any_language() {
    let text = table("年齢,πλάτος,結果", 40, |i| {
        format!("{},{},{}", i % 9, i % 5, ["はい", "いいえ"][i % 2])
    });
    let profile = File::new(text).profile();
    assert_eq!(names(&profile), ["年齢", "πλάτος", "結果"]);
    assert_eq!(profile.classes, [("いいえ".to_owned(), 20), ("はい".to_owned(), 20)]);
    assert_eq!(profile.encoding, Encoding::Utf8);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_name() {
    for text in [plain(40), plain(40).replacen('a', "\"a\"", 1)] {
        let profile = File::new(format!("\u{feff}{text}")).profile();
        assert_eq!(names(&profile), ["a", "other", "target"]);
        assert_eq!(profile.rows, 40);
    }
    let said = File::new(format!("\u{feff}{}1,2\n", plain(10))).refusal();
    assert_says(&said, &["line 12 "]);
}

#[test]
fn bytes_that_are_not_utf_8_are_latin_1_and_that_is_said() {
    let profile = File::new(latin1(&accents())).profile();
    assert_eq!(profile.encoding, Encoding::Latin1);
    assert_eq!(names(&profile), ["größe", "ort", "ziel"]);
    assert!(profile.notes.iter().any(|note| note.contains("latin-1")), "{:?}", profile.notes);
    let plain = File::new(accents()).profile();
    assert_eq!(plain.encoding, Encoding::Utf8);
    assert_eq!(plain.columns, profile.columns);
    assert!(plain.notes.iter().all(|note| !note.contains("latin-1")));
}

#[test]
fn one_byte_that_is_not_utf_8_at_the_end_makes_the_whole_file_latin_1() {
    let mut bytes = accents().into_bytes();
    bytes.extend_from_slice(b"1,K\xf6ln,yes\n");
    let profile = File::new(bytes).profile();
    assert_eq!(profile.encoding, Encoding::Latin1);
    assert_eq!(names(&profile)[0], "grÃ¶Ã\u{9f}e");
}

#[test]
fn utf_16_is_refused_with_or_without_its_mark() {
    let units: Vec<u16> = plain(40).encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    for (mark, bytes) in [(b"\xff\xfe", &little), (b"\xfe\xff", &big)] {
        let marked = [mark.as_slice(), bytes].concat();
        assert_says(&File::new(marked).refusal(), &["utf-16", "utf-8"]);
        assert_says(&File::new(bytes).refusal(), &["binary", "NUL", "utf-8"]);
    }
}

#[test]
fn what_is_no_text_is_refused_by_what_it_is() {
    let cases: [(&[u8], &str); 15] = [
        (b"\x1f\x8b\x08\0rest", "gzip"),
        (b"\x28\xb5\x2f\xfdrest", "zstd"),
        (b"BZh91AY&SYrest", "bzip2"),
        (b"PK\x03\x04rest", "excel workbook or a zip"),
        (b"\xd0\xcf\x11\xe0rest", "old excel"),
        (b"PAR1\x15\x04rest", "parquet"),
        (b"ARROW1\0\0rest", "arrow"),
        (b"SQLite format 3\0", "sqlite"),
        (b"\x89HDF\r\n", "hdf5"),
        (b"%PDF-1.7\n", "pdf"),
        (b"  <!DOCTYPE HTML>\n<html>", "web page"),
        (b"\xef\xbb\xbf<?xml version=\"1.0\"?>", "xml"),
        (b"[\n  {\"a\": 1, \"b\": 2}\n]\n", "json"),
        (b"{\"a\": 1, \"b\": 2}\n{\"a\": 3, \"b\": 4}\n", "json"),
        (b"@RELATION iris\n@ATTRIBUTE a REAL\n@DATA\n1,2\n", "arff"),
    ];
    for (bytes, format) in cases {
        assert_says(&File::new(bytes).refusal(), &[format, "not csv"]);
    }
    assert_says(&File::new(b"a,b\n1,\x002\n").refusal(), &["NUL"]);
    let controls = plain(40).replace('5', "\u{1}");
    assert_says(&File::new(controls).refusal(), &["control characters"]);
}

#[test]
fn names_that_other_formats_begin_with_are_names() {
    for (name, other) in
        [("par1", "par2"), ("PAR1", "PAR2"), ("arrow1", "arrow2"), ("html", "<html>"), ("bzh", "y1")]
    {
        let text =
            table(&format!("{name},{other},target"), 40, |i| format!("{},{},{}", i % 7, i % 5, yes_or_no(i)));
        assert_eq!(names(&File::new(text).profile()), [name, other, "target"]);
    }
}

#[test]
fn the_digest_is_of_the_bytes_and_not_of_what_they_mean() {
    let content = |text: &str| File::new(text).profile().content;
    assert_eq!(content(&plain(40)), ar_common::Digest::of(plain(40).as_bytes()));
    assert_ne!(content(&plain(40)), content(&plain(40).replace('\n', "\r\n")));
    assert_ne!(content(&plain(40)), content(&format!("\u{feff}{}", plain(40))));
}
