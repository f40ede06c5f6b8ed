//! What has to be so after a command of the page.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use ar_net::BlobStore;
use ar_tests::boxes::Said;
use ar_tests::processes::wait_until;

use super::page::Step;
use super::setting::Setting;

/// Of the coordinator on `head`, as a person asks on the laptop, where the page has said in variables where that is; and of the cluster.
const HEAD: &str = "";
const LAB: &str = "--coordinator https://a:7600,https://b:7600 --token-file lab.token";
/// Where the unit of the coordinator has its folder.
const STATE: &str = "/var/lib/autoresearch/autoresearch";

/// A check stands behind a command: the beginnings of the heading and of the command, and what has to be so then.
type Check = (&'static str, &'static str, fn(&mut Setting, &Said));

/// In the order of the page.
const CHECKS: [Check; 25] = [
    ("Three boxes", "ar-coordinator workers --coordinator", |_, said| said.tells(&["box-1", "box-2"])),
    ("Three boxes", "ar-coordinator status", |_, said| said.tells(&["heart"])),
    ("Three boxes", "ar-coordinator watch", |_, said| said.tells(&["finished: "])),
    ("Three boxes", "ar-coordinator results heart", |_, said| said.tells(&["ranking ", "verdict "])),
    ("Three boxes", "ar-coordinator results heart --fetch", |setting, _| results_are_here_and_there(setting)),
    ("Three boxes", "ar-coordinator status --client-cert", |setting, _| nobody_else_gets_in(setting)),
    ("Flags", "ar-coordinator serve --config", file_counts),
    ("systemd", "systemctl enable --now ar-coordinator", |setting, _| is(setting, HEAD, "heart", "finished")),
    ("systemd", "systemctl enable --now ar-worker", |setting, _| the_unit_runs_experiments(setting)),
    ("Several", "ar-coordinator status", is_called_off),
    ("Files", "ar-coordinator serve --blobs", |setting, _| files_are_in_the_bucket(setting)),
    ("Studies", "ar-coordinator submit", |setting, _| is(setting, HEAD, "heart", "running")),
    ("Studies", "ar-coordinator pause", |setting, _| is(setting, HEAD, "heart", "paused")),
    ("Studies", "ar-coordinator resume", |setting, _| is(setting, HEAD, "heart", "running")),
    ("Studies", "ar-coordinator cancel", |setting, _| is(setting, HEAD, "heart", "cancelled")),
    ("Workers", "ar-coordinator workers", |_, said| said.tells(&["box-1", "box-2"])),
    ("Workers", "ar-coordinator workers --drain", |_, said| said.tells(&["box-2 is held back: somebody"])),
    ("Workers", "ar-coordinator workers --readmit", |setting, _| nobody_is_held_back(setting)),
    ("Back up", "systemctl start", |setting, _| is_submitted_after_the_copy(setting, HEAD)),
    ("Back up", "cp -a /mnt/backup/monday", |setting, _| results_are_lost(setting)),
    ("Back up", "systemctl start", |setting, _| the_copy_is_told_and_has_what_was_there(setting)),
    ("Back up", "cp -a /mnt/shared", |setting, _| is_submitted_after_the_copy(setting, LAB)),
    ("Back up", "ar-coordinator serve", |setting, _| the_cluster_has_what_was_there(setting)),
    ("Move", "ar-coordinator status", |_, said| said.tells(&["project"])),
    ("Move", "ar-coordinator serve", |setting, _| is_here(setting)),
];

/// The checks that are still to come.
pub(crate) struct Checks(VecDeque<Check>);

impl Checks {
    pub(crate) fn all() -> Self {
        Self(CHECKS.into())
    }

    /// Does the next check if this is the command that it stands behind.
    pub(crate) fn after(&mut self, step: &Step, command: &str, setting: &mut Setting, said: &Said) {
        let Some((heading, beginning, check)) = self.0.front() else { return };
        if step.section.starts_with(heading) && command.starts_with(beginning) {
            check(setting, said);
            self.0.pop_front();
        }
    }

    pub(crate) fn are_done(&self) {
        assert!(self.0.is_empty(), "the page has no command any more for {:?}", self.0.front());
    }
}

/// A study stands so, soon.
fn is(setting: &mut Setting, of: &str, name: &str, state: &str) {
    setting.until(of, name, |line| line["state"] == state);
}

fn results_are_here_and_there(setting: &mut Setting) {
    for place in ["laptop", "head"] {
        let folder = results(&setting.boxes.at(place).home.join("autoresearch"));
        for file in ["report.html", "results.json", "results.tsv", "best/pipeline.py", "best/model.joblib"] {
            assert!(folder.join(file).is_file(), "{file} on {place}");
        }
    }
}

/// The one folder of results of `heart` in here.
fn results(out: &Path) -> PathBuf {
    let all = fs::read_dir(out).unwrap().flatten().map(|entry| entry.path());
    let is_heart =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("heart-"));
    all.into_iter().find(is_heart).expect("a folder of results")
}

fn nobody_else_gets_in(setting: &mut Setting) {
    let said = setting.ask("laptop", "ar-coordinator status");
    assert_ne!(said.code, 0, "{}", said.out);
}

fn file_counts(setting: &mut Setting, said: &Said) {
    said.tells(&["probes and metrics on http://127.0.0.1:7601", "serving   https://head:7600"]);
    let log = setting.boxes.at("head").home.join("autoresearch/store/coordinator.log");
    wait_until("the log is of objects", || {
        let log = fs::read_to_string(&log).unwrap();
        log.lines().last().is_some_and(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    });
}

fn the_unit_runs_experiments(setting: &mut Setting) {
    setting.submit_project("laptop", "--need-label rack=7");
    is(setting, HEAD, "project", "finished");
}

fn files_are_in_the_bucket(setting: &mut Setting) {
    setting.submit_project("c", "");
    let here = setting.boxes.at("c").home.join("autoresearch/store/blobs");
    let files = BlobStore::open(&here).unwrap().list().unwrap();
    assert!(files.len() >= 3, "its files and their list");
    let there = setting.objects();
    for file in files {
        let name = format!("autoresearch/blobs/{}", file.digest);
        assert!(there.contains(&name), "{name} is not among {there:?}");
    }
}

/// It is enough that it is there: none of its experiments need run.
fn is_called_off(setting: &mut Setting, said: &Said) {
    said.tells(&["heart"]);
    setting.ask("laptop", &format!("ar-coordinator cancel heart {LAB}")).is_well();
}

fn nobody_is_held_back(setting: &mut Setting) {
    let said = setting.ask("laptop", "ar-coordinator workers");
    said.tells(&["box-2"]);
    assert!(!said.out.contains("held back"), "{}", said.out);
}

/// What no worker can run, so that it stays as it is. Where the copy is put back, it is not there.
fn is_submitted_after_the_copy(setting: &mut Setting, of: &str) {
    let late = "cp heart.csv late.csv; ar-coordinator submit late.csv --seed 5 --need-label there=none";
    setting.ask("laptop", &format!("{late} {of}")).is_well();
    is(setting, of, "late", "running");
}

fn results_are_lost(setting: &mut Setting) {
    setting.ask("head", &format!("rm -r {STATE}/heart-* {STATE}/project-*")).is_well();
}

fn the_copy_is_told_and_has_what_was_there(setting: &mut Setting) {
    is(setting, HEAD, "heart", "cancelled");
    is(setting, HEAD, "project", "finished");
    assert!(setting.until(HEAD, "late", |_| true).is_null());
    let log = setting.ask("head", &format!("cat {STATE}/store/coordinator.log"));
    log.tells(&["the store is a copy, from a backup or another place"]);
    wait_until("the results are written again", || {
        setting.ask("head", &format!("ls {STATE}/heart-*/report.html {STATE}/project-*/best/train.py")).code
            == 0
    });
}

/// What was there stands as it stood, and there are workers that go on.
fn the_cluster_has_what_was_there(setting: &mut Setting) {
    is(setting, LAB, "heart", "cancelled");
    assert!(setting.until(LAB, "late", |_| true).is_null());
    let log = setting.ask("a", "grep -rh 'is a copy' /mnt/shared/autoresearch/store --include=*.log");
    log.tells(&["the store is a copy, from a backup or another place"]);
    setting.submit_project("laptop", LAB);
    is(setting, LAB, "project", "finished");
}

/// The store that went to etcd and came back.
fn is_here(setting: &mut Setting) {
    setting.ask("c", "ar-coordinator status").tells(&["project"]);
}
