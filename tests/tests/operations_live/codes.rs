//! The exit codes of the table, brought about and cured, each by a case that says which programs it was shown of.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ar_tests::etcd::{Certificates, Nodes};
use ar_tests::processes::wait_until;
use ar_tests::project::{GOOD, Project};
use ar_tests::run::{self, Running, is_experiment};
use ar_tests::service::{Head, SLOW, Worker, ended, http, submitted};
use nix::sys::signal::Signal;

/// As they stand in the table.
const BOTH: &str = "both";
const COORDINATOR: &str = "`ar-coordinator`";
const SERVE: &str = "`ar-coordinator serve`";

/// Brings a code about and cures it; of what programs that was shown.
pub(crate) async fn case(code: &str) -> Option<&'static str> {
    match code {
        "0" => Some(done()),
        "1" => Some(nothing_succeeded()),
        "2" => Some(input_that_cannot_be_used()),
        "3" => Some(store_or_folder().await),
        "69" => Some(another_leads().await),
        // An internal error is a mistake of the programs: one that could be brought about would be mended instead.
        "70" => Some(BOTH),
        "130" => Some(interrupted()),
        _ => None,
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// It ended with this code, and its one line has these parts.
fn ends(output: &Output, code: i32, parts: &[&str]) {
    let said = run::stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}{}", run::stdout(output));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(parts.iter().all(|part| said.contains(part)), "{said} lacks one of {parts:?}");
}

fn is_well(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", run::stderr(output));
}

/// Starts a coordinator that has to serve.
fn serves(arguments: &[&str]) -> Running {
    let mut running = Running::start(arguments);
    let serving = running.until(|line| line.starts_with("serving"));
    assert!(serving.is_some(), "{arguments:?}: {:?}", running.end());
    running
}

fn ends_well(running: Running) {
    running.signal(Signal::SIGTERM);
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
}

/// A worker has joined, as its log says for the `times`th time.
fn joined(home: &Path, name: &str, times: usize) {
    let log = home.join(format!("{name}.log"));
    wait_until("the worker has joined", || {
        fs::read_to_string(&log).unwrap_or_default().matches("joined").count() >= times
    });
}

fn done() -> &'static str {
    let home = tempfile::tempdir().unwrap();
    let mut head = Head::start(home.path(), &[]);
    is_well(&head.ask(&["status"]));
    let mut worker = head.worker("w", &["--slots", "1"]);
    joined(home.path(), "w", 1);
    assert_eq!(worker.leave(), Some(0));
    assert_eq!(head.end().0, Some(0));
    BOTH
}

fn nothing_succeeded() -> &'static str {
    let project = Project::new("echo 'no such driver' >&2\nexit 3\n");
    let flags = ["--budget", "3", "--rounds", "1"];
    let failed = project.run(&flags);
    assert_eq!(failed.status.code(), Some(1));
    let reasons = run::stderr(&failed);
    assert!(reasons.contains("no experiment succeeded") && reasons.contains("no such driver"), "{reasons}");
    let results = run::finish(&["results", "project", "--out", text(&project.out())]);
    assert!(
        run::stdout(&results).contains("3 x crashed: ended with exit code 3"),
        "{}",
        run::stdout(&results)
    );
    // What the reasons say is mended.
    project.write("train.sh", GOOD);
    is_well(&project.run(&flags));
    COORDINATOR
}

fn input_that_cannot_be_used() -> &'static str {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str| home.path().join(name);
    let (table, out) = (file("table.csv"), file("out"));
    let dry = ["run", text(&table), "--dry-run"];
    ends(&run::finish(&dry), 2, &["there is no file"]);
    let rows = (0..100).map(|row| format!("{},{},{}\n", row % 50, row * 7 % 31, row % 2));
    fs::write(&table, format!("age,weight,sick\n{}", rows.collect::<String>())).unwrap();
    is_well(&run::finish(&dry));
    ends(&run::finish(&[&dry[..], &["--target", "sik"]].concat()), 2, &["sik", "`sick`"]);
    is_well(&run::finish(&[&dry[..], &["--target", "sick"]].concat()));

    let serve = ["serve", "--out", text(&out), "--listen"];
    let open = [&serve[..], &["0.0.0.0:0"]].concat();
    ends(&run::finish(&open), 2, &["--tls-cert", "--insecure"]);
    let made = Certificates::make();
    let (certificate, key) = (file("head.pem"), file("head.key"));
    let tls = [&open[..], &["--tls-cert", text(&certificate), "--tls-key", text(&key)]].concat();
    fs::write(&certificate, made.server.0).unwrap();
    fs::write(&key, made.client.1).unwrap();
    assert_eq!(run::finish(&tls).status.code(), Some(2), "a key of another certificate");
    fs::write(&key, made.server.1).unwrap();
    ends_well(serves(&tls));

    let head = Head::start(home.path(), &[]);
    for (role, program) in [("submit", "ar-coordinator"), ("worker", "ar-worker")] {
        let token = file(role);
        fs::copy(head.token(role), &token).unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
        let ask = || match role {
            "submit" => head.client(&["status"], &token, &[]).output().unwrap(),
            _ => worker(home.path(), &head.urls, &token),
        };
        ends(&ask(), 2, &["chmod 600"]);
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        if program == "ar-coordinator" {
            is_well(&ask());
        } else {
            let _worker = head.worker_with("w", &token, &[]);
            joined(home.path(), "w", 1);
        }
    }
    BOTH
}

/// A worker to its end.
fn worker(home: &Path, url: &str, token: &Path) -> Output {
    let mut command = Command::new(run::binary().with_file_name("ar-worker"));
    command.args(["--coordinator", url, "--token-file"]).arg(token).arg("--folder").arg(home.join("w"));
    command.stdin(Stdio::null()).env(ar_worker::NVML_LIBRARY, "none").output().unwrap()
}

/// In use, damaged, not reached. Full disks, and that they are cured, are in `training_faults.rs`.
async fn store_or_folder() -> &'static str {
    let home = tempfile::tempdir().unwrap();
    let mut head = Head::start(home.path(), &[]);
    let mut first = head.worker("w", &["--slots", "1"]);
    joined(home.path(), "w", 1);
    // It takes its time to be sure.
    let second = head.worker("w", &["--slots", "1"]);
    is_in_use(&head);
    is_damaged(&mut head);
    is_not_reached(&mut head).await;
    let log = home.path().join("w.log");
    folder_is_in_use(second, &log);
    assert_eq!(first.leave(), Some(0));
    let before = fs::read_to_string(&log).unwrap().matches("joined").count();
    let _third = head.worker("w", &["--slots", "1"]);
    joined(home.path(), "w", before + 1);
    BOTH
}

fn folder_is_in_use(mut second: Worker, log: &Path) {
    assert_eq!(second.end(), Some(3));
    let said = fs::read_to_string(log).unwrap();
    assert!(said.contains("in use by another worker") && said.contains("--folder"), "{said}");
}

fn is_in_use(head: &Head) {
    let out = head.out();
    let same = ["serve", "--listen", "127.0.0.1:0", "--out", text(&out)];
    ends(&run::finish(&same), 3, &["in use by process", "--out"]);
}

fn is_damaged(head: &mut Head) {
    assert_eq!(head.end().0, Some(0));
    let (store, backup) = (head.out().join("store"), head.out().join("backup"));
    copied(&store, &backup);
    fs::write(store.join("journal.redb"), vec![7_u8; 9000]).unwrap();
    let out = head.out();
    let same = ["serve", "--listen", "127.0.0.1:0", "--out", text(&out)];
    ends(&run::finish(&same), 3, &["damaged", "restore a backup"]);
    fs::remove_dir_all(&store).unwrap();
    copied(&backup, &store);
    // Where the other one has ended, too.
    ends_well(serves(&same));
}

fn copied(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

async fn is_not_reached(head: &mut Head) {
    ends(&head.ask(&["status"]), 3, &["cannot reach a coordinator", "ar-coordinator serve"]);
    head.restart();
    is_well(&head.ask(&["status"]));
    let mut nodes = Nodes::start(1).await;
    let out: PathBuf = head.out().join("cluster");
    let same = ["serve", "--listen", "127.0.0.1:0", "--out", text(&out), "--etcd", nodes.url(0)];
    let same: Vec<String> = same.map(str::to_owned).into();
    let same: Vec<&str> = same.iter().map(String::as_str).collect();
    nodes.kill_9(0);
    ends(&run::finish(&same), 3, &["no etcd answers", "check that it runs"]);
    nodes.restart(0);
    nodes.connect().await;
    ends_well(serves(&same));
}

async fn another_leads() -> &'static str {
    let (nodes, home) = (Nodes::start(1).await, tempfile::tempdir().unwrap());
    let flags = ["--etcd", nodes.url(0), "--leader-ttl", "2s"];
    let ready = |head: &Head| http(head.address(), "/readyz", None).starts_with("HTTP/1.1 200");
    let mut first = Head::start(home.path(), &flags);
    wait_until("the first leads", || ready(&first));
    let second = Head::start(home.path(), &flags);
    first.signal(Signal::SIGSTOP);
    wait_until("the other leads", || ready(&second));
    first.signal(Signal::SIGCONT);
    let (code, said) = first.ended();
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("stands by"), "{said}");
    first.restart();
    assert!(!ready(&first) && ready(&second), "it stands by");
    SERVE
}

fn interrupted() -> &'static str {
    let project = Project::new(SLOW);
    let flags = ["--budget", "6", "--rounds", "1"];
    let mut running = project.start(&flags);
    running.until(is_experiment).expect("one ends");
    running.signal(Signal::SIGINT);
    let (code, said) = running.end();
    assert_eq!(code, Some(130), "{said}");
    let ended_before = project.results()["experiments"].as_array().unwrap().len();
    assert!((1..6).contains(&ended_before), "{ended_before}");
    is_well(&project.run(&flags));
    assert!(project.results()["experiments"].as_array().unwrap().len() >= 6);

    let home = tempfile::tempdir().unwrap();
    let head = Head::start(home.path(), &[]);
    let long = Project::new(&format!("sleep 1\n{SLOW}"));
    let study = submitted(&head, &long, &["--budget", "2", "--rounds", "1"]);
    let mut worker = head.worker("w", &["--slots", "1"]);
    head.until(&study, |line| line["running"] == 1);
    // The first one lets it leave once what runs has ended.
    worker.signal(Signal::SIGINT);
    let log = home.path().join("w.log");
    wait_until("it leaves", || fs::read_to_string(&log).unwrap().contains("leaving"));
    worker.signal(Signal::SIGINT);
    assert_eq!(worker.end(), Some(130));
    let _worker = head.worker("w", &["--slots", "1"]);
    head.until(&study, ended);
    BOTH
}
