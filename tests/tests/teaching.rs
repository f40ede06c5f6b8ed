//! What a study teaches, as people get it: `report.html` and `explain`, of studies that ended, run or were interrupted,
//! with and without constraints on the answer.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use ar_tests::run::{self, Running};
use ar_tests::{processes, store};
use nix::sys::signal::Signal;
use serde_json::Value;

const EVIL: &str = "<script>alert(1)</script>";

/// A table whose names and labels are up to no good.
fn table(folder: &Path) -> PathBuf {
    let mut text = format!("age,weight,{EVIL}\n");
    for row in 0..120 {
        let label = if (row * 7) % 31 > 14 { "ill\u{202e}" } else { "well" };
        let _ = writeln!(text, "{},{},{label}", row % 50, (row * 7) % 31);
    }
    let path = folder.join("evil.csv");
    std::fs::write(&path, text).unwrap();
    path
}

fn results_folder(out: &Path) -> Option<PathBuf> {
    let folders = std::fs::read_dir(out).ok()?.flatten().map(|entry| entry.path());
    folders.filter(|folder| folder.join("results.json").is_file()).last()
}

fn results(out: &Path) -> Value {
    let path = results_folder(out).expect("a results folder").join("results.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_study_ends_with_a_page_and_explain_tells_what_it_teaches() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (table(folder.path()), folder.path().join("out"));
    let (input, out_text) = (input.to_str().unwrap(), out.to_str().unwrap());
    let arguments = ["run", input, "--target", EVIL, "--out", out_text, "--budget", "8", "--rounds", "2"];
    let ended = run::finish(&arguments);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let said = run::stdout(&ended);
    assert!(said.contains("ill\\u{202e}") && !said.contains('\u{202e}'), "{said}");
    assert!(said.contains("report.html"), "{said}");

    let page = std::fs::read_to_string(results_folder(&out).unwrap().join("report.html")).unwrap();
    assert!(page.len() < 300_000 && page.ends_with("</html>\n"), "{} bytes", page.len());
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    let verdict = results(&out)["verdict"]["beats_base"].as_bool().unwrap();
    assert!(page.contains(if verdict {
        "is shown to beat the base"
    } else {
        "Nothing tried is shown to beat"
    }));

    let explained = run::finish(&["explain", "evil", "--out", out_text]);
    assert_eq!(explained.status.code(), Some(0), "{}", run::stderr(&explained));
    let text = run::stdout(&explained);
    for part in [
        "finished",
        "slots  ",
        "build_model",
        "options  ",
        "90 % interval",
        "pairs  ",
        "given up",
        "not seen",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let explained = run::finish(&["explain", "evil", "--out", out_text, "--json"]);
    let told: Value = serde_json::from_str(&run::stdout(&explained)).unwrap();
    assert_eq!(told["effects"], results(&out)["explanation"]["effects"]);
    assert!(told["importance"].as_array().is_some_and(|slots| slots.len() > 3), "{told}");

    let absent = run::finish(&["explain", "absent\u{1b}[2J", "--out", out_text]);
    let said = run::stderr(&absent);
    assert_eq!(absent.status.code(), Some(2), "{said}");
    assert!(said.trim_end().lines().count() == 1 && said.contains("evil-"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
}

#[test]
fn a_study_that_runs_and_one_that_was_interrupted_can_be_explained() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (table(folder.path()), folder.path().join("out"));
    let out_text = out.to_str().unwrap();
    let running = Running::start(&[
        "run",
        input.to_str().unwrap(),
        "--target",
        EVIL,
        "--out",
        out_text,
        "--rounds",
        "500",
    ]);
    processes::wait_until("results of a study that runs", || results_folder(&out).is_some());
    let explain = || {
        let explained = run::finish(&["explain", "evil", "--out", out_text]);
        assert_eq!(explained.status.code(), Some(0), "{}", run::stderr(&explained));
        let text = run::stdout(&explained);
        assert!(text.contains("not finished") && text.contains("slots  "), "{text}");
    };
    explain();
    assert!(results_folder(&out).unwrap().join("report.html").is_file());
    running.signal(Signal::SIGINT);
    let (code, said) = running.end();
    assert_eq!(code, Some(130), "{said}");
    explain();
}

#[test]
fn what_breaks_the_constraints_is_never_the_answer_and_wider_ones_give_another_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let heart = run::example("heart-statlog.csv");
    let (heart, out_text) = (heart.to_str().unwrap(), out.to_str().unwrap());
    let run = |more: &[&str]| {
        let arguments =
            ["run", heart, "--out", out_text, "--budget", "6", "--rounds", "1", "--holdout", "none"];
        let ended = run::finish(&[&arguments[..], more].concat());
        assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
        (run::stdout(&ended), results(&out))
    };
    // No process is as small as that.
    let (said, narrow) = run(&["--max-memory", "1MiB", "--max-predict-ms", "100000"]);
    assert!(said.contains("takes 1 MiB at most"), "{said}");
    let text = narrow["verdict"]["text"].as_str().unwrap();
    assert!(
        text.starts_with("nothing keeps to the constraints: the base is kept; the base itself"),
        "{text}"
    );
    assert_eq!((&narrow["best"], &narrow["verdict"]["candidate"]), (&Value::Null, &Value::Null));
    assert!(narrow["ranking"].as_array().unwrap().iter().all(|ranked| ranked["feasible"] == false));
    let ms = narrow["experiments"][0]["predict_ms"].as_f64().unwrap();
    assert!(ms > 0.0 && ms < 10_000.0, "{ms} ms per 1,000 rows");
    let table = std::fs::read_to_string(results_folder(&out).unwrap().join("results.tsv")).unwrap();
    let columns: Vec<&str> = table.lines().next().unwrap().split('\t').collect();
    let feasible = columns.iter().position(|column| *column == "feasible").unwrap();
    assert_eq!(table.lines().nth(1).unwrap().split('\t').nth(feasible), Some("no"));
    assert!(!table.contains("\tkeep\t"), "{table}");

    let ends = store::ends(&store::records(&out)).len();
    let (_, wide) = run(&["--max-memory", "100GiB"]);
    let text = wide["verdict"]["text"].as_str().unwrap();
    assert!(!text.contains("constraints") && wide["best"].is_object(), "{text}");
    let more = store::ends(&store::records(&out)).len() - ends;
    assert!(more <= 1, "nothing but the last fit of another winner is run: {more}");
}

#[test]
fn constraints_are_part_of_a_printed_study_and_bad_ones_are_refused() {
    let heart = run::example("heart-statlog.csv");
    let heart = heart.to_str().unwrap();
    let printed =
        run::finish(&["run", heart, "--dry-run", "--max-predict-ms", "2.5", "--max-memory", "1GiB"]);
    let text = run::stdout(&printed);
    assert!(
        text.contains("predict_ms_per_1000_rows = 2.5") && text.contains("memory = 1073741824"),
        "{text}"
    );
    for (flag, value) in [("--max-predict-ms", "fast"), ("--max-predict-ms", "0"), ("--max-memory", "much")] {
        let refused = run::finish(&["run", heart, "--dry-run", flag, value]);
        assert_eq!(refused.status.code(), Some(2), "{}", run::stderr(&refused));
    }
}
