//! `--data`: large data that runs read where they lie, with real processes.

use std::fs;
use std::path::{Path, PathBuf};

use ar_tests::processes;
use ar_tests::project::{GOOD, Project};
use ar_tests::run;
use serde_json::Value;

/// Flags of a study of one run.
const ONCE: [&str; 4] = ["--budget", "1", "--rounds", "1"];

/// A folder of data outside the project: 8 MiB of tokens, and a vocabulary.
fn corpus(project: &Project) -> PathBuf {
    let folder = project.home.path().join("corpus");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("tokens.bin"), vec![7; 8 << 20]).unwrap();
    fs::write(folder.join("vocab.txt"), "words\n").unwrap();
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn only(results: &Value) -> &Value {
    let experiments = results["experiments"].as_array().unwrap();
    assert_eq!(experiments.len(), 1, "{results}");
    &experiments[0]
}

/// Bytes of all files below a folder.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let size = |path: PathBuf| match path.is_dir() && !path.is_symlink() {
        true => bytes_below(&path),
        false => path.symlink_metadata().unwrap().len(),
    };
    entries.map(size).sum()
}

#[test]
fn a_run_reads_data_through_a_link_and_nothing_is_copied() {
    let script = format!(
        "{GOOD}printf 'tokens: %s\\n' $(wc -c < data/corpus/tokens.bin)
printf 'vocab: %s\\n' $(test -L data/corpus && grep -c words data/corpus/vocab.txt)
printf 'kib: %s\\n' $(du -skP \"$AR_WORKSPACE\" | cut -f1)
printf 'stale: %s\\n' $(ls data/corpus | grep -c old)\n"
    );
    let project = Project::new(&script);
    let corpus = corpus(&project);
    project.write("data/corpus/old.bin", "what a worker must not see");
    project.write("data/notes.txt", "of the project");
    let before = project.tree();
    let flag = format!("data/corpus={}", text(&corpus));
    let ended = project.run(&[&ONCE[..], &["--data", &flag]].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let said = run::stdout(&ended);
    let told =
        format!("data      data/corpus -> {}: 2 files, 0.008 GiB, known by its content", text(&corpus));
    assert!(said.contains(&told), "{said}");
    assert!(said.contains("what the project has there is left out"), "{said}");
    let results = project.results();
    let figures = &only(&results)["figures"];
    let figure = |name: &str| figures[name].as_f64();
    assert_eq!(
        (figure("tokens"), figure("vocab"), figure("stale")),
        (Some(8_388_608.0), Some(1.0), Some(0.0)),
        "{figures}"
    );
    assert!(figure("kib") < Some(1024.0), "{figures}");
    assert!(bytes_below(&project.out()) < 4 << 20, "nor is it in the store");
    let reference = &results["study"]["data_references"][0];
    assert_eq!(
        (reference["name"].as_str(), reference["path"].as_str()),
        (Some("data/corpus"), Some(text(&corpus)))
    );
    assert_eq!(reference["fingerprint"]["files"].as_u64(), Some(2), "{reference}");
    project.nothing_left();
    assert_eq!(project.tree(), before, "the user's tree is as it was");
}

#[test]
fn a_path_in_the_project_keeps_its_place_and_other_data_are_another_study() {
    let project = Project::new(&format!("{GOOD}printf 'bytes: %s\\n' $(wc -c < data/tokens.bin)\n"));
    project.write("data/tokens.bin", "tokens");
    let path = project.root().join("data/tokens.bin");
    let flags = [&ONCE[..], &["--data", text(&path)]].concat();
    assert_eq!(project.run(&flags).status.code(), Some(0));
    let results = project.results();
    let (first, id) = (project.results_folder(), results["study"]["id"].clone());
    assert_eq!(only(&results)["figures"]["bytes"].as_f64(), Some(6.0));
    assert_eq!(results["study"]["data_references"][0]["name"], "data/tokens.bin");
    let again = project.run(&flags);
    assert!(run::stdout(&again).contains("this study has ended before"), "{}", run::stdout(&again));

    let printed = project.run(&[&flags[..], &["--dry-run"]].concat());
    let study = project.home.path().join("study.toml");
    fs::write(&study, &printed.stdout).unwrap();
    let out = project.out();
    let by_file = || run::finish(&["run", text(&study), "--out", text(&out)]);
    assert!(run::stdout(&by_file()).contains("this study has ended before"));

    project.write("data/tokens.bin", "tokenS");
    let refused = by_file();
    assert_eq!(refused.status.code(), Some(2));
    assert!(run::stderr(&refused).contains("has changed since it was written"), "{}", run::stderr(&refused));
    fs::remove_dir_all(first).unwrap();
    assert_eq!(project.run(&flags).status.code(), Some(0));
    let results = project.results();
    assert_ne!(results["study"]["id"], id, "the same size, other content");
    assert_eq!(only(&results)["outcome"], "done");
}

#[test]
fn a_run_that_changes_data_is_void_and_none_starts_on_what_it_left() {
    let project = Project::new("");
    let corpus = corpus(&project);
    let (vocab, once) = (corpus.join("vocab.txt"), project.home.path().join("once"));
    // The first run spoils the data; those after it would not.
    let spoil = format!("test -e '{0}' || {{ touch '{0}'; echo more >> corpus/vocab.txt; }}\n", text(&once));
    project.write("train.sh", &format!("{spoil}{GOOD}"));
    let flags = ["--budget", "3", "--rounds", "1", "--data", text(&corpus)];
    let ended = project.run(&flags);
    let said = run::stderr(&ended);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(
        said.contains(&format!("the data `corpus` at {} on this worker is not what", text(&corpus))),
        "{said}"
    );
    project.nothing_left();

    fs::write(&vocab, "words\n").unwrap();
    let ended = project.run(&flags);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let results = project.results();
    let experiments = results["experiments"].as_array().unwrap();
    let outcomes: Vec<&str> = experiments.iter().map(|e| e["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["no metric", "done", "done"], "the same study goes on: {results}");
    let reason = experiments[0]["reason"].as_str().unwrap();
    assert!(reason.contains("`corpus`") && reason.contains("it changed while this one ran"), "{reason}");
    project.nothing_left();
}

#[test]
fn a_worker_that_lacks_the_data_says_so_and_gets_no_lease() {
    let project = Project::new("touch \"$AR_WORKSPACE/begun\"; sleep 1000");
    let corpus = corpus(&project);
    let short = ["--time-budget", "1s", "--startup", "10s", "--data", text(&corpus)];
    let mut running = project.start(&[&ONCE[..], &short].concat());
    running.until(|line| line.starts_with("ready")).expect("the worker is ready");
    let begun = || {
        let attempts = fs::read_dir(project.out().join("store/worker/attempts"));
        attempts.into_iter().flatten().flatten().any(|attempt| attempt.path().join("begun").exists())
    };
    processes::wait_until("a run has begun", begun);
    // The next worker finds them gone, as another machine might.
    fs::rename(&corpus, project.home.path().join("elsewhere")).unwrap();
    let is_worker = |process: &processes::Process| process.command.contains(" worker ");
    let worker = processes::of(project.home.path()).into_iter().find(is_worker);
    processes::kill_9(worker.expect("there is a worker").pid);
    let (code, said) = running.end();
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    let why =
        format!("the data `corpus` cannot be used on this worker: there is nothing at {}", text(&corpus));
    assert!(said.contains(&why), "{said}");
    project.nothing_left();
}

#[test]
fn data_that_cannot_be_used_are_one_line_and_nothing_is_written() {
    let refused = |more: &[&str], reason: &str| {
        let project = Project::new(GOOD);
        let corpus = corpus(&project);
        project.write("lib/a.py", "A = 1\n");
        std::os::unix::fs::symlink("prepare.py", project.root().join("away")).unwrap();
        let before = project.tree();
        let more: Vec<String> = more.iter().map(|flag| flag.replace("CORPUS", text(&corpus))).collect();
        let ended = project.run(&more.iter().map(String::as_str).collect::<Vec<_>>());
        let said = run::stderr(&ended);
        assert_eq!(ended.status.code(), Some(2), "{more:?}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(said.contains(reason), "{said}");
        assert_eq!(project.tree(), before);
        assert!(!project.out().exists(), "nothing is written");
    };
    refused(&["--data", "CORPUS/gone"], "there is nothing at");
    refused(&["--data", "x=CORPUS/vocab.txt/y"], "there is nothing at");
    refused(&["--data", "/dev/null"], "neither a file nor a folder");
    refused(&["--data", "../x=CORPUS"], "`../x` is not a path inside");
    refused(&["--data", "/x=CORPUS"], "`/x` is not a path inside");
    refused(&["--data", "=CORPUS"], "is not a path inside");
    refused(&["--data", "CORPUS", "--data", "CORPUS"], "`corpus` is given twice");
    refused(&["--data", "CORPUS", "--data", "corpus/x=CORPUS"], "lies below other data");
    refused(&["--data", "train.sh/x=CORPUS"], "`train.sh/x` is given twice, or lies below");
    refused(&["--data", "away/x=CORPUS"], "`away/x` is given twice, or lies below");
    refused(&["--data", "train.py=CORPUS"], "`train.py` is searched");
    refused(&["--data", "prepare.py=CORPUS"], "`prepare.py` is protected");
    refused(&["--data", "lib=CORPUS", "--protect", "lib/a.py"], "`lib/a.py` is protected");
    refused(&["--data", "x=CORPUS/.."], "results are written to");
    let table = run::finish(&["run", text(&run::example("heart-statlog.csv")), "--data", "/tmp"]);
    assert_eq!(table.status.code(), Some(2));
    assert!(run::stderr(&table).contains("--data is for training scripts"), "{}", run::stderr(&table));
}
