//! Columns with a part of their own: group, time, dropped.

use super::{ColumnKind, File, assert_says, column, names, table, yes_or_no};

/// Patients with a date, a number and a target.
fn visits(rows: usize) -> File {
    File::new(table("patient,day,a,b,target", rows, |i| {
        format!(
            "p{},2024-{:02}-{:02},{}.5,{},{}",
            i % 12,
            i / 28 % 12 + 1,
            i % 28 + 1,
            i * 7 % 13,
            i % 5,
            yes_or_no(i / 12)
        )
    }))
}

#[test]
fn a_group_and_a_time_column_are_no_features() {
    let file = visits(120);
    let profile = file.with(|r| (r.group, r.time) = (Some("patient"), Some("day"))).unwrap();
    assert_eq!(column(&profile, "patient").kind, ColumnKind::Group);
    assert_eq!(column(&profile, "day").kind, ColumnKind::Time);
    let features: Vec<&str> = profile.features().map(|c| c.name.as_str()).collect();
    assert_eq!(features, ["a", "b"]);
    let splits = profile.splits();
    assert_eq!((splits.group.as_deref(), splits.time.as_deref()), (Some("patient"), Some("day")));
    let plain = file.profile();
    assert_eq!((&plain.group, &plain.time, plain.features().count()), (&None, &None, 4));
}

#[test]
fn the_index_that_pandas_writes_along_is_left_out() {
    let file = File::new(table(",a,b,target", 60, |i| format!("{i},{}.5,{},{}", i % 7, i % 3, yes_or_no(i))));
    let profile = file.profile();
    assert_eq!(column(&profile, "Unnamed: 0").kind, ColumnKind::Id);
    assert_eq!(profile.features().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn columns_are_dropped_once_however_often_they_are_named() {
    let file = visits(120);
    let drop = ["b", " patient ", "b"].map(str::to_owned);
    let profile = file.with(|r| r.drop = &drop).unwrap();
    assert_eq!(profile.drop, ["patient", "b"], "in the order of the file");
    assert_eq!(column(&profile, "b").kind, ColumnKind::Dropped);
    assert_eq!(names(&profile).len(), 5, "they stay in the list, because the runner reads them");
    assert!(profile.notes.contains(&"columns `patient`, `b`: left out, as asked for".to_owned()));
}

#[test]
fn a_dropped_column_may_hold_anything() {
    let file = File::new(table("a,price,target", 60, |i| format!("{},\"{},5\",{}", i % 7, i, yes_or_no(i))));
    assert_says(&file.refusal(), &["`price`", "commas", "`0,5` on line 2", "--drop"]);
    let drop = vec!["price".to_owned()];
    assert_eq!(file.with(|r| r.drop = &drop).unwrap().features().count(), 1);
}

#[test]
fn names_that_are_not_there_come_with_near_ones() {
    let file = visits(120);
    let drop = vec!["pateint".to_owned()];
    assert_says(
        &file.refusal_with(|r| r.target = Some("Target")),
        &["--target names `Target`", "did you mean `target`?"],
    );
    assert_says(&file.refusal_with(|r| r.drop = &drop), &["--drop names `pateint`", "`patient`"]);
    assert_says(
        &file.refusal_with(|r| r.group = Some("zzz")),
        &["--group", "choose one of `patient`, `day`, `a`"],
    );
    assert_says(&file.refusal_with(|r| r.time = Some("")), &["--time names ``", "choose one of"]);
}

#[test]
fn near_names_of_many_columns_are_few() {
    let header: Vec<String> = (0..300).map(|i| format!("sensor_{i}")).collect();
    let file = File::new(table(&header.join(","), 20, |_| ["1"; 300].join(",")));
    let said = file.refusal_with(|r| r.target = Some("sensr_77"));
    assert_says(&said, &["did you mean `sensor_77`"]);
    assert_eq!(said.matches(" or ").count(), 2, "{said}");
    let said = file.refusal_with(|r| r.target = Some("zzz"));
    assert_says(&said, &["choose one of `sensor_0`", "and 288 more"]);
}

#[test]
fn one_column_has_one_part() {
    let file = visits(120);
    let drop = vec!["patient".to_owned()];
    let clash = |said: String, first: &str, second: &str| assert_says(&said, &["`patient`", first, second]);
    clash(
        file.refusal_with(|r| (r.target, r.group) = (Some("patient"), Some("patient"))),
        "--target",
        "--group",
    );
    clash(file.refusal_with(|r| (r.group, r.time) = (Some("patient"), Some("patient"))), "--group", "--time");
    clash(file.refusal_with(|r| (r.group, r.drop) = (Some("patient"), &drop)), "--group", "--drop");
    clash(file.refusal_with(|r| (r.target, r.drop) = (Some("patient"), &drop)), "--target", "--drop");
}

#[test]
fn there_must_be_more_groups_than_folds_if_time_orders_them() {
    let file = File::new(table("g,t,a,target", 60, |i| {
        format!("g{},{i},{},{}", i % 5, i * 7 % 13, yes_or_no(i / 5))
    }));
    assert!(file.with(|r| r.group = Some("g")).is_ok());
    let said = file.refusal_with(|r| (r.group, r.time) = (Some("g"), Some("t")));
    assert_says(&said, &["`g` has 5 groups", "5 folds need at least 6"]);
    let said = file.refusal_with(|r| (r.group, r.folds) = (Some("g"), 6));
    assert_says(&said, &["`g` has 5 groups", "6 folds need at least 6"]);
}

#[test]
fn rows_without_a_group_are_one_group_and_that_is_said() {
    let group = |i: usize| if i.is_multiple_of(5) { String::new() } else { format!("g{}", i % 5) };
    let file =
        File::new(table("g,a,target", 60, |i| format!("{},{},{}", group(i), i * 7 % 13, yes_or_no(i / 5))));
    let profile = file.with(|r| r.group = Some("g")).unwrap();
    assert!(profile.notes.contains(&"column `g`: rows without a group count as one group".to_owned()));
}

#[test]
fn a_time_column_orders_every_row() {
    let with_time = |cell: &dyn Fn(usize) -> String| {
        File::new(table("t,a,target", 60, |i| format!("{},{},{}", cell(i), i * 7 % 13, yes_or_no(i))))
    };
    assert!(with_time(&|i| format!("{}.5", i / 3)).with(|r| r.time = Some("t")).is_ok());
    assert!(with_time(&|_| "7".to_owned()).with(|r| r.time = Some("t")).is_ok());
    for (cell, problem) in [
        (
            &(|i: usize| if i == 3 { String::new() } else { i.to_string() }) as &dyn Fn(usize) -> String,
            "missing or infinite in 1 row;",
        ),
        (&|i| if i < 2 { "inf".to_owned() } else { i.to_string() }, "missing or infinite in 2 rows"),
        (&|i| format!("week {i}"), "holds text (`week 0` on line 2)"),
        (&|i| if i == 3 { "x".to_owned() } else { i.to_string() }, "holds text (`x` on line 5)"),
        (
            &|i| if i == 3 { "soon".to_owned() } else { format!("2024-01-{:02}", i % 28 + 1) },
            "holds text (`soon` on line 5)",
        ),
        (&|i| format!("{}.01.2024", i % 28 + 1), "day first"),
    ] {
        let said = with_time(cell).refusal_with(|r| r.time = Some("t"));
        assert_says(&said, &["time column `t`", problem, "YYYY-MM-DD"]);
    }
}

#[test]
fn dates_that_could_be_read_in_two_ways_are_mentioned() {
    let file = File::new(table("t,a,target", 60, |i| {
        format!("{:02}/{:02}/2024,{},{}", i % 12 + 1, i % 11 + 1, i * 7 % 13, yes_or_no(i))
    }));
    let ambiguous =
        |notes: &[String]| notes.iter().any(|note| note.starts_with("column `t`: day and month could be"));
    assert!(ambiguous(&file.profile().notes));
    assert!(ambiguous(&file.with(|r| r.time = Some("t")).unwrap().notes));
    assert!(!ambiguous(&visits(120).profile().notes));
}
