//! Workers of a coordinator that serves, whose disks get full and are freed, with real processes.

use std::fs;
use std::path::Path;

use ar_tests::disk::{SmallDisk, with_mounts};
use ar_tests::processes::{self, wait_until};
use ar_tests::project::Project;
use ar_tests::run;
use ar_tests::service::{Head, SLOW, ended, experiments, submitted};
use serde_json::Value;

const MIB: u64 = 1 << 20;

fn worker(head: &Head, name: &str) -> Value {
    let all = head.json(&["workers"]);
    all.as_array().unwrap().iter().find(|worker| worker["name"] == name).cloned().unwrap_or_default()
}

/// A script that says where it runs.
fn telling(ran: &Path) -> String {
    format!("echo $PWD >> {}\n{SLOW}", ran.display())
}

/// How many runs a worker has begun.
fn begun(ran: &Path, worker: &str) -> usize {
    let text = fs::read_to_string(ran).unwrap_or_default();
    text.lines().filter(|line| line.contains(&format!("/{worker}/"))).count()
}

/// Every experiment has its result.
fn all_are_done(head: &Head, study: &str) {
    let all = experiments(head, study);
    let failed: Vec<_> = all.iter().filter(|experiment| experiment["outcome"] != "done").collect();
    assert!(failed.is_empty() && all.len() > 3, "{failed:?} of {}", all.len());
}

#[test]
fn a_worker_whose_disk_gets_full_gets_nothing_while_others_go_on_and_again_when_it_is_freed() {
    with_mounts(
        "a_worker_whose_disk_gets_full_gets_nothing_while_others_go_on_and_again_when_it_is_freed",
        || {
            let home = tempfile::tempdir().unwrap();
            let ran = home.path().join("ran");
            let disk = SmallDisk::mount(&home.path().join("small"), "32m");
            let head = Head::start(home.path(), &[]);
            let project = Project::new(&telling(&ran));
            // So that there is enough to try until all has been seen.
            project.write("train.py", "LR = 0.05\nWIDTH = 0.5\n");
            let _small = head.worker("small", &["--slots", "1", "--min-free", "16MiB"]);
            let _large = head.worker("large", &["--slots", "1"]);
            let study = submitted(&head, &project, &["--budget", "120", "--rounds", "1"]);
            wait_until("both run", || begun(&ran, "small") > 1 && begun(&ran, "large") > 1);

            let full = disk.fill_but(8 * MIB);
            wait_until("it is known", || worker(&head, "small")["slots"] == 0);
            let why = worker(&head, "small")["why_fewer"].as_str().unwrap_or_default().to_owned();
            let folder = home.path().join("small");
            let expected = format!("the disk under {} has ", folder.display());
            assert!(why.starts_with(&expected) && why.contains("must keep 16 MiB (--min-free)"), "{why}");
            let said = run::stdout(&head.ask(&["workers"]));
            assert!(said.contains(&format!("small takes nothing: {expected}")), "{said}");
            assert!(!said.contains("large takes nothing"), "{said}");
            wait_until("what it runs has ended", || worker(&head, "small")["held"] == 0);
            let (small, large) = (begun(&ran, "small"), begun(&ran, "large"));
            wait_until("the study goes on", || begun(&ran, "large") > large + 5);
            assert_eq!(begun(&ran, "small"), small, "on the other worker alone");
            assert_eq!(head.until(&study, |_| true)["state"], "running");

            drop(full);
            wait_until("it has its slot back", || worker(&head, "small")["slots"] == 1);
            assert!(worker(&head, "small")["why_fewer"].is_null());
            wait_until("it runs again", || begun(&ran, "small") > small);
            head.until(&study, ended);
            all_are_done(&head, &study);
            let log = fs::read_to_string(home.path().join("small.log")).unwrap();
            assert!(log.contains("free again; 1 experiments at once from now on"), "{log}");
        },
    );
}

#[test]
fn a_worker_that_starts_on_a_full_disk_says_so_and_a_study_that_has_no_other_says_why_it_waits() {
    with_mounts(
        "a_worker_that_starts_on_a_full_disk_says_so_and_a_study_that_has_no_other_says_why_it_waits",
        || {
            let home = tempfile::tempdir().unwrap();
            let ran = home.path().join("ran");
            let disk = SmallDisk::mount(&home.path().join("small"), "32m");
            let full = disk.fill_but(0);
            let mut head = Head::start(home.path(), &[]);
            let project = Project::new(&telling(&ran));
            let _small = head.worker("small", &["--slots", "1", "--min-free", "16MiB"]);
            let study = submitted(&head, &project, &["--budget", "4", "--rounds", "1"]);
            let waits = |line: &Value| {
                line["why_not"].as_str().is_some_and(|why| why.contains("small: the disk under "))
            };
            head.until(&study, waits);
            // Who coordinates next hears it, too.
            head.kill_9();
            head.restart();
            head.until(&study, waits);
            assert_eq!(worker(&head, "small")["slots"], 0);
            assert_eq!(begun(&ran, "small"), 0);
            drop(full);
            head.until(&study, ended);
            all_are_done(&head, &study);
        },
    );
}

/// A worker with a small disk at this place in its folder, which gets full but for `room` while it runs: it says this in its
/// log, has nothing any more, stays, and ends the study once there is space. Returns how many runs it began, and how many
/// experiments there are.
fn filled_while_it_runs(place: &str, room: u64, said: &str) -> (usize, usize) {
    let home = tempfile::tempdir().unwrap();
    let ran = home.path().join("ran");
    let disk = SmallDisk::mount(&home.path().join("small").join(place), "32m");
    let head = Head::start(home.path(), &[]);
    let project = Project::new(&telling(&ran));
    // Larger than the room that may be left.
    project.write("data.txt", &"0123456789abcde\n".repeat(1 << 15));
    let mut small = head.worker("small", &["--slots", "1"]);
    let study = submitted(&head, &project, &["--budget", "12", "--rounds", "1"]);
    wait_until("it runs", || begun(&ran, "small") > 2);
    let full = disk.fill_but(room);
    let log = || fs::read_to_string(home.path().join("small.log")).unwrap();
    wait_until("it is full", || log().contains(said));
    wait_until("nothing is held any more", || {
        let small = worker(&head, "small");
        small["slots"] == 0 && small["held"] == 0
    });
    assert!(processes::is_alive(small.pid()), "{}", log());
    let runs = begun(&ran, "small");
    drop(full);
    head.until(&study, ended);
    all_are_done(&head, &study);
    assert!(begun(&ran, "small") > runs, "it runs again");
    assert_eq!(small.leave(), Some(0));
    (begun(&ran, "small"), experiments(&head, &study).len())
}

#[test]
fn a_result_that_cannot_be_written_down_is_handed_over_all_the_same() {
    with_mounts("a_result_that_cannot_be_written_down_is_handed_over_all_the_same", || {
        let (runs, experiments) = filled_while_it_runs("spool", 0, "cannot spool a result");
        assert_eq!(runs, experiments, "no run was in vain");
    });
}

#[test]
fn what_finds_no_space_to_begin_is_given_back_and_its_worker_stays() {
    with_mounts("what_finds_no_space_to_begin_is_given_back_and_its_worker_stays", || {
        let (runs, experiments) = filled_while_it_runs("", 1 << 17, "it is given back");
        assert_eq!(runs, experiments, "what was given back had not begun");
    });
}

#[test]
fn a_disk_that_has_space_and_no_files_left_is_as_good_as_full() {
    with_mounts("a_disk_that_has_space_and_no_files_left_is_as_good_as_full", || {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("small");
        let _disk = SmallDisk::mount(&folder, "64m,nr_inodes=5000");
        let head = Head::start(home.path(), &[]);
        let _small = head.worker("small", &["--slots", "1"]);
        wait_until("it is there", || worker(&head, "small")["slots"] == 1);

        // A fiftieth of them is to be free.
        let many = folder.join("many");
        fs::create_dir(&many).unwrap();
        for n in 0..4_920 {
            fs::File::create(many.join(n.to_string())).unwrap();
        }
        wait_until("it is known", || worker(&head, "small")["slots"] == 0);
        let why = worker(&head, "small")["why_fewer"].as_str().unwrap_or_default().to_owned();
        assert!(why.contains(" files (inodes) free and must keep 100 files (inodes); remove"), "{why}");

        fs::remove_dir_all(&many).unwrap();
        wait_until("it has its slot back", || worker(&head, "small")["slots"] == 1);
    });
}
