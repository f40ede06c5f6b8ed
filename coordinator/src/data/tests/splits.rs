//! Folds and sealed rows.

use super::{File, assert_says, plain, table, target_of, yes_or_no};
use crate::data::{Holdout, Profile};

fn three_classes(counts: [usize; 3]) -> File {
    let rows = counts.iter().sum();
    File::new(target_of(rows, |i| {
        let class = if i < counts[0] {
            "a"
        } else if i < counts[0] + counts[1] {
            "b"
        } else {
            "c"
        };
        class.to_owned()
    }))
}

fn sealed(file: &File, holdout: f64) -> Profile {
    file.with(|r| r.holdout = Holdout::Fraction(holdout)).unwrap()
}

#[test]
fn a_fifth_is_sealed_from_a_thousand_rows() {
    let profile = File::new(plain(997)).profile();
    assert_eq!(profile.holdout, None);
    assert_says(&profile.holdout_reason, &["no rows are sealed", "199", "200"]);
    let profile = File::new(plain(1_000)).profile();
    assert_eq!(profile.holdout, Some(0.2));
    assert_says(&profile.holdout_reason, &["a fifth of the rows, 200, is sealed"]);
    assert_eq!(profile.splits().holdout, Some(0.2));
}

#[test]
fn a_holdout_that_is_asked_for_is_kept_and_its_weakness_is_said() {
    let file = File::new(plain(200));
    let profile = sealed(&file, 0.25);
    assert_eq!(profile.holdout, Some(0.25));
    assert_says(&profile.holdout_reason, &["50 of 200 rows", "as asked for", "wide"]);
    assert!(!sealed(&File::new(plain(1_000)), 0.2).holdout_reason.contains("wide"));
    let none = File::new(plain(1_000)).with(|r| r.holdout = Holdout::None).unwrap();
    assert_eq!(none.holdout, None);
    assert_says(&none.holdout_reason, &["as asked for"]);
}

#[test]
fn a_holdout_is_from_a_twentieth_to_a_half() {
    let file = File::new(plain(400));
    for value in [0.05, 0.5] {
        assert_eq!(sealed(&file, value).holdout, Some(value));
    }
    for value in [0.0, 0.049, 0.51, 1.0, 20.0, -0.2, f64::NAN, f64::INFINITY] {
        let said = file.refusal_with(|r| r.holdout = Holdout::Fraction(value));
        assert_says(&said, &["holdout", &value.to_string(), "0.05 to 0.5"]);
    }
}

#[test]
fn folds_are_from_two_to_a_hundred() {
    let file = File::new(plain(400));
    for folds in [2, 100] {
        assert_eq!(file.with(|r| r.folds = folds).unwrap().folds, folds);
    }
    for folds in [0, 1, 101, u32::MAX] {
        assert_says(&file.refusal_with(|r| r.folds = folds), &[&folds.to_string(), "2 to 100"]);
    }
}

#[test]
fn every_fold_needs_two_rows() {
    assert_eq!(File::new(plain(10)).profile().rows, 10);
    let said = File::new(plain(9)).refusal();
    assert_says(&said, &["9 rows with a target", "5 folds need at least 10", "more rows"]);
    let said = File::new(table("a,target", 30, |i| {
        format!("{},{}", i % 7, if i % 4 == 0 { yes_or_no(i / 4) } else { "" })
    }));
    assert_says(&said.refusal(), &["8 rows with a target"]);
}

#[test]
fn every_fold_needs_a_row_of_each_class() {
    assert_eq!(three_classes([20, 10, 5]).profile().classes.len(), 3);
    let said = three_classes([20, 10, 4]).refusal();
    assert_says(&said, &["class `c` of target `target` has 4 rows,", "at least 5 of each", "merge"]);
    let said = three_classes([20, 3, 4]).refusal();
    assert_says(&said, &["class `b`", "3 rows (and 1 other class with too few)"]);
    assert!(three_classes([20, 3, 4]).with(|r| r.folds = 3).is_ok());
    assert!(File::new(target_of(40, |i| format!("{}.5", i % 20))).profile().classes.is_empty());
}

#[test]
fn what_is_left_after_sealing_must_fill_the_folds() {
    let file = three_classes([100, 100, 6]);
    assert_eq!(sealed(&file, 0.1).holdout, Some(0.1));
    let said = file.refusal_with(|r| r.holdout = Holdout::Fraction(0.5));
    assert_says(&said, &["--holdout 0.5", "only 3 of the 6 rows of class `c`", "5 folds, which need 5"]);
    let said = File::new(plain(12)).refusal_with(|r| r.holdout = Holdout::Fraction(0.25));
    assert_says(&said, &["only 9 of 12 rows", "which need 10"]);
    let groups = File::new(table("g,a,target", 70, |i| format!("g{},{},{}", i % 7, i % 13, yes_or_no(i))));
    let said = groups.refusal_with(|r| (r.group, r.holdout) = (Some("g"), Holdout::Fraction(0.5)));
    assert_says(&said, &["only 3 of 7 groups of `g`"]);
}

#[test]
fn nothing_is_sealed_on_its_own_where_a_class_would_not_fill_the_folds() {
    let profile = three_classes([900, 600, 5]).profile();
    assert_eq!(profile.holdout, None);
    assert_says(&profile.holdout_reason, &["no rows are sealed", "only 4 of the 5 rows of class `c`"]);
}

#[test]
fn a_half_row_is_rounded_as_the_runner_does_to_the_even_side() {
    // Half of 5 is 2.5: Python seals 2, and 3 of each class are left.
    let file = three_classes([50, 50, 5]);
    assert!(file.with(|r| (r.holdout, r.folds) = (Holdout::Fraction(0.5), 3)).is_ok());
    // Half of 7 is 3.5: Python seals 4.
    let file = three_classes([50, 50, 7]);
    assert!(file.with(|r| (r.holdout, r.folds) = (Holdout::Fraction(0.5), 3)).is_ok());
    let said = file.refusal_with(|r| (r.holdout, r.folds) = (Holdout::Fraction(0.5), 4));
    assert_says(&said, &["only 3 of the 7 rows"]);
}
