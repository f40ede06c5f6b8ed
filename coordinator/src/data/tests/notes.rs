//! What people are told, and what the runner is told.

use super::{ColumnKind, File, column_of, names, plain, table, target_of, yes_or_no};
use crate::data::study_json;

/// The note that begins so.
#[track_caller]
fn note(text: &str, start: &str) -> String {
    let notes = File::new(text).profile().notes;
    let found = notes.iter().find(|note| note.starts_with(start));
    found.unwrap_or_else(|| panic!("no note `{start}` in {notes:#?}")).clone()
}

#[test]
fn a_plain_table_needs_one_sentence() {
    let notes = File::new(plain(40)).profile().notes;
    let only =
        "target `target`, chosen by its name: classification (the target is text with 2 distinct values)";
    assert_eq!(notes, [only]);
}

#[test]
fn columns_left_out_for_one_reason_share_a_sentence() {
    let text = table("k1,k2,id,a,target", 40, |i| format!("x,,u{i},{},{}", i * 7 % 13, yes_or_no(i)));
    assert_eq!(note(&text, "column `k1`"), "column `k1`: left out: every row has the same value");
    assert_eq!(note(&text, "column `k2`"), "column `k2`: left out: every cell is missing");
    assert_eq!(note(&text, "column `id`"), "column `id`: left out: looks like an identifier");
    let header: Vec<String> = (0..20).map(|i| format!("k{i}")).collect();
    let text = table(&format!("{},a,target", header.join(",")), 40, |i| {
        format!("{}{},{}", "x,".repeat(20), i * 7 % 13, yes_or_no(i))
    });
    let shared = note(&text, "columns");
    assert_eq!(
        shared,
        "columns `k0`, `k1`, `k2`, `k3`, `k4`, `k5` and 14 more: left out: every row has the same value"
    );
}

#[test]
fn a_few_words_among_numbers_are_pointed_at() {
    let text = column_of("a", 100, |i| if i == 50 { "unknown".to_owned() } else { format!("{}.5", i % 9) });
    let said = note(&text, "column `a`:");
    assert!(said.contains("a number in all but 1 of 100 cells (`unknown` on line 52)"), "{said}");
    let text =
        column_of(
            "day",
            100,
            |i| if i == 50 { "soon".to_owned() } else { format!("2024-01-{:02}", i % 28 + 1) },
        );
    let said = note(&text, "column `day`:");
    assert!(said.contains("a date in all but 1 of 100 cells (`soon` on line 52)"), "{said}");
}

#[test]
fn a_repeated_identifier_could_be_a_group() {
    let text = column_of("patient_id", 100, |i| format!("p{}", i % 20));
    assert!(note(&text, "column `patient_id`").contains("use --group, else --drop"));
}

#[test]
fn text_dates_and_many_categories_are_said_to_be_such() {
    let note_of = |name: &str, cell: &dyn Fn(usize) -> String| {
        note(&column_of(name, 300, cell), &format!("column `{name}`"))
    };
    assert!(note_of("day", &|i| format!("2024-01-{:02}", i % 28 + 1)).contains("used as year, month, day"));
    assert!(note_of("note", &|i| format!("seen {i} times")).contains("words are counted"));
    assert!(note_of("city", &|i| format!("c{}", i % 60)).contains("many values"));
    assert!(
        note_of("a", &|i| if i < 9 { "0".into() } else { (80 + i % 50).to_string() })
            .contains("zeros far from")
    );
}

#[test]
fn labels_that_may_mean_the_same_are_pointed_at() {
    let notes =
        |labels: [&str; 4]| File::new(target_of(80, |i| labels[i % 4].to_owned())).profile().notes.join("\n");
    assert!(notes(["Yes", "no", "yes", "no"]).contains("labels `Yes` and `yes` are two classes"));
    assert!(notes(["0", "1", "0.0", "1"]).contains("labels `0` and `0.0` are two classes"));
    assert!(!notes(["a", "b", "c", "d"]).contains("are two classes"));
    assert!(!notes(["0", "1", "2", "3"]).contains("are two classes"));
}

#[test]
fn the_study_file_has_every_column_in_order_and_the_kinds_of_the_runner() {
    let text = table("id,k,n,c,d,t,\"odd, \"\"name\"\"\",target", 40, |i| {
        let (cat, day) = (["x", "y"][i % 2], i % 28 + 1);
        format!("u{i},same,{}.5,{cat},2024-01-{day:02},some {i} words,{},{}", i % 9, i % 7, yes_or_no(i / 2))
    });
    let file = File::new(text.replace(',', ";"));
    let profile = file.with(|r| r.group = Some("n")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&study_json(&profile, u64::MAX).to_string()).unwrap();
    let columns = json["columns"].as_array().unwrap();
    let found: Vec<&str> = columns.iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(found, names(&profile));
    let kinds: Vec<&str> = columns.iter().map(|c| c["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["id", "constant", "group", "categorical", "date", "text", "numeric", "target"]);
    assert_eq!(json["data"], serde_json::json!({"path": "data.csv", "delimiter": ";", "header_rows": 1}));
    assert_eq!((json["target"].as_str(), json["task"].as_str()), (Some("target"), Some("classification")));
    assert_eq!((json["metric"].as_str(), json["folds"].as_u64()), (Some("accuracy"), Some(5)));
    assert_eq!((json["group"].as_str(), json["time"].as_str()), (Some("n"), None));
    assert!(json["holdout"].is_null());
    assert_eq!(json["seed"].as_u64(), Some(u64::MAX));
}

#[test]
fn kinds_have_the_names_that_the_runner_knows() {
    let drop = vec!["b".to_owned()];
    let text = table("t,b,a,target", 60, |i| format!("{i},{},{},{}", i % 3, i * 7 % 13, i));
    let profile = File::new(text).with(|r| (r.time, r.drop) = (Some("t"), &drop)).unwrap();
    let kinds: Vec<ColumnKind> = profile.columns.iter().map(|c| c.kind).collect();
    assert_eq!(kinds, [ColumnKind::Time, ColumnKind::Dropped, ColumnKind::Numeric, ColumnKind::Target]);
    let json = study_json(&profile, 0);
    assert_eq!(
        (json["columns"][0]["kind"].as_str(), json["columns"][1]["kind"].as_str()),
        (Some("time"), Some("dropped"))
    );
    assert_eq!((json["task"].as_str(), json["metric"].as_str()), (Some("regression"), Some("rmse")));
}
