//! TLS of a coordinator that serves: who is let in, and certificates that change.

use std::fs;
use std::path::{Path, PathBuf};

use ar_tests::etcd::Certificates;
use ar_tests::service::Head;
use ar_tests::{processes, run};

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Files of an authority's certificate, the server's and the client's pair.
struct Files {
    ca: PathBuf,
    server: (PathBuf, PathBuf),
    client: (PathBuf, PathBuf),
}

fn files(folder: &Path, of: &Certificates) -> Files {
    fs::create_dir_all(folder).unwrap();
    let pair = |name: &str, (certificate, key): &(String, String)| {
        (written(folder, &format!("{name}.pem"), certificate), written(folder, &format!("{name}.key"), key))
    };
    Files {
        ca: written(folder, "ca.pem", &of.ca),
        server: pair("server", &of.server),
        client: pair("client", &of.client),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn only_who_trusts_the_authority_and_is_signed_by_it_gets_in() {
    let home = tempfile::tempdir().unwrap();
    let ours = files(&home.path().join("ours"), &Certificates::make());
    let foreign = files(&home.path().join("foreign"), &Certificates::make());
    let server = [
        "--tls-cert",
        text(&ours.server.0),
        "--tls-key",
        text(&ours.server.1),
        "--tls-client-ca",
        text(&ours.ca),
    ];
    let mut head = Head::start(home.path(), &server);
    let try_with = |flags: &[&str]| head.client(&["status"], &head.token("submit"), flags).output().unwrap();
    let (certificate, key) = (text(&ours.client.0), text(&ours.client.1));
    let good = try_with(&["--ca", text(&ours.ca), "--client-cert", certificate, "--client-key", key]);
    assert!(good.status.success(), "{}", run::stderr(&good));
    let bad: [&[&str]; 4] = [
        &["--ca", text(&ours.ca)],
        &["--ca", text(&foreign.ca), "--client-cert", certificate, "--client-key", key],
        &[
            "--ca",
            text(&ours.ca),
            "--client-cert",
            text(&foreign.client.0),
            "--client-key",
            text(&foreign.client.1),
        ],
        &["--client-cert", certificate, "--client-key", key],
    ];
    for flags in bad {
        let refused = try_with(flags);
        assert!(!refused.status.success(), "{flags:?}");
        assert_eq!(run::stderr(&refused).lines().count(), 1, "{}", run::stderr(&refused));
    }
    assert!(head.log().matches("refused").count() >= 2, "{}", head.log());
    let joins = ["--ca", text(&ours.ca), "--client-cert", certificate, "--client-key", key];
    head = head.for_clients(&joins);
    let _worker = head.worker("w1", &["--slots", "1"]);
    processes::wait_until("the worker is connected", || {
        head.json(&["workers"]).as_array().is_some_and(|workers| workers.len() == 1)
    });
}

#[test]
fn a_certificate_that_was_renewed_is_used_without_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let live = files(&home.path().join("live"), &Certificates::make());
    let renewed = files(&home.path().join("renewed"), &Certificates::make());
    let head =
        Head::start(home.path(), &["--tls-cert", text(&live.server.0), "--tls-key", text(&live.server.1)]);
    let old = written(home.path(), "old.pem", &fs::read_to_string(&live.ca).unwrap());
    let works = |ca: &Path| {
        head.client(&["status"], &head.token("submit"), &["--ca", text(ca)])
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(works(&old) && !works(&renewed.ca));
    // A key that does not go with the certificate yet, as between two copies: the old one stays in force.
    fs::copy(&renewed.server.0, &live.server.0).unwrap();
    processes::wait_until("the half of a pair was looked at", || {
        assert!(works(&old));
        head.log().contains("stays as it was")
    });
    assert!(works(&old));
    fs::copy(&renewed.server.1, &live.server.1).unwrap();
    processes::wait_until("the new certificate is used", || works(&renewed.ca));
    assert!(!works(&old));
}

#[test]
fn files_that_are_no_certificates_are_told_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    let empty = written(home.path(), "empty.pem", "nothing\n");
    let pair = files(home.path(), &Certificates::make());
    let out = home.path().join("out");
    let cases: [&[&str]; 3] = [
        &["--tls-cert", text(&empty), "--tls-key", text(&pair.server.1)],
        &["--tls-cert", text(&pair.server.0), "--tls-key", text(&pair.client.1)],
        &["--tls-cert", text(&pair.server.0)],
    ];
    for flags in cases {
        let fixed = ["serve", "--listen", "127.0.0.1:0", "--out", text(&out)];
        let refused = run::finish(&[&fixed[..], flags].concat());
        assert_eq!(refused.status.code(), Some(2), "{flags:?}: {}", run::stderr(&refused));
        assert_eq!(run::stderr(&refused).lines().count(), 1);
    }
    assert!(!out.exists(), "nothing is written");
}
