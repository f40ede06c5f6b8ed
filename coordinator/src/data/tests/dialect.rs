//! Separators, quotes, ends of lines, blank lines.

use super::{ColumnKind, File, assert_says, names, plain, table, yes_or_no};
use crate::data::Profile;

/// What must not depend on how a table is written down.
fn facts(profile: &Profile) -> (usize, Vec<(String, ColumnKind, usize, usize)>) {
    let columns = profile.columns.iter().map(|c| (c.name.clone(), c.kind, c.missing, c.distinct));
    (profile.rows, columns.collect())
}

#[test]
fn commas_semicolons_tabs_and_bars_separate_alike() {
    let expected = facts(&File::new(plain(40)).profile());
    for delimiter in [',', ';', '\t', '|'] {
        let text = plain(40).replace(',', &delimiter.to_string());
        let profile = File::new(text).profile();
        assert_eq!(profile.delimiter, delimiter);
        assert_eq!(facts(&profile), expected, "{delimiter:?}");
    }
}

#[test]
fn ends_of_lines_are_alike_and_the_last_may_be_absent() {
    let expected = facts(&File::new(plain(40)).profile());
    for end in ["\n", "\r\n", "\r\r\n"] {
        let text = plain(40).replace('\n', end);
        assert_eq!(facts(&File::new(&text).profile()), expected, "{end:?}");
        assert_eq!(facts(&File::new(text.trim_end()).profile()), expected, "{end:?}");
    }
}

#[test]
fn blank_lines_are_no_rows_wherever_they_are() {
    let expected = facts(&File::new(plain(40)).profile());
    let spread = format!("\n  \n{}\n\t\n\r\n", plain(40).replace("\n3", "\n\n   \n3"));
    let profile = File::new(spread).profile();
    assert_eq!((facts(&profile), profile.dropped_rows), (expected, 0));
}

#[test]
fn quotes_keep_delimiters_line_ends_and_doubled_quotes_inside_a_cell() {
    let labels = ["\"a, b\"", "\"a\nb\"", "\"a\r\n\r\nb\"", "\"say \"\"a\"\"\""];
    let text = table("x,\"the\ntarget, quoted\"", 80, |i| format!("{},{}", i % 9, labels[i % 4]));
    let profile = File::new(text).profile();
    assert_eq!(names(&profile), ["x", "the\ntarget, quoted"]);
    assert_eq!(profile.rows, 80);
    let classes: Vec<&str> = profile.classes.iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(classes, ["a\nb", "a\r\n\r\nb", "a, b", "say \"a\""]);
    assert!(profile.notes.iter().all(|note| note.lines().count() == 1), "{:?}", profile.notes);
}

#[test]
fn a_quote_inside_a_bare_cell_is_a_character() {
    let text = table("size,target", 40, |i| format!("{}\"x,{}", i % 4, yes_or_no(i)));
    let profile = File::new(text).profile();
    assert_eq!((profile.rows, profile.columns[0].distinct), (40, 4));
    assert_eq!(profile.columns[0].kind, ColumnKind::Categorical);
}

#[test]
fn blanks_around_names_and_cells_do_not_count() {
    let expected = facts(&File::new(plain(40)).profile());
    let padded = plain(40).replace(',', " \t, \u{a0}");
    assert_eq!(facts(&File::new(padded).profile()), expected);
    // The unit separator is a blank for Python, so it is one here.
    let separated = plain(40).replace(',', "\u{1f},");
    let few = format!("{separated}{}", " \n".repeat(9_000));
    assert_eq!(facts(&File::new(few).profile()), expected);
}

#[test]
fn the_lines_in_messages_are_those_of_an_editor() {
    for end in ["\n", "\r\n"] {
        for (before, line) in [("", 12), ("\n\n", 14), ("\"p\nq\",1,yes\n", 14)] {
            // The two line ends of the third case are one within quotes and one after it.
            let head = plain(10);
            let (header, rows) = head.split_once('\n').unwrap();
            let text = format!("{header}\n{before}{rows}1,2,3,yes\n4,5,no\n");
            let said = File::new(text.replace('\n', end)).refusal();
            assert_says(&said, &[&format!("line {line} "), "4 cells", "header has 3"]);
        }
        let last = format!("{}1,2", plain(10));
        assert_says(&File::new(last.replace('\n', end)).refusal(), &["line 12 ", "2 cells"]);
    }
}

#[test]
fn a_path_may_have_blanks_and_letters_of_any_language() {
    let file = File::named("Daten für später (2).csv", plain(40));
    let profile = file.profile();
    let spec = profile.tabular_spec(&file.path);
    assert!(spec.path.ends_with("Daten für später (2).csv"));
    assert_eq!((spec.content, spec.delimiter), (profile.content, ','));
}

#[test]
fn a_separator_in_every_cell_does_not_hide_the_true_one() {
    let text = table("id;name;target", 60, |i| format!("{i};\"Doe, Jane, {i}\";{}", yes_or_no(i)));
    assert_eq!(File::new(text).profile().delimiter, ';');
    let text = table("time\tnote\ttarget", 60, |i| format!("{i}.5\ta, b; c | d\t{}", yes_or_no(i)));
    assert_eq!(File::new(text).profile().delimiter, '\t');
}

#[test]
fn a_row_longer_than_the_sample_for_the_separator_is_read_whole() {
    let huge = "z".repeat(300 * 1024);
    let text = table("a;b;target", 40, |i| format!("{};\"{huge}, {i}\";{}", i % 7, yes_or_no(i)));
    let profile = File::new(text).profile();
    assert_eq!((profile.delimiter, profile.rows), (';', 40));
    assert_eq!(profile.columns[1].distinct, 40);
}

#[test]
fn five_thousand_columns_are_read() {
    let header: Vec<String> = (0..5_000).map(|i| format!("gene_{i}")).collect();
    let text = table(&format!("{},target", header.join(",")), 60, |row| {
        let cells: Vec<String> = (0..5_000).map(|i| format!("{}.{}", (row * 31 + i) % 17, i % 10)).collect();
        format!("{},{}", cells.join(","), yes_or_no(row))
    });
    let profile = File::new(text).profile();
    assert_eq!((profile.columns.len(), profile.rows), (5_001, 60));
    assert_eq!(profile.count(ColumnKind::Numeric), 5_000);
    assert!(profile.notes.iter().all(|note| note.len() < 500), "{:?}", profile.notes);
}
