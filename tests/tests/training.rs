//! Training scripts, with real processes: what is searched, how runs end, and what is left of them.
//!
//! The scripts are of a few lines of shell; what is searched is a Python file beside them, whose constant they read.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ar_tests::processes;
use ar_tests::project::{GOOD, Project};
use ar_tests::run::{self, Running, is_experiment};

/// How one run of `script` ends: the outcome and its reason.
fn ends(script: &str, more: &[&str]) -> (String, String) {
    let project = Project::new(script);
    let before = project.tree();
    let flags = ["--budget", "1", "--rounds", "1"];
    let ended = project.run(&[&flags[..], more].concat());
    assert!(matches!(ended.status.code(), Some(0 | 1)), "{}", run::stderr(&ended));
    project.nothing_left();
    assert_eq!(project.tree(), before, "the user's tree is as it was");
    let results = project.results();
    let experiment = &results["experiments"][0];
    let text = |name: &str| experiment[name].as_str().unwrap_or_default().to_owned();
    (text("outcome"), text("reason"))
}

#[test]
fn a_script_is_searched_and_the_best_file_is_handed_over() {
    let project = Project::new(GOOD);
    project.write("with \"quotes\" and blanks.txt", "\r\n");
    std::os::unix::fs::symlink("train.py", project.root().join("link")).unwrap();
    fs::set_permissions(project.root().join("train.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let before = project.tree();
    let flags = ["--time-budget", "7s", "--budget", "14", "--rounds", "3", "--seed", "5"];
    let ended = project.run(&[&flags[..], &["--enqueue", "LR=0.3"]].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let said = run::stdout(&ended);
    assert!(said.contains("train.py:2 LR") && said.contains("0.00625 to 0.4"), "{said}");
    assert!(said.contains("SEED: it is a seed"), "{said}");
    project.nothing_left();
    assert_eq!(project.tree(), before, "the user's tree is as it was");

    let results = project.results();
    let experiments = results["experiments"].as_array().unwrap();
    assert_eq!(experiments.len(), 42);
    for experiment in experiments {
        let option = experiment["config"]["LR"].as_str().unwrap();
        let value: f64 = if option == "base" { 0.05 } else { option.parse().unwrap() };
        assert_eq!(experiment["score"].as_f64(), Some(value), "{experiment}");
        let repeat = experiment["block"]["repeat"].as_u64().unwrap();
        assert_eq!(experiment["figures"]["seed"].as_f64(), Some(5.0 + repeat as f64), "{experiment}");
        assert_eq!(experiment["figures"]["budget"].as_f64(), Some(7.0));
    }
    let mut tried = experiments.iter().filter_map(|e| e["config"]["LR"].as_str()?.parse::<f64>().ok());
    let second = tried.next().unwrap();
    assert!((second / 0.3).ln().abs() < 0.05, "what was asked for is tried after the base: {second}");
    let verdict = &results["verdict"];
    assert_eq!(verdict["beats_base"], true, "{}", verdict["text"]);
    let decided = &verdict["decisions"][0];
    assert_eq!(
        (decided["fate"].as_str(), &decided["challenger"]),
        (Some("kept"), &verdict["winner"]),
        "{verdict}"
    );
    assert!(
        decided["pairs"].as_u64() >= Some(2) && decided["e_value"].as_f64() >= decided["needed"].as_f64()
    );
    // The halves of a pair have one seed, and run one after the other.
    let fresh = experiments.iter().filter(|e| e["block"]["repeat"].as_u64() > Some(2));
    for pair in fresh.collect::<Vec<_>>().chunks(2) {
        assert_eq!(pair[0]["block"], pair[1]["block"]);
        assert_ne!(pair[0]["config"], pair[1]["config"]);
    }
    let option = verdict["winner"]["LR"].as_str().unwrap();
    let best = fs::read_to_string(project.results_folder().join("best/train.py")).unwrap();
    assert_eq!(
        best,
        format!("# caf\u{e9}\r\nLR = {option}  # rate\r\nSEED = 1\r\n"),
        "and nothing else changed"
    );
    let table = fs::read_to_string(project.results_folder().join("results.tsv")).unwrap();
    assert!(table.starts_with("commit\tval_bpb\tmemory_gb\tstatus\tdescription"), "{table}");
    the_branch_has_what_was_kept(&project, &before, &table, &best);

    // A lock that a killed git left does not stop the next one, and the same study gives the same commits.
    let repository = project.results_folder().join("repository.git");
    fs::remove_file(repository.join("autoresearch.json")).unwrap();
    fs::write(repository.join("HEAD.lock"), "").unwrap();
    let again = project.run(&[&flags[..], &["--enqueue", "LR=0.3"]].concat());
    assert_eq!(again.status.code(), Some(0), "{}", run::stderr(&again));
    assert!(!repository.join("HEAD.lock").exists(), "the lock was in the way");
    let table = fs::read_to_string(project.results_folder().join("results.tsv")).unwrap();
    the_branch_has_what_was_kept(&project, &before, &table, &best);
}

/// The repository of the results, as git itself sees it.
fn the_branch_has_what_was_kept(
    project: &Project,
    submitted: &BTreeMap<PathBuf, Vec<u8>>,
    table: &str,
    best: &str,
) {
    let folder = project.results_folder();
    let repository = folder.join("repository.git");
    let branch = format!("autoresearch/{}", folder.file_name().unwrap().to_str().unwrap());
    let git = |arguments: &[&str]| {
        let ended =
            std::process::Command::new("git").arg("--git-dir").arg(&repository).args(arguments).output();
        let ended = ended.expect("git is installed, as this was cloned");
        assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap()
    };
    git(&["fsck", "--strict"]);
    let log = git(&["log", "--reverse", "--format=%h %s", "--abbrev=7", &branch]);
    let commits: Vec<&str> = log.lines().collect();
    let kept: Vec<Vec<&str>> = table
        .lines()
        .map(|row| row.split('\t').collect())
        .filter(|row: &Vec<&str>| row[3] == "keep")
        .collect();
    assert!(kept.len() == 2 && commits.len() == 3, "the base and what is shown to beat it: {log}\n{table}");
    assert!(commits[0].ends_with(" The project as it was submitted"), "{log}");
    for (row, commit) in kept.iter().zip(&commits[1..]) {
        assert_eq!(*commit, format!("{} {}", row[0], row[4]), "{log}");
        let body = git(&["show", "-s", "--format=%B", row[0]]);
        assert!(body.contains(&format!("val_bpb: {}", row[1])), "{body}");
        assert!(body.contains(&format!("Experiment: {}", row[row.len() - 1])), "{body}");
    }
    let body = git(&["show", "-s", "--format=%B", &branch]);
    assert!(
        body.contains("pairs of runs on fresh seeds (e-value") && body.contains("Parent: experiment 1"),
        "{body}"
    );
    let discarded = table.lines().filter(|row| row.contains("\tdiscard\t"));
    assert!(
        discarded.clone().count() > 0 && discarded.into_iter().all(|row| row.starts_with('\t')),
        "{table}"
    );
    // First what was submitted, without what git ignores; last what is handed over.
    let first = commits[0].split(' ').next().unwrap();
    let listed = git(&["ls-tree", "-r", "-z", first]);
    let mode_and_path = |line: &str| Some((line.get(..6)?.to_owned(), line.split_once('\t')?.1.to_owned()));
    let listed: Vec<_> = listed.split_terminator('\0').filter_map(mode_and_path).collect();
    let quoted = "with \"quotes\" and blanks.txt";
    let files = [
        ("100644", ".gitignore"),
        ("120000", "link"),
        ("100644", "prepare.py"),
        ("100644", "train.py"),
        ("100755", "train.sh"),
        ("100644", quoted),
    ];
    assert_eq!(listed, files.map(|(mode, path)| (mode.to_owned(), path.to_owned())));
    for (_, path) in files.into_iter().filter(|(mode, _)| *mode != "120000") {
        let content = git(&["show", &format!("{first}:{path}")]);
        assert_eq!(content.as_bytes(), submitted[&project.root().join(path)]);
    }
    assert_eq!(git(&["show", &format!("{first}:link")]), "train.py");
    assert_eq!(git(&["show", &format!("{branch}:train.py")]), best);
}

#[test]
fn a_pinned_constant_has_its_value_in_every_run_and_in_what_is_handed_over() {
    let script = format!("{GOOD}sed -n 's/^DEPTH = \\([0-9]*\\).*/depth: \\1/p' train.py\n");
    let project = Project::new(&script);
    project.write("train.py", "LR = 0.05\nDEPTH = 8  # layers\n");
    let ended = project.run(&["--budget", "3", "--rounds", "1", "--pin", "DEPTH=12"]);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    assert!(run::stdout(&ended).contains("DEPTH: pinned to 12"), "{}", run::stdout(&ended));
    let results = project.results();
    let experiments = results["experiments"].as_array().unwrap();
    assert!(experiments.iter().all(|e| e["figures"]["depth"].as_f64() == Some(12.0)), "{experiments:?}");
    assert!(experiments.iter().all(|e| e["config"].as_object().unwrap().keys().eq(["LR"])));
    let best = fs::read_to_string(project.results_folder().join("best/train.py")).unwrap();
    assert!(best.ends_with("DEPTH = 12  # layers\n"), "{best}");
}

#[test]
fn files_in_variants_are_options_of_a_slot_and_an_edited_one_is_another_study() {
    let script = "printf -- '---\\nval_bpb: %s\\n' $(sed -n 's/^LOSS = //p' optimizer.py)\n";
    let project = Project::new(script);
    project.write("optimizer.py", "LOSS = 0.5\n");
    project.write("variants/optimizer/sgd_plain.py", "LOSS = 0.7\n");
    project.write("variants/optimizer/lion.py", "# better\r\nLOSS = 0.25\n");
    let flags = ["--edit", "optimizer.py", "--no-knob", "LOSS", "--budget", "12", "--rounds", "1"];
    let ended = project.run(&flags);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let results = project.results();
    let scores: BTreeMap<&str, f64> = results["experiments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["config"]["optimizer"].as_str().unwrap(), e["score"].as_f64().unwrap()))
        .collect();
    assert_eq!(scores, [("base", 0.5), ("lion", 0.25), ("sgd_plain", 0.7)].into());
    assert_eq!(results["verdict"]["winner"]["optimizer"], "lion", "{}", results["verdict"]["text"]);
    let first = project.results_folder();
    let best = fs::read_to_string(first.join("best/optimizer.py")).unwrap();
    assert_eq!(best, "# better\r\nLOSS = 0.25\n");
    let shown = std::process::Command::new("git")
        .arg("--git-dir")
        .arg(first.join("repository.git"))
        .args(["show", "HEAD:optimizer.py"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stdout), best);
    // A stale score is never taken for that of an edited file.
    project.write("variants/optimizer/lion.py", "LOSS = 0.9\n");
    fs::remove_file(first.join("results.json")).unwrap();
    assert_eq!(project.run(&flags).status.code(), Some(0));
    let results = project.results();
    assert_ne!(project.results_folder(), first);
    assert_eq!(results["verdict"]["winner"]["optimizer"], "base", "{}", results["verdict"]["text"]);
}

#[test]
fn a_bad_metric_is_an_outcome_with_a_reason() {
    let cases = [
        ("echo FAIL", "no metric", "FAIL"),
        ("echo hello", "no metric", "no line `val_bpb: NUMBER`"),
        ("printf -- '---\\nval_bpb: nan\\n'", "no metric", "NaN"),
        ("printf -- '---\\nval_bpb: good\\n'", "no metric", "`good`"),
        ("printf -- '---\\nval_bpb: 1\\nval_bpb: 2\\n'", "no metric", "printed 2 times"),
        ("printf -- '---\\nval_bpb: 1\\n'; exit 3", "crashed", "exit code 3"),
        ("echo Traceback; echo 'ValueError: no' >&2; exit 1", "crashed", "it last said: ValueError: no"),
        ("kill -9 $$", "crashed", "signal 9"),
        ("printf -- '---\\nval_bpb: 1\\n'; echo x >> prepare.py", "no metric", "`prepare.py` is protected"),
        (
            "printf -- '---\\nval_bpb: 1\\n'; rm prepare.py; ln -s /etc/passwd prepare.py",
            "no metric",
            "protected",
        ),
    ];
    for (script, outcome, reason) in cases {
        let (found, why) = ends(script, &[]);
        assert_eq!(found, outcome, "{script}: {why}");
        assert!(why.contains(reason), "{script}: {why}");
    }
}

#[test]
fn a_run_that_does_not_end_is_ended_with_all_that_it_started() {
    let short = ["--time-budget", "1s", "--startup", "1s"];
    let stubborn = "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1000; done' & sleep 1000 & \
                    while :; do sleep 1000; done";
    let (outcome, why) = ends(stubborn, &short);
    assert_eq!(outcome, "timed out", "{why}");
    let (outcome, why) = ends("sleep 1000", &short);
    assert_eq!(outcome, "timed out", "{why}");
}

#[test]
fn a_result_counts_whoever_still_holds_the_pipe() {
    let held = format!("{GOOD}setsid sleep 1000 & sleep 1000 & exit 0");
    assert_eq!(ends(&held, &[]).0, "done");
    let orphaned = format!("{GOOD}(setsid sh -c 'sleep 1000 & sleep 1000' &) ; exit 0");
    assert_eq!(ends(&orphaned, &[]).0, "done");
}

#[test]
fn output_without_end_bytes_that_are_no_text_and_other_line_ends_do_no_harm() {
    let (outcome, why) = ends(&format!("head -c 1500000000 /dev/zero\necho\n{GOOD}"), &[]);
    assert_eq!(outcome, "done", "{why}");
    let (outcome, why) = ends("printf '\\377\\376 caf\\351\\r\\n---\\r\\nval_bpb: 1.5\\r\\n'", &[]);
    assert_eq!(outcome, "done", "{why}");
}

#[test]
fn secrets_of_the_worker_stay_with_it() {
    let project = Project::new("printf -- '---\\nval_bpb: %s\\n' \"${OPENAI_API_KEY:-1.25}\"");
    let arguments = project.arguments(&["--budget", "1", "--rounds", "1"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = run::command(&arguments).env("OPENAI_API_KEY", "0.5").output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    assert_eq!(project.results()["experiments"][0]["score"].as_f64(), Some(1.25));
}

#[test]
fn a_score_is_verified_by_another_process_on_what_the_run_left() {
    let script = format!("{GOOD}echo 3.25 > \"$CHECKPOINT_OUT\"");
    let evaluate = ["--evaluate", "printf -- '---\\nval_bpb: %s\\nchecked: 1\\n' $(cat \"$CHECKPOINT_OUT\")"];
    let project = Project::new(&script);
    let ended = project.run(&[&evaluate[..], &["--budget", "2", "--rounds", "1"]].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let results = project.results();
    assert_eq!(results["study"]["scores"], "verified");
    let base = &results["experiments"][0];
    assert_eq!(base["score"].as_f64(), Some(3.25), "not what the script says: {base}");
    assert_eq!(base["figures"]["self_reported"].as_f64(), Some(0.05));
    assert_eq!(
        (base["figures"]["checked"].as_f64(), base["figures"]["num_steps"].as_f64()),
        (Some(1.0), Some(7.0))
    );
    assert!(run::stdout(&ended).contains("verified: measured by another process"));
    project.nothing_left();

    let (outcome, why) = ends(GOOD, &["--evaluate", "cat \"$CHECKPOINT_OUT\""]);
    assert_eq!(outcome, "crashed", "it left nothing: {why}");
    assert!(why.starts_with("--evaluate ended with exit code 1"), "{why}");
    let (outcome, why) = ends(GOOD, &["--evaluate", "echo nothing"]);
    assert_eq!((outcome.as_str(), why.starts_with("--evaluate: no line")), ("no metric", true), "{why}");
}

/// Kills what `victim` names once an experiment runs that has begun to train; returns whether the run ended by it.
fn killed(victim: impl Fn(&Project, &Running) -> i32) -> Project {
    let slow = format!("{GOOD}touch \"$AR_WORKSPACE/begun\"; sleep 2");
    let project = Project::new(&slow);
    let before = project.tree();
    let flags = ["--budget", "3", "--rounds", "1"];
    let mut running = project.start(&flags);
    running.until(is_experiment).expect("the base ends");
    let begun = || {
        let attempts = fs::read_dir(project.out().join("store/worker/attempts"));
        attempts.into_iter().flatten().flatten().any(|attempt| attempt.path().join("begun").exists())
    };
    processes::wait_until("a run has begun", begun);
    processes::kill_9(victim(&project, &running));
    let (code, _) = running.end();
    if code != Some(0) {
        assert_eq!(project.run(&flags).status.code(), Some(0), "the same command goes on");
    }
    project.nothing_left();
    assert_eq!(project.tree(), before, "the user's tree is as it was");
    let results = project.results();
    let experiments = results["experiments"].as_array().unwrap();
    assert_eq!(experiments.len(), 3, "{results}");
    assert!(experiments.iter().all(|e| e["outcome"] == "done"), "{results}");
    let again = experiments.iter().filter(|e| e["attempts"].as_u64() > Some(1)).count();
    assert!(again > 0, "the kill was felt: an experiment ran again");
    project
}

#[test]
fn a_killed_coordinator_leaves_nothing_running_and_loses_nothing() {
    killed(|_, running| running.pid());
}

#[test]
fn a_killed_worker_leaves_nothing_running_and_loses_nothing() {
    killed(|project, _| {
        let is_worker = |process: &processes::Process| process.command.contains(" worker ");
        let worker = processes::of(project.home.path()).into_iter().find(is_worker);
        worker.expect("there is a worker").pid
    });
}

#[test]
fn two_studies_of_one_folder_do_not_meet() {
    let project = Project::new(&format!("{GOOD}sleep 0.2"));
    let before = project.tree();
    let other = project.home.path().join("other");
    let flags = ["--budget", "4", "--rounds", "1"];
    let first = project.start(&flags);
    let mut arguments = project.arguments(&["--budget", "4", "--rounds", "1", "--seed", "9"]);
    let place = arguments.iter().position(|a| a == "--out").unwrap() + 1;
    arguments[place] = other.to_str().unwrap().to_owned();
    let second = run::finish(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(second.status.code(), Some(0), "{}", run::stderr(&second));
    let (code, said) = first.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(project.tree(), before);
    project.nothing_left();
}

#[test]
fn an_edited_project_is_another_study_and_a_study_file_holds_to_its_project() {
    let project = Project::new(GOOD);
    let flags = ["--budget", "1", "--rounds", "1"];
    let printed = project.run(&[&flags[..], &["--dry-run"]].concat());
    let study = project.home.path().join("study.toml");
    fs::write(&study, &printed.stdout).unwrap();
    let out = project.out();
    let again = || run::finish(&["run", study.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    let ended = again();
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let first = project.results_folder();
    project.write("prepare.py", "FIXED = 2\n");
    let refused = again();
    assert_eq!(refused.status.code(), Some(2));
    assert!(run::stderr(&refused).contains("has changed since it was written"), "{}", run::stderr(&refused));
    assert_eq!(project.run(&flags).status.code(), Some(0));
    let folders = fs::read_dir(&out).unwrap().flatten().filter(|e| e.path().join("results.json").is_file());
    assert_eq!(folders.filter(|e| e.path() != first).count(), 1, "a new hash, never a stale score");
}

#[test]
fn what_cannot_be_searched_is_one_line_and_nothing_is_written() {
    let refused = |prepare: &dyn Fn(&Path), more: &[&str], reason: &str| {
        let project = Project::new(GOOD);
        prepare(&project.root());
        let before = project.tree();
        let ended = project.run(more);
        let said = run::stderr(&ended);
        assert_eq!(ended.status.code(), Some(2), "{more:?}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(said.contains(reason), "{said}");
        assert_eq!(project.tree(), before);
        assert!(!project.out().exists(), "nothing is written");
    };
    let nothing = |_: &Path| {};
    refused(&nothing, &["--edit", "gone.py"], "--edit gone.py");
    refused(&nothing, &["--edit", "train.sh"], ".py and .rs");
    refused(&nothing, &["--knob", "SEED=1..9"], "seed");
    refused(&nothing, &["--knob", "MISSING=1..9"], "MISSING");
    refused(&nothing, &["--knob", "LR=9..1"], "LR");
    refused(&nothing, &["--no-knob", "LR"], "no constant that can be searched");
    refused(
        &|root| {
            fs::create_dir_all(root.join("variants/gone")).unwrap();
            fs::write(root.join("variants/gone/a.py"), "x = 1\n").unwrap();
        },
        &[],
        "variants/gone: the project has no `gone.py`",
    );
    refused(&nothing, &["--pin", "LR=0.1"], "--pin leaves no constant to search");
    refused(&nothing, &["--pin", "LR=0.1|0.2"], "give one value");
    refused(&nothing, &["--pin", "SEED=2"], "seed");
    refused(&nothing, &["--protect", "gone.py"], "--protect gone.py");
    refused(&nothing, &["--metric", "speed"], "--direction");
    refused(&nothing, &["--metric-regex", "("], "--metric-regex");
    refused(&|root| fs::write(root.join("train.py"), "def f(:\n").unwrap(), &[], "train.py");
    let table =
        run::finish(&["run", run::example("heart-statlog.csv").to_str().unwrap(), "--time-budget", "5s"]);
    assert_eq!(table.status.code(), Some(2));
    assert!(run::stderr(&table).contains("--time-budget is for training scripts"), "{}", run::stderr(&table));
}
