//! What may go wrong around a training script, with real processes: scripts that fork without end, full disks, kills of what
//! holds a run, projects that change. Each time the user's tree is as it was and nothing is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ar_tests::disk::{SmallDisk, with_mounts};
use ar_tests::project::{GOOD, Project};
use ar_tests::run::{self, is_experiment};
use ar_tests::{processes, store};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Outcome and reason of every experiment, in the order of planning.
fn outcomes(results: &Value) -> Vec<(String, String)> {
    let text = |e: &Value, name: &str| e[name].as_str().unwrap_or_default().to_owned();
    let experiments = results["experiments"].as_array().unwrap();
    experiments.iter().map(|e| (text(e, "outcome"), text(e, "reason"))).collect()
}

/// Every experiment is done, and its score is its constant.
fn all_are_right(results: &Value, count: usize) {
    let experiments = results["experiments"].as_array().unwrap();
    assert_eq!(experiments.len(), count);
    for experiment in experiments {
        let option = experiment["config"]["LR"].as_str().unwrap();
        let value: f64 = if option == "base" { 0.05 } else { option.parse().unwrap() };
        assert_eq!(experiment["score"].as_f64(), Some(value), "{experiment}");
    }
}

/// A script that does `first` in its second run, and is good in every other. Runs are counted in `counter`, beside the project.
fn second_run(counter: &Path, first: &str) -> String {
    let counter = counter.display();
    format!("echo >> {counter}\nif [ $(wc -l < {counter}) = 2 ]; then\n{first}\nfi\n{GOOD}")
}

/// The folder of the attempt that runs, once it holds a file `begun`.
fn begun(project: &Project) -> PathBuf {
    let mut found = None;
    processes::wait_until("a run has begun", || {
        let attempts = fs::read_dir(project.out().join("store/worker/attempts"));
        let mut attempts = attempts.into_iter().flatten().flatten().map(|attempt| attempt.path());
        found = attempts.find(|attempt| attempt.join("begun").exists());
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn fifty_forks_in_sessions_of_their_own_that_ignore_sigterm_end_with_their_run() {
    for (how, outcome) in [("exit 0", "done"), ("exit 3", "crashed"), ("sleep 1000", "timed out")] {
        let home = tempfile::tempdir().unwrap();
        let count = home.path().join("count");
        // Each is asleep before it is counted; the sleeps end by themselves, should this test fail.
        let script = format!(
            "for i in $(seq 50); do\n\
             setsid sh -c 'trap \"\" TERM; touch child-'$i'; sleep 300 & wait' &\ndone\n\
             while [ $(ls | grep -c '^child-') -lt 50 ]; do :; done\n\
             ls | grep -c '^child-' > {}\n{GOOD}{how}",
            count.display()
        );
        let project = Project::new(&script);
        let before = project.tree();
        let limits = ["--budget", "1", "--rounds", "1", "--time-budget", "4s", "--startup", "4s"];
        let ended = project.run(&limits);
        assert!(matches!(ended.status.code(), Some(0 | 1)), "{}", run::stderr(&ended));
        assert_eq!(fs::read_to_string(&count).unwrap().trim(), "50", "they were there");
        project.nothing_left();
        assert_eq!(project.tree(), before, "the user's tree is as it was");
        assert_eq!(outcomes(&project.results())[0].0, outcome, "{how}");
    }
}

#[test]
fn what_a_killed_supervisor_held_is_ended_at_once_and_a_bystander_lives() {
    let home = tempfile::tempdir().unwrap();
    let (counter, stray) = (home.path().join("counter"), home.path().join("stray"));
    // Its parent has ended, so that only the supervisor led to it.
    let strays = format!(
        "(setsid sh -c 'trap \"\" TERM; echo $$ > {0}.new; mv {0}.new {0}; touch begun; sleep 300' &)\n\
         sleep 1000",
        stray.display()
    );
    let project = Project::new(&second_run(&counter, &strays));
    let before = project.tree();
    let mut running = project.start(&["--budget", "3", "--rounds", "1"]);
    running.until(is_experiment).expect("the base ends");
    let folder = begun(&project);
    let stray: i32 = fs::read_to_string(stray).unwrap().trim().parse().unwrap();
    // Somebody who looks at the run: the folder is his working directory, and he has a file of it open.
    let log = fs::File::create(folder.join("notes")).unwrap();
    let mut bystander = Command::new("sleep").arg("300").current_dir(&folder).stdout(log).spawn().unwrap();
    let is = |process: &processes::Process, what: &str| process.command.contains(what);
    let all = processes::of(project.home.path());
    let worker = all.iter().find(|p| is(p, " worker ")).expect("there is a worker").pid;
    let supervisor = all.iter().find(|p| is(p, " supervise ")).expect("there is a supervisor").pid;
    assert!(processes::is_alive(stray), "it runs");
    processes::kill_9(supervisor);
    running.until(is_experiment).expect("its end is told");
    assert!(!processes::is_alive(stray), "it was ended before the end of its run was told");
    assert!(processes::is_alive(worker), "by the same worker");
    assert_eq!(bystander.try_wait().unwrap(), None, "who only looks on is left alone");
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(bystander.try_wait().unwrap(), None, "to the end");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    project.nothing_left();
    assert_eq!(project.tree(), before, "the user's tree is as it was");
    let outcomes = outcomes(&project.results());
    assert_eq!(outcomes[1], ("crashed".to_owned(), "its supervisor was killed".to_owned()));
    assert_eq!((outcomes[0].0.as_str(), outcomes[2].0.as_str()), ("done", "done"));
}

#[test]
fn a_disk_that_a_run_fills_is_its_own_failure_and_the_next_has_the_space_again() {
    with_mounts("a_disk_that_a_run_fills_is_its_own_failure_and_the_next_has_the_space_again", || {
        let home = tempfile::tempdir().unwrap();
        let counter = home.path().join("counter");
        let fills = "head -c 100000000 /dev/zero > checkpoint || exit 7";
        let project = Project::new(&second_run(&counter, fills));
        let before = project.tree();
        let _disk = SmallDisk::mount(&project.out().join("store/worker"), "2m");
        let ended = project.run(&["--budget", "4", "--rounds", "1"]);
        assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
        project.nothing_left();
        assert_eq!(project.tree(), before, "the user's tree is as it was");
        let outcomes = outcomes(&project.results());
        let (outcome, reason) = &outcomes[1];
        assert_eq!(outcome, "crashed");
        assert!(reason.contains("exit code 7") && reason.contains("No space left"), "{reason}");
        let done = outcomes.iter().filter(|(outcome, _)| outcome == "done").count();
        assert_eq!((done, outcomes.len()), (3, 4));
    });
}

/// A run whose disk gets full after its second experiment: it ends with one line and the code for it, and when there is space
/// the same command ends with every result right, none of those that were told anew.
fn full_disk(room: u64, mount: impl Fn(&Project) -> (SmallDisk, Option<SmallDisk>)) {
    let project = Project::new(&format!("{GOOD}sleep 0.1"));
    // Larger than the room that may be left, so that then a result can be written and no other run be made.
    project.write("data.txt", &"0123456789abcde\n".repeat(1 << 15));
    let before = project.tree();
    let (disk, _inner) = mount(&project);
    let flags = ["--budget", "20", "--rounds", "2"];
    let mut running = project.start(&flags);
    running.until(is_experiment).expect("the base ends");
    running.until(is_experiment).expect("another ends");
    let full = disk.fill_but(room);
    let (code, said) = running.end();
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.contains("free some") && said.contains("run the same command again"), "{said}");
    project.nothing_left_running();
    assert_eq!(project.tree(), before, "the user's tree is as it was");
    drop(full);
    let known = store::ends(&store::records(&project.out()));
    assert!((2..40).contains(&known.len()), "{} results were acknowledged", known.len());
    let ended = project.run(&flags);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let ends = store::ends(&store::records(&project.out()));
    assert!(known.iter().all(|(experiment, end)| ends.get(experiment) == Some(end)), "a result was lost");
    all_are_right(&project.results(), 40);
    project.nothing_left();
    assert_eq!(project.tree(), before);
}

#[test]
fn a_full_disk_under_the_journal_ends_the_run_in_one_line_and_loses_nothing() {
    with_mounts("a_full_disk_under_the_journal_ends_the_run_in_one_line_and_loses_nothing", || {
        full_disk(0, |project| {
            let disk = SmallDisk::mount(&project.out().join("store"), "16m");
            // So that it is the journal that finds the disk full.
            let worker = SmallDisk::mount(&project.out().join("store/worker"), "16m");
            (disk, Some(worker))
        });
    });
}

#[test]
fn a_full_disk_under_the_worker_ends_the_run_in_one_line_and_loses_nothing() {
    with_mounts("a_full_disk_under_the_worker_ends_the_run_in_one_line_and_loses_nothing", || {
        full_disk(0, |project| (SmallDisk::mount(&project.out().join("store/worker"), "4m"), None));
    });
}

#[test]
fn a_run_that_finds_no_space_for_its_folder_has_not_failed() {
    with_mounts("a_run_that_finds_no_space_for_its_folder_has_not_failed", || {
        full_disk(1 << 17, |project| (SmallDisk::mount(&project.out().join("store/worker"), "4m"), None));
    });
}

#[test]
fn a_project_without_its_script_is_one_line_and_nothing_is_written() {
    let project = Project::new(GOOD);
    fs::remove_file(project.root().join("train.py")).unwrap();
    let before = project.tree();
    let (root, out) = (project.root(), project.out());
    let bare = run::finish(&["run", root.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    for (ended, reason) in
        [(bare, "a folder without a train.py; say what trains"), (project.run(&[]), "--edit train.py")]
    {
        let said = run::stderr(&ended);
        assert_eq!((ended.status.code(), said.trim_end().lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(reason), "{said}");
    }
    assert_eq!(project.tree(), before);
    assert!(!project.out().exists(), "nothing is written");
}

#[test]
fn a_project_that_is_edited_while_it_runs_is_another_study_at_the_next_start() {
    let project = Project::new(&format!("{GOOD}sleep 0.1"));
    let flags = ["--budget", "4", "--rounds", "1"];
    let mut running = project.start(&flags);
    running.until(is_experiment).expect("the base ends");
    project.write("train.py", "LR = 7.5\n");
    project.write("train.sh", "printf -- '---\\nval_bpb: 99\\n'");
    let edited = project.tree();
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    let first = project.results_folder();
    all_are_right(&project.results(), 4);
    let ended = project.run(&flags);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let folders = fs::read_dir(project.out()).unwrap().map(|entry| entry.unwrap().path());
    let second: Vec<PathBuf> =
        folders.filter(|path| *path != first && path.join("results.json").is_file()).collect();
    let [second] = &second[..] else { panic!("another study: {second:?}") };
    let results: Value = serde_json::from_slice(&fs::read(second.join("results.json")).unwrap()).unwrap();
    let experiments = results["experiments"].as_array().unwrap();
    assert!(experiments.iter().all(|e| e["score"].as_f64() == Some(99.0)), "{results}");
    assert_eq!(project.tree(), edited, "what the user wrote is there");
    project.nothing_left();
}

/// Folders of failed runs that are kept.
fn kept(project: &Project) -> Vec<PathBuf> {
    let folders = fs::read_dir(project.out().join("failed"));
    let mut folders: Vec<PathBuf> =
        folders.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

#[test]
fn the_folder_of_a_failed_run_is_kept_when_asked_and_stays() {
    let home = tempfile::tempdir().unwrap();
    let fails = "echo half > checkpoint; echo 'the loss is NaN' >&2; exit 4";
    let script = second_run(&home.path().join("counter"), fails);
    let project = Project::new(&script);
    let before = project.tree();
    let ended = project.run(&["--budget", "3", "--rounds", "1", "--keep-failed"]);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    project.nothing_left();
    assert_eq!(project.tree(), before, "the user's tree is as it was");
    let results = project.results();
    let failed = &results["experiments"][1];
    assert_eq!(failed["outcome"], "crashed", "{failed}");
    let folders = kept(&project);
    let [folder] = &folders[..] else { panic!("one run failed: {folders:?}") };
    let name = format!("{}-{}-1", &results["study"]["id"].as_str().unwrap()[..8], failed["id"]);
    assert_eq!(folder.file_name().unwrap().to_str(), Some(name.as_str()));
    let lr = failed["config"]["LR"].as_str().unwrap();
    let script = fs::read_to_string(folder.join("train.py")).unwrap();
    assert!(script.contains(&format!("LR = {lr} ")), "with its values: {script}");
    assert_eq!(fs::read_to_string(folder.join("checkpoint")).unwrap(), "half\n");
    let said = fs::read_to_string(folder.join("autoresearch-output.txt")).unwrap();
    assert_eq!(said, "the loss is NaN\n");
    let told: Vec<String> =
        run::stdout(&ended).lines().filter(|line| line.starts_with("kept ")).map(str::to_owned).collect();
    let [told] = &told[..] else { panic!("one line: {told:?}") };
    assert!(told.contains(project.out().join("failed").to_str().unwrap()) && told.contains("1 failed run"));

    let again = project.run(&["--budget", "4", "--rounds", "1"]);
    assert_eq!(again.status.code(), Some(0), "the study goes on, the flag is no part of it");
    assert_eq!(project.results()["study"]["id"], results["study"]["id"]);
    assert_eq!(kept(&project), folders, "what is kept stays");
    project.nothing_left();
}

#[test]
fn a_run_that_is_too_slow_is_kept_and_one_that_is_interrupted_is_not() {
    let project = Project::new("touch begun; sleep 1000");
    let slow = ["--budget", "1", "--rounds", "1", "--time-budget", "1s", "--startup", "1s", "--keep-failed"];
    let ended = project.run(&slow);
    assert_eq!(ended.status.code(), Some(1), "{}", run::stderr(&ended));
    assert_eq!(outcomes(&project.results())[0].0, "timed out");
    assert_eq!(kept(&project).len(), 1);
    project.nothing_left();

    let project = Project::new("touch begun; sleep 1000");
    let running = project.start(&["--budget", "1", "--rounds", "1", "--keep-failed"]);
    begun(&project);
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().0, Some(130), "it was interrupted");
    assert!(kept(&project).is_empty(), "it has not failed: {:?}", kept(&project));
    project.nothing_left();
}
