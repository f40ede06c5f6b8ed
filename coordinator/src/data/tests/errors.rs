//! Files and targets that cannot be used: one line each, what is wrong and what to do.

use super::{File, assert_says, assert_tells_what_to_do, plain, table, target_of, yes_or_no};
use crate::data::{Request, profile};

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |path: &std::path::Path| {
        let said = profile(&Request::new(path)).unwrap_err().to_string();
        assert_tells_what_to_do(&said);
        said
    };
    assert_says(&refusal(&folder.path().join("absent.csv")), &["absent.csv", "no file"]);
    assert_says(&refusal(folder.path()), &["is a directory", "the csv file inside it"]);
    assert_says(&refusal(std::path::Path::new("")), &["no file"]);
    assert_says(&refusal(std::path::Path::new("/dev/null")), &["not a regular file"]);
    let file = File::named("a file", plain(40));
    assert_says(&refusal(&file.path.join("data.csv")), &["no file"]);
}

#[test]
fn a_path_with_a_line_feed_keeps_the_message_on_one_line() {
    let file = File::named("two\nlines\u{2028}.csv", "");
    assert_says(&file.refusal(), &["two\\nlines\\u{2028}.csv"]);
}

#[test]
fn files_without_rows_are_refused() {
    for text in ["", "\n", " \r\n\t\n", "\u{feff}", "\u{feff}\n"] {
        assert_says(&File::new(text).refusal(), &["is empty", "header line and rows"]);
    }
    for text in ["a,b,target", "a,b,target\n", "\u{feff}a,b,target\r\n\r\n  \n"] {
        assert_says(&File::new(text).refusal(), &["a header line but no rows"]);
    }
}

#[test]
fn a_single_column_is_no_table() {
    let said = File::new("target\n1\n0\n").refusal();
    assert_says(&said, &["a single column `target`", "`,` `;` `|` or tabs"]);
    assert_says(&File::new("a b target\n1 2 yes\n").refusal(), &["a single column `a b target`"]);
    // A quote that swallows the rest is the better answer.
    assert_says(&File::new("\"a,b\n1,2\n").refusal(), &["quote opened on line 1"]);
}

#[test]
fn a_quote_that_is_never_closed_is_found_where_it_was_opened() {
    let text = format!("{}1,\"open,yes\n{}", plain(10), plain(10));
    assert_says(&File::new(text).refusal(), &["quote opened on line 12", "never closed", "double it"]);
}

#[test]
fn a_carriage_return_alone_is_refused_because_readers_differ_on_it() {
    let said = File::new(plain(20).replace('\n', "\r")).refusal();
    assert_says(&said, &["line 1 of", "carriage return without a line feed", "unix or windows"]);
    let said = File::new(format!("{}1,\r2,yes\n", plain(20))).refusal();
    assert_says(&said, &["line 22 of", "quote the cell"]);
}

#[test]
fn a_file_without_names_is_refused() {
    let text = "5.1,3.5,1.4,0.2,setosa\n4.9,3.0,1.4,0.2,setosa\n";
    assert_says(
        &File::new(text).refusal(),
        &["looks like data", "`5.1`, `3.5`, `1.4` and 2 more", "header line"],
    );
    assert_says(&File::new("-1,5,3\n1,2,3\n").refusal(), &["looks like data"]);
    // Tools number columns without a name.
    let text = table("0,1,2", 40, |i| format!("{},{},{}", i % 7, i % 5, yes_or_no(i)));
    assert_eq!(File::new(text).profile().target, "2");
}

#[test]
fn lines_above_the_header_are_told_from_a_single_column() {
    for title in ["# made by a tool", "Report of May\n\nall sites", "sep=,"] {
        let said = File::new(format!("{title}\n{}", plain(40))).refusal();
        let first = title.lines().next().unwrap().trim_end_matches(',');
        assert_says(&said, &[&format!("begins with `{first}`"), "no header", "remove the lines above"]);
    }
}

#[test]
fn every_column_has_a_name_of_its_own() {
    let said = File::new("a,b, a ,target\n1,2,3,yes\n").refusal();
    assert_says(&said, &["two columns named `a` (columns 1 and 3)", "rename one"]);
    assert_says(&File::new("a,,target\n0,1,yes\n").refusal(), &["column 2", "has no name", "index=False"]);
    assert_says(&File::new("a,target,\n1,yes,\n").refusal(), &["column 3", "delimiter at the end"]);
    assert_says(&File::new("\"\"\na,target\n1,yes\n").refusal(), &["column 1", "has no name"]);
}

#[test]
fn rows_of_another_length_are_refused_with_their_line() {
    let cases =
        [("1,2", "2 cells"), ("1,2,yes,", "4 cells"), ("1,2,yes,4,5", "5 cells"), ("# note", "1 cell,")];
    for (row, cells) in cases {
        let said = File::new(format!("{}{row}\n", plain(20))).refusal();
        assert_says(&said, &["line 22 of", cells, "the header has 3"]);
    }
    let trailing = plain(20).replace("s\n", "s,\n").replace("o\n", "o,\n");
    assert_says(&File::new(trailing).refusal(), &["line 2 of", "4 cells"]);
}

#[test]
fn a_target_that_is_missing_everywhere_is_refused() {
    for cell in crate::data::MISSING {
        let said = File::new(target_of(40, |_| cell.to_owned())).refusal();
        assert_says(&said, &["target `target`", "missing in every row", "--target"]);
    }
}

#[test]
fn a_target_of_one_value_is_refused() {
    for (cells, shown) in [(["yes", "yes"], "(`yes`)"), (["1", "1.0"], "(`1`)"), (["yes", ""], "(`yes`)")] {
        let said = File::new(target_of(40, |i| cells[i % 2].to_owned())).refusal();
        assert_says(&said, &["one value only", shown, "--target"]);
    }
    let said = File::new(target_of(40, |_| "1e300".to_owned())).refusal();
    assert!(said.chars().count() < 400, "{said}");
}

#[test]
fn a_target_that_is_infinite_is_refused_with_its_line() {
    for cell in ["inf", "-Infinity", "NAN", "1e999"] {
        let said =
            File::new(target_of(40, |i| if i == 8 { cell.to_owned() } else { format!("{i}.5") })).refusal();
        assert_says(&said, &[&format!("`{cell}` on line 10"), "no finite number"]);
    }
}

#[test]
fn a_number_target_with_a_few_words_is_refused_with_their_line() {
    let said =
        File::new(target_of(100, |i| if i > 97 { "high".to_owned() } else { format!("{i}.5") })).refusal();
    assert_says(&said, &["a number in all but 2 of 100 rows", "`high` on line 100", "empty"]);
    let said = File::new(target_of(100, |i| format!("\"{i},5\""))).refusal();
    assert_says(&said, &["`target`", "commas", "`0,5` on line 2", "decimal points"]);
    let said = File::new(target_of(100, |i| format!("\"{},{:03}\"", i + 1, i))).refusal();
    assert_says(&said, &["thousands separators"]);
}

#[test]
fn a_target_that_tells_rows_apart_is_refused() {
    let said = File::new(target_of(100, |i| format!("name {i}"))).refusal();
    assert_says(&said, &["100 classes in 100 rows", "identifier or free text", "--target"]);
    let said = File::new(target_of(1_000, |i| format!("c{}", i % 201))).refusal();
    assert_says(&said, &["201 classes in 1000 rows"]);
    let said = File::new(target_of(24_000, |i| format!("c{}", i % 12_000))).refusal();
    assert_says(&said, &["at least 10000 classes"]);
}

#[test]
fn a_metric_that_does_not_exist_or_suit_is_refused() {
    let words = File::new(plain(40));
    assert_says(
        &words.refusal_with(|r| r.metric = Some("acuracy")),
        &["metric `acuracy`", "did you mean `accuracy`"],
    );
    assert_says(
        &words.refusal_with(|r| r.metric = Some("x\ny")),
        &["metric `x\\ny`", "choose one of `accuracy`"],
    );
    let said = words.refusal_with(|r| r.metric = Some("rmse"));
    assert_says(&said, &["rmse", "target is text (`yes`)", "accuracy"]);
    let many = File::new(target_of(300, |i| format!("{i}.5")));
    let said = many.refusal_with(|r| r.metric = Some("f1"));
    assert_says(&said, &["f1", "300 distinct numbers", "rmse, mae, r2"]);
}

#[test]
fn a_table_without_a_feature_is_refused_with_the_reasons() {
    let text = table("id,k,f,target", 40, |i| format!("x{i},same,{},{}", i % 5, yes_or_no(i)));
    let drop = vec!["f".to_owned()];
    let said = File::new(text).refusal_with(|r| r.drop = &drop);
    assert_says(&said, &["nothing to learn from", "constant: `k`", "identifiers: `id`", "left out: `f`"]);
    let every = ["a", "other", "target"].map(str::to_owned);
    assert_says(&File::new(plain(40)).refusal_with(|r| r.drop = &every), &["every column is dropped"]);
}

#[test]
fn long_and_odd_names_are_shown_short_and_on_one_line() {
    let name = format!("a\nb\t{}", "long ".repeat(40));
    let text = table(&format!("\"{name}\",target"), 40, |i| format!("\"{i},5\",{}", yes_or_no(i)));
    let said = File::new(text).refusal();
    assert_says(&said, &["`a\\nb\\tlong long", "…`"]);
}
