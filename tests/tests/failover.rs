//! Two coordinators on one etcd: the leader dies, and the other goes on with everything.

use std::fs;
use std::path::Path;
use std::time::Instant;

use ar_tests::etcd::{Certificates, Nodes};
use ar_tests::project::Project;
use ar_tests::service::{Head, SLOW, ended, experiments, http, submitted};
use nix::sys::signal::Signal;

/// Two coordinators that share a folder, the first of which leads, and nodes of etcd.
fn cluster(nodes: &Nodes, count: usize, folder: &Path) -> [Head; 2] {
    cluster_with(nodes, count, folder, &[])
}

fn cluster_with(nodes: &Nodes, count: usize, folder: &Path, more: &[&str]) -> [Head; 2] {
    let urls: Vec<&str> = (0..count).map(|node| nodes.url(node)).collect();
    let urls = urls.join(",");
    let flags = [&["--etcd", &urls, "--leader-ttl", "2s", "--lease-ttl", "6s"], more].concat();
    let mut first = Head::start(folder, &flags);
    ar_tests::processes::wait_until("the first leads", || ready(&first));
    let mut second = Head::start(folder, &flags);
    let both = format!("{},{}", first.urls, second.urls);
    (first.urls, second.urls) = (both.clone(), both);
    [first, second]
}

fn ready(head: &Head) -> bool {
    http(head.address(), "/readyz", None).starts_with("HTTP/1.1 200")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_with_everything_and_what_runs_goes_on() {
    let (nodes, home) = (Nodes::start(3).await, tempfile::tempdir().unwrap());
    let [mut first, second] = cluster(&nodes, 3, home.path());
    let said = http(second.address(), "/readyz", None);
    assert!(said.starts_with("HTTP/1.1 503") && said.contains("leads"), "{said}");
    assert!(http(second.address(), "/healthz", None).starts_with("HTTP/1.1 200"));
    // Each run writes down that it began, outside of everything that coordinators and workers know.
    let ran = home.path().join("ran");
    let project = Project::new(&format!("{SLOW}echo \"$lr $SEED\" >> {}\n", ran.display()));
    let workers = ["w1", "w2"].map(|name| second.worker(name, &["--slots", "2"]));
    let study = submitted(&second, &project, &["--budget", "30", "--rounds", "2"]);
    let before = second.until(&study, |line| line["ended"].as_u64() >= Some(5));
    assert_eq!(before["state"], "running", "it died while it worked");
    let began = Instant::now();
    first.kill_9();
    let after = second.until(&study, |line| line["ended"].as_u64() > before["ended"].as_u64());
    let seconds = began.elapsed().as_secs_f64();
    assert!(seconds < 8.0, "the next result came after {seconds:.1} s: {after}");
    assert!(ready(&second));
    // It comes back and stands by, and takes over again.
    first.restart();
    assert!(!ready(&first));
    second.until(&study, ended);
    let all = experiments(&second, &study);
    assert!(all.iter().all(|e| e["outcome"] == "done"));
    // What ran when the leader died went on and counts: nothing ran twice, even where a grant was never told.
    let ran = fs::read_to_string(&ran).unwrap();
    let mut runs: Vec<&str> = ran.lines().collect();
    assert_eq!(runs.len(), all.len(), "{ran}");
    runs.sort_unstable();
    runs.dedup();
    assert_eq!(runs.len(), all.len(), "{ran}");
    let token = fs::read_to_string(second.token("submit")).unwrap();
    let metrics = http(second.address(), "/metrics", Some(token.trim()));
    let epoch = metrics.lines().find_map(|line| line.strip_prefix("ar_coordinator_epoch ")).unwrap();
    assert!(epoch.parse::<u64>().unwrap() > 1, "{epoch}");
    drop(workers);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_works_over_an_etcd_that_lets_in_who_is_signed() {
    let (nodes, home) =
        (Nodes::start_with(3, &[], Some(Certificates::make())).await, tempfile::tempdir().unwrap());
    let tls = nodes.settings().tls.unwrap();
    let (certificate, key) = tls.identity.unwrap();
    let [ca, certificate, key] = [("ca", tls.ca), ("cert", certificate), ("key", key)].map(|(name, pem)| {
        let path = home.path().join(format!("etcd.{name}"));
        fs::write(&path, pem).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let signed = ["--etcd-ca", &ca, "--etcd-cert", &certificate, "--etcd-key", &key];
    let [mut first, second] = cluster_with(&nodes, 3, home.path(), &signed);
    let project = Project::new(SLOW);
    let _worker = second.worker("w1", &["--slots", "2"]);
    let study = submitted(&second, &project, &["--budget", "12", "--rounds", "1"]);
    second.until(&study, |line| line["ended"].as_u64() >= Some(2));
    first.kill_9();
    second.until(&study, ended);
    assert!(experiments(&second, &study).iter().all(|e| e["outcome"] == "done"));
    // Who shows no certificate is not let in, and is told at once what it was that did not answer.
    let out = home.path().join("other");
    let unsigned = ["--listen", "127.0.0.1:0", "--etcd", nodes.url(0), "--etcd-ca", &ca];
    let refused =
        ar_tests::run::finish(&[&["serve", "--out", out.to_str().unwrap()][..], &unsigned].concat());
    let said = ar_tests::run::stderr(&refused);
    assert_ne!(refused.status.code(), Some(0), "{said}");
    assert!(said.contains("etcd") && said.contains(nodes.url(0)), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_slept_past_its_time_ends_and_changes_nothing() {
    let (nodes, home) = (Nodes::start(1).await, tempfile::tempdir().unwrap());
    let [mut first, second] = cluster(&nodes, 1, home.path());
    let project = Project::new(SLOW);
    let _worker = second.worker("w1", &["--slots", "2"]);
    let study = submitted(&second, &project, &["--budget", "20", "--rounds", "2"]);
    second.until(&study, |line| line["ended"].as_u64() >= Some(3));
    first.signal(Signal::SIGSTOP);
    ar_tests::processes::wait_until("the other leads", || ready(&second));
    first.signal(Signal::SIGCONT);
    let (code, said) = first.ended();
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("leads"), "{said}");
    second.until(&study, ended);
    let all = experiments(&second, &study);
    assert!(all.iter().all(|e| e["outcome"] == "done"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_ends_by_itself_hands_over_at_once() {
    let (nodes, home) = (Nodes::start(1).await, tempfile::tempdir().unwrap());
    let [mut first, second] = cluster(&nodes, 1, home.path());
    let began = Instant::now();
    assert_eq!(first.end().0, Some(0));
    ar_tests::processes::wait_until("the other leads", || ready(&second));
    assert!(began.elapsed().as_secs_f64() < 2.0, "no ttl was waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinators_that_share_no_folder_are_refused() {
    let (nodes, home) = (Nodes::start(1).await, tempfile::tempdir().unwrap());
    let first = Head::start(home.path(), &["--etcd", nodes.url(0)]);
    ar_tests::processes::wait_until("the first leads", || ready(&first));
    let other = home.path().join("other");
    let out = other.to_str().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--etcd", nodes.url(0), "--out", out];
    let refused = ar_tests::run::finish(&arguments);
    assert_eq!(refused.status.code(), Some(2));
    assert!(ar_tests::run::stderr(&refused).contains("do not share"), "{}", ar_tests::run::stderr(&refused));
}
