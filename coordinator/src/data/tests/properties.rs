//! Whatever the bytes are: no panic, and either one line of refusal or a profile that holds together.

use ar_common::Task;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{File, assert_tells_what_to_do, yes_or_no};
use crate::data::{DataError, Holdout, Profile, study_json};

fn check(outcome: &Result<Profile, DataError>) -> Result<(), TestCaseError> {
    match outcome {
        Ok(profile) => check_profile(profile),
        Err(error) => {
            assert_tells_what_to_do(&error.to_string());
            Ok(())
        }
    }
}

fn check_profile(profile: &Profile) -> Result<(), TestCaseError> {
    let folds = profile.folds as usize;
    prop_assert!(profile.rows >= 2 * folds);
    prop_assert!([',', ';', '\t', '|'].contains(&profile.delimiter));
    let names: Vec<&str> = profile.columns.iter().map(|c| c.name.as_str()).collect();
    prop_assert_eq!(names.iter().filter(|name| **name == profile.target).count(), 1);
    prop_assert!(names.len() >= 2 && names.iter().all(|name| !name.is_empty() && *name == name.trim()));
    prop_assert!(profile.features().count() > 0);
    prop_assert!(profile.matrix_columns() >= profile.features().count());
    for column in &profile.columns {
        prop_assert!(column.missing <= profile.rows && column.infinite <= column.missing, "{:?}", column);
        prop_assert!(column.distinct + column.missing - column.infinite <= profile.rows, "{:?}", column);
        prop_assert!(column.suspicious_zeros <= profile.rows && !column.treatment.is_empty());
    }
    let counts = profile.classes.iter().map(|class| class.1);
    match profile.task {
        Task::Classification => {
            prop_assert_eq!(counts.clone().sum::<usize>(), profile.rows);
            prop_assert!(counts.clone().count() >= 2 && counts.clone().all(|count| count >= folds));
        }
        Task::Regression => prop_assert_eq!(counts.count(), 0),
    }
    prop_assert!(profile.notes.iter().all(|note| !note.contains(char::is_control)), "{:?}", profile.notes);
    check_study_json(profile, &names)
}

/// Read back, it has every column in the file's order, and what it names is there.
fn check_study_json(profile: &Profile, names: &[&str]) -> Result<(), TestCaseError> {
    let text = study_json(profile, 7).to_string();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let columns = json["columns"].as_array().unwrap();
    let found: Vec<&str> = columns.iter().filter_map(|column| column["name"].as_str()).collect();
    prop_assert_eq!(&found, names);
    prop_assert!(found.contains(&json["target"].as_str().unwrap()));
    prop_assert_eq!(json["data"]["delimiter"].as_str().unwrap(), profile.delimiter.to_string());
    let targets = columns.iter().filter(|column| column["kind"] == "target");
    prop_assert_eq!(targets.count(), 1);
    Ok(())
}

/// A cell as it may stand in a file, with or without quotes.
fn cell() -> impl Strategy<Value = String> {
    let usual = select(vec![
        "",
        "1",
        "2",
        "0.5",
        "-3",
        "a",
        "b",
        "yes",
        "no",
        "NA",
        "inf",
        "1e999",
        "2024-01-31",
        "31.01.2024",
    ]);
    let odd = select(vec![
        " ",
        "\"x, y\"",
        "\"p\nq\"",
        "\"a\"\"b\"",
        "1,5",
        "a;b",
        "é",
        "\u{1f}",
        "\u{a0}7",
        "5\"",
        "\"\"",
        "x\ty",
    ]);
    prop_oneof![8 => usual.prop_map(str::to_owned), 1 => odd.prop_map(str::to_owned), 1 => "[ -~]{0,6}"]
}

/// Something like a table: mostly rows of one length, odd cells, any separator and line end.
fn csv_like() -> impl Strategy<Value = String> {
    let separator = select(vec![",", ";", "\t", "|"]);
    let end = select(vec!["\n", "\r\n", "\r"]);
    let header = vec(prop_oneof![9 => "[a-z]{1,3}", 1 => cell()], 1..6);
    let rows = vec(vec(cell(), 6), 0..40);
    (header, rows, separator, end, any::<prop::sample::Index>(), 0..20_u8).prop_map(
        |(header, rows, separator, end, odd, chance)| {
            let width = header.len();
            let mut text = header.join(separator);
            let odd = odd.index(rows.len().max(1));
            for (index, row) in rows.iter().enumerate() {
                // Once in a while a row is too long or too short.
                let width = if index == odd && chance == 0 { width + 1 } else { width };
                text.push_str(end);
                text.push_str(&row[..width.min(row.len())].join(separator));
            }
            text
        },
    )
}

/// A table of which the cells differ in kind, so that most of them are accepted.
fn sound() -> impl Strategy<Value = String> {
    let columns = vec((select(vec!["n", "c", "d", "w", "k", "m"]), any::<u32>()), 1..6);
    (columns, 10..60_usize, select(vec![",", ";", "\t", "|"]), any::<bool>()).prop_map(
        |(columns, rows, separator, classes)| {
            let header: Vec<String> = (0..columns.len()).map(|i| format!("col {i}")).collect();
            let mut text = format!("{}{separator}target\n", header.join(separator));
            for row in 0..rows {
                for (kind, salt) in &columns {
                    let x = (row as u64 * 7919 + u64::from(*salt)) % 97;
                    text.push_str(&match *kind {
                        "n" => format!("{x}.25"),
                        "c" => format!("\"c{separator}{}\"", x % 4),
                        "d" => format!("2024-{:02}-{:02}", x % 12 + 1, x % 28 + 1),
                        "w" => format!("\"word {x}\nof {row}\""),
                        "k" => "same".to_owned(),
                        _ => {
                            if x.is_multiple_of(3) {
                                " NA ".to_owned()
                            } else {
                                x.to_string()
                            }
                        }
                    });
                    text.push_str(separator);
                }
                let target =
                    if classes { yes_or_no(row).to_owned() } else { format!("{}.5", row * row % 89) };
                text.push_str(&format!("{target}\n"));
            }
            text
        },
    )
}

fn holdout() -> impl Strategy<Value = Holdout> {
    prop_oneof![Just(Holdout::Auto), Just(Holdout::None), (0.0..0.6).prop_map(Holdout::Fraction)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        check(&File::new(bytes).with(|_| ()))?;
    }

    #[test]
    fn arbitrary_text_never_panics(text in "([\\pL ,;|\t\"\r\n0-9.?-]|\\PC){0,300}") {
        check(&File::new(text).with(|_| ()))?;
    }

    #[test]
    fn what_resembles_a_table_is_profiled_or_refused(
        text in csv_like(), holdout in holdout(), folds in 2..6_u32, mark in any::<bool>(), cut in 0..2_000_usize,
    ) {
        let text = if mark { format!("\u{feff}{text}") } else { text };
        let bytes = text.as_bytes();
        let file = File::new(bytes.get(..cut).unwrap_or(bytes));
        check(&file.with(|r| (r.holdout, r.folds) = (holdout, folds)))?;
        check(&file.with(|r| (r.target, r.group, r.folds) = (Some("a"), Some("b"), folds)))?;
        check(&file.with(|r| (r.metric, r.time) = (Some("rmse"), Some("b"))))?;
    }

    #[test]
    fn sound_tables_are_refused_only_for_lack_of_features(text in sound(), folds in 2..6_u32) {
        let outcome = File::new(&text).with(|r| r.folds = folds);
        check(&outcome)?;
        match outcome {
            Ok(profile) => prop_assert_eq!(profile.rows, text.matches("\n").count() - 1 - text.matches("\nof ").count()),
            Err(error) => prop_assert!(matches!(error, DataError::NothingToLearn { .. }), "{}", error),
        }
    }

    #[test]
    fn line_ends_marks_and_final_line_ends_change_nothing_but_the_digest(text in sound()) {
        let plain = File::new(&text).with(|_| ());
        let quoted_breaks = text.contains("\nof ");
        let end = if quoted_breaks { "\n" } else { "\r\n" };
        let marked = File::new(format!("\u{feff}{}", text.trim_end().replace('\n', end))).with(|_| ());
        match (plain, marked) {
            (Ok(plain), Ok(marked)) => {
                let content = plain.content;
                prop_assert_eq!(plain, Profile { content, ..marked });
            }
            (plain, marked) => prop_assert!(plain.is_err() && marked.is_err()),
        }
    }
}
