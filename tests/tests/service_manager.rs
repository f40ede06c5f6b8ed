//! What the service manager (systemd) hears of both programs, over a real socket; and their logs, which it keeps.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ar_tests::etcd::Nodes;
use ar_tests::run::{self, Running};
use ar_tests::units::Manager;
use ar_tests::{processes, service};
use nix::sys::signal::Signal;

fn serve(folder: &Path, more: &[&str]) -> Command {
    let out = folder.join("out");
    run::command(&[&["serve", "--listen", "127.0.0.1:0", "--out", out.to_str().unwrap()], more].concat())
}

fn worker(folder: &Path, url: &str, token: &Path) -> Command {
    let mut command = Command::new(run::binary().with_file_name("ar-worker"));
    command.args(["--coordinator", url, "--slots", "1", "--drain", "7s", "--folder"]).arg(folder.join("w"));
    command.arg("--token-file").arg(token).env(ar_worker::NVML_LIBRARY, "none");
    command
}

#[test]
fn a_coordinator_and_a_worker_say_that_they_are_ready_how_they_stand_that_they_live_and_that_they_end() {
    let home = tempfile::tempdir().unwrap();
    let (head, box_) = (home.path().join("head"), home.path().join("box"));
    fs::create_dir(&head).unwrap();
    fs::create_dir(&box_).unwrap();
    let (of_head, of_box) = (Manager::new(&head), Manager::new(&box_));
    let port = service::free_port();
    let url = format!("http://127.0.0.1:{port}");
    // A worker is ready before there is a coordinator: which of them starts first is nobody's business.
    let token = home.path().join("token");
    fs::write(&token, "0123456789abcdef0123456789abcdef").unwrap();
    fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let tokens = head.join("out/store/tokens/worker");
    fs::create_dir_all(&tokens).unwrap();
    for folder in [head.join("out/store"), head.join("out/store/tokens"), tokens.clone()] {
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    }
    fs::copy(&token, tokens.join("box")).unwrap();
    let works = of_box.start(worker(&box_, &url, &token), Some(Duration::from_millis(200)));
    assert!(of_box.until("READY=1\n").last().unwrap().contains("STATUS=started\n"));
    of_box.until("STATUS=waits for a coordinator, attempts 0\n");
    let mut command = run::command(&["serve", "--out", head.join("out").to_str().unwrap(), "--listen"]);
    command.arg(format!("127.0.0.1:{port}"));
    let serves = of_head.start(command, Some(Duration::from_millis(200)));
    let ready = of_head.until("READY=1\n");
    assert!(ready.iter().all(|said| !said.contains("election")), "{ready:?}");
    assert!(ready.last().unwrap().contains("STATUS=leads, epoch 1; workers "), "{ready:?}");
    of_head.until("; workers 1, ");
    of_box.until("STATUS=connected, attempts 0\n");
    for manager in [&of_head, &of_box] {
        let beats: Vec<String> = (0..3).map(|_| manager.heard()).collect();
        assert!(beats.iter().all(|said| said.contains("WATCHDOG=1\n")), "{beats:?}");
    }
    works.signal(Signal::SIGTERM);
    let ends = of_box.until("STOPPING=1\n");
    // Its drain time and what it needs beyond that.
    assert!(ends.last().unwrap().contains("EXTEND_TIMEOUT_USEC=22000000\n"), "{ends:?}");
    assert_eq!(works.end().0, Some(0));
    serves.signal(Signal::SIGTERM);
    of_head.until("STOPPING=1\n");
    assert_eq!(serves.end().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_stands_by_is_ready_and_says_so() {
    let (nodes, home) = (Nodes::start(1).await, tempfile::tempdir().unwrap());
    let etcd = ["--etcd", nodes.url(0), "--leader-ttl", "2s"];
    let (first, second) = (home.path().join("1"), home.path().join("2"));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&second).unwrap();
    let (of_first, of_second) = (Manager::new(&first), Manager::new(&second));
    let leads = of_first.start(serve(home.path(), &etcd), None);
    of_first.until("STATUS=leads, ");
    let waits = of_second.start(serve(home.path(), &etcd), None);
    assert!(of_second.until("READY=1\n").last().unwrap().contains("STATUS=stands by for the election\n"));
    leads.signal(Signal::SIGTERM);
    assert_eq!(leads.end().0, Some(0));
    of_second.until("STATUS=leads, ");
    waits.signal(Signal::SIGTERM);
    of_second.until("STOPPING=1\n");
    assert_eq!(waits.end().0, Some(0));
}

#[test]
fn a_log_is_text_or_json_by_flag_and_by_variable() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("out/store/coordinator.log");
    let served = |more: &[&str], variable: Option<&str>| {
        let _ = fs::remove_file(&log);
        let mut command = serve(home.path(), more);
        command.envs(variable.map(|form| ("AR_LOG_FORMAT", form)));
        let mut serves = Running::spawn(command);
        assert!(serves.until(|line| line.starts_with("serving")).is_some());
        processes::wait_until("it has logged", || {
            fs::read_to_string(&log).unwrap_or_default().contains("serving")
        });
        serves.signal(Signal::SIGTERM);
        assert_eq!(serves.end().0, Some(0));
        fs::read_to_string(&log).unwrap()
    };
    let is_json = |text: &str| {
        text.lines().all(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            ["timestamp", "level", "target", "message"].iter().all(|key| event[key].is_string())
        })
    };
    assert!(is_json(&served(&["--log-format", "json"], None)));
    assert!(is_json(&served(&[], Some("json"))));
    assert!(served(&["--log-format", "text"], Some("json")).contains(" INFO ar_coordinator"));
    // `run` has no such flag.
    let mut run = run::command(&["run", run::example("heart-statlog.csv").to_str().unwrap(), "--out"]);
    run.arg(home.path().join("run")).env("AR_LOG_FORMAT", "xml");
    let output = run.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        run::stderr(&output).contains("invalid value 'xml' for '--log-format"),
        "{}",
        run::stderr(&output)
    );
}
