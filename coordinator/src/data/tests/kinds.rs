//! What a column is taken for, and how it is treated.

use super::ColumnKind::{Categorical, Constant, Date, Dropped, Id, Numeric, Text};
use super::{File, assert_says, column, column_of, kind_of, table, yes_or_no};

const ROWS: usize = 60;

#[test]
fn numbers_in_any_notation_are_numbers() {
    for cells in [
        ["1", "2", "7"],
        ["1.5", ".5", "5."],
        ["-1", "+2", "-0.0"],
        ["1e3", "2E-5", "1e+2"],
        ["007", "1", "2"],
        ["123456789012345678901234567890", "1", "2"],
    ] {
        assert_eq!(kind_of("a", ROWS, |i| cells[i % 3].to_owned()), Numeric, "{cells:?}");
    }
}

#[test]
fn words_codes_and_what_only_resembles_numbers_are_categories() {
    for cells in [
        ["red", "green", "blue"],
        ["True", "False", "True"],
        ["1", "2", "three"],
        ["10%", "20%", "30%"],
        ["$5", "$6", "$7"],
        ["1 000", "2 000", "3 000"],
        ["0x10", "0x11", "0x12"],
        ["1_000", "2_000", "3_000"],
        ["١", "٢", "٣"],
        ["12:30", "12:45", "13:00"],
    ] {
        assert_eq!(kind_of("a", ROWS, |i| cells[i % 3].to_owned()), Categorical, "{cells:?}");
    }
}

#[test]
fn every_marker_of_missing_cells_is_missing_in_every_kind_of_column() {
    for marker in crate::data::MISSING {
        let text = table("n,c,d,target", ROWS, |i| {
            if i % 3 == 0 {
                format!("{marker}, {marker} ,\"{marker}\",{}", yes_or_no(i))
            } else {
                format!("{}.5,{},2024-01-{:02},{}", i % 7, ["x", "y"][i % 2], i % 28 + 1, yes_or_no(i))
            }
        });
        let profile = File::new(text).profile();
        let found: Vec<_> = profile.columns.iter().map(|c| (c.kind, c.missing)).take(3).collect();
        assert_eq!(found, [(Numeric, 20), (Categorical, 20), (Date, 20)], "{marker:?}");
        assert_eq!(profile.missing_cells, 60);
    }
}

#[test]
fn infinite_and_undefined_numbers_count_as_missing_and_are_mentioned() {
    for cell in ["inf", "-inf", "Infinity", "NAN", "1e999"] {
        let text = column_of("a", ROWS, |i| if i < 3 { cell.to_owned() } else { (i % 9).to_string() });
        let profile = File::new(text).profile();
        let a = column(&profile, "a");
        assert_eq!((a.kind, a.missing, a.infinite, a.distinct), (Numeric, 3, 3, 9), "{cell}");
        assert!(
            profile.notes.iter().any(|n| n == "column `a`: infinite or undefined numbers count as missing")
        );
        assert_eq!(profile.missing_cells, 3);
    }
    // In a column of words it is a word.
    let text = column_of("a", ROWS, |i| if i < 3 { "inf" } else { ["x", "y"][i % 2] }.to_owned());
    let profile = File::new(text).profile();
    let a = column(&profile, "a");
    assert_eq!((a.kind, a.missing, a.infinite, a.distinct), (Categorical, 0, 0, 3));
}

#[test]
fn dates_that_can_be_read_in_one_way_are_dates() {
    let cells: [fn(usize) -> String; 6] = [
        |i| format!("2024-{:02}-{:02}", i % 12 + 1, i % 28 + 1),
        |i| format!("2024/{}/{}", i % 12 + 1, i % 28 + 1),
        |i| format!("2024-03-{:02}T{:02}:30:15.5+02:00", i % 28 + 1, i % 24),
        |i| format!("{:02}/{:02}/2024", i % 12 + 1, i % 28 + 1),
        |i| format!("{}-Feb-2024 10:00", i % 28 + 1),
        |i| format!("{} sep 1999", i % 28 + 1),
    ];
    for cell in cells {
        assert_eq!(kind_of("day", ROWS, cell), Date, "{}", cell(3));
    }
}

#[test]
fn dates_that_the_runner_would_misread_are_left_out_and_said_to_be() {
    for cell in
        [|i: usize| format!("{:02}/01/2024", i % 28 + 1), |i| format!("{}.{}.2024", i % 28 + 1, i % 12 + 1)]
    {
        let profile = File::new(column_of("day", ROWS, cell)).profile();
        assert_eq!(profile.columns[0].kind, Dropped);
        assert_says(&profile.columns[0].treatment, &["day first", "YYYY-MM-DD"]);
        assert!(profile.drop.is_empty(), "that is what was asked for");
    }
    assert_eq!(kind_of("day", ROWS, |i| format!("31-Foo-{}", 2000 + i % 9)), Categorical);
}

#[test]
fn a_group_of_words_that_differ_is_text_and_repeated_words_are_a_category() {
    assert_eq!(kind_of("note", ROWS, |i| format!("seen {i} times today")), Text);
    assert_eq!(kind_of("note", ROWS, |i| format!("kind number {}", i % 9)), Categorical);
    assert_eq!(kind_of("note", ROWS, |i| format!("第{i}回の記録")), Text);
    let long = "a very long description that goes on and on about the wine ";
    assert_eq!(kind_of("note", 600, |i| format!("{long}{}", i % 120)), Text);
}

#[test]
fn what_tells_rows_apart_is_left_out() {
    assert_eq!(kind_of("customerID", ROWS, |i| (i * 37 + 11).to_string()), Id);
    assert_eq!(kind_of("order key", ROWS, |i| format!("K-{}", i * 37)), Id);
    assert_eq!(kind_of("whatever", ROWS, |i| format!("ab{i}")), Id);
    assert_eq!(kind_of("whatever", ROWS, |i| (i + 100).to_string()), Id);
    assert_eq!(kind_of("id", ROWS, |i| (i % 5).to_string()), Numeric);
    assert_eq!(kind_of("id", ROWS, |i| format!("{}.25", i * 37)), Numeric);
    assert_eq!(kind_of("whatever", ROWS, |i| (i * 37 + 11).to_string()), Numeric);
    // Years may follow one another and are still a quantity.
    assert_eq!(kind_of("year", ROWS, |i| (1950 + i).to_string()), Numeric);
    // An identifier that is mostly missing says whether it is there.
    assert_eq!(kind_of("ref", ROWS, |i| if i < 20 { format!("ab{i}") } else { String::new() }), Categorical);
}

#[test]
fn what_never_differs_is_left_out_and_what_is_only_sometimes_there_is_kept() {
    assert_eq!(kind_of("a", ROWS, |_| "same".to_owned()), Constant);
    assert_eq!(kind_of("a", ROWS, |i| ["1", "1.0", "01"][i % 3].to_owned()), Constant);
    assert_eq!(kind_of("a", ROWS, |_| "?".to_owned()), Constant);
    assert_eq!(kind_of("a", ROWS, |_| "inf".to_owned()), Constant);
    assert_eq!(kind_of("a", ROWS, |i| ["same", ""][i % 2].to_owned()), Categorical);
    assert_eq!(kind_of("a", ROWS, |i| ["5", "inf"][i % 2].to_owned()), Numeric);
    assert_eq!(kind_of("a", ROWS, |i| ["same", "inf"][i % 2].to_owned()), Categorical);
}

#[test]
fn a_counting_column_is_used_where_nothing_else_is() {
    let file = File::new(table("x,y", 50, |i| format!("{i},{}.5", i * i % 41)));
    let profile = file.profile();
    assert_eq!(profile.columns[0].kind, Numeric);
    assert_says(&profile.columns[0].treatment, &["counts the rows", "nothing else"]);
}

#[test]
fn zeros_far_from_all_other_values_are_suspicious() {
    let glucose = |i: usize| if i < 5 { "0".to_owned() } else { (80 + i % 50).to_string() };
    let profile = File::new(column_of("glucose", ROWS, glucose)).profile();
    assert_eq!(profile.columns[0].suspicious_zeros, 5);
    assert!(profile.has_suspicious_zeros());
    let profile = File::new(column_of("count", ROWS, |i| (i % 30).to_string())).profile();
    assert!(!profile.has_suspicious_zeros());
}

#[test]
fn only_rows_with_a_target_decide_what_a_column_is() {
    let text = table("a,b,target", ROWS, |i| {
        if i % 4 == 0 { "word,1,".to_owned() } else { format!("{},{},{}", i % 7, i % 5, yes_or_no(i / 4)) }
    });
    let profile = File::new(text).profile();
    assert_eq!((profile.rows, profile.dropped_rows, profile.columns[0].kind), (45, 15, Numeric));
}

#[test]
fn the_matrix_has_six_columns_for_a_date_and_one_for_every_other_feature() {
    let text = table("n,c,d,t,id,k,target", ROWS, |i| {
        let (n, day) = (i * 7 % 13, i % 28 + 1);
        format!("{n}.5,{},2024-01-{day:02},so {i} many words,{i},same,{}", ["x", "y"][i % 2], yes_or_no(i))
    });
    let profile = File::new(text).profile();
    assert_eq!((profile.matrix_columns(), profile.matrix_numbers()), (9, 7));
    assert_eq!(profile.features().count(), 4);
    assert_eq!(profile.max_cardinality(), 2);
}
