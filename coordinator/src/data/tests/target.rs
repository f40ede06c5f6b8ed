//! Which column is predicted, as what, and how it is judged.

use ar_common::Task::{Classification, Regression};

use super::{ColumnKind, File, assert_says, plain, table, target_of, yes_or_no};

fn classes(file: &File) -> Vec<(String, usize)> {
    file.profile().classes
}

#[test]
fn the_target_is_known_by_its_name_and_is_else_the_last_column() {
    let of = |header: &str| {
        let file = File::new(table(header, 40, |i| format!("{},{},{}", i % 2, i % 3, i % 2)));
        (file.profile().target, file.profile().notes[0].clone())
    };
    for (header, target) in
        [("label,b,c", "label"), ("a,Class,label", "label"), ("Y,b,c", "Y"), ("a,b,c", "c")]
    {
        assert_eq!(of(header).0, target);
    }
    assert_says(&of("a,target,c").1, &["chosen by its name"]);
    assert_says(&of("a,b,c").1, &["chosen because it is the last column"]);
}

#[test]
fn a_given_target_may_stand_anywhere() {
    let file = File::new(table("a,b,target", 40, |i| format!("{},{}.5,{}", i % 2, i % 7, i % 3)));
    let profile = file.with(|r| r.target = Some(" a ")).unwrap();
    assert_eq!((profile.target.as_str(), profile.columns[0].kind), ("a", ColumnKind::Target));
    assert_eq!(profile.columns[2].kind, ColumnKind::Numeric, "the usual name is a feature then");
    assert_says(&profile.notes[0], &["`a`, as given", "classification"]);
}

#[test]
fn a_target_is_not_guessed_among_columns_that_have_another_part() {
    let file = File::new(table("a,b,c,target", 40, |i| format!("{},{},{},{}", i % 7, i % 2, i % 3, i % 2)));
    let drop = vec!["target".to_owned()];
    assert_eq!(file.with(|r| r.drop = &drop).unwrap().target, "c");
    assert_eq!(file.with(|r| (r.drop, r.time) = (&drop, Some("c"))).unwrap().target, "b");
    assert_eq!(file.with(|r| (r.group, r.folds) = (Some("target"), 2)).unwrap().target, "c");
}

#[test]
fn labels_of_any_kind_are_classes() {
    for labels in
        [["yes", "no"], ["True", "False"], ["-1", "1"], ["-1.0", "1.0"], ["7", "9"], ["größer", "a, b"]]
    {
        let file = File::new(target_of(40, |i| format!("\"{}\"", labels[i % 2])));
        let profile = file.profile();
        assert_eq!(profile.task, Classification, "{labels:?}");
        let mut found: Vec<&str> = profile.classes.iter().map(|(label, _)| label.as_str()).collect();
        found.sort_unstable();
        let mut expected = labels;
        expected.sort_unstable();
        assert_eq!(found, expected, "labels stay as they are written");
    }
}

#[test]
fn classes_come_with_their_counts_the_most_frequent_first() {
    let file = File::new(target_of(60, |i| ["b", "a", "c", "a", "b", "a"][i % 6].to_owned()));
    let expected = [("a".to_owned(), 30), ("b".to_owned(), 20), ("c".to_owned(), 10)];
    assert_eq!(classes(&file), expected);
}

#[test]
fn rows_without_a_target_are_dropped_and_counted() {
    let cells = ["yes", "no", "", "NA", "?", " ", "nan", "yes", "no", "no"];
    let profile = File::new(target_of(100, |i| cells[i % 10].to_owned())).profile();
    assert_eq!((profile.rows, profile.dropped_rows), (50, 50));
    assert!(
        profile.notes.contains(&"50 rows without a target are left out".to_owned()),
        "{:?}",
        profile.notes
    );
    let one = File::new(target_of(41, |i| if i == 7 { "" } else { yes_or_no(i) }.to_owned())).profile();
    assert!(one.notes.contains(&"1 row without a target is left out".to_owned()));
    assert_eq!(one.classes.iter().map(|class| class.1).sum::<usize>(), 40);
}

#[test]
fn numbers_are_a_quantity_if_there_are_many_and_classes_if_few() {
    let task = |rows: usize, cell: &dyn Fn(usize) -> String| File::new(target_of(rows, cell)).profile().task;
    assert_eq!(task(400, &|i| (i % 20).to_string()), Classification);
    assert_eq!(task(400, &|i| (i % 21).to_string()), Regression);
    assert_eq!(task(400, &|i| format!("{}.5", i % 10)), Classification);
    assert_eq!(task(400, &|i| format!("{}.5", i % 11)), Regression);
    // Few rows for each of the numbers speak for a quantity, unless there are two.
    assert_eq!(task(40, &|i| (i % 9).to_string()), Regression);
    assert_eq!(task(40, &|i| (i % 8).to_string()), Classification);
    assert_eq!(task(10, &|i| (i % 2).to_string()), Classification);
}

#[test]
fn the_values_of_the_target_are_counted_however_wide_the_file_is() {
    let columns = 20_000;
    let header = (0..columns).map(|i| format!("s{i}")).collect::<Vec<_>>().join(",");
    let cells = "1,".repeat(columns - 1);
    let text = table(&format!("{header},target"), 210, |i| format!("{cells}{},{i}.25", i % 2));
    let profile = File::new(text).profile();
    assert_eq!((profile.task, profile.features().count()), (Regression, 1));
    assert_eq!((profile.columns[columns].distinct, profile.columns[columns].distinct_capped), (210, false));
}

#[test]
fn the_metric_follows_from_the_task_and_from_imbalance() {
    let metric = |text: String| File::new(text).profile().metric.name;
    assert_eq!(metric(plain(40)), "accuracy");
    assert_eq!(metric(target_of(100, |i| format!("{i}.5"))), "rmse");
    assert_eq!(metric(target_of(100, |i| if i < 80 { "a" } else { "b" }.to_owned())), "accuracy");
    let rare = File::new(target_of(100, |i| if i < 81 { "a" } else { "b" }.to_owned())).profile();
    assert_eq!(rare.metric.name, "balanced_accuracy");
    assert!(rare.notes.iter().any(|note| note.starts_with("81 % of the rows are `a`")), "{:?}", rare.notes);
}

#[test]
fn a_metric_that_is_asked_for_decides_the_task() {
    let grades = File::new(target_of(400, |i| (i % 9).to_string()));
    let asked = |metric| grades.with(|r| r.metric = Some(metric)).unwrap();
    assert_eq!((asked("rmse").task, asked("accuracy").task), (Regression, Classification));
    assert!(asked("mae").classes.is_empty());
    assert_says(&asked("r2").task_reason, &["r2 is asked for", "9 distinct"]);
    let many = File::new(target_of(400, |i| (i % 30).to_string()));
    assert_eq!(many.profile().task, Regression);
    assert_eq!(many.with(|r| r.metric = Some("log_loss")).unwrap().classes.len(), 30);
    let imbalanced = File::new(target_of(100, |i| if i < 90 { "a" } else { "b" }.to_owned()));
    let plain = imbalanced.with(|r| r.metric = Some("accuracy")).unwrap();
    assert_eq!(plain.metric.name, "accuracy", "a wish is a wish");
}

#[test]
fn the_name_of_a_metric_may_be_written_as_people_write_it() {
    let file = File::new(plain(40));
    for name in ["roc_auc", "ROC-AUC", " Roc Auc "] {
        assert_eq!(file.with(|r| r.metric = Some(name)).unwrap().metric.name, "roc_auc");
    }
}

#[test]
fn notes_say_how_to_predict_it_the_other_way() {
    let notes = |text: String| File::new(text).profile().notes.join("\n");
    assert_says(&notes(target_of(400, |i| (i % 9).to_string())), &["as a quantity instead", "--metric rmse"]);
    assert_says(
        &notes(target_of(400, |i| (i % 30).to_string())),
        &["as classes instead", "--metric accuracy"],
    );
    assert!(!notes(plain(40)).contains("instead"));
    assert!(!notes(target_of(400, |i| format!("{i}.5"))).contains("instead"));
}
